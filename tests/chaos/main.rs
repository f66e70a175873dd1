//! Six sidecars, one `redis-server` and a dozen gateways that keep their own books, while everything
//! is killed, hung and restarted at random: no limit is passed at any time, nothing that was answered
//! is lost and nothing is counted twice.
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
use support::{client, process, redis_server, sidecar, stores, tally, wait};

mod asking;
mod book;
mod cells;
mod faults;
mod gateway;
mod run;
mod settled;

use redis_server::Persistence;
use run::run;

/// What a scenario does to Redis, and what must hold of it when all is healed.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    persistence: Persistence,
    end: End,
}

/// What the sidecars owe when every process runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Every count is the books', and every place of a limit can be had.
    Exact,
    /// As [`End::Exact`], unless a ledger that lost writes was found out: then as [`End::Frozen`].
    ExactUnlessForgotten,
    /// Redis has forgotten: hard limits are refused, metered resources go on and lose nothing.
    Frozen,
}

/// What each kind of persistence must come to. A ledger that forgets stays frozen until an operator
/// acts; once members restate what they know, all of these are [`End::Exact`].
const APPEND_ONLY: Scenario = Scenario {
    persistence: Persistence::AppendOnly,
    end: End::Exact,
};
const EVERY_SECOND: Scenario = Scenario {
    persistence: Persistence::EverySecond,
    end: End::ExactUnlessForgotten,
};
const NOTHING_KEPT: Scenario = Scenario {
    persistence: Persistence::None,
    end: End::Frozen,
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
async fn a_redis_that_keeps_nothing() {
    run(NOTHING_KEPT).await;
}
