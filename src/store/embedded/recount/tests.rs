//! What a recount counts, and what is left of it after a kill: memory is gone, the journal states again
//! what it has.

use std::sync::atomic::Ordering;

use super::super::EmbeddedStore;
use super::super::broken_disk::{Disk, NOW, app, day, hello, open, take};
use super::*;
use crate::clock::{Clock, Zone};
use crate::quota::Amount;
use crate::store::{
    Abort, Answered, AppReport, Attempt, Cell, CellReport, Fingerprint, GiveBack, GivenBack,
    Intent, Operator, RecordKey, Report, Store, Take, Taken, Totals, Undecided,
};

/// A ledger of one member, on a disk that outlives it.
pub(super) struct Seat {
    pub(super) store: EmbeddedStore,
    disk: Disk,
}

impl Seat {
    pub(super) async fn on(disk: Disk) -> Self {
        let store = open(&disk);
        hello(&store).await;
        Self { store, disk }
    }

    /// The process dies and starts again.
    pub(super) async fn killed(self) -> Self {
        let Self { store, disk } = self;
        drop(store);
        let store = open(&disk);
        let installation = store.ledger.hello(None, NOW).unwrap();
        let member = crate::store::Member {
            name: "one".into(),
            incarnation: 1,
            boot: 2,
            leaves: false,
        };
        let hello = store.hello(&member, Some(installation), NOW);
        hello.await.unwrap();
        Self { store, disk }
    }

    pub(super) async fn count(&self) -> i64 {
        self.store.usage(app(), day(), NOW).await.unwrap().view.net[0]
    }

    pub(super) async fn take(&self, id: &str, attempt: u64) -> Take {
        let take = take(id, attempt);
        let taken = self.store.take(&take, NOW).await.unwrap();
        assert!(matches!(taken, Taken::Allowed { .. }), "{taken:?}");
        take
    }

    pub(super) async fn settle(&self, report: Report) {
        let shard = Shard::of(app());
        let settled = self.store.settle(shard, &report, day(), NOW);
        settled.await.unwrap();
    }

    pub(super) async fn answered(&self, take: &Take) {
        let answered = Answered {
            take: take.clone(),
            refused: None,
            contained: None,
        };
        let report = Report {
            answered: vec![answered],
            ..Report::default()
        };
        self.settle(report).await;
    }

    pub(super) async fn totals(&self, consumed: u64, released: u64) {
        self.settle(totals(consumed, released, None)).await;
    }

    pub(super) async fn freeze(&self) -> Freeze {
        let frozen = self.store.freeze(app(), Resource::Account);
        frozen.await.unwrap()
    }

    pub(super) async fn awaited(&self, token: u64) -> Vec<u64> {
        self.store.awaited(app(), token).await.unwrap()
    }

    pub(super) async fn commit(&self, to: u64, token: u64) -> Result<Recounted, StoreFault> {
        let recount = Recount {
            app: app(),
            resource: Resource::Account,
            to,
            token,
            who: "uid 0".into(),
            why: "a test".into(),
        };
        self.store.recount(&recount).await
    }

    /// Freezes and sets the count.
    pub(super) async fn recount(&self, to: u64) -> (i64, u64) {
        let frozen = self.freeze().await;
        match self.commit(to, frozen.token).await.unwrap() {
            Recounted::Done { from, held, .. } => (from, held),
            Recounted::NotFrozen => panic!("it is frozen"),
        }
    }

    pub(super) async fn audited(&self) -> Vec<(Option<i64>, Option<i64>)> {
        let entries = self.store.audit(None, 10).await.unwrap();
        entries.iter().map(|one| (one.from, one.to)).collect()
    }
}

/// A release of accounts, or what a replay says that it gave back.
pub(super) fn give_back(number: u64, amount: u32, given: Option<u32>) -> GiveBack {
    GiveBack {
        app: app(),
        key: RecordKey::Own {
            incarnation: 1,
            attempt: Attempt(number),
        },
        fingerprint: Fingerprint(number),
        resource: Resource::Account,
        amount: Amount::from_wire(amount).unwrap(),
        given,
        groups_follow: false,
        day: day(),
        object: None,
        rooms_are_groups: true,
    }
}

