//! What a checkpoint keeps, and what goes on while it is written.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex};

use futures_util::FutureExt;
use imquota::quota::{AppId, Counter, Resource};
use imquota::store::{Cell, GivenBack, Report, Shard, Taken, Totals};

use super::{Folder, checkpoint};
use crate::store_suite::actives::user;
use crate::store_suite::{Seat, app, limited, limits, now, report, run, today, totals};

const ACCOUNT: (Resource, u32) = (Resource::Account, 1);
const GROUP: (Resource, u32) = (Resource::Group, 2);

#[test]
fn everything_is_there_after_a_checkpoint_and_a_restart() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let counted = seat.wants(app(1), Some("counted"), GROUP, &limits());
        seat.gets(&counted).await;
        seat.answered(&counted, None).await;
        let held = seat.wants(app(1), Some("held"), GROUP, &limits());
        seat.gets(&held).await;
        let denied = seat.wants(app(1), Some("denied"), GROUP, &limited(Counter::Groups, 4));
        seat.is_refused(&denied).await;
        let back = seat.returns(app(1), Some("back"), (Resource::Group, 1));
        seat.release(&back).await;
        let cells = [
            (Cell::Live(Resource::Account), totals(7, 2), 6),
            (Cell::Gained(today()), totals(3, 1), 0),
            (Cell::Increment(today()), totals(40, 0), 0),
        ];
        seat.settle(app(1), &report(app(1), &cells)).await;
        seat.logins(app(1), today(), &[user(1), user(2)]).await;
        let usage = seat.usage(app(1)).await;
        checkpoint(&seat).await;
        let remembered = Some(seat.installation);
        drop(seat);

        let seat = folder.sit(remembered).await;
        assert_eq!(seat.usage(app(1)).await, usage);
        for key in ["counted", "held"] {
            let again = seat.wants(app(1), Some(key), GROUP, &limits());
            let taken = seat.take(&again).await;
            assert!(matches!(taken, Taken::Allowed { replayed: true, .. }));
            seat.abort(&again).await;
        }
        let again = seat.wants(app(1), Some("denied"), GROUP, &limits());
        assert!(matches!(
            seat.take(&again).await,
            Taken::Denied {
                counter: Counter::Groups,
                replayed: true,
                ..
            }
        ));
        let again = seat.store.release(&back, now()).await.unwrap();
        assert!(matches!(
            again,
            GivenBack::Released {
                released: 1,
                replayed: true,
                ..
            }
        ));
        seat.settle(app(1), &report(app(1), &cells)).await;
        let (newly, count) = seat.logins(app(1), today(), &[user(2), user(3)]).await;
        assert_eq!((newly, count), (vec![false, true], 43));
        assert_eq!(seat.usage(app(1)).await.view, usage.view);
        // The claim of the process before is still there to be withdrawn.
        seat.abort(&held).await;
        let counted = seat.usage(app(1)).await.view.net[1];
        assert_eq!(counted, usage.view.net[1] - 2);
    });
}

#[test]
fn what_came_after_the_checkpoint_is_left_to_the_journal() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        seat.gets(&seat.wants(app(1), None, ACCOUNT, &limits()))
            .await;
        checkpoint(&seat).await;
        seat.gets(&seat.wants(app(1), None, ACCOUNT, &limits()))
            .await;
        let remembered = Some(seat.installation);
        drop(seat);
        let seat = folder.sit(remembered).await;
        assert_eq!(seat.usage(app(1)).await.view.net[0], 1);
    });
}

#[test]
fn a_record_that_was_withdrawn_after_the_checkpoint_is_gone_after_the_next() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let held = seat.wants(app(1), Some("r"), ACCOUNT, &limits());
        seat.gets(&held).await;
        checkpoint(&seat).await;
        seat.abort(&held).await;
        checkpoint(&seat).await;
        checkpoint(&seat).await;
        let remembered = Some(seat.installation);
        drop(seat);
        let seat = folder.sit(remembered).await;
        assert_eq!(seat.usage(app(1)).await.view.net[0], 0);
        let again = seat.wants(app(1), Some("r"), ACCOUNT, &limits());
        assert!(matches!(
            seat.take(&again).await,
            Taken::Allowed {
                replayed: false,
                ..
            }
        ));
    });
}

#[test]
fn calls_are_answered_at_once() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let take = seat.wants(app(1), None, ACCOUNT, &limits());
        let back = seat.returns(app(1), None, ACCOUNT);
        let report = Report::default();
        let (store, shard) = (&seat.store, Shard::of(app(1)));
        assert!(store.is_local());
        assert!(store.take(&take, now()).now_or_never().is_some());
        assert!(store.release(&back, now()).now_or_never().is_some());
        let settled = store.settle(shard, &report, today(), now());
        assert!(settled.now_or_never().is_some());
        let recorded = store.record_active(shard, &[], now());
        assert!(recorded.now_or_never().is_some());
        assert!(store.usage(app(1), today(), now()).now_or_never().is_some());
        assert!(store.glance(app(1), today()).is_some());
    });
}

