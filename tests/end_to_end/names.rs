//! A ledger whose name leads elsewhere from one moment to the next.

use std::net::{Ipv4Addr, SocketAddr};

use imquota::grpc::proto::Resource;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::client::{ALLOW, UNAVAILABLE, verdict};
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::wait::until;
use crate::world::World;

const SETTINGS: &str = "
plans: { small: { limits: { accounts: 10 } } }
apps: [{ app_id: 2, plan: small }]
";

/// A way to a server, from an address of its own. With it end its connections.
async fn way(from: SocketAddr, to: u16) -> JoinHandle<()> {
    let listener = TcpListener::bind(from).await.expect("it is free");
    tokio::spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((mut from, _)) = listener.accept().await {
            open.spawn(async move {
                let mut to = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await?;
                copy_bidirectional(&mut from, &mut to).await
            });
        }
    })
}

/// As a service in a cluster that is made anew, or a primary that is another.
#[tokio::test]
async fn a_name_that_leads_elsewhere_is_followed() {
    let redis = RedisServer::start();
    let here = Ipv4Addr::new(127, 0, 0, 2);
    let free = TcpListener::bind((here, 0)).await.expect("a port");
    let port = free.local_addr().expect("it is bound").port();
    drop(free);
    let first = way((here, port).into(), redis.port()).await;

    let world = World::new();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let hosts = folder.path().join("hosts");
    let leads_to = |address: Ipv4Addr| {
        // In place: it is bound to another name.
        std::fs::write(&hosts, format!("{address} ledger.test\n")).expect("the folder is ours");
    };
    leads_to(here);
    world.run(&format!("mount --bind {} /etc/hosts", hosts.display()));
    let mut sidecar = Sidecar::new(&format!("redis://ledger.test:{port}/0"), SETTINGS);
    sidecar.run_by(&world.imquota());
    sidecar.start_again().await;
    let client = sidecar.client().await;
    let created = client.create(2, Resource::Account).await;
    assert_eq!((verdict(&created), created.used), (ALLOW, 1));

    // The old address is given up before the name says so: what a limit could refuse is refused.
    first.abort();
    until(
        "it is seen that the ledger is away",
        async || match verdict(&client.create(2, Resource::Account).await) {
            UNAVAILABLE => Ok(()),
            other => Err(other),
        },
    )
    .await;
    let there = Ipv4Addr::new(127, 0, 0, 3);
    let _second = way((there, port).into(), redis.port()).await;
    leads_to(there);
    let used = until("the ledger answers at its new address", async || {
        let created = client.create(2, Resource::Account).await;
        match verdict(&created) {
            ALLOW => Ok(created.used),
            other => Err(other),
        }
    })
    .await;
    assert!((2..=10).contains(&used), "{used}");
    sidecar.stop().await;
}