fn totals(consumed: u64, released: u64, acks_freeze: Option<u64>) -> Report {
    let cell = CellReport {
        cell: Cell::Live(Resource::Account),
        totals: Totals { consumed, released },
        high: 0,
        escrow: None,
        wish: None,
    };
    let told = AppReport {
        app: app(),
        cells: vec![cell],
        acks_freeze,
        plan: None,
    };
    Report {
        apps: vec![told],
        ..Report::default()
    }
}

#[tokio::test]
async fn a_recount_survives_a_kill_and_is_not_done_twice_by_a_replay() {
    let seat = Seat::on(Disk::default()).await;
    let old = seat.take("old", 1).await;
    seat.answered(&old).await;
    seat.totals(10, 3).await;
    assert_eq!(seat.count().await, 8);
    assert_eq!(seat.recount(100).await, (8, 0));
    assert_eq!(seat.count().await, 100);

    let seat = seat.killed().await;
    assert_eq!(seat.count().await, 100, "what was answered is kept");
    // The journal states again all that it has, from before the recount and from after it.
    seat.answered(&old).await;
    seat.totals(10, 3).await;
    assert_eq!(seat.count().await, 100);
    seat.totals(12, 3).await;
    assert_eq!(seat.count().await, 102);
    assert_eq!(seat.recount(0).await, (102, 0));
    let seat = seat.killed().await;
    seat.totals(12, 3).await;
    seat.totals(12, 4).await;
    assert_eq!(seat.count().await, -1, "one was released since");
    assert_eq!(
        seat.audited().await,
        [(Some(102), Some(0)), (Some(8), Some(100))]
    );
}

#[tokio::test]
async fn what_happens_after_a_recount_and_before_a_kill_counts_beside_it() {
    let seat = Seat::on(Disk::default()).await;
    seat.recount(50).await;
    let after = seat.take("after", 1).await;
    seat.answered(&after).await;
    let back = give_back(2, 2, Some(2));
    seat.store.release(&back, NOW).await.unwrap();
    assert_eq!(seat.count().await, 49);
    let seat = seat.killed().await;
    assert_eq!(seat.count().await, 50);
    seat.answered(&after).await;
    seat.store.release(&back, NOW).await.unwrap();
    assert_eq!(seat.count().await, 49);
}

#[tokio::test]
async fn a_frozen_app_decides_nothing_and_waits_for_what_is_under_way() {
    let seat = Seat::on(Disk::default()).await;
    let under_way = seat.take("under-way", 1).await;
    let given_up = seat.take("given-up", 2).await;
    let frozen = seat.freeze().await;
    assert_eq!((frozen.count, seat.freeze().await), (0, frozen));
    let notices = seat.store.beat(&crate::store::Beat::default()).await;
    assert_eq!(notices.unwrap().notices, [(app(), frozen.token)]);
    let refused = seat.store.take(&take("new", 3), NOW).await.unwrap();
    assert_eq!(refused, Taken::Undecided(Undecided::Frozen));
    let refused = seat
        .store
        .release(&give_back(2, 2, None), NOW)
        .await
        .unwrap();
    assert_eq!(refused, GivenBack::Undecided(Undecided::Frozen));
    let view = seat.store.glance(app(), day()).unwrap();
    assert_eq!(view.frozen, Some(frozen.token));
    assert_eq!(seat.awaited(frozen.token).await, [1]);

    seat.answered(&under_way).await;
    let abort = Abort {
        app: app(),
        key: given_up.key,
        attempt: Attempt(2),
        note: None,
    };
    let report = Report {
        aborts: vec![abort],
        ..Report::default()
    };
    seat.settle(report).await;
    assert_eq!(seat.awaited(frozen.token).await, [0_u64; 0]);
    assert_eq!(seat.freeze().await.count, 1, "the one that was answered");
    // The truth is counted now; what is counted from memory meanwhile comes on top.
    seat.totals(5, 0).await;
    assert_eq!(seat.awaited(frozen.token).await, [0_u64; 0]);
    let done = seat.commit(20, frozen.token).await.unwrap();
    assert!(
        matches!(
            done,
            Recounted::Done {
                from: 1,
                held: 0,
                ..
            }
        ),
        "{done:?}"
    );
    assert_eq!(seat.count().await, 25);
    let view = seat.store.glance(app(), day()).unwrap();
    assert!(view.frozen.is_none() && view.seq > frozen.token);
    let again = seat.commit(20, frozen.token).await.unwrap();
    assert_eq!(again, Recounted::NotFrozen);
    seat.take("new", 4).await;
}