#[test]
fn a_limit_holds_between_threads() {
    let folder = Folder::new();
    let seat = run(folder.sit(None));
    let allowed = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..250 {
                    let take = seat.wants(app(1), None, ACCOUNT, &limited(Counter::Accounts, 100));
                    if let Taken::Allowed { .. } = seat.take(&take).now_or_never().unwrap() {
                        allowed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(allowed.into_inner(), 100);
}

#[test]
fn nothing_is_lost_while_checkpoints_are_written() {
    let folder = Folder::new();
    let seat = run(folder.sit(None));
    let done = AtomicBool::new(false);
    let begun = (Mutex::new(0), Condvar::new());
    let apps: Vec<AppId> = (1..=8).map(app).collect();
    std::thread::scope(|scope| {
        let takers: Vec<_> = apps
            .iter()
            .map(|app| scope.spawn(|| busy(&seat, *app, &begun)))
            .collect();
        let writer = scope.spawn(|| {
            run(async {
                while !done.load(Ordering::Relaxed) {
                    *begun.0.lock().unwrap() += 1;
                    begun.1.notify_all();
                    checkpoint(&seat).await;
                }
                checkpoint(&seat).await;
            });
        });
        for taker in takers {
            taker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
    let usages = run(async {
        let mut usages = Vec::new();
        for app in &apps {
            usages.push(seat.usage(*app).await);
        }
        usages
    });
    let remembered = Some(seat.installation);
    drop(seat);
    run(async {
        let seat = folder.sit(remembered).await;
        for (app, usage) in apps.iter().zip(usages) {
            assert_eq!(seat.usage(*app).await, usage);
            assert_eq!(usage.view.net, [600, 90, 0, 90]);
            assert_eq!(usage.daily_active, 300);
            // Every record and every user is known, once.
            for n in 0..300 {
                let again = seat.wants(*app, Some(&format!("r-{n}")), ACCOUNT, &limits());
                let taken = seat.take(&again).await;
                assert!(matches!(taken, Taken::Allowed { replayed: true, .. }));
                let (newly, _) = seat.logins(*app, today(), &[user(n)]).await;
                assert_eq!(newly, [false]);
            }
            assert_eq!(seat.usage(*app).await.view, usage.view);
        }
    });
}

/// 300 rounds of all that an app does, a part of it taken back; ten of them a checkpoint.
fn busy(seat: &Seat, app: AppId, begun: &(Mutex<u64>, Condvar)) {
    let mut consumed = 0;
    for n in 0..300 {
        let checkpoints = begun.0.lock().unwrap();
        drop(begun.1.wait_while(checkpoints, |begun| *begun < n / 10));
        let named = seat.wants(app, Some(&format!("r-{n}")), ACCOUNT, &limits());
        let nameless = seat.wants(app, None, ACCOUNT, &limits());
        let lost = seat.wants(app, None, GROUP, &limits());
        let calls = async {
            seat.gets(&named).await;
            seat.gets(&nameless).await;
            seat.gets(&lost).await;
            seat.answered(&nameless, None).await;
            if n % 10 < 7 {
                seat.abort(&lost).await;
            } else {
                seat.answered(&lost, None).await;
            }
            if n % 10 == 9 {
                let back = seat.returns(app, None, (Resource::Group, 3));
                seat.release(&back).await;
            }
            if n % 2 == 0 {
                seat.answered(&named, None).await;
            }
            seat.logins(app, today(), &[user(n)]).await;
            consumed += 1;
            let cell = Cell::Live(Resource::AvRoom);
            let told = Totals {
                consumed,
                released: consumed,
            };
            seat.settle(app, &report(app, &[(cell, told, 1)])).await;
        };
        calls.now_or_never().unwrap();
    }
}

#[test]
fn a_checkpoint_of_nothing_writes_nothing() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        seat.gets(&seat.wants(app(1), None, ACCOUNT, &limits()))
            .await;
        checkpoint(&seat).await;
        let written = std::fs::read(folder.file()).unwrap();
        seat.usage(app(1)).await;
        checkpoint(&seat).await;
        assert!(std::fs::read(folder.file()).unwrap() == written);
    });
}

#[test]
fn a_file_that_was_not_closed_is_whole() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let take = seat.wants(app(1), Some("r"), GROUP, &limits());
        seat.gets(&take).await;
        checkpoint(&seat).await;
        // What a kill leaves: the file as it lies there while the process has it open.
        let killed = Folder::new();
        std::fs::copy(folder.file(), killed.file()).unwrap();
        let after = killed.sit(Some(seat.installation)).await;
        assert_eq!(after.usage(app(1)).await, seat.usage(app(1)).await);
        after.abort(&take).await;
        assert_eq!(after.usage(app(1)).await.view.net, [0; 4]);
    });
}
