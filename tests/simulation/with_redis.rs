//! The simulation against a real `redis-server`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use imquota::clock::{Clock, Zone};
use imquota::quota::AppId;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::auditor::Auditor;
use crate::books::{self, Books};
use crate::fake::{Fake, Identity, Mutation};
use crate::machine::Dial;
use crate::network::Weather;
use crate::operators;
use crate::redis_server::RedisServer;
use crate::run::{
    Manner, Place, begin, build, differences, fill, folder, misshown, run_with_twin, work,
};
use crate::scenario::{FaultKind, Scenario};
use crate::server::Server;

/// How many seeds are run with a real server beside the fake.
const SEEDS: u64 = 20;

#[test]
fn the_fake_answers_as_the_real_server_does() {
    let server = RedisServer::start();
    for seed in 0..SEEDS {
        let outcomes = run_with_twin(seed, Manner::default(), server.connect());
        assert!(outcomes.steps > 0);
        assert_eq!(outcomes.faults, [""; 0], "seed {seed}");
    }
}

#[test]
fn a_fake_that_errs_is_found() {
    let mutation = Some(Mutation {
        from: "note(c.hash, 'm' .. c.name .. ':' .. member, pack_entry(e))",
        to: "note(c.hash, 'z' .. c.name .. ':' .. member, pack_entry(e))",
    });
    let server = RedisServer::start();
    let manner = Manner {
        mutation,
        ..Manner::default()
    };
    let errs = |seed| {
        !run_with_twin(seed, manner, server.connect())
            .faults
            .is_empty()
    };
    assert!((0..SEEDS).any(errs));
}

/// How long the counts may take until they are right, on a busy machine.
const REST_MAX: Duration = Duration::from_secs(30);
const REST_POLL: Duration = Duration::from_millis(50);

/// Faults that need no network of the simulation's own.
const IN_REAL_TIME: [FaultKind; 4] = [
    FaultKind::Kill,
    FaultKind::LoseJournal,
    FaultKind::Restart,
    FaultKind::ClockJump,
];

/// A connection to a real server, to look at its books.
struct RealBooks(Mutex<redis::Connection>);

impl Books for RealBooks {
    fn hash(&self, key: &str) -> Vec<(String, String)> {
        let mut connection = self.0.lock().expect("never poisoned");
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(key)
            .query(&mut *connection)
            .expect("the server answers")
    }
}

/// The store's own connection, in real time: all seeds at once, each under a prefix of its own.
#[tokio::test]
async fn the_promises_hold_over_a_real_connection() {
    let server = RedisServer::start();
    let mut seeds = JoinSet::new();
    for seed in 0..SEEDS {
        seeds.spawn(in_real_time(seed, server.url(), server.connect()));
    }
    while let Some(faults) = seeds.join_next().await {
        let (seed, faults) = faults.expect("it ends");
        assert_eq!(faults, [""; 0], "seed {seed}");
    }
}

async fn in_real_time(seed: u64, url: String, books: redis::Connection) -> (u64, Vec<String>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut scenario = Scenario::draw(seed, &mut rng);
    scenario.faults.retain(|fault| IN_REAL_TIME.contains(fault));
    scenario.blows = if scenario.faults.is_empty() {
        0
    } else {
        scenario.blows.min(3)
    };
    scenario.blow_ms_max = 400;
    scenario.deeds = scenario.deeds.min(12);
    scenario.pause_ms_max = scenario.pause_ms_max.min(100);
    scenario.weather = Weather::FAIR;
    scenario.begins = Clock::system();
    scenario.zone = noon_zone();
    let auditor = Arc::new(Auditor::default());
    // The faults that move the server are left out: this one only stands in for it.
    let none = Fake::new(Identity::default(), None);
    let dial = Dial::new(scenario.begins);
    let server = Arc::new(Server::new(none, None, dial, auditor.clone()));
    let root = folder();
    let prefix = format!("seed-{seed}");
    let place = Place {
        root: root.path(),
        prefix: &prefix,
        url: Some(url),
        late_journal: false,
    };
    let town = build(&scenario, &server, &auditor, &mut rng, &place);
    begin(&scenario, &town).await;
    work(&scenario, &town, &server, &mut rng).await;
    let books = RealBooks(Mutex::new(books));
    let count = |app: AppId, at: usize| books::counts(&books, &prefix, app)[at].shown();
    let begun = Instant::now();
    let retires = |app, member| auditor.retires(&books, &prefix, app, member);
    loop {
        // What a lost journal's member was lent stays lent until then.
        operators::retire_all_lost(&town, retires).await;
        let mut differences = differences(&town, &books, &prefix);
        differences.extend(misshown(&town, count).await);
        if differences.is_empty() {
            break;
        }
        if begun.elapsed() > REST_MAX {
            for words in differences {
                auditor.fault(words);
            }
            break;
        }
        sleep(REST_POLL).await;
    }
    if !auditor.has_faults() {
        fill(&scenario, &town, count).await;
    }
    for sidecar in &town.sidecars {
        sidecar.kill(false);
    }
    (seed, auditor.end().0)
}

/// A zone in which it is about noon: no run in real time meets midnight.
fn noon_zone() -> Zone {
    let hour = Clock::system().0 / 3_600_000 % 24;
    let offset = 12 - hour;
    let sign = if offset < 0 { '-' } else { '+' };
    Zone::parse(&format!("{sign}{:02}:00", offset.abs())).expect("an offset")
}
