//! When a record may be forgotten, because the counts alone can stand for it.

use imquota::quota::{Counter, Resource};
use imquota::store::{GivenBack, Taken};

use super::{Folder, minutes, rows};
use crate::store_suite::{app, limited, limits, now, run};

const ACCOUNT: (Resource, u32) = (Resource::Account, 1);

#[test]
fn a_clients_id_is_remembered_for_its_window() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let take = seat.wants(app(1), Some("r"), ACCOUNT, &limits());
        seat.gets(&take).await;
        seat.answered(&take, None).await;
        let denied = seat.wants(app(1), Some("no"), ACCOUNT, &limited(Counter::Accounts, 0));
        seat.is_refused(&denied).await;
        let back = seat.returns(app(2), Some("back"), ACCOUNT);
        assert_eq!(seat.release(&back).await, 0);
        for (log_from, known) in [(0, true), (9, true), (12, false)] {
            seat.store.checkpoint(minutes(log_from)).await.unwrap();
            if log_from == 9 {
                let remembered = Some(seat.installation);
                drop(seat);
                seat = folder.sit(remembered).await;
            }
            assert_eq!(seat.usage(app(1)).await.view.net[0], 1, "folded or not");
            let again = seat.store.release(&back, now()).await.unwrap();
            let GivenBack::Released { replayed, .. } = again else {
                panic!("{again:?}");
            };
            assert_eq!(replayed, known);
            for id in ["r", "no"] {
                let again = seat.wants(app(1), Some(id), ACCOUNT, &limits());
                let replayed = match seat.take(&again).await {
                    Taken::Allowed { replayed, .. } | Taken::Denied { replayed, .. } => replayed,
                    other => panic!("{other:?}"),
                };
                assert_eq!(replayed, known, "{id} after {log_from} minutes");
            }
        }
        assert_eq!(seat.usage(app(1)).await.view.net[0], 3);
        let held = seat.wants(app(1), Some("held"), ACCOUNT, &limits());
        seat.gets(&held).await;
        seat.store.checkpoint(now()).await.unwrap();
        seat.store.checkpoint(minutes(30)).await.unwrap();
        drop(seat);
        assert_eq!(rows::<(u8, u32, u16, u128)>(&folder, "records"), 3, "held");
    });
}

#[test]
fn an_own_key_is_remembered_as_long_as_the_journal_may_state_it() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let take = seat.wants(app(1), None, ACCOUNT, &limits());
        seat.gets(&take).await;
        seat.answered(&take, None).await;
        seat.store.checkpoint(now()).await.unwrap();
        seat.answered(&take, None).await;
        assert_eq!(seat.usage(app(1)).await.view.net[0], 1);
        let remembered = Some(seat.installation);
        drop(seat);
        seat = folder.sit(remembered).await;
        // The journal still has the minute in which it was answered.
        seat.store.checkpoint(minutes(1)).await.unwrap();
        seat.answered(&take, None).await;
        assert_eq!(seat.usage(app(1)).await.view.net[0], 1);
        // Now it has not, and nobody will state it any more.
        seat.store.checkpoint(minutes(3)).await.unwrap();
        seat.answered(&take, None).await;
        assert_eq!(seat.usage(app(1)).await.view.net[0], 2);
    });
}

#[test]
fn a_held_record_is_never_folded() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let named = seat.wants(app(1), Some("r"), ACCOUNT, &limits());
        let nameless = seat.wants(app(1), None, ACCOUNT, &limits());
        seat.gets(&named).await;
        seat.gets(&nameless).await;
        seat.store.checkpoint(minutes(60)).await.unwrap();
        let remembered = Some(seat.installation);
        drop(seat);
        seat = folder.sit(remembered).await;
        seat.store.checkpoint(minutes(120)).await.unwrap();
        seat.answered(&named, None).await;
        seat.abort(&nameless).await;
        assert_eq!(seat.usage(app(1)).await.view.net[0], 1);
        let again = seat.wants(app(1), Some("r"), ACCOUNT, &limits());
        assert!(matches!(
            seat.take(&again).await,
            Taken::Allowed { replayed: true, .. }
        ));
    });
}

#[test]
fn the_age_counts_from_the_answer() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let take = seat.wants(app(1), None, ACCOUNT, &limits());
        // Taken an hour ago, answered now.
        let taken = seat.store.take(&take, minutes(-60)).await.unwrap();
        assert!(matches!(taken, Taken::Allowed { .. }));
        seat.store.checkpoint(minutes(-5)).await.unwrap();
        seat.answered(&take, None).await;
        seat.store.checkpoint(now()).await.unwrap();
        seat.answered(&take, None).await;
        assert_eq!(seat.usage(app(1)).await.view.net[0], 1);
    });
}
