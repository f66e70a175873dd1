//! What is left in memory after a checkpoint, and read again when it is needed.

use imquota::quota::{AppId, Resource};
use imquota::store::{Shard, Taken};

use super::{Folder, checkpoint};
use crate::store_suite::actives::user;
use crate::store_suite::{app, limits, plain, run, today};

const ACCOUNT: (Resource, u32) = (Resource::Account, 1);

#[test]
fn more_apps_than_stay_in_memory_keep_their_counts() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let shard = Shard::of(app(0));
        let apps: Vec<AppId> = (0..)
            .map(app)
            .filter(|app| Shard::of(*app) == shard)
            .take(700)
            .collect();
        for round in 1..=3 {
            for app in &apps {
                let take = seat.wants(*app, Some("r"), ACCOUNT, &limits());
                let again = matches!(
                    seat.take(&take).await,
                    Taken::Allowed { replayed: true, .. }
                );
                assert_eq!(again, round > 1);
                let take = seat.wants(*app, None, ACCOUNT, &limits());
                assert_eq!(seat.gets(&take).await.net[0], round + 1);
                seat.logins(*app, today(), &[user(round.cast_unsigned())])
                    .await;
            }
            checkpoint(&seat).await;
        }
        for app in &apps {
            let usage = seat.usage(*app).await;
            assert_eq!((usage.view.net[0], usage.daily_active), (4, 3));
            let glance = seat.store.glance(*app, today());
            assert_eq!(glance.map(|view| plain(&view)), Some(usage.view));
        }
    });
}

#[test]
fn a_day_of_many_users_is_written_in_pieces_and_read_again() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let all: Vec<u128> = (0..20_000).map(user).collect();
        let mut known = 0;
        // Pieces of all sizes, around those of a chunk.
        for size in [1, 255, 256, 257, 1, 512, 3000, 0, 1, 255, 10_000, 5000] {
            let next = (known + size).min(all.len());
            for some in all[known..next].chunks(500) {
                let (newly, _) = seat.logins(app(1), today(), some).await;
                assert!(newly.into_iter().all(|newly| newly));
            }
            known = next;
            checkpoint(&seat).await;
            if size % 2 == 0 {
                // Two rounds without a login: the set leaves the memory.
                checkpoint(&seat).await;
                checkpoint(&seat).await;
            } else if size == 3000 {
                let remembered = Some(seat.installation);
                drop(seat);
                seat = folder.sit(remembered).await;
            }
        }
        let remembered = Some(seat.installation);
        drop(seat);
        seat = folder.sit(remembered).await;
        for some in all[..known].chunks(500) {
            let (newly, count) = seat.logins(app(1), today(), some).await;
            assert!(newly.into_iter().all(|newly| !newly));
            assert_eq!(count, known as u64);
        }
    });
}
