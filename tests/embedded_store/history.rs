//! Days that close, and months that pass.

use imquota::clock::Day;
use imquota::quota::Resource;
use imquota::store::Cell;

use super::{Folder, rows, table};
use crate::store_suite::actives::user;
use crate::store_suite::{app, limits, next_month, now, report, run, today, totals, zone};

/// An instant `hours` after the end of `day`.
fn after(day: Day, hours: i64) -> imquota::clock::Millis {
    zone().start_of(day.next()).plus(hours * 3_600_000)
}

#[test]
fn a_day_keeps_its_count_when_its_users_are_dropped() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let day = today();
        let increments = report(app(1), &[(Cell::Increment(day), totals(10, 0), 0)]);
        let gains = report(app(1), &[(Cell::Gained(day), totals(3, 0), 0)]);
        seat.logins(app(1), day, &[user(1), user(2)]).await;
        seat.settle(app(1), &increments).await;
        seat.settle(app(1), &gains).await;
        // Open for 48 hours and a margin after its end.
        seat.store.checkpoint(after(day, 49)).await.unwrap();
        let (newly, count) = seat.logins(app(1), day, &[user(2), user(3)]).await;
        assert_eq!((newly, count), (vec![false, true], 13));
        for restarted in [false, true] {
            seat.store.checkpoint(after(day, 51)).await.unwrap();
            if restarted {
                let remembered = Some(seat.installation);
                drop(seat);
                assert_eq!(
                    rows::<(i32, u64, u32)>(&folder, "users"),
                    1,
                    "the next day's"
                );
                seat = folder.sit(remembered).await;
            }
            // Closed: whoever comes late changes nothing.
            let (newly, count) = seat.logins(app(1), day, &[user(1), user(9)]).await;
            assert_eq!((newly, count), (vec![false, false], 13));
            seat.settle(app(1), &increments).await;
            seat.settle(app(1), &gains).await;
            let usage = seat.usage(app(1)).await;
            assert_eq!((usage.daily_active, usage.my_increment), (13, 0));
            assert_eq!(usage.month_peak_daily_active, 13);
            // The next day is open.
            let open = day.next().next().next();
            seat.logins(app(1), open, &[user(1)]).await;
            assert_eq!(seat.usage_on(app(1), open).await.daily_active, 1);
        }
    });
}

#[test]
fn who_comes_when_a_day_is_closed_is_said_of_its_month() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let day = today();
        seat.logins(app(1), day, &[user(1)]).await;
        seat.store.checkpoint(after(day, 51)).await.unwrap();
        let (newly, count) = seat.logins(app(1), day, &[user(2), user(3)]).await;
        assert_eq!((newly, count), (vec![false, false], 1));
        let increments = report(app(2), &[(Cell::Increment(day), totals(10, 0), 0)]);
        seat.settle(app(2), &increments).await;
        for n in 0..4 {
            for (id, late, there) in [(1, 2, 1), (2, 10, 0)] {
                let told = seat.month(app(id), day.month(), day).await;
                assert_eq!(told.too_late, [(day, late)], "{n}");
                assert_eq!(told.daily_active.count, there);
            }
            if n == 1 {
                let remembered = Some(seat.installation);
                drop(seat);
                seat = folder.sit(remembered).await;
            }
            seat.store.checkpoint(after(day, 51 + n)).await.unwrap();
        }
    });
}

#[test]
fn an_app_that_is_not_touched_keeps_its_days_too() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let day = today();
        seat.logins(app(1), day, &[user(1), user(2)]).await;
        seat.store.checkpoint(now()).await.unwrap();
        seat.store.checkpoint(after(day, 60)).await.unwrap();
        let remembered = Some(seat.installation);
        drop(seat);
        let seat = folder.sit(remembered).await;
        assert_eq!(seat.usage(app(1)).await.daily_active, 2);
        let (newly, count) = seat.logins(app(1), day, &[user(3)]).await;
        assert_eq!((newly, count), (vec![false], 2));
    });
}

