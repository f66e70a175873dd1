//! Daily active users: distinct, exact, whoever reports them.

use imquota::store::Cell;

use super::{LedgerUnderTest, Seat, app, report, today, totals};

/// A hash that looks like one: stores may use any of its bits.
pub fn user(number: u64) -> u128 {
    let mix = |salt: u64| {
        let mixed = (number ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    u128::from(mix(0)) << 64 | u128::from(mix(0x5555_5555_5555_5555))
}

pub async fn a_user_is_one_however_often_and_wherever<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let users = [user(1), user(2)];
    assert_eq!(
        one.logins(app(1), today(), &users).await,
        (vec![true; 2], 2)
    );
    assert_eq!(
        two.logins(app(1), today(), &users).await,
        (vec![false; 2], 2)
    );
    let (newly, count) = two.logins(app(1), today(), &[user(2), user(3)]).await;
    assert_eq!((newly, count), (vec![false, true], 3));
    let usage = one.usage(app(1)).await;
    assert_eq!(usage.daily_active, 3);
    assert_eq!(usage.month_peak_daily_active, 3);
}

pub async fn a_user_twice_in_one_call_is_new_once<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let users = [user(1), user(2), user(1)];
    let (newly, count) = one.logins(app(1), today(), &users).await;
    assert_eq!((newly, count), (vec![true, true, false], 2));
    // The extremes of both halves are users like all others.
    let edges = [0, u128::MAX, 1 << 64, 1 << 63, u128::from(u64::MAX)];
    let (newly, count) = one.logins(app(1), today(), &edges).await;
    assert_eq!((newly, count), (vec![true; 5], 7));
}

pub async fn days_and_apps_have_users_of_their_own<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let (today, tomorrow) = (today(), today().next());
    for (app, day) in [(app(1), today), (app(1), tomorrow), (app(2), today)] {
        assert_eq!(one.logins(app, day, &[user(1)]).await, (vec![true], 1));
    }
    assert_eq!(one.usage_on(app(1), tomorrow).await.daily_active, 1);
    assert_eq!(one.usage_on(app(2), tomorrow).await.daily_active, 0);
}

pub async fn increments_add_to_the_users<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let today = today();
    let of = |total| report(app(1), &[(Cell::Increment(today), totals(total, 0), 0)]);
    one.logins(app(1), today, &[user(1)]).await;
    one.settle(app(1), &of(10)).await;
    one.settle(app(1), &of(30)).await;
    one.settle(app(1), &of(20)).await;
    two.settle(app(1), &of(5)).await;
    let usage = one.usage(app(1)).await;
    assert_eq!((usage.daily_active, usage.my_increment), (36, 30));
    assert_eq!(usage.month_peak_daily_active, 36);
    assert_eq!(two.usage(app(1)).await.my_increment, 5);
    let (newly, count) = two.logins(app(1), today, &[user(2)]).await;
    assert_eq!((newly, count), (vec![true], 37));
    assert_eq!(usage.view.net, [0; 4], "users are no groups");
}

pub async fn many_users_are_counted_exactly<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    // Both members see 6,000 users, 2,000 of them the same.
    for (seat, from) in [(&one, 0), (&two, 4000)] {
        let users: Vec<u128> = (from..from + 6000).map(user).collect();
        for some in users.chunks(500) {
            seat.logins(app(1), today(), some).await;
        }
    }
    assert_eq!(one.usage(app(1)).await.daily_active, 10_000);
}
