//! A real `redis-server` of a test's own: started, hurt and stopped by the test, gone when it ends.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::other_clock::OtherClock;

/// Names another binary (a `valkey-server`, say) to test against.
const BINARY_VARIABLE: &str = "IMQUOTA_TEST_REDIS";
/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(20);
/// How often it is asked meanwhile.
const START_POLL: Duration = Duration::from_millis(10);
/// Where servers listen: below what systems give to outgoing connections.
const PORTS: Range<u16> = 12_000..22_000;
/// How many free ports are tried: another process may take one before the server does.
const PORT_TRIES: usize = 5;

/// Whether the server's writes outlive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Each write is in the append-only file before it is answered.
    AppendOnly,
    /// Each write is handed to the system before it is answered, or nearly always so, and to the
    /// disk each second.
    EverySecond,
    /// Nothing survives but what [`RedisServer::save`] wrote.
    None,
}

/// One server and its folder.
pub struct RedisServer {
    folder: TempDir,
    persistence: Persistence,
    port: u16,
    extra: Vec<String>,
    clock: Option<OtherClock>,
    /// Whether it answers nothing just now.
    suspended: AtomicBool,
    child: Option<Child>,
}

/// A back-up of the append-only file: the files of its folder, by their names.
pub type Log = BTreeMap<PathBuf, Vec<u8>>;

impl RedisServer {
    /// Starts a server that keeps nothing.
    pub fn start() -> Self {
        Self::with(Persistence::None, &[])
    }

