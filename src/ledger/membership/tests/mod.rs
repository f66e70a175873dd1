//! A member and a ledger that follows a script.

mod beats;
mod fake;
mod leaving;
mod marks;
mod recovery;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::Instant;

use fake::{Call, Fake};

use crate::clock::{Clock, Machine, Millis, Zone};
use crate::ledger::{Counted, Despite, Folder, Ledger, Parts, Queues, Saving};
use crate::quota::{Amount, AppId, AppRules, Charge, Limits, Plan, PlanName, Resource, Rulebook};
use crate::store::Roll;

const START: i64 = 1_760_000_000_000;
/// Any fellow.
const OTHER: u64 = 77;

/// A machine whose time is the runtime's.
#[derive(Debug)]
struct Paused(Instant);

impl Machine for Paused {
    fn wall(&self) -> Millis {
        let passed = i64::try_from(self.0.elapsed().as_millis()).unwrap();
        Millis(START + passed)
    }

    fn steady(&self) -> Duration {
        Duration::from_secs(1_000) + self.0.elapsed()
    }
}

/// A data folder and the processes that live in it one after the other.
struct Place {
    folder: TempDir,
    store: Fake,
    clock: Arc<Clock>,
}

impl Place {
    /// A ledger that gives leases, with a fellow that is always there.
    fn new() -> Self {
        let store = Fake::default();
        {
            let mut state = store.state();
            state.leased = true;
            state.fellow = true;
            state.roll = Roll {
                version: 1,
                present: [(OTHER, "other".into())].into(),
                ..Roll::default()
            };
        }
        Self {
            folder: tempfile::tempdir().unwrap(),
            store,
            clock: Arc::new(Clock::of(Arc::new(Paused(Instant::now())))),
        }
    }

    /// Starts a process that has not met the ledger yet.
    fn opens(&self) -> (Arc<Ledger>, Queues) {
        let plan = Plan {
            name: PlanName::parse("any").unwrap(),
            limits: Limits::UNLIMITED,
            fees: Vec::new(),
        };
        let rules = Arc::new(AppRules {
            limits: plan.limits,
            plan: Arc::new(plan),
            shadow: false,
            edition: 0,
            disabled: false,
            share_ids: false,
            track_objects: true,
            expired_holds: crate::quota::ExpiredHolds::Ask,
            activated: None,
        });
        let parts = Parts {
            clock: self.clock.clone(),
            zone: Zone::parse("+08:00").unwrap(),
            rules: Rulebook {
                apps: (1..200).map(|id| (app(id), rules.clone())).collect(),
                ..Rulebook::default()
            },
            store: Arc::new(self.store.clone()),
            member: "one".into(),
            saving: Saving::Within(Duration::from_millis(2)),
        };
        let folder = Folder::lock(self.folder.path()).unwrap();
        let folder = folder.with_segments_of(128 * 1024);
        let (ledger, queues) = Ledger::open(folder, parts).unwrap();
        (Arc::new(ledger), queues)
    }

    /// Starts a process that has met the ledger.
    async fn meets(&self) -> Arc<Ledger> {
        let (ledger, _queues) = self.opens();
        ledger.meet().await.unwrap();
        ledger
    }

    /// Starts a process with all its tasks, after it met the ledger.
    async fn runs(&self) -> Running {
        let (ledger, mut queues) = self.opens();
        ledger.meet().await.unwrap();
        let (stop, stopping) = watch::channel(false);
        let kept = ledger.clone();
        let tasks = tokio::spawn(async move { kept.keep(&mut queues, &stopping).await });
        Running {
            ledger,
            stop,
            tasks,
        }
    }
}

/// A process whose tasks run.
struct Running {
    ledger: Arc<Ledger>,
    stop: watch::Sender<bool>,
    tasks: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Ends the tasks in good order.
    async fn stops(self) -> Arc<Ledger> {
        self.stop.send_replace(true);
        self.tasks.await.unwrap();
        self.ledger
    }
}

fn app(id: u64) -> AppId {
    AppId::new(id).unwrap()
}

/// Counts a group from memory.
fn creates(ledger: &Ledger, id: u64) {
    let entry = ledger.entry(app(id)).unwrap().unwrap();
    let charge = Charge::new(Resource::Group, Amount::ONE, &Limits::UNLIMITED);
    let (now, despite) = (ledger.now(), Despite::Nothing);
    let counted = ledger.consume(&entry, &charge, (now, now), None, despite);
    assert!(matches!(counted, Ok(Counted::Now(_))));
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn incarnation(ledger: &Ledger) -> u64 {
    ledger.member.incarnation
}

/// The incarnations that said hello, without repetitions.
fn greeted(store: &Fake) -> Vec<u64> {
    let state = store.state();
    let hellos = state.calls.iter().filter_map(|call| match call {
        Call::Hello(member) => Some(member.incarnation),
        _ => None,
    });
    let mut greeted: Vec<u64> = hellos.collect();
    greeted.dedup();
    greeted
}
