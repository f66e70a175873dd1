//! A ledger in this process, killed between any two steps of its checkpoints: what it was told again
//! by the journal is counted once.

mod lender;
mod repeats;
mod sharing;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::save::{Begun, save, with_reserve};
use super::*;
use crate::clock::Day;
use crate::quota::{Amount, AppRules, Charge, Limits, Plan, PlanName, Rulebook};
use crate::store::embedded::EmbeddedStore;
use crate::store::{Fingerprint, GivenBack, Login, Taken, Totals};

const START: i64 = 1_760_000_000_000;
/// As small as segments may be.
const SEGMENT_BYTES: usize = 64 * 1024;

/// A data folder, and the processes that live in it one after the other.
struct Place {
    folder: TempDir,
    clock: Arc<Clock>,
    zone: Zone,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let this = Self {
            folder,
            clock: Arc::default(),
            zone: Zone::parse("+08:00").unwrap(),
        };
        this.at(0);
        this
    }

    /// Sets the clock to so many seconds after the start.
    fn at(&self, seconds: i64) {
        self.clock
            .correct(Millis(START + seconds * 1000), Clock::system());
    }

    /// The folder as a kill at this moment leaves it, while what is open here goes on.
    fn killed(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        Self {
            folder,
            clock: self.clock.clone(),
            zone: self.zone.clone(),
        }
    }

    async fn start(&self) -> Process {
        let plan = Plan {
            name: PlanName::parse("any").unwrap(),
            limits: Limits::UNLIMITED,
            fees: Vec::new(),
        };
        let rules = AppRules {
            limits: plan.limits,
            plan: Arc::new(plan),
            shadow: false,
            edition: 0,
            disabled: false,
            share_ids: false,
            track_objects: true,
            expired_holds: crate::quota::ExpiredHolds::Ask,
            activated: None,
        };
        let file = self.folder.path().join("ledger.redb");
        let store = EmbeddedStore::open(&file, self.zone.clone()).unwrap();
        let parts = Parts {
            clock: self.clock.clone(),
            zone: self.zone.clone(),
            rules: Rulebook {
                apps: [(app(), Arc::new(rules))].into(),
                ..Rulebook::default()
            },
            store: Arc::new(store),
            member: "test".into(),
            saving: Saving::Beside,
        };
        let locked = Folder::lock(self.folder.path()).unwrap();
        let locked = locked.with_segments_of(SEGMENT_BYTES);
        let (ledger, _queues) = Ledger::open(locked, parts).unwrap();
        ledger.meet().await.unwrap();
        // What no limit waits for is told beside the answers.
        settle::settle(&ledger, settle::Scope::All).await.unwrap();
        Process(Arc::new(ledger))
    }
}

/// A process; dropping it kills it.
struct Process(Arc<Ledger>);

impl Process {
    fn day(&self) -> Day {
        self.0.zone.day(self.0.now())
    }

