//! More connections than there are places, and as many as there may be.

use std::net::SocketAddr;

use imquota::grpc::proto::Resource;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::raw::Raw;
use super::{SETTINGS, Siege};
use crate::sidecar::Sidecar;
use crate::wait::{soon, until};

/// The most connections at a time, as the program has them.
const PLACES: usize = imquota::grpc::CONNECTIONS_MAX;
/// As many as ask for one.
const CROWD: usize = 10_000;
/// The most that one of them may cost while nothing is asked over it. Of the buffers of h2, 24 KiB to read and to
/// write, only the pages that were touched are there.
const IDLE_BYTES_MAX: u64 = 20 * 1024;

/// Connections that are held open; those that are refused are among them.
async fn hold(at: SocketAddr, number: usize) -> Vec<TcpStream> {
    let mut held = Vec::with_capacity(number);
    for _ in 0..number {
        let connected = soon("a connection", TcpStream::connect(at)).await;
        held.extend(connected.ok());
    }
    held
}

/// Waits until a newcomer is served.
async fn places_again(at: SocketAddr) {
    until("there are places again", async || {
        let mut raw = Raw::greeted(at).await;
        match raw.0.read(&mut [0; 1]).await {
            Ok(1) => Ok(()),
            _ => Err("ended"),
        }
    })
    .await;
}

#[tokio::test]
async fn idle_connections_cost_little() {
    let settings = format!("connections: {{ max: {} }}{SETTINGS}", CROWD + 10);
    let mut sidecar = Sidecar::start("embedded", &settings).await;
    let client = sidecar.client().await;
    assert_eq!(client.create(1, Resource::Account).await.used, 1);
    let before = sidecar.process().resident_kib();
    let mut held = Vec::with_capacity(CROWD);
    for _ in 0..CROWD {
        // One after the other: of many at the same moment some are refused.
        let mut raw = Raw::greeted(sidecar.address()).await;
        raw.lives("an idle connection").await;
        held.push(raw);
    }
    assert_eq!(client.create(1, Resource::Account).await.used, 2);
    let each = (sidecar.process().resident_kib() - before) * 1024 / CROWD as u64;
    println!("{each} bytes for each of {CROWD} idle connections");
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes each");
    drop(held);
    sidecar.stop().await;
}

#[tokio::test]
async fn a_crowd_takes_all_places_and_nothing_else() {
    let mut siege = Siege::begin().await;
    // A place is left for the gateway that comes after each case.
    let idle = hold(siege.at(), PLACES - 3).await;
    let name = "as many idle connections as there are places";
    siege.stands(name, 0).await;

    let crowd = hold(siege.at(), CROWD - idle.len()).await;
    // The old connection is served while newcomers are refused.
    let old = siege.old.create(1, Resource::Account).await;
    siege.counted = old.used;
    drop((idle, crowd));
    places_again(siege.at()).await;
    siege.stands("10,000 connections", 0).await;

    for _ in 0..2000 {
        drop(Raw::connect(siege.at()).await);
    }
    places_again(siege.at()).await;
    siege.stands("2,000 that come and go", 0).await;
    siege.end().await;
}
