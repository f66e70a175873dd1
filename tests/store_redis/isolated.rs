//! A master that is cut off and goes on, while one of its replicas has its place: what it can do then, with
//! `min-replicas-to-write` and without.

use std::time::{Duration, Instant};

use imquota::quota::Resource;
use imquota::store::{Beat, Beaten, Recovery, Statement, StoreFault, Taken};

use crate::asks::{accounts_taken, statement};
use crate::fixture::{Sidecar, app, client, limits, quick, take};
use crate::redis_server::{Persistence, RedisServer};

/// How many accounts there may be.
const LIMIT: u64 = 10;

/// A master that was cut off from its replica, which is a master now, too.
struct CutOff {
    old: RedisServer,
    new: RedisServer,
    one: Sidecar,
}

/// Two masters of one ledger, in which a sidecar has four accounts.
async fn cut_off(settings: &[&str]) -> CutOff {
    let at_once = ["--repl-diskless-sync-delay", "0"];
    let old = RedisServer::with(Persistence::None, &[&at_once, settings].concat());
    let port = old.port().to_string();
    let replicaof = ["--replicaof", "127.0.0.1", &port];
    let new = RedisServer::with(Persistence::None, &[&at_once, &replicaof[..]].concat());
    until("the replica has everything", || {
        let info: String = old.command(&["INFO", "replication"]);
        info.contains("state=online") && info.contains("lag=0")
    })
    .await;
    let one = Sidecar::new(1, &old);
    one.hello(None).await.unwrap();
    until_leased(&one).await;
    assert_eq!(takes(&one, 1..=4).await, [true; 4]);
    // Each is at the replica before the two are parted.
    old.command::<u64>(&["WAIT", "1", "10000"]);
    new.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    until("the old one has nobody", || {
        let info: String = old.command(&["INFO", "replication"]);
        info.contains("connected_slaves:0")
    })
    .await;
    CutOff { old, new, one }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_leased(sidecar: &Sidecar) {
    sidecar
        .until(&Beat::default(), |beaten| beaten.leased)
        .await;
}

async fn try_take(sidecar: &Sidecar, attempt: u64) -> Result<Taken, StoreFault> {
    let rules = limits(LIMIT, 0, 0);
    let key = client(&format!("id-{}-{attempt}", sidecar.member.incarnation));
    let take = take(&key, attempt, Resource::Account, 1, &rules);
    sidecar.take(&take).await
}

/// Which of some takes are allowed.
async fn takes(sidecar: &Sidecar, attempts: std::ops::RangeInclusive<u64>) -> Vec<bool> {
    let mut allowed = Vec::new();
    for attempt in attempts {
        let taken = try_take(sidecar, attempt).await.unwrap();
        allowed.push(matches!(taken, Taken::Allowed { .. }));
    }
    allowed
}

/// A sidecar that has found the successor: it runs anew, and waits until all whom it knows have told what they know.
async fn at_the_successor(number: u64, new: &RedisServer) -> Sidecar {
    let mut options = quick(&new.unix_url());
    options.pace.patience = 3_600_000;
    let two = Sidecar::with(number, options);
    two.hello(None).await.unwrap();
    let is_open = |beaten: &Beaten| beaten.recovery == Recovery::Open;
    two.until(&Beat::default(), is_open).await;
    two
}

/// The one that was at the old master finds the successor, and tells it of so many accounts; then it is open no more.
async fn comes_over(one: &Sidecar, others: &[&Sidecar], new: &RedisServer, accounts: u64) {
    let known = one.hello(None).await.unwrap();
    let mut over = Sidecar::with(1, quick(&new.unix_url()));
    over.member.boot = 2;
    over.hello(Some(known)).await.unwrap();
    let epoch = over.beats().await.epoch;
    let restated = Beat {
        restated: epoch,
        ..Beat::default()
    };
    over.states(&statement(accounts_taken(accounts), Vec::new()))
        .await;
    over.beat(&restated).await.unwrap();
    for other in others {
        other.beats().await;
        other.states(&Statement::default()).await;
        other.beat(&restated).await.unwrap();
    }
    let is_closed = |beaten: &Beaten| beaten.recovery == Recovery::Closed;
    over.until(&restated, is_closed).await;
    for other in others {
        other.until(&restated, is_closed).await;
    }
}

#[tokio::test]
async fn what_it_admits_is_told_to_its_successor_before_that_admits_anything() {
    let CutOff {
        old: _old,
        new,
        one,
    } = cut_off(&[]).await;
    // It answers as if nothing had been, to whom it is reached by: all that is left of the limit.
    let six = [true; 6].as_slice();
    assert_eq!(takes(&one, 5..=11).await, [six, &[false]].concat());
    // Its successor knows who was there.
    let two = at_the_successor(2, &new).await;
    let waits = try_take(&two, 1).await;
    assert!(matches!(waits, Err(StoreFault::Frozen(_))), "{waits:?}");
    comes_over(&one, &[&two], &new, 10).await;
    assert_eq!(two.usage(app(1)).await.view.net[0], 10);
    assert_eq!(takes(&two, 2..=2).await, [false]);
}

/// The exception that the protocol's page names: of one that was known at the old master alone nobody tells the new one.
#[tokio::test]
async fn what_it_admits_for_a_newcomer_without_a_witness_is_above_the_limit() {
    let CutOff { old, new, one } = cut_off(&[]).await;
    let careful = Sidecar::quick(3, &old, None).await;
    let mut hasty = quick(&old.unix_url());
    hasty.pace.witness_wait = 300;
    let hasty = Sidecar::with(4, hasty);
    hasty.hello(None).await.unwrap();
    // One that waits for a fellow in whose journal it is has no lease, and admits nothing. One that does not wait has.
    until_leased(&hasty).await;
    assert!(!careful.beats().await.leased);
    let six = [true; 6].as_slice();
    assert_eq!(takes(&hasty, 1..=7).await, [six, &[false]].concat());
    let two = at_the_successor(2, &new).await;
    comes_over(&one, &[&two], &new, 4).await;
    // The same six places: 16 of 10 in all.
    assert_eq!(takes(&two, 2..=8).await, [six, &[false]].concat());
}

#[tokio::test]
async fn with_min_replicas_to_write_it_admits_nothing() {
    let least = [
        "--min-replicas-to-write",
        "1",
        "--min-replicas-max-lag",
        "2",
    ];
    let CutOff { old, one, .. } = cut_off(&least).await;
    let alone = try_take(&one, 5).await;
    assert!(
        matches!(&alone, Err(StoreFault::Away(words)) if words.contains("NOREPLICAS")),
        "{alone:?}"
    );
    let stranger = Sidecar::new(3, &old).hello(None).await;
    assert!(
        matches!(&stranger, Err(StoreFault::Away(words)) if words.contains("NOREPLICAS")),
        "{stranger:?}"
    );
    assert_eq!(one.usage(app(1)).await.view.net[0], 4);
}