    /// Starts a server with `extra` arguments.
    pub fn with(persistence: Persistence, extra: &[&str]) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            persistence,
            port: 0,
            extra: extra.iter().map(|&arg| arg.to_owned()).collect(),
            clock: None,
            suspended: AtomicBool::new(false),
            child: None,
        }
        .up()
    }

    /// Starts a server on a machine whose clock is so many seconds ahead of this one's.
    pub fn ahead_by(persistence: Persistence, seconds: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = OtherClock::in_folder(folder.path());
        clock.is_ahead_by(seconds.into());
        Self {
            folder,
            persistence,
            port: 0,
            extra: Vec::new(),
            clock: Some(clock),
            suspended: AtomicBool::new(false),
            child: None,
        }
        .up()
    }

    /// Sets the clock of one that has its own, whether it runs or not.
    pub fn is_ahead_by(&self, seconds: u32) {
        let clock = self.clock.as_ref().expect("its clock is its own");
        clock.is_ahead_by(seconds.into());
    }

    fn up(mut self) -> Self {
        for _ in 0..PORT_TRIES {
            self.port = free_port();
            if self.spawn() {
                return self;
            }
        }
        panic!("{} did not start: {}", binary(), self.log());
    }

    /// `redis://127.0.0.1:port/0`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// The port of the loopback that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of its Unix socket.
    pub fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// A blocking connection of the test's own.
    pub fn connect(&self) -> redis::Connection {
        self.try_connect().expect("the server answers")
    }

    /// Runs one command; panics if it fails.
    pub fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_command(words)
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// As [`RedisServer::command`], where it may fail.
    pub fn try_command<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.try_connect()?)
    }

    /// Forgets everything, as a careless operator does.
    pub fn flush_all(&self) {
        self.command::<()>(&["FLUSHALL"]);
    }

    /// Writes a snapshot and returns a copy of it.
    pub fn save(&self) -> Vec<u8> {
        self.command::<()>(&["SAVE"]);
        std::fs::read(self.snapshot()).expect("a snapshot")
    }

    /// Puts a snapshot in place of the present one; the server must be stopped.
    pub fn restore(&self, snapshot: &[u8]) {
        assert!(self.child.is_none(), "stop the server first");
        std::fs::write(self.snapshot(), snapshot).expect("the snapshot is written");
    }

    /// Copies the append-only file, as the manual of Redis has it: while it is copied it is not written anew.
    pub fn save_log(&self) -> Log {
        let rewrite_at = |percent: &str| {
            let set = ["CONFIG", "SET", "auto-aof-rewrite-percentage", percent];
            self.command::<()>(&set);
        };
        rewrite_at("0");
        let info: String = self.command(&["INFO", "persistence"]);
        assert!(info.contains("aof_rewrite_in_progress:0"), "{info}");
        let files = std::fs::read_dir(self.log_folder()).expect("a folder of the log");
        let log = files.map(|file| {
            let path = file.expect("it can be read").path();
            let bytes = std::fs::read(&path).expect("it can be read");
            (path, bytes)
        });
        let log = log.collect();
        rewrite_at("100");
        log
    }

    /// Puts an append-only file in place of the present one; the server must be stopped.
    pub fn restore_log(&self, log: &Log) {
        assert!(self.child.is_none(), "stop the server first");
        std::fs::remove_dir_all(self.log_folder()).expect("the folder is ours");
        std::fs::create_dir(self.log_folder()).expect("the folder is ours");
        for (path, bytes) in log {
            std::fs::write(path, bytes).expect("the folder is ours");
        }
    }

    /// Ends it in good order.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.reap();
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.reap();
    }

    /// Starts it again, on the same port and folder.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        assert!(self.spawn(), "{} did not start: {}", binary(), self.log());
    }

    /// Stops it from answering, without closing a connection.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
        self.suspended.store(true, Ordering::Relaxed);
    }

    pub fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Relaxed)
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
        self.suspended.store(false, Ordering::Relaxed);
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    fn snapshot(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }

    fn log_folder(&self) -> PathBuf {
        self.folder.path().join("appendonlydir")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("redis.log")).unwrap_or_default()
    }

    fn try_connect(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.unix_url())?.get_connection()
    }

    /// Starts it again so that it loads its data for `micros` µs a key; returns while it still does.
    pub fn start_loading(&mut self, micros: u32) {
        assert!(self.child.is_none(), "it runs");
        let slow = [
            "--key-load-delay",
            &micros.to_string(),
            "--loading-process-events-interval-bytes",
            "1024",
        ];
        self.child = Some(self.launch(&slow));
        let loads = |answer: redis::RedisResult<String>| {
            answer.is_err_and(|error| error.code() == Some("LOADING"))
        };
        let is_loading =
            |mut connection| loads(redis::cmd("GET").arg("any").query(&mut connection));
        let started = Instant::now();
        while !self.try_connect().is_ok_and(is_loading) {
            assert!(
                started.elapsed() < START_MAX,
                "it does not load: {}",
                self.log()
            );
            std::thread::sleep(START_POLL);
        }
    }

    /// Whether it came up. Waits until it has loaded its data.
    fn spawn(&mut self) -> bool {
        self.child = Some(self.launch(&[]));
        let started = Instant::now();
        while started.elapsed() < START_MAX {
            let ended = self.child.as_mut().map(Child::try_wait);
            if !matches!(ended, Some(Ok(None))) {
                self.child = None;
                return false;
            }
            if let Ok(mut connection) = self.try_connect()
                && redis::cmd("PING").query::<String>(&mut connection).is_ok()
            {
                return true;
            }
            std::thread::sleep(START_POLL);
        }
        false
    }

    fn launch(&self, more: &[&str]) -> Child {
        let path = |path: &Path| path.display().to_string();
        let (append_only, fsync) = match self.persistence {
            Persistence::AppendOnly => ("yes", "always"),
            Persistence::EverySecond => ("yes", "everysec"),
            Persistence::None => ("no", "no"),
        };
        let mut command = Command::new(binary());
        command
            .args(["--port", &self.port.to_string()])
            .args(["--bind", "127.0.0.1"])
            .args(["--unixsocket", &path(&self.socket())])
            .args(["--dir", &path(self.folder.path())])
            .args(["--logfile", &path(&self.folder.path().join("redis.log"))])
            .args(["--save", ""])
            .args(["--appendonly", append_only])
            .args(["--appendfsync", fsync])
            .args(["--enable-debug-command", "local"])
            .args(&self.extra)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(clock) = &self.clock {
            command.env("LD_PRELOAD", &clock.library);
        }
        command.spawn().unwrap_or_else(|error| {
            panic!(
                "cannot run {}: {error}; install it (Debian: apt-get install redis-server) or name another in {BINARY_VARIABLE}",
                binary()
            )
        })
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("our own child takes signals");
    }

    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.wait().expect("our own child can be waited for");
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A suspended process dies of this too. Failing here would hide the test's own failure.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn binary() -> String {
    std::env::var(BINARY_VARIABLE).unwrap_or_else(|_| "redis-server".to_owned())
}

/// A port that nobody listens on and that no outgoing connection gets: a server that is killed finds its own again. Ten
/// thousand above are left to the nodes of a Cluster, which talk there among themselves.
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| {
        // Test binaries that run side by side begin far from each other.
        AtomicU32::new(std::process::id().wrapping_mul(619))
    });
    (0..PORTS.len())
        .find_map(|_| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed) as usize % PORTS.len();
            let port = PORTS.clone().nth(next)?;
            TcpListener::bind(("127.0.0.1", port))
                .is_ok()
                .then_some(port)
        })
        .expect("a free port")
}
