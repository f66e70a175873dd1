//! The Redis ledger against a real server: every step of it, and what the server forgets.

#[path = "../support/other_clock.rs"]
mod other_clock;

#[path = "../support/redis_server.rs"]
#[allow(
    dead_code,
    reason = "shared with other test binaries, each of which uses a part"
)]
mod redis_server;

#[path = "../support/sentinels.rs"]
#[allow(
    dead_code,
    reason = "shared with other test binaries, each of which uses a part"
)]
mod sentinels;

#[path = "../store_suite/mod.rs"]
#[macro_use]
#[allow(
    dead_code,
    reason = "part of it is for a ledger that its member can tell everything again"
)]
mod store_suite;

#[path = "../support/cluster_servers.rs"]
#[allow(
    dead_code,
    reason = "shared with other test binaries, each of which uses a part"
)]
mod cluster_servers;

mod alone;
mod asks;
mod bases;
mod cluster;
mod crowd;
mod deletions;
mod fixture;
mod forgetting;
mod gains;
mod grants;
mod held_up;
mod history;
mod hold_walks;
mod holds;
mod isolated;
mod members;
mod model;
mod objects;
mod operators;
mod records;
mod recounts;
mod recovery;
mod replies;
mod restating;
mod rights;
mod server_faults;
mod server_load;
mod storm;
mod suite;
mod tls;
mod totals;
mod users;
mod watched;
mod zones;
