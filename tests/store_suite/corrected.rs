//! Days that an operator corrected.

use std::sync::Arc;

use imquota::clock::{Day, Month};
use imquota::quota::Retention;
use imquota::store::{Amendment, Change, MonthHistory, Operator};

use super::actives::user;
use super::history::{days, later, peak, third};
use super::{LedgerUnderTest, Seat, app, next_month};

/// A seat, and an operator's.
async fn both<L: LedgerUnderTest>(ledger: &L) -> (Seat, Arc<dyn Operator>) {
    let (store, operator) = ledger.both().await;
    (Seat::with(store, 1, None).await, operator)
}

fn amendment(day: Day, revision: u64) -> Amendment {
    Amendment {
        app: app(1),
        day,
        daily_active: None,
        groups: None,
        revision,
        who: "ann".into(),
        why: "a, b: it was \"so\"".into(),
    }
}

fn change(from: u64, to: u64) -> Change {
    Change { from, to }
}

async fn amends(operator: &Arc<dyn Operator>, amendment: &Amendment) {
    assert_eq!(operator.amend(amendment).await, Ok(true));
}

pub async fn a_correction_counts_instead_of_what_was_counted<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, operator) = both(&ledger).await;
    let day = third();
    one.has(app(1), day, (6, 0, 6)).await;
    one.logins(app(1), day, &[user(1), user(2), user(3)]).await;
    one.logins(app(1), later(day, 2), &[user(1), user(2)]).await;
    let now = later(day, 5);
    let told = one.month(app(1), day.month(), now).await;
    assert_eq!(told.day(day.next()).daily_active, 0);
    let first = Amendment {
        daily_active: Some(change(3, 1)),
        ..amendment(day, told.revision)
    };
    amends(&operator, &first).await;
    // The highest day is another one now.
    let told = one.month(app(1), day.month(), now).await;
    assert_eq!(days(&told), [(day, 1, 6), (later(day, 2), 2, 6)]);
    assert_eq!(told.daily_active, peak(2, Some(later(day, 2))));
    assert_eq!((told.groups, told.groups_at_end), (peak(6, Some(day)), 6));
    assert_eq!(one.usage_on(app(1), now).await.month_peak_daily_active, 2);
    // A day of which nothing was known; and once more what was corrected before.
    let second = Amendment {
        daily_active: Some(change(0, 9)),
        ..amendment(day.next(), told.revision)
    };
    amends(&operator, &second).await;
    let third = Amendment {
        daily_active: Some(change(1, 4)),
        groups: Some(change(6, 7)),
        ..amendment(day, told.revision + 1)
    };
    amends(&operator, &third).await;
    let told = one.month(app(1), day.month(), now).await;
    let expected = [(day, 4, 7), (day.next(), 9, 6), (later(day, 2), 2, 6)];
    assert_eq!(days(&told), expected);
    assert_eq!(told.daily_active, peak(9, Some(day.next())));
    assert_eq!(told.groups, peak(7, Some(day)));
    let corrected: Vec<_> = told
        .corrections
        .iter()
        .map(|of| (of.day, of.daily_active))
        .collect();
    assert_eq!(corrected, [(day, Some(4)), (day.next(), Some(9))]);
    assert_eq!(&*told.corrections[0].why, "a, b: it was \"so\"");
    // What comes on other days counts on top.
    one.logins(app(1), now, &(0..12).map(user).collect::<Vec<_>>())
        .await;
    one.has(app(1), now, (8, 0, 8)).await;
    let told = one.month(app(1), day.month(), now).await;
    assert_eq!(told.daily_active, peak(12, Some(now)));
    assert_eq!((told.groups, told.groups_at_end), (peak(8, Some(now)), 8));
    // Each is in the audit list.
    let entries = operator.audit(Some(app(1)), 10).await.unwrap();
    let mut entries: Vec<_> = entries
        .iter()
        .map(|entry| {
            assert_eq!((&*entry.who, &*entry.what), ("ann", "correct"));
            (&*entry.subject, entry.from, entry.to)
        })
        .collect();
    entries.sort_unstable();
    let of = |day: Day, name: &str| format!("{day} {name}");
    let mut expected = [
        (&*of(day, "daily_active"), Some(3), Some(1)),
        (&*of(day.next(), "daily_active"), Some(0), Some(9)),
        (&*of(day, "daily_active"), Some(1), Some(4)),
        (&*of(day, "groups"), Some(6), Some(7)),
    ];
    expected.sort_unstable();
    assert_eq!(entries, expected);
}

