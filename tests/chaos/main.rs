//! Six sidecars, one `redis-server` and a dozen gateways that keep their own books, while everything
//! is killed, hung and restarted at random: no limit is passed at any time, nothing that was answered
//! is lost and nothing is counted twice. One sidecar is hung and never ended: it takes no more of its machine in the end
//! than early in the run.
//!
//! `IMQUOTA_CHAOS_SEED` repeats a run's choices (not the pace of its processes), and
//! `IMQUOTA_CHAOS_SECONDS` says how long each scenario is hurt.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "shared with other test binaries, each of which uses a part"
)]
mod support;
use support::{
    client, cluster_servers, http, process, redis_server, sentinels, sidecar, stores, tally, wait,
};

mod asking;
mod book;
mod cells;
mod cost;
mod faults;
mod gateway;
mod lasting;
mod logins;
mod names;
mod run;
mod scattered;
mod settled;
mod together;
mod watched;

use redis_server::Persistence;
use run::{run, run_cluster, run_watched};

/// What a scenario does to Redis. Whatever that is, every count is the books' in the end, and every place of a
/// limit can be had: what Redis forgets its members tell it.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    persistence: Persistence,
    /// Whether it may lose writes that it acknowledged.
    forgets: bool,
}

const APPEND_ONLY: Scenario = Scenario {
    persistence: Persistence::AppendOnly,
    forgets: false,
};
const EVERY_SECOND: Scenario = Scenario {
    persistence: Persistence::EverySecond,
    forgets: true,
};
const NOTHING_KEPT: Scenario = Scenario {
    persistence: Persistence::None,
    forgets: true,
};

#[tokio::test]
async fn a_redis_that_keeps_each_write() {
    run(APPEND_ONLY).await;
}

#[tokio::test]
async fn a_redis_that_keeps_its_writes_each_second() {
    run(EVERY_SECOND).await;
}

#[tokio::test]
async fn a_master_among_replicas_and_sentinels() {
    run_watched().await;
}

#[tokio::test]
async fn a_cluster_of_masters_and_replicas() {
    run_cluster().await;
}

#[tokio::test]
async fn a_redis_that_keeps_nothing() {
    run(NOTHING_KEPT).await;
}