#[tokio::test]
async fn what_is_still_held_stays_beside_the_new_count() {
    let seat = Seat::on(Disk::default()).await;
    let answered = seat.take("answered", 1).await;
    let withdrawn = seat.take("withdrawn", 2).await;
    assert_eq!(seat.recount(10).await, (0, 2));
    assert_eq!(seat.count().await, 12);
    let seat = seat.killed().await;
    assert_eq!(seat.count().await, 12);
    seat.answered(&answered).await;
    let abort = Abort {
        app: app(),
        key: withdrawn.key,
        attempt: Attempt(2),
        note: None,
    };
    let report = Report {
        aborts: vec![abort],
        ..Report::default()
    };
    seat.settle(report).await;
    assert_eq!(seat.count().await, 11);
}

#[tokio::test]
async fn what_is_reserved_stays_beside_the_new_count_and_nobody_waits_for_it() {
    let seat = Seat::on(Disk::default()).await;
    let until = NOW.plus(60_000);
    let mut holds = Vec::new();
    for (id, attempt) in [("kept", 1), ("gone", 2)] {
        let mut hold = take(id, attempt);
        hold.intent = Intent::Reserve { until };
        seat.store.take(&hold, NOW).await.unwrap();
        seat.answered(&hold).await;
        holds.push(hold);
    }
    let frozen = seat.freeze().await;
    assert_eq!(
        (frozen.count, seat.awaited(frozen.token).await.len()),
        (0, 0)
    );
    let confirm = |attempt, intent| Take {
        attempt: Attempt(attempt),
        intent,
        ..holds[usize::from(intent == Intent::Cancel)].clone()
    };
    let confirms = confirm(3, Intent::Confirm { lapsed: false });
    let taken = seat.store.take(&confirms, NOW).await.unwrap();
    assert_eq!(taken, Taken::Undecided(Undecided::Frozen));
    seat.commit(10, frozen.token).await.unwrap();
    assert_eq!(seat.count().await, 12);
    let seat = seat.killed().await;
    for (take, count) in [(confirms, 12), (confirm(4, Intent::Cancel), 11)] {
        seat.store.take(&take, NOW).await.unwrap();
        seat.answered(&take).await;
        assert_eq!(seat.count().await, count);
    }
    assert_eq!(seat.recount(5).await, (11, 0));
}

#[tokio::test]
async fn a_member_may_say_itself_that_nothing_is_under_way() {
    let seat = Seat::on(Disk::default()).await;
    seat.totals(3, 0).await;
    let frozen = seat.freeze().await;
    seat.settle(totals(7, 0, Some(frozen.token + 1))).await;
    assert_eq!(seat.freeze().await.count, 3, "that was another freeze");
    seat.settle(totals(8, 0, Some(frozen.token))).await;
    assert_eq!(seat.freeze().await.count, 8);
    seat.commit(2, frozen.token).await.unwrap();
    assert_eq!(seat.count().await, 2);
}

#[tokio::test]
async fn a_freeze_is_called_off_by_its_token_and_ends_with_the_process() {
    let seat = Seat::on(Disk::default()).await;
    let frozen = seat.freeze().await;
    seat.store.unfreeze(app(), frozen.token + 1).await.unwrap();
    assert!(seat.store.glance(app(), day()).unwrap().frozen.is_some());
    seat.store.unfreeze(app(), frozen.token).await.unwrap();
    seat.take("new", 1).await;
    let done = seat.commit(1, frozen.token).await.unwrap();
    assert_eq!(done, Recounted::NotFrozen);
    let frozen = seat.freeze().await;
    let seat = seat.killed().await;
    seat.take("newer", 2).await;
    let done = seat.commit(1, frozen.token).await.unwrap();
    assert_eq!(done, Recounted::NotFrozen);
}