pub async fn a_correction_of_groups_lowers_what_a_day_began_and_ended_with<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, operator) = both(&ledger).await;
    let first = next_month(third());
    // An import that was made twice, over the end of a month, and taken back.
    one.has(app(1), later(first, -2), (10, 0, 10)).await;
    one.has(app(1), later(first, -1), (90, 0, 90)).await;
    one.has(app(1), first, (90, 80, 90)).await;
    let month = later(first, -1).month();
    let now = later(first, 4);
    let wrong = one.month(app(1), first.month(), now).await;
    assert_eq!((wrong.carried_in, wrong.groups), (90, peak(90, None)));
    let groups = |day, revision| Amendment {
        groups: Some(change(90, 10)),
        ..amendment(day, revision)
    };
    amends(&operator, &groups(later(first, -1), 0)).await;
    amends(&operator, &groups(first, 0)).await;
    let told = one.month(app(1), month, now).await;
    assert_eq!(told.groups, peak(10, Some(later(first, -2))));
    assert_eq!(told.groups_at_end, 10);
    let told = one.month(app(1), first.month(), now).await;
    assert_eq!((told.carried_in, told.groups), (10, peak(10, None)));
    assert_eq!(
        (told.groups_at_end, told.day(first.next()).groups),
        (10, 10)
    );
    assert_eq!(one.usage_on(app(1), now).await.month_peak_groups, 10);
    // An app that nobody knew anything of that month.
    let idle = Amendment {
        app: app(2),
        groups: Some(change(0, 5)),
        ..amendment(first, 0)
    };
    amends(&operator, &idle).await;
    let told = one.month(app(2), first.month(), now).await;
    assert_eq!((told.groups, told.groups_at_end), (peak(5, Some(first)), 0));
}

pub async fn two_who_correct_at_once_are_told<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, operator) = both(&ledger).await;
    let day = third();
    one.logins(app(1), day, &[user(1)]).await;
    let mine = Amendment {
        daily_active: Some(change(1, 2)),
        ..amendment(day, 0)
    };
    let other = Amendment {
        daily_active: Some(change(1, 3)),
        ..mine.clone()
    };
    amends(&operator, &mine).await;
    assert_eq!(operator.amend(&other).await, Ok(false));
    let told = one.month(app(1), day.month(), day).await;
    assert_eq!((told.revision, told.daily_active.count), (1, 2));
    assert_eq!(operator.audit(Some(app(1)), 10).await.unwrap().len(), 1);
    // Another month is another matter.
    assert_eq!(
        one.month(app(1), next_month(day).month(), day)
            .await
            .revision,
        0
    );
}

pub async fn a_corrected_month_keeps_its_peaks_when_its_days_go<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, operator) = both(&ledger).await;
    let day = third();
    one.has(app(1), day, (50, 10, 50)).await;
    one.logins(app(1), day.next(), &[user(1), user(2)]).await;
    let wrong = Amendment {
        daily_active: Some(change(2, 1)),
        ..amendment(day.next(), 0)
    };
    amends(&operator, &wrong).await;
    let wrong = Amendment {
        groups: Some(change(50, 45)),
        ..amendment(day, 1)
    };
    amends(&operator, &wrong).await;
    let mut now = day;
    let kept = Retention::default();
    for _ in 0..=kept.days() {
        now = later(next_month(now), 2);
        one.has(app(1), now, (51, 10, 51)).await;
        one.has(app(1), now.next(), (51, 11, 41)).await;
        one.store
            .checkpoint(super::zone().start_of(now))
            .await
            .unwrap();
        let told = one.month(app(1), day.month(), now).await;
        assert_eq!(told.groups, peak(45, Some(day)));
        assert_eq!(told.daily_active, peak(1, Some(day.next())));
        assert_eq!((told.groups_at_end, told.corrections.len()), (40, 2));
    }
    assert_eq!(one.month(app(1), day.month(), now).await.days, []);
    // It goes with its month.
    let last = Month::from_number(day.month().number() + kept.months()).unwrap();
    let told = one.month(app(1), day.month(), last.first_day()).await;
    assert_eq!(told, MonthHistory::default());
}