    async fn takes(&self, id: Option<&str>) {
        let open = self.open(id);
        match self.0.store.take(open.take(), self.0.now()).await.unwrap() {
            Taken::Allowed { .. } => open.allowed(|_| Ok::<_, NotTaken>(None)).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn open(&self, id: Option<&str>) -> OpenTake {
        let wanted = Wanted {
            app: app(),
            request_id: id.map(|id| RequestId::parse(id).unwrap()),
            fingerprint: Fingerprint(1),
            charge: Charge::new(Resource::AvRoom, Amount::ONE, &Limits::UNLIMITED),
            day: self.day(),
            object: None,
            intent: crate::store::Intent::Count,
        };
        self.0.open_take(wanted).unwrap()
    }

    async fn releases(&self, id: Option<&str>) -> u32 {
        let give_back = |key| GiveBack {
            app: app(),
            key,
            fingerprint: Fingerprint(2),
            resource: Resource::AvRoom,
            amount: Amount::ONE,
            given: None,
            groups_follow: true,
            day: self.day(),
            object: None,
            rooms_are_groups: true,
        };
        let id = id.map(|id| RequestId::parse(id).unwrap());
        let open = self
            .0
            .open_release(
                &self.0.entry(app()).unwrap().unwrap(),
                id,
                give_back,
                Some(self.0.now()),
            )
            .unwrap();
        match self
            .0
            .store
            .release(open.give_back(), self.0.now())
            .await
            .unwrap()
        {
            GivenBack::Released {
                resource,
                released,
                groups,
                ..
            } => {
                open.done(Some(Fell {
                    resource,
                    released,
                    groups,
                    mine: false,
                }));
                released
            }
            other => panic!("{other:?}"),
        }
    }

    async fn rooms(&self) -> i64 {
        let usage = self
            .0
            .store
            .usage(app(), self.day(), self.0.now())
            .await
            .unwrap();
        assert_eq!(usage.view.net[1], usage.view.net[2], "a room is a group");
        usage.view.net[2]
    }

    /// The first half of a checkpoint.
    async fn half_saves(&self) {
        self.0.journal.reserve().unwrap();
        Begun::new(&self.0).unwrap().store(&self.0).await.unwrap();
    }
}

fn app() -> AppId {
    AppId::new(7).unwrap()
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_checkpoint_doubles_nothing() {
    let place = Place::new();
    let process = place.start().await;
    for _ in 0..6 {
        process.takes(None).await;
    }
    process.takes(Some("a client's")).await;
    assert_eq!(process.releases(None).await, 1);
    settle::settle(&process.0, settle::Scope::All)
        .await
        .unwrap();
    // Long enough for all of them to be folded, if nothing stood in the way.
    place.at(3_600);
    process.half_saves().await;
    drop(process);

    let process = place.start().await;
    assert_eq!(process.rooms().await, 6);
    // The same with a checkpoint that was done before.
    save(&process.0).await.unwrap();
    process.takes(None).await;
    assert_eq!(process.releases(Some("another")).await, 1);
    settle::settle(&process.0, settle::Scope::All)
        .await
        .unwrap();
    place.at(7_200);
    process.half_saves().await;
    place.at(10_800);
    process.half_saves().await;
    drop(process);

    let process = place.start().await;
    assert_eq!(process.rooms().await, 6);
}

#[tokio::test]
async fn what_was_answered_survives_a_kill_behind_any_checkpoint() {
    let place = Place::new();
    for round in 1..=4_i64 {
        let process = place.start().await;
        assert_eq!(process.rooms().await, 2 * (round - 1));
        process.takes(None).await;
        if round % 2 == 0 {
            save(&process.0).await.unwrap();
        }
        process.takes(None).await;
        place.at(round * 1_000);
        if round == 3 {
            process.half_saves().await;
        }
    }
    assert_eq!(place.start().await.rooms().await, 8);
}

#[tokio::test]
async fn a_take_of_unknown_outcome_is_withdrawn_whatever_was_saved_meanwhile() {
    let place = Place::new();
    let process = place.start().await;
    let open = process.open(None);
    process
        .0
        .store
        .take(open.take(), process.0.now())
        .await
        .unwrap();
    save(&process.0).await.unwrap();
    assert_eq!(process.rooms().await, 1);
    assert_eq!(place.killed().start().await.rooms().await, 0);
    drop(open);
}

#[tokio::test]
async fn a_login_under_way_is_in_the_checkpoint_that_cuts_its_record() {
    let place = Place::new();
    let process = place.start().await;
    let login = Login {
        app: app(),
        day: process.day(),
        user: 9,
    };
    let open = process.0.open_logins(vec![login]).unwrap();
    save(&process.0).await.unwrap();
    let place = place.killed();
    let again = place.start().await;
    let usage = again.0.store.usage(app(), again.day(), again.0.now());
    assert_eq!(usage.await.unwrap().daily_active, 1);
    drop(open);
}

#[tokio::test]
async fn settled_sums_are_told_again_to_a_ledger_that_forgot_them() {
    let place = Place::new();
    let process = place.start().await;
    let entry = process.0.entry(app()).unwrap().unwrap();
    let charge = Charge::new(Resource::Group, Amount::ONE, &Limits::UNLIMITED);
    for _ in 0..3 {
        let (now, despite) = (process.0.now(), Despite::Nothing);
        let counted = process
            .0
            .consume(&entry, &charge, (now, now), None, despite);
        assert!(matches!(counted, Ok(Counted::Now(_))));
    }
    settle::settle(&process.0, settle::Scope::All)
        .await
        .unwrap();
    drop((entry, process));
    let process = place.start().await;
    let usage = process
        .0
        .store
        .usage(app(), process.day(), process.0.now())
        .await
        .unwrap();
    assert_eq!(usage.view.net, [0, 3, 0, 3]);
}

/// A checkpoint that waits for its disk, while more is counted than the segment in use and the one in reserve hold.
#[tokio::test(start_paused = true)]
async fn a_slow_checkpoint_does_not_keep_counts_from_the_journal() {
    let place = Place::new();
    let process = place.start().await;
    process.takes(None).await;
    let journal = &process.0.journal;
    let (is_done, slow) = tokio::sync::oneshot::channel::<()>();
    let checkpoint = with_reserve(&process.0, async {
        let begun = Begun::new(&process.0)?;
        slow.await.expect("it is told");
        begun.cut(&process.0).await
    });
    let record = Record::Acked(app(), Cell::Live(Resource::Group), Totals::default());
    let counting = async {
        while journal.sealed() < 4 {
            while journal.wants_reserve() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            journal.append(&record.frame(), process.0.now()).unwrap();
        }
        is_done.send(()).unwrap();
    };
    let both = async { tokio::join!(checkpoint, counting) };
    let ((saved, reserved), ()) = tokio::time::timeout(Duration::from_mins(1), both)
        .await
        .expect("there is a reserve, though the checkpoint waits");
    assert_eq!((saved, reserved), (Ok(()), Ok(())));
    assert_eq!(journal.sealed(), 3, "of what came after its beginning");
}

#[test]
fn numbers_of_two_runs_never_meet() {
    let place = Place::new();
    let number = |place: &Place| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let process = runtime.block_on(place.start());
        process.open(None).take().attempt.0
    };
    let (first, second) = (number(&place), number(&place));
    assert!(second - first >= 1 << 40, "{first} {second}");
}
