//! Listeners: what they accept, and what they leave behind.

use std::os::unix::net::UnixListener;

use imquota::endpoint::Endpoint;
use imquota::grpc::Bounds;
use imquota::grpc::proto::GetUsageRequest;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tonic::Code;

use crate::common::{Server, bounds, soon};

async fn answers(server: &Server) {
    let mut client = server.quota().await;
    let status = soon(client.get_usage(GetUsageRequest { app_id: 0 }))
        .await
        .expect_err("it is bad");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}

#[tokio::test]
async fn every_worker_serves() {
    let server = Server::start();
    for _ in 0..bounds().workers.get() * 2 {
        answers(&server).await;
    }
}

#[tokio::test]
async fn a_unix_socket_is_served_and_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("imquota.sock");
    drop(UnixListener::bind(&path).expect("the path is free"));
    let mut server = Server::start_at(&format!("unix:{}", path.display()), bounds());
    answers(&server).await;
    server.stop();
    server.ended().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn after_the_end_the_port_is_free() {
    let mut server = Server::start();
    let address = server.endpoint.to_string();
    answers(&server).await;
    server.stop();
    server.ended().await;
    answers(&Server::start_at(&address, bounds())).await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let bounds = Bounds {
        connections_max: 1,
        ..bounds()
    };
    let server = Server::start_at("127.0.0.1:0", bounds);
    let Endpoint::Tcp(address) = server.endpoint else {
        panic!("it listens on TCP");
    };
    let mut first = server.quota().await;
    let mut second = TcpStream::connect(address).await.expect("somebody listens");
    let read = soon(second.read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");

    let status = soon(first.get_usage(GetUsageRequest { app_id: 0 }))
        .await
        .expect_err("it is bad");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}
