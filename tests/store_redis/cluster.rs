//! A Cluster: shards on several masters, each of which may be lost, and slots that move under load.

use std::time::Duration;

use imquota::config::{RedisUrl, Topology};
use imquota::quota::Resource;
use imquota::store::redis::RedisOptions;
use imquota::store::{Shard, StoreFault, Taken};

use crate::cluster_servers::Cluster;
use crate::fixture::{Sidecar, app, client, limits, options, quick, take};
use crate::redis_server::RedisServer;
use crate::watched::comes_back;

fn of(cluster: &Cluster, options: RedisOptions) -> RedisOptions {
    let urls = cluster.urls();
    let urls = urls.iter().map(|url| RedisUrl::parse(url).expect("a URL"));
    RedisOptions {
        topology: Topology::Cluster(urls.collect()),
        response_timeout: Duration::from_secs(2),
        ..options
    }
}

fn slot_of_app(cluster: &Cluster, number: u64) -> u32 {
    cluster.slot(&format!(
        "{{imquota:{:02x}}}",
        Shard::of(app(number)).number()
    ))
}

async fn takes(sidecar: &Sidecar, number: u64, limit: u64) -> Result<bool, StoreFault> {
    let key = client(&format!("id-{number}"));
    let take = take(&key, number, Resource::Account, 1, &limits(limit, 0, 0));
    let taken = sidecar.take(&take).await?;
    Ok(matches!(taken, Taken::Allowed { .. }))
}

#[track_caller]
fn assert_waits(answer: &Result<bool, StoreFault>) {
    assert!(
        matches!(answer, Err(StoreFault::Frozen(words)) if words.contains("being moved")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_master_that_dies_is_replaced_and_nothing_of_the_others_is_lost() {
    let mut cluster = Cluster::start();
    let one = Sidecar::with(1, of(&cluster, quick("redis://unused")));
    let known = one.hello(None).await.unwrap();
    assert!(one.beats().await.leased);
    assert!(takes(&one, 1, 1000).await.unwrap());
    let owner = cluster.owner(slot_of_app(&cluster, 1));
    cluster.servers[owner].kill();
    let back = comes_back(&one, known, 2).await;
    println!("back after {back:?}");
    cluster.servers[owner].start_again();
    // It comes back as a replica, and nobody takes it for more.
    cluster.until("it follows", || {
        cluster.replication(owner).contains("role:slave")
    });
    assert!(takes(&one, 3, 1000).await.unwrap());
}

#[tokio::test]
async fn a_slot_moves_while_takes_go_on_and_the_limit_holds() {
    let cluster = Cluster::start();
    let one = Sidecar::with(1, of(&cluster, options("redis://unused")));
    one.hello(None).await.unwrap();
    let slot = slot_of_app(&cluster, 1);
    let from = cluster.owner(slot);
    let to = cluster.other_master(from);
    let mut allowed = 0;
    for number in 1..=20 {
        allowed += u64::from(takes(&one, number, 30).await.unwrap());
    }
    cluster.begin_move(slot, from, to);
    // A part is there and a part is not: nothing is done at all.
    assert!(cluster.move_one(slot, from, to));
    for number in 21..=23 {
        assert_waits(&takes(&one, number, 30).await);
    }
    // Which of them it is depends on the server's version.
    assert!(one.troubles("TRYAGAIN") + one.troubles("ASK") > 0);
    while cluster.move_one(slot, from, to) {}
    // Nothing is left here, and that is ASK in all of them.
    let before = one.troubles("ASK");
    assert_waits(&takes(&one, 24, 30).await);
    assert!(one.troubles("ASK") > before);
    assert_eq!(one.troubles("MOVED"), 0);
    cluster.end_move(slot, from, to);
    for number in 25..=50 {
        allowed += u64::from(takes(&one, number, 30).await.unwrap());
    }
    assert_eq!(allowed, 30);
    // Once it is known where the slot is, nobody is asked in vain.
    assert_eq!(one.troubles("MOVED"), 1);
    assert_eq!(one.usage(app(1)).await.view.net[0], 30);
    // The masters are the same: nothing is told again.
    let beaten = one.beats().await;
    assert_eq!(beaten.recovery, imquota::store::Recovery::Closed);
}

#[tokio::test]
async fn a_cluster_without_all_slots_is_away_until_it_has_them() {
    let cluster = Cluster::start();
    let one = Sidecar::with(1, of(&cluster, options("redis://unused")));
    let known = one.hello(None).await.unwrap();
    assert!(takes(&one, 1, 1000).await.unwrap());
    cluster.servers[0].command::<()>(&["CLUSTER", "DELSLOTS", "0"]);
    cluster.until("it says so", || {
        let info: String = cluster.servers[0].command(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:fail")
    });
    let away = one.hello(Some(known)).await.unwrap_err().to_string();
    assert!(
        away.contains("CLUSTERDOWN") || away.contains("slots that no master has"),
        "{away}"
    );
    assert!(one.troubles("CLUSTERDOWN") > 0);
    cluster.servers[0].command::<()>(&["CLUSTER", "ADDSLOTS", "0"]);
    cluster.until("it is whole", || {
        let info: String = cluster.servers[0].command(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok")
    });
    assert_eq!(one.hello(Some(known)).await, Ok(known));
}

#[tokio::test]
async fn one_is_not_taken_for_the_other() {
    let cluster = Cluster::start();
    let single = Sidecar::with(1, options(&cluster.urls()[0]));
    let Err(StoreFault::Unusable(words)) = single.hello(None).await else {
        panic!("a node is no whole");
    };
    assert!(words.contains("set store.mode: cluster"), "{words}");
    let server = RedisServer::start();
    let mut alone = options("redis://unused");
    alone.topology = Topology::Cluster([RedisUrl::parse(&server.url()).unwrap()].into());
    let Err(StoreFault::Unusable(words)) = Sidecar::with(1, alone).hello(None).await else {
        panic!("one is no Cluster");
    };
    assert!(words.contains("set store.mode: single"), "{words}");
}
