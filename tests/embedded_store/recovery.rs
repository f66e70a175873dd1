//! A process is killed, and its journal states again what the last checkpoint does not have.

use std::sync::{Arc, Mutex};

use imquota::clock::{Day, Millis, Month};
use imquota::quota::{AppId, Counter, ObjectNumber, Registered, RequestId, Resource};
use imquota::store::{
    Active, Adopted, Bases, Beat, Beaten, GiveBack, GivenBack, Hold, Installation, Login, Member,
    MonthHistory, RegisterPage, Reply, Report, Settled, Shard, Statement, Store, Take, Taken,
    Usage, View,
};
use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};

use super::{Embedded, Folder};
use crate::store_suite::naming;
use crate::store_suite::property::{MEMBERS, Op, Play, op};
use crate::store_suite::{LedgerUnderTest, Seat, app, limited, now, run};

/// What a journal has of one call.
#[derive(Clone)]
enum Entry {
    Settle(Shard, Report, Day),
    Release(GiveBack),
    Logins(Shard, Vec<Login>),
}

/// The journal of all members, from the last checkpoint on.
type Journal = Arc<Mutex<Vec<(u64, Entry)>>>;

/// A store whose calls are journaled, as a member journals them.
struct Journaled {
    inner: Arc<dyn Store>,
    number: u64,
    journal: Journal,
}

impl Journaled {
    fn note(&self, entry: Entry) {
        self.journal.lock().unwrap().push((self.number, entry));
    }
}

impl Store for Journaled {
    fn hello<'a>(
        &'a self,
        member: &'a Member,
        remembered: Option<Installation>,
        now: Millis,
    ) -> Reply<'a, Installation> {
        self.inner.hello(member, remembered, now)
    }

    fn take<'a>(&'a self, take: &'a Take, now: Millis) -> Reply<'a, Taken> {
        self.inner.take(take, now)
    }

    fn release<'a>(&'a self, give_back: &'a GiveBack, now: Millis) -> Reply<'a, GivenBack> {
        Box::pin(async move {
            let done = self.inner.release(give_back, now).await?;
            let given = match done {
                GivenBack::Released { released, .. } => Some(released),
                _ => None,
            };
            self.note(Entry::Release(GiveBack {
                given,
                ..give_back.clone()
            }));
            Ok(done)
        })
    }

    fn settle<'a>(
        &'a self,
        shard: Shard,
        report: &'a Report,
        day: Day,
        now: Millis,
    ) -> Reply<'a, Settled> {
        self.note(Entry::Settle(shard, report.clone(), day));
        self.inner.settle(shard, report, day, now)
    }

    fn beat<'a>(&'a self, beat: &'a Beat) -> Reply<'a, Beaten> {
        self.inner.beat(beat)
    }

    fn restate<'a>(&'a self, shard: Shard, statement: &'a Statement, day: Day) -> Reply<'a, ()> {
        self.inner.restate(shard, statement, day)
    }

    fn bases(&self, shard: Shard, since: u64) -> Reply<'_, Bases> {
        self.inner.bases(shard, since)
    }

    fn fold<'a>(&'a self, shard: Shard, apps: &'a [AppId]) -> Reply<'a, ()> {
        self.inner.fold(shard, apps)
    }

    fn leave(&self) -> Reply<'_, u64> {
        self.inner.leave()
    }

    fn recall(&self, app: AppId) -> Reply<'_, ()> {
        self.inner.recall(app)
    }

    fn record_active<'a>(
        &'a self,
        shard: Shard,
        logins: &'a [Login],
        now: Millis,
    ) -> Reply<'a, Vec<Active>> {
        self.note(Entry::Logins(shard, logins.to_vec()));
        self.inner.record_active(shard, logins, now)
    }

    fn hold<'a>(&'a self, app: AppId, id: &'a RequestId, now: Millis) -> Reply<'a, Option<Hold>> {
        self.inner.hold(app, id, now)
    }

    fn holds(&self, app: AppId, most: usize, now: Millis) -> Reply<'_, Vec<Hold>> {
        self.inner.holds(app, most, now)
    }

    fn knows_object(&self, app: AppId, object: ObjectNumber) -> Reply<'_, bool> {
        self.inner.knows_object(app, object)
    }

    fn adopt<'a>(
        &'a self,
        app: AppId,
        resource: Resource,
        objects: &'a [ObjectNumber],
        now: Millis,
    ) -> Reply<'a, Vec<Adopted>> {
        self.inner.adopt(app, resource, objects, now)
    }

    fn usage(&self, app: AppId, day: Day, now: Millis) -> Reply<'_, Usage> {
        self.inner.usage(app, day, now)
    }

    fn month(&self, app: AppId, month: Month, today: Day, now: Millis) -> Reply<'_, MonthHistory> {
        self.inner.month(app, month, today, now)
    }

    fn register(&self, since: u64) -> Reply<'_, RegisterPage> {
        self.inner.register(since)
    }

    fn state_register<'a>(&'a self, rows: &'a [Registered]) -> Reply<'a, ()> {
        self.inner.state_register(rows)
    }

    fn glance(&self, app: AppId, day: Day) -> Option<View> {
        self.inner.glance(app, day)
    }

    fn checkpoint(&self, log_from: Millis) -> Reply<'_, ()> {
        // The journal is cut after the checkpoint, at the place where it was before.
        let before = self.journal.lock().unwrap().len();
        Box::pin(async move {
            self.inner.checkpoint(log_from).await?;
            self.journal.lock().unwrap().drain(..before);
            Ok(())
        })
    }

    fn is_local(&self) -> bool {
        self.inner.is_local()
    }
}

