//! What the tests on real processes share: sidecars, servers, clients, and their own books.

pub mod certificates;
pub mod client;
pub mod cluster_servers;
pub mod http;
pub mod other_clock;
pub mod process;
pub mod redis_server;
pub mod relay;
pub mod sentinels;
pub mod sidecar;
pub mod stores;
pub mod tally;
pub mod wait;
pub mod world;
