//! Three masters and three replicas of a test's own, which share the slots.

#![allow(
    clippy::unused_self,
    reason = "they read as what is asked of all of it"
)]

use std::time::{Duration, Instant};

use crate::redis_server::{Persistence, RedisServer};

/// How many slots there are.
const SLOTS: u32 = 16_384;
const MASTERS: u32 = 3;
/// After how long without an answer a node is down, in ms. One that waits for a core is none the less there.
const DOWN_AFTER_MS: &str = "5000";
/// How long anything may take until it is so. It is the nodes' time, not ours: they find out and vote.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(20);

/// All of them; the first three begin as masters, and replica N follows master N − 3.
pub struct Cluster {
    pub servers: Vec<RedisServer>,
}

impl Cluster {
    pub fn start() -> Self {
        let servers: Vec<_> = (0..2 * MASTERS)
            .map(|_| {
                let settings = [
                    "--cluster-enabled",
                    "yes",
                    "--cluster-node-timeout",
                    DOWN_AFTER_MS,
                    "--cluster-replica-validity-factor",
                    "0",
                    "--repl-diskless-sync-delay",
                    "0",
                ];
                RedisServer::with(Persistence::None, &settings)
            })
            .collect();
        for (number, server) in (0_u32..).zip(servers.iter().take(3)) {
            let (first, last) = (SLOTS * number / MASTERS, SLOTS * (number + 1) / MASTERS - 1);
            let range = [first.to_string(), last.to_string()];
            server.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]);
        }
        for (number, server) in servers.iter().enumerate() {
            let epoch = (number + 1).to_string();
            server.command::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        for server in &servers[1..] {
            let port = server.port().to_string();
            servers[0].command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port]);
        }
        let this = Self { servers };
        this.until("all have met", || {
            this.servers.iter().all(|server| {
                let nodes: String = server.command(&["CLUSTER", "NODES"]);
                nodes.lines().count() == 6 && !nodes.contains("handshake")
            })
        });
        for replica in 3..6 {
            let master = this.id(replica - 3);
            this.servers[replica].command::<()>(&["CLUSTER", "REPLICATE", &master]);
        }
        this.until("it is whole", || {
            this.servers.iter().all(|server| {
                let info: String = server.command(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok")
            }) && (0..3).all(|master| this.replication(master).contains("state=online"))
        });
        this
    }

    /// The URLs of some nodes, as `store.urls` has them.
    pub fn urls(&self) -> Vec<String> {
        let url = |server: &RedisServer| format!("redis://127.0.0.1:{}", server.port());
        self.servers.iter().map(url).collect()
    }

    pub fn id(&self, server: usize) -> String {
        self.servers[server].command(&["CLUSTER", "MYID"])
    }

    pub fn replication(&self, server: usize) -> String {
        let told = self.servers[server].try_command(&["INFO", "replication"]);
        told.unwrap_or_default()
    }

    pub fn slot(&self, key: &str) -> u32 {
        self.servers[1].command(&["CLUSTER", "KEYSLOT", key])
    }

    /// The master of a slot among the first three.
    pub fn owner(&self, slot: u32) -> usize {
        usize::try_from((slot * MASTERS + MASTERS - 1) / SLOTS)
            .unwrap_or(0)
            .min(2)
    }

    /// Begins to move a slot: what is written to it is in two places from now on.
    pub fn begin_move(&self, slot: u32, from: usize, to: usize) {
        let (slot, from_id, to_id) = (slot.to_string(), self.id(from), self.id(to));
        self.servers[to].command::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        self.servers[from].command::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
    }

    /// Moves one key of a slot; whether there was one.
    pub fn move_one(&self, slot: u32, from: usize, to: usize) -> bool {
        let slot = slot.to_string();
        let keys: Vec<String> =
            self.servers[from].command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]);
        let Some(key) = keys.first() else {
            return false;
        };
        let port = self.servers[to].port().to_string();
        let words = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        self.servers[from].command::<String>(&words);
        true
    }

    /// Gives a slot to where its keys are now.
    pub fn end_move(&self, slot: u32, from: usize, to: usize) {
        let (slot, id) = (slot.to_string(), self.id(to));
        for server in [to, from]
            .into_iter()
            .chain((0..3).filter(|other| *other != to && *other != from))
        {
            self.servers[server].command::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
        }
    }

    #[allow(
        clippy::unused_self,
        reason = "it reads as what is waited for: that these are so"
    )]
    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(
                begun.elapsed() < PATIENCE,
                "not within {PATIENCE:?}: {what}"
            );
            std::thread::sleep(POLL);
        }
    }
}