/// Opens the ledger for all members, and states again what the journal has.
async fn start(folder: &Folder, remembered: Option<Installation>, journal: &Journal) -> Vec<Seat> {
    let first = folder.open().unwrap();
    let mut seats = Vec::new();
    let mut remembered = remembered;
    for number in 0..u64::try_from(MEMBERS).unwrap() {
        let store: Arc<dyn Store> = Arc::new(Journaled {
            inner: Arc::new(first.for_another_member()),
            number,
            journal: Arc::clone(journal),
        });
        let seat = Seat::with(store, number, remembered).await;
        remembered = Some(seat.installation);
        seats.push(seat);
    }
    let entries = std::mem::take(&mut *journal.lock().unwrap());
    for (number, entry) in entries {
        let store = &seats[usize::try_from(number).unwrap()].store;
        match entry {
            Entry::Settle(shard, report, day) => {
                store.settle(shard, &report, day, now()).await.unwrap();
            }
            Entry::Release(give_back) => {
                store.release(&give_back, now()).await.unwrap();
            }
            Entry::Logins(shard, logins) => {
                store.record_active(shard, &logins, now()).await.unwrap();
            }
        }
    }
    seats
}

#[test]
fn random_histories_survive_random_kills() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let steps = vec((op(), proptest::bool::weighted(0.08)), 1..80);
    let usual = Config::default();
    let config = Config {
        // Each kill opens the file again, which takes its time.
        cases: usual.cases / 4,
        failure_persistence: None,
        ..usual
    };
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            let folder = Folder::new();
            let journal = Journal::default();
            let mut seats = start(&folder, None, &journal).await;
            let mut play = Play::new(app(1), false);
            for (op, kill) in &steps {
                play.step(&seats, op).await?;
                // What the client was told is journaled before it is told: no take is left open.
                while let Some(open) = play.next_open() {
                    play.step(&seats, &Op::Answer(open)).await?;
                }
                if *kill {
                    let remembered = Some(seats[0].installation);
                    drop(seats);
                    seats = start(&folder, remembered, &journal).await;
                    play.compare(&seats).await?;
                }
            }
            play.compare(&seats).await
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn random_objects_and_reservations_survive_random_kills() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let steps = vec((naming::step(), proptest::bool::weighted(0.08)), 1..80);
    let usual = Config::default();
    let config = Config {
        cases: usual.cases / 4,
        failure_persistence: None,
        ..usual
    };
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            let folder = Folder::new();
            let journal = Journal::default();
            let mut seats = start(&folder, None, &journal).await;
            let mut play = naming::Play::new(app(1), true);
            for (step, kill) in &steps {
                play.step(&seats, step).await?;
                play.answer_all(&seats).await;
                if *kill {
                    let said = journal.lock().unwrap().clone();
                    let remembered = Some(seats[0].installation);
                    drop(seats);
                    seats = start(&folder, remembered, &journal).await;
                    // The next start may state it once more.
                    *journal.lock().unwrap() = said;
                    play.compare(&seats[..naming::MEMBERS]).await?;
                }
            }
            play.compare(&seats[..naming::MEMBERS]).await
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// The shared ledger cannot do this: there a record that is missing was folded into the counts.
#[test]
fn an_answer_that_the_ledger_forgot_is_counted_beyond_any_limit() {
    run(async {
        let ledger = Embedded::fresh().await;
        let one = Seat::at(&ledger, 1).await;
        let none = limited(Counter::AvRooms, 0);
        for key in [Some("r"), None] {
            let forgotten = one.wants(app(1), key, (Resource::AvRoom, 1), &none);
            one.answered(&forgotten, None).await;
            one.answered(&forgotten, None).await;
        }
        let usage = one.usage(app(1)).await;
        assert_eq!(usage.view.net, [0, 2, 2, 2]);
        assert_eq!(usage.month_peak_groups, 2);
        let again = one.wants(app(1), Some("r"), (Resource::AvRoom, 1), &none);
        match one.take(&again).await {
            Taken::Allowed { replayed, .. } => assert!(replayed),
            other => panic!("{other:?}"),
        }
    });
}
