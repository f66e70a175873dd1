//! A server that comes back to many sidecars: what they ask of it in the first ten seconds. Each is a real ledger with a
//! journal of its own, and only the gateways are missing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imquota::clock::Clock;
use imquota::ledger::{Folder, Ledger, Parts, Saving, State};
use imquota::quota::Rulebook;
use imquota::store::redis::{Create, RedisOptions, RedisStore};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::fixture::{single, zone};
use crate::redis_server::{Persistence, RedisServer};

/// How many there are, unless the environment says otherwise.
const MEMBERS: usize = 60;
/// A journal needs no more here.
const SEGMENT_BYTES: usize = 64 * 1024;
/// For how long the server is away: all have found out, and wait as long between two tries as they ever do.
const AWAY: Duration = Duration::from_secs(4);
/// What is looked at after the server is back.
const WATCHED: Duration = Duration::from_secs(10);
/// How long anything may take until it is so.
const PATIENCE: Duration = Duration::from_mins(5);

/// Sidecars that do all that one does beside answering.
struct Crowd {
    root: TempDir,
    ledgers: Vec<Arc<Ledger>>,
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Crowd {
    fn start(server: &RedisServer, members: usize) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let (stop, stopping) = watch::channel(false);
        let mut this = Self {
            root,
            ledgers: Vec::new(),
            tasks: Vec::new(),
            stop,
        };
        for number in 0..members {
            let folder = this.root.path().join(number.to_string());
            let folder = Folder::lock(&folder).expect("it is ours");
            let clock = Arc::new(Clock::default());
            // As the program has it.
            let options = RedisOptions::new(
                single(&server.url()),
                "imquota".into(),
                zone(),
                Create::Auto,
            );
            let store = RedisStore::new(options, clock.clone()).expect("good options");
            let parts = Parts {
                clock,
                zone: zone(),
                rules: Rulebook::default(),
                store: Arc::new(store),
                member: format!("sidecar-{number}").into(),
                saving: Saving::Beside,
            };
            let opened = Ledger::open(folder.with_segments_of(SEGMENT_BYTES), parts);
            let (ledger, mut queues) = opened.expect("a new journal");
            let ledger = Arc::new(ledger);
            this.ledgers.push(ledger.clone());
            let stopping = stopping.clone();
            this.tasks.push(tokio::spawn(async move {
                ledger.keep(&mut queues, &stopping).await;
            }));
        }
        this
    }

    /// How many are up and may admit something.
    fn serving(&self) -> usize {
        let serves = |ledger: &&Arc<Ledger>| {
            ledger.state() == State::Up && ledger.lease().holds(Clock::default().steady())
        };
        self.ledgers.iter().filter(serves).count()
    }

    async fn until_all(&self, what: &str, is_so: impl Fn(&Ledger) -> bool) {
        let begun = Instant::now();
        loop {
            let so = self.ledgers.iter().filter(|ledger| is_so(ledger)).count();
            if so == self.ledgers.len() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {so}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn end(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.expect("it ends in good order");
        }
    }
}

/// What the server counts since it was started.
struct Asked {
    connections: u64,
    input_bytes: u64,
    calls: HashMap<String, u64>,
    busy: Duration,
}

impl Asked {
    fn of(server: &RedisServer) -> Self {
        let info: String = server.command(&["INFO", "everything"]);
        let of = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name}"))
                .trim()
                .to_owned()
        };
        let number = |name: &str| of(name).parse().expect("a number");
        let calls = info.lines().filter_map(|line| {
            let (name, of) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), of.split(',').next()?.parse().ok()?))
        });
        let seconds = |name: &str| of(name).parse().map(Duration::from_secs_f64);
        Self {
            connections: number("total_connections_received:"),
            input_bytes: number("total_net_input_bytes:"),
            calls: calls.collect(),
            busy: seconds("used_cpu_user:").expect("seconds")
                + seconds("used_cpu_sys:").expect("seconds"),
        }
    }

    fn calls(&self, name: &str) -> u64 {
        self.calls.get(name).copied().unwrap_or(0)
    }

    fn steps(&self) -> u64 {
        self.calls("evalsha") + self.calls("eval")
    }
}

fn as_many_descriptors_as_there_are() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, all).expect("up to the maximum one may");
}

#[tokio::test]
async fn many_sidecars_do_not_storm_a_server_that_comes_back() {
    let members = std::env::var("IMQUOTA_TEST_MEMBERS");
    let members = members.map_or(MEMBERS, |text| text.parse().expect("a number"));
    as_many_descriptors_as_there_are();
    let mut server = RedisServer::with(Persistence::EverySecond, &[]);
    let crowd = Crowd::start(&server, members);
    crowd
        .until_all("all have met it", |ledger| {
            *ledger.met().borrow() && ledger.state() == State::Up
        })
        .await;
    let server = tokio::task::spawn_blocking(move || {
        server.stop();
        server
    });
    let mut server = server.await.expect("it ends");
    crowd
        .until_all("all have found out", |ledger| ledger.state() != State::Up)
        .await;
    sleep(AWAY).await;

    let (back, mut server) = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        server.start_again();
        (begun, server)
    })
    .await
    .expect("it comes back");
    sleep(Duration::from_secs(1).saturating_sub(back.elapsed())).await;
    let first = Asked::of(&server);
    sleep(WATCHED.saturating_sub(back.elapsed())).await;
    let asked = Asked::of(&server);
    crowd
        .until_all("all serve again", |ledger| ledger.state() == State::Up)
        .await;
    let served = back.elapsed();
    println!(
        "{members} sidecars and a server that comes back; within the first second {} connections, {} steps; within {WATCHED:?} {} \
         connections, {} steps, {} scripts sent, {} bytes to it, {:?} of its core; all are served after {served:?}",
        first.connections,
        first.steps(),
        asked.connections,
        asked.steps(),
        asked.calls("script|load"),
        asked.input_bytes,
        asked.busy,
    );
    let members = members as u64;
    assert!(crowd.serving() > 0);
    // Each connects once; one whose answer did not come in time connects again.
    let again = asked.connections.saturating_sub(members);
    assert!(
        again <= members / 2 + 10,
        "{} connections",
        asked.connections
    );
    // One tells the server its scripts; those who came at the same moment do, too.
    let scripts = asked.calls("script|load");
    assert!(scripts < 33 * (members / 10).max(3), "{scripts} scripts");
    // Each says hello and beats, and tells each shard what it knows, once.
    let most = members * (256 + 60);
    assert!(asked.steps() <= most, "{} steps", asked.steps());
    crowd.end().await;
    server.stop();
}
