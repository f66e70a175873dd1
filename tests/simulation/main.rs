//! The simulation: the real ledger, admission and Redis store with the real scripts, in a world of
//! virtual time whose every fault follows from one seed.
//!
//! `IMQUOTA_SIM_SEEDS` says how many seeds are run, `IMQUOTA_SIM_FROM` with which one they begin. A seed
//! that fails is printed with the command that tells its story again, with a log.

mod auditor;
mod books;
mod chaos;
mod fake;
mod gateway;
mod machine;
mod mutants;
mod network;
mod run;
mod scenario;
mod seeds;
mod server;
mod sidecar;
mod twin;
mod with_redis;

#[path = "../support/redis_server.rs"]
#[allow(
    dead_code,
    reason = "shared with other test binaries, each of which uses a part"
)]
mod redis_server;
