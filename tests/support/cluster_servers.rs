//! Three masters and three replicas of a test's own, which share the slots.

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

    /// One node, which has all slots and sends its clients to another port of the loopback.
    pub fn alone(announced: u16) -> Self {
        let announced = announced.to_string();
        let settings = [
            "--cluster-enabled",
            "yes",
            "--cluster-announce-port",
            &announced,
        ];
        let server = RedisServer::with(Persistence::None, &settings);
        let last = (SLOTS - 1).to_string();
        server.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", &last]);
        let this = Self {
            servers: vec![server],
        };
        this.until("it is whole", || {
            let info: String = this.servers[0].command(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok")
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
        self.servers[self.someone()].command(&["CLUSTER", "KEYSLOT", key])
    }

    /// The lines of a `store` section that names it.
    pub fn settings(&self) -> String {
        let urls: Vec<_> = self.urls().iter().map(|url| format!("'{url}'")).collect();
        format!("mode: cluster, urls: [{}]", urls.join(", "))
    }

    /// Who has slots, as one of them sees it, and which. A node that hangs is asked nothing.
    fn owners(&self, asked: usize) -> Vec<(usize, Vec<std::ops::RangeInclusive<u32>>)> {
        let nodes: String = self.servers[asked].command(&["CLUSTER", "NODES"]);
        let mut owners = Vec::new();
        for line in nodes.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let port = words[1].split(['@', ',']).next().unwrap_or_default();
            let port = port.rsplit(':').next().and_then(|port| port.parse().ok());
            let server = self.servers.iter().position(|of| Some(of.port()) == port);
            let number = |text: &str| text.parse::<u32>().ok();
            let slots: Vec<_> = words[8..]
                .iter()
                .filter_map(|range| match range.split_once('-') {
                    Some((first, last)) => Some(number(first)?..=number(last)?),
                    None => Some(number(range)?..=number(range)?),
                })
                .collect();
            if !words[2].contains("fail") && !slots.is_empty() {
                owners.push((server.expect("it is one of ours"), slots));
            }
        }
        owners
    }

    /// The master of a slot, as the first server that answers sees it.
    pub fn owner(&self, slot: u32) -> usize {
        let owners = self.owners(self.someone());
        let mut of = owners.into_iter();
        let of = of.find(|(_, slots)| slots.iter().any(|range| range.contains(&slot)));
        of.expect("each slot has a master").0
    }

    /// Another master than this one.
    pub fn other_master(&self, than: usize) -> usize {
        let owners = self.owners(self.someone());
        let mut others = owners.iter().map(|(server, _)| *server);
        others
            .find(|server| *server != than)
            .expect("there are three")
    }

    /// Somebody who answers.
    fn someone(&self) -> usize {
        let answers = |server: &RedisServer| server.try_command::<String>(&["PING"]).is_ok();
        let mut all = self.servers.iter();
        all.position(|server| !server.is_suspended() && answers(server))
            .expect("somebody answers")
    }

    /// A replica of that master which is in step.
    pub fn replica_of(&self, master: usize) -> usize {
        let follows = format!("master_port:{}", self.servers[master].port());
        let is_replica = |server: &usize| {
            let info = self.replication(*server);
            info.contains("role:slave")
                && info.contains(follows.trim())
                && info.contains("master_link_status:up")
        };
        (0..self.servers.len())
            .find(is_replica)
            .expect("each master has one")
    }

    /// A fail-over to `replica` as an operator does it before work on its master's machine.
    pub fn hand_over_to(&self, replica: usize) {
        self.servers[replica].command::<()>(&["CLUSTER", "FAILOVER"]);
    }

    /// Waits until `replica` has the place of its master.
    pub fn until_promoted(&self, replica: usize) {
        self.until("the replica has its master's slots", || {
            let owners = self.owners(replica);
            owners.iter().any(|(server, _)| *server == replica)
                && self.replication(replica).contains("role:master")
        });
    }

    /// Waits until three masters share the slots, each of the others follows one, and all see it so.
    pub fn settled(&self) {
        self.until("all are whole, and see it so", || {
            let whole = |server: usize| {
                let info = self.servers[server].try_command::<String>(&["CLUSTER", "INFO"]);
                let nodes = self.servers[server].try_command::<String>(&["CLUSTER", "NODES"]);
                info.is_ok_and(|info| info.contains("cluster_state:ok"))
                    && nodes
                        .is_ok_and(|nodes| !nodes.contains("fail") && !nodes.contains("handshake"))
                    && self.owners(server).len() == 3
            };
            let roles = |words: &str| {
                let all = 0..self.servers.len();
                all.filter(|server| self.replication(*server).contains(words))
                    .count()
            };
            (0..self.servers.len()).all(whole)
                && roles("role:master") == 3
                && roles("master_link_status:up") == 3
                && roles("state=online") == 3
        });
    }

    /// Moves a slot with all that is in it, as `redis-cli --cluster reshard` does.
    pub fn move_slot(&self, slot: u32) {
        let from = self.owner(slot);
        let to = self.other_master(from);
        self.begin_move(slot, from, to);
        while self.move_one(slot, from, to) {}
        self.end_move(slot, from, to);
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
        let others: Vec<_> = self
            .owners(to)
            .into_iter()
            .map(|(server, _)| server)
            .collect();
        let others = others
            .into_iter()
            .filter(|other| *other != to && *other != from);
        let (slot, id) = (slot.to_string(), self.id(to));
        for server in [to, from].into_iter().chain(others) {
            self.servers[server].command::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
        }
    }

    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(
                begun.elapsed() < PATIENCE,
                "not within {PATIENCE:?}: {what}\n{}",
                self.logs()
            );
            std::thread::sleep(POLL);
        }
    }

    /// What each of them logged, which tells why something did not come.
    fn logs(&self) -> String {
        let logs = self.servers.iter().map(|server| {
            let port = server.port();
            format!("server {port}:\n{}", server.log())
        });
        logs.collect()
    }
}