#[test]
fn past_months_keep_their_peaks() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let mut month = today();
        let mut expected = Vec::new();
        for n in 1..=5 {
            let groups = Cell::Live(Resource::Group);
            let told = report(app(1), &[(groups, totals(10 * n, 10 * n - 1), 9)]);
            seat.settle_on(app(1), &told, month).await;
            let users: Vec<u128> = (0..n).map(user).collect();
            seat.logins(app(1), month, &users).await;
            expected.push((month, if n == 1 { 9 } else { 9.max(n) }, n));
            let log_from = zone().start_of(month);
            seat.store.checkpoint(log_from).await.unwrap();
            // A month without a touch lies between two.
            let idle = next_month(month);
            expected.push((idle, 1, 0));
            month = next_month(idle);
        }
        expected.pop();
        for _ in 0..2 {
            for (month, groups, actives) in &expected {
                let usage = seat.usage_on(app(1), *month).await;
                assert_eq!(
                    (usage.month_peak_groups, usage.month_peak_daily_active),
                    (*groups, *actives),
                    "{month}"
                );
            }
            let remembered = Some(seat.installation);
            drop(seat);
            seat = folder.sit(remembered).await;
        }
        // A month that was before all is empty.
        let before = Day::from_number(today().number() - 40).unwrap();
        let usage = seat.usage_on(app(1), before).await;
        assert_eq!(
            (usage.month_peak_groups, usage.month_peak_daily_active),
            (0, 0)
        );
        let take = seat.wants(app(1), None, (Resource::Group, 1), &limits());
        assert_eq!(seat.gets(&take).await.net[1], 2);
    });
}

#[test]
fn the_past_is_the_same_after_a_restart() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let first = next_month(today());
        let mut day = first;
        for made in 1..=40 {
            let groups = Cell::Live(Resource::Group);
            let told = report(app(1), &[(groups, totals(2 * made, made), 9)]);
            seat.settle_on(app(1), &told, day).await;
            seat.logins(app(1), day, &[user(made)]).await;
            seat.has_plan(app(1), day, &format!("plan-{}", made % 3))
                .await;
            day = day.next().next();
        }
        // Of some days the file knows, of some only memory.
        seat.store.checkpoint(zone().start_of(day)).await.unwrap();
        let months = [first, next_month(first), next_month(next_month(first))];
        let mut told = Vec::new();
        for month in months {
            told.push(seat.month(app(1), month.month(), day).await);
        }
        let every_other = (first.month().last_day().number() - first.number()) / 2 + 1;
        assert_eq!(told[0].days.len(), usize::try_from(every_other).unwrap());
        for _ in 0..2 {
            let remembered = Some(seat.installation);
            drop(seat);
            seat = folder.sit(remembered).await;
            for (month, told) in months.iter().zip(&told) {
                assert_eq!(seat.month(app(1), month.month(), day).await, *told);
            }
        }
    });
}

#[test]
fn a_day_takes_at_most_64_bytes() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let first = next_month(today());
        let mut day = first;
        while day.month() == first.month() {
            let n = u64::try_from(day.number()).unwrap();
            let groups = Cell::Live(Resource::Group);
            let told = [
                (groups, totals(1_000_000 + 7 * n, n), 900_000_000),
                (Cell::Increment(day), totals(20_000_000 + n, 0), 0),
            ];
            seat.settle_on(app(1), &report(app(1), &told), day).await;
            day = day.next();
        }
        seat.store.checkpoint(after(day, 60)).await.unwrap();
        drop(seat);
        let rows: Vec<((i32, u64), Vec<u8>)> = table(&folder, "past_days");
        assert!(rows.len() >= 28);
        let longest = rows.iter().map(|(_, value)| value.len()).max().unwrap();
        println!("a day takes {} bytes", longest + 12);
        assert!(longest + 12 <= 64);
    });
}

#[test]
fn what_is_too_old_goes_some_with_each_checkpoint() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        let first = next_month(today());
        let apps = 5000_u64;
        for n in 1..=apps {
            let groups = Cell::Live(Resource::Group);
            let told = report(app(n), &[(groups, totals(n, 0), 1)]);
            seat.settle_on(app(n), &told, first).await;
        }
        let mut now = first;
        for made in 2..15 {
            now = next_month(now);
            let groups = Cell::Live(Resource::Group);
            let told = report(app(1), &[(groups, totals(made, 0), 1)]);
            seat.settle_on(app(1), &told, now).await;
            seat.store.checkpoint(zone().start_of(now)).await.unwrap();
        }
        let remembered = Some(seat.installation);
        drop(seat);
        let rows_of = |past: &str, number: i32| {
            let rows: Vec<((i32, u64), Vec<u8>)> = table(&folder, past);
            rows.iter().filter(|(key, _)| key.0 == number).count() as u64
        };
        // By that checkpoint the month before was not over yet.
        assert_eq!(rows_of("past_days", first.number()), apps);
        let soon = Day::from_number(now.number() + 5).unwrap();
        for left in [apps - 4096, 0] {
            let seat = folder.sit(remembered).await;
            seat.store.checkpoint(zone().start_of(soon)).await.unwrap();
            drop(seat);
            assert_eq!(rows_of("past_days", first.number()), left);
        }
        assert_eq!(rows_of("past_days", next_month(first).number()), 1);
        assert_eq!(rows_of("past_months", first.month().number()), 1);
    });
}
