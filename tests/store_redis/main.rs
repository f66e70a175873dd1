//! The Redis ledger against a real server: every step of it, and what the server forgets.

#[path = "../support/redis_server.rs"]
#[allow(
    dead_code,
    reason = "shared with other test binaries, each of which uses a part"
)]
mod redis_server;

mod fixture;
mod forgetting;
mod model;
mod records;
mod server_faults;
mod totals;
mod users;
