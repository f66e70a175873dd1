//! The month's peaks, from which the bill is made.

use imquota::quota::Resource;
use imquota::store::Cell;

use super::{LedgerUnderTest, Seat, app, limits, next_month, report, today, totals};

const GROUPS: Cell = Cell::Live(Resource::Group);

pub async fn a_peak_follows_the_order_of_settlement<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let of =
        |consumed, released, high| report(app(1), &[(GROUPS, totals(consumed, released), high)]);
    one.settle(app(1), &of(60_000, 0, 60_000)).await;
    two.settle(app(1), &of(40_000, 0, 40_000)).await;
    assert_eq!(one.usage(app(1)).await.month_peak_groups, 100_000);
    // One is disbanded at one member, another made at the other: never more than 100,000.
    two.settle(app(1), &of(40_000, 1, 40_000)).await;
    one.settle(app(1), &of(60_001, 0, 60_001)).await;
    let usage = one.usage(app(1)).await;
    assert_eq!(
        (usage.view.net[1], usage.month_peak_groups),
        (100_000, 100_000)
    );
}

pub async fn a_peak_between_two_reports_counts<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let of =
        |consumed, released, high| report(app(1), &[(GROUPS, totals(consumed, released), high)]);
    two.settle(app(1), &of(50, 0, 50)).await;
    one.settle(app(1), &of(10, 0, 10)).await;
    // Thirty more were made and disbanded since.
    one.settle(app(1), &of(40, 35, 40)).await;
    let usage = one.usage(app(1)).await;
    assert_eq!((usage.view.net[1], usage.month_peak_groups), (55, 90));
}

pub async fn a_report_that_comes_twice_makes_no_peak<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let of =
        |consumed, released, high| report(app(1), &[(GROUPS, totals(consumed, released), high)]);
    one.settle(app(1), &of(10, 0, 10)).await;
    one.settle(app(1), &of(10, 10, 10)).await;
    two.settle(app(1), &of(10, 0, 10)).await;
    // The first two arrive once more: their high is from a time that is settled.
    one.settle(app(1), &of(10, 0, 10)).await;
    one.settle(app(1), &of(10, 10, 10)).await;
    let usage = one.usage(app(1)).await;
    assert_eq!((usage.view.net[1], usage.month_peak_groups), (10, 10));
}

pub async fn an_aborted_hold_leaves_no_peak<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let take = |n| one.wants(app(1), None, (Resource::Group, n), &limits());
    let (stays, goes) = (take(3), take(2));
    one.gets(&stays).await;
    one.answered(&stays, None).await;
    one.gets(&goes).await;
    // What is held at this moment is told, but not kept.
    assert_eq!(one.usage(app(1)).await.month_peak_groups, 5);
    let back = one.returns(app(1), None, (Resource::Group, 1));
    one.release(&back).await;
    one.abort(&goes).await;
    let usage = one.usage(app(1)).await;
    assert_eq!((usage.view.net[1], usage.month_peak_groups), (2, 3));
}

pub async fn records_make_peaks<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let rooms = one.wants(app(1), None, (Resource::AvRoom, 4), &limits());
    one.gets(&rooms).await;
    one.answered(&rooms, None).await;
    let back = one.returns(app(1), None, (Resource::AvRoom, 3));
    one.release(&back).await;
    let group = one.wants(app(1), None, (Resource::Group, 1), &limits());
    one.gets(&group).await;
    let usage = one.usage(app(1)).await;
    assert_eq!((usage.view.net[1], usage.month_peak_groups), (2, 4));
    // Accounts make none.
    let accounts = one.wants(app(1), None, (Resource::Account, 50), &limits());
    one.gets(&accounts).await;
    assert_eq!(one.usage(app(1)).await.month_peak_groups, 4);
}

pub async fn a_month_begins_with_what_is_carried_in<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let (this, next) = (today(), next_month(today()));
    let of =
        |consumed, released, high| report(app(1), &[(GROUPS, totals(consumed, released), high)]);
    one.settle_on(app(1), &of(10, 0, 10), this).await;
    one.settle_on(app(1), &of(10, 4, 10), this).await;
    // Read before the first touch, and after it.
    assert_eq!(one.usage_on(app(1), next).await.month_peak_groups, 6);
    one.settle_on(app(1), &of(10, 5, 6), next).await;
    assert_eq!(one.usage_on(app(1), next).await.month_peak_groups, 6);
    one.settle_on(app(1), &of(13, 5, 8), next).await;
    assert_eq!(one.usage_on(app(1), next).await.month_peak_groups, 8);
    assert_eq!(one.usage_on(app(1), this).await.month_peak_groups, 10);
    // A release is a first touch as well.
    let after = next_month(next);
    let mut back = one.returns(app(1), None, (Resource::Group, 2));
    back.day = after;
    one.release(&back).await;
    let usage = one.usage_on(app(1), after).await;
    assert_eq!((usage.view.net[1], usage.month_peak_groups), (6, 8));
}

pub async fn the_highest_day_is_the_months_peak<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    // Three days of one month, counted from its first.
    let first = next_month(today());
    let (second, third) = (first.next(), first.next().next());
    one.logins(app(1), first, &[1, 2]).await;
    one.logins(app(1), second, &[1, 2, 3, 4]).await;
    one.logins(app(1), third, &[9]).await;
    let usage = one.usage_on(app(1), third).await;
    assert_eq!(usage.daily_active, 1);
    assert_eq!(usage.month_peak_daily_active, 4, "not the sum");
    let later = one.usage_on(app(1), next_month(first)).await;
    assert_eq!(later.month_peak_daily_active, 0);
}
