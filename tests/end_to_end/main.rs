//! The whole program, as a gateway meets it: the `imquota` binary in processes of its own, over real
//! sockets, on the embedded store and on a real `redis-server`.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with other test binaries, each of which uses a part"
)]
mod support;
use support::{
    certificates, client, http, other_clock, process, redis_server, relay, sentinels, sidecar,
    stores, tally, wait, world,
};

mod actives;
mod alarms;
mod alerts;
mod apps;
mod away;
mod bills;
mod clocks;
mod damage;
mod decisions;
mod plain;
mod policies;

mod ending;
mod envoy;
mod exists;
mod figures;
mod fleet;
mod forgotten;
mod granted;
mod holds;
mod hostile;
mod kill;
mod lent;
mod limits;
mod log_filter;
mod losses;
mod machine;
mod many;
mod members;
mod model;
mod moments;
mod names;
mod objects;
mod outage;
mod page;
mod pages;
mod past;
mod recount;
mod register;
mod releases;
mod reload;
mod repeats;
mod restored;
mod rollout;
mod secure;
mod shadow;
mod sharing;
mod side_services;
mod starting;
mod terminal;
mod traces;
mod troubles;
mod undumped;
mod verbs;
mod wrong_redis;