#[tokio::test]
async fn a_disk_that_fails_leaves_the_count_as_it_was_and_the_app_frozen() {
    let seat = Seat::on(Disk::default()).await;
    seat.totals(4, 0).await;
    let frozen = seat.freeze().await;
    seat.disk.full.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        let done = seat.commit(9, frozen.token).await;
        assert!(matches!(done, Err(StoreFault::Away(_))), "{done:?}");
        assert_eq!(seat.count().await, 4);
        let refused = seat.store.take(&take("new", 1), NOW).await.unwrap();
        assert_eq!(refused, Taken::Undecided(Undecided::Frozen));
    }
    seat.disk.full.store(false, Ordering::Relaxed);
    seat.commit(9, frozen.token).await.unwrap();
    assert_eq!(seat.count().await, 9);
    let seat = seat.killed().await;
    seat.totals(4, 0).await;
    assert_eq!(seat.count().await, 9);
    assert_eq!(seat.audited().await, [(Some(4), Some(9))]);
}

#[tokio::test]
async fn an_app_that_may_leave_memory_is_corrected_once() {
    let seat = Seat::on(Disk::default()).await;
    // More apps of one shard than stay in memory once the file has them.
    let shard = Shard::of(app());
    let apps = (1..).filter_map(AppId::new);
    let apps: Vec<_> = apps
        .filter(|one| Shard::of(*one) == shard)
        .take(600)
        .collect();
    for some in apps.chunks(60) {
        let told = some.iter().map(|one| AppReport {
            app: *one,
            ..totals(1, 0, None).apps.remove(0)
        });
        let report = Report {
            apps: told.collect(),
            ..Report::default()
        };
        seat.settle(report).await;
    }
    seat.store.checkpoint(NOW).await.unwrap();
    // Looked at, they are in memory, and nothing keeps them there.
    for one in &apps {
        assert_eq!(seat.store.glance(*one, day()).unwrap().net[0], 1);
    }
    assert_eq!(seat.recount(40).await, (1, 0));
    for _ in 0..2 {
        assert_eq!(seat.count().await, 40);
        seat.store.checkpoint(NOW).await.unwrap();
    }
    assert_eq!(seat.killed().await.count().await, 40);
}

#[tokio::test]
async fn a_month_keeps_its_peak_and_takes_what_was_found() {
    let seat = Seat::on(Disk::default()).await;
    let set = async |to| {
        let frozen = seat.store.freeze(app(), Resource::Group).await.unwrap();
        let recount = Recount {
            app: app(),
            resource: Resource::Group,
            to,
            token: frozen.token,
            who: "token".into(),
            why: "".into(),
        };
        seat.store.recount(&recount).await.unwrap();
        let today = Zone::parse("+08:00").unwrap().day(Clock::system());
        let usage = seat.store.usage(app(), today, NOW).await.unwrap();
        (usage.view.net[1], usage.month_peak_groups)
    };
    assert_eq!(set(70).await, (70, 70));
    assert_eq!(set(20).await, (20, 70));
    assert_eq!(set(80).await, (80, 80));
    assert_eq!(seat.count().await, 0, "accounts are another count");
}

#[tokio::test]
async fn the_audit_list_keeps_the_newest() {
    let seat = Seat::on(Disk::default()).await;
    for to in 0..3 {
        seat.recount(to).await;
    }
    let of = |app, most| seat.store.audit(app, most);
    let entries = of(Some(app()), 2).await.unwrap();
    let to: Vec<_> = entries.iter().map(|entry| entry.to).collect();
    assert_eq!(to, [Some(2), Some(1)]);
    let newest = &entries[0];
    assert_eq!((&*newest.who, &*newest.what), ("uid 0", "recount"));
    assert_eq!((&*newest.subject, &*newest.why), ("account", "a test"));
    assert!(of(AppId::new(99), 10).await.unwrap().is_empty());
}
