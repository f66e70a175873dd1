//! What has a maximum, and what happens there.

use imquota::quota::{Limit, Resource};
use imquota::store::{Abort, Attempt, Cell, Report, Shard, Store, StoreFault};

use super::{Folder, minutes};
use crate::store_suite::{app, limits, now, report, run, today, totals};

const ACCOUNT: (Resource, u32) = (Resource::Account, 1);

#[test]
fn attempts_at_one_id_are_turned_away_when_too_many_wait() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let mut takes: Vec<_> = (0..65)
            .map(|_| seat.wants(app(1), Some("r"), ACCOUNT, &limits()))
            .collect();
        let last = takes.pop().unwrap();
        for take in &takes {
            seat.gets(take).await;
        }
        let away = seat.store.take(&last, now()).await;
        assert!(matches!(away, Err(StoreFault::Away(_))), "{away:?}");
        // The same attempt once more, and one whose place became free, are answered.
        seat.gets(&takes[0]).await;
        seat.abort(&takes[1]).await;
        seat.gets(&last).await;
        // Once answered, nobody waits any more.
        seat.answered(&last, None).await;
        let more = seat.wants(app(1), Some("r"), ACCOUNT, &limits());
        assert_eq!(seat.gets(&more).await.net[0], 1);
    });
}

#[test]
fn withdrawn_attempts_are_forgotten_with_the_journal() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let take = seat.wants(app(1), Some("r"), ACCOUNT, &limits());
        let shard = Shard::of(app(1));
        let aborts = |from: u64, to: u64| Report {
            aborts: (from..to)
                .map(|attempt| Abort {
                    app: app(1),
                    key: take.key.clone(),
                    attempt: Attempt(1 << 40 | attempt),
                    note: None,
                })
                .collect(),
            ..Report::default()
        };
        for from in (0..1 << 16).step_by(256) {
            seat.settle(app(1), &aborts(from, from + 256)).await;
        }
        let one_more = aborts(1 << 16, (1 << 16) + 1);
        let full = seat.store.settle(shard, &one_more, today(), now()).await;
        assert!(matches!(full, Err(StoreFault::Away(_))), "{full:?}");
        seat.settle(app(1), &aborts(0, 1)).await;
        seat.store.checkpoint(minutes(3)).await.unwrap();
        seat.settle(app(1), &one_more).await;
    });
}

#[test]
fn a_total_that_cannot_be_kept_is_refused_with_its_report() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let groups = Cell::Live(Resource::Group);
        let told = report(
            app(1),
            &[
                (Cell::Live(Resource::Account), totals(1, 0), 1),
                (groups, totals(0, Limit::MAX + 1), 0),
            ],
        );
        let refused = seat.store.settle(Shard::of(app(1)), &told, today(), now());
        let refused = refused.await;
        assert!(
            matches!(refused, Err(StoreFault::Unusable(_))),
            "{refused:?}"
        );
        assert_eq!(seat.usage(app(1)).await.view.net, [0; 4]);
        let largest = report(app(1), &[(groups, totals(Limit::MAX, 0), 0)]);
        seat.settle(app(1), &largest).await;
    });
}

#[test]
fn nothing_is_answered_before_hello() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let take = seat.wants(app(1), None, ACCOUNT, &limits());
        drop(seat);
        let store = folder.open().unwrap();
        let away = store.take(&take, now()).await;
        assert!(matches!(away, Err(StoreFault::Away(_))), "{away:?}");
        assert_eq!(store.glance(app(1), today()), None);
    });
}
