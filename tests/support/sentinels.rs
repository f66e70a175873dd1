//! A master, two replicas and three Sentinels of a test's own.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::redis_server::{Persistence, RedisServer, binary, free_port};

/// What the Sentinels call the master.
pub const MASTER: &str = "quota";
/// After how long without an answer a master is down, in ms. A process that waits for a core is none the less there:
/// a shorter time has it replaced again and again on a busy machine, and the successor after it.
const DOWN_AFTER_MS: u32 = 5000;
/// What is shorter than in production, in ms: how often a Sentinel asks for the parts that servers have, and tells of
/// itself (one that comes back as a master is told to follow after four of these), and how long it does nothing after
/// its own clock stood still.
const PERIODS: [&str; 6] = [
    "info-period",
    "2000",
    "publish-period",
    "1000",
    "tilt-period",
    "5000",
];
/// How long anything may take until it is so. It is the Sentinels' time, not ours: an election that fails is held
/// again after eight seconds, and a server that was thought down must be up for some seconds until it is trusted.
pub const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(20);

/// One Sentinel and its folder.
pub struct Sentinel {
    folder: TempDir,
    pub port: u16,
    child: Option<Child>,
}

impl Sentinel {
    /// One that watches the master at this port.
    pub fn start(master: u16) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {dir}\nlogfile {dir}/log\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\n\
             sentinel failover-timeout {MASTER} 4000\nsentinel parallel-syncs {MASTER} 2\n",
            dir = folder.path().display()
        );
        std::fs::write(folder.path().join("conf"), settings).expect("the folder is ours");
        let mut this = Self {
            folder,
            port,
            child: None,
        };
        this.start_again();
        this
    }

    pub fn start_again(&mut self) {
        let child = Command::new(binary())
            .arg(self.folder.path().join("conf"))
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("redis-server can be run"));
        until("a Sentinel answers", String::new, || {
            let set: redis::RedisResult<String> =
                self.ask(&[&["SENTINEL", "DEBUG"], &PERIODS[..]].concat());
            set.is_ok()
        });
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own child takes signals");
            child.wait().expect("our own child can be waited for");
        }
    }

    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("our own child takes signals");
    }

    /// Runs one command.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let url = format!("redis://127.0.0.1:{}", self.port);
        let wait = Duration::from_secs(2);
        let mut connection = redis::Client::open(url)?.get_connection_with_timeout(wait)?;
        connection.set_read_timeout(Some(wait))?;
        redis::cmd(words[0]).arg(&words[1..]).query(&mut connection)
    }

    /// The port of the master that it names.
    pub fn names(&self) -> Option<u16> {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
        let (_, port): (String, String) = self.ask(&words).ok()?;
        port.parse().ok()
    }

    /// Whether it knows all others, sees nobody down, and has nothing to do.
    fn rests(&self) -> bool {
        let master: redis::RedisResult<HashMap<String, String>> =
            self.ask(&["SENTINEL", "MASTER", MASTER]);
        let replicas: redis::RedisResult<Vec<HashMap<String, String>>> =
            self.ask(&["SENTINEL", "REPLICAS", MASTER]);
        let (Ok(master), Ok(replicas)) = (master, replicas) else {
            return false;
        };
        let is = |of: &HashMap<String, String>, name: &str, what: &str| {
            of.get(name).is_some_and(|value| value == what)
        };
        is(&master, "flags", "master")
            && is(&master, "num-other-sentinels", "2")
            && replicas.len() == 2
            && replicas
                .iter()
                .all(|of| is(of, "flags", "slave") && is(of, "master-link-status", "ok"))
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Failing here would hide the test's own failure.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// All of them.
pub struct Watched {
    pub servers: Vec<RedisServer>,
    pub sentinels: Vec<Sentinel>,
}

impl Watched {
    /// Starts them, each server with `extra` arguments; all know each other when it returns.
    pub fn start(persistence: Persistence, extra: &[&str]) -> Self {
        let extra = [&["--repl-diskless-sync-delay", "0"], extra].concat();
        let master = RedisServer::with(persistence, &extra);
        let replica_of = format!("127.0.0.1 {}", master.port());
        let mut servers = vec![master];
        for _ in 0..2 {
            let mut extra = extra.clone();
            extra.extend(["--replicaof", &replica_of]);
            servers.push(RedisServer::with(persistence, &extra));
        }
        let port = servers[0].port();
        let sentinels = (0..3).map(|_| Sentinel::start(port)).collect();
        let this = Self { servers, sentinels };
        this.settled();
        this
    }

    /// Waits until one is the master, the others follow it, and all Sentinels see it so; the master's number. Whom it
    /// was waited for must not be remembered meanwhile: Sentinels may change their mind.
    pub fn settled(&self) -> usize {
        self.until("one is the master and all others follow it", || {
            let master = self.master();
            master < self.servers.len()
                && (0..self.servers.len())
                    .all(|server| (self.role(server) == "master") == (server == master))
                && self.replicas_of(master) == self.servers.len() - 1
                && self.sentinels.iter().all(Sentinel::rests)
        });
        self.master()
    }

    /// The lines of a `store` section that names them.
    pub fn settings(&self) -> String {
        let urls: Vec<_> = self
            .sentinels
            .iter()
            .map(|sentinel| format!("'redis://127.0.0.1:{}'", sentinel.port))
            .collect();
        format!(
            "mode: sentinel, urls: [{}], master_name: {MASTER}",
            urls.join(", ")
        )
    }

    /// The number of the server that most Sentinels name.
    pub fn master(&self) -> usize {
        let names: Vec<_> = self.sentinels.iter().filter_map(Sentinel::names).collect();
        let most = |server: &RedisServer| {
            let named = names.iter().filter(|port| **port == server.port());
            named.count() * 2 > self.sentinels.len()
        };
        self.servers.iter().position(most).unwrap_or(usize::MAX)
    }

    /// Waits until another server than `old` is the master and takes writes; its number.
    pub fn successor(&self, old: usize) -> usize {
        self.until("another is the master", || {
            let master = self.master();
            master != old && master < self.servers.len() && self.role(master) == "master"
        });
        self.master()
    }

    /// How many replicas of a server are in step with it.
    pub fn replicas_of(&self, server: usize) -> usize {
        self.replication(server).matches("state=online").count()
    }

    pub fn role(&self, server: usize) -> String {
        let info = self.replication(server);
        let role = info.lines().find_map(|line| line.strip_prefix("role:"));
        role.unwrap_or_default().trim().to_owned()
    }

    /// What a server says of its replication. One that changes its part breaks connections off.
    fn replication(&self, server: usize) -> String {
        let told = self.servers[server].try_command(&["INFO", "replication"]);
        told.unwrap_or_default()
    }

    /// A fail-over as an operator does it before work on the master's machine.
    pub fn fail_over(&self) {
        let done = |sentinel: &Sentinel| {
            let asked: redis::RedisResult<String> = sentinel.ask(&["SENTINEL", "FAILOVER", MASTER]);
            asked.is_ok()
        };
        self.until("the fail-over begins", || done(&self.sentinels[0]));
    }

    /// What each of them logged, which tells why something did not come.
    fn logs(&self) -> String {
        let servers = self.servers.iter().map(|server| {
            let port = server.port();
            format!("server {port}:\n{}", server.log())
        });
        let sentinels = self.sentinels.iter().map(|sentinel| {
            let log = std::fs::read_to_string(sentinel.folder.path().join("log"));
            format!("Sentinel {}:\n{}", sentinel.port, log.unwrap_or_default())
        });
        servers.chain(sentinels).collect()
    }

    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        until(what, || self.logs(), is_so);
    }
}

fn until(what: &str, why: impl Fn() -> String, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}\n{}",
            why()
        );
        std::thread::sleep(POLL);
    }
}
