//! What is kept of the past: days and months.

use imquota::billing::Peak;
use imquota::clock::{Day, Month};
use imquota::quota::{AppId, PlanName, Resource};
use imquota::store::{AppReport, Cell, DayHistory, MonthHistory, Report};

use super::actives::user;
use super::{LedgerUnderTest, Seat, app, app_report, limits, next_month, report, today, totals};

const GROUPS: Cell = Cell::Live(Resource::Group);

/// The third day of the month after this one: there are days before it in its month.
pub fn third() -> Day {
    next_month(today()).next().next()
}

pub fn later(day: Day, days: i32) -> Day {
    Day::from_number(day.number() + days).unwrap()
}

pub fn peak(count: u64, day: Option<Day>) -> Peak {
    Peak { count, day }
}

/// Days as (day, users, groups).
pub fn days(history: &MonthHistory) -> Vec<(Day, u64, u64)> {
    let told = |of: &DayHistory| (of.day, of.daily_active, of.groups);
    history.days.iter().map(told).collect()
}

impl Seat {
    /// What is told of an app's month on a day.
    pub async fn month(&self, app: AppId, month: Month, today: Day) -> MonthHistory {
        let told = self.store.month(app, month, today, super::now()).await;
        told.unwrap()
    }

    /// Says on a day how many groups it has made and disbanded in all, and had at most since it last said so.
    pub async fn has(&self, app: AppId, day: Day, (made, disbanded, high): (u64, u64, i64)) {
        let told = report(app, &[(GROUPS, totals(made, disbanded), high)]);
        self.settle_on(app, &told, day).await;
    }

    /// Says on a day which plan an app has.
    pub async fn has_plan(&self, app: AppId, day: Day, name: &str) {
        let told = AppReport {
            plan: PlanName::parse(name),
            ..app_report(app, Vec::new())
        };
        let told = Report {
            apps: vec![told],
            ..Report::default()
        };
        self.settle_on(app, &told, day).await;
    }
}

pub async fn days_are_told_in_the_order_of_settlement<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let day = third();
    one.has(app(1), day, (60, 0, 60)).await;
    two.has(app(1), day, (40, 0, 40)).await;
    // One is disbanded at one member, another made at the other: never more than 100.
    two.has(app(1), day, (40, 1, 40)).await;
    one.has(app(1), day, (61, 0, 61)).await;
    // The next day begins with what is there, and has thirty more for a while.
    one.has(app(1), day.next(), (91, 41, 91)).await;
    // Of the day after nothing is told but logins: it is as the one before ended.
    one.logins(app(1), later(day, 2), &[user(1), user(2)]).await;
    two.has(app(1), later(day, 3), (40, 21, 19)).await;
    let told = one.month(app(1), day.month(), later(day, 3)).await;
    let expected = [
        (day, 0, 100),
        (day.next(), 0, 130),
        (later(day, 2), 2, 89),
        (later(day, 3), 0, 89),
    ];
    assert_eq!(days(&told), expected);
    assert_eq!(told.groups, peak(130, Some(day.next())));
    assert_eq!(told.daily_active, peak(2, Some(later(day, 2))));
    assert_eq!((told.carried_in, told.groups_at_end), (0, 69));
    // Reports that come again, or say nothing new, leave nothing.
    two.has(app(1), later(day, 5), (40, 21, 40)).await;
    assert_eq!(one.month(app(1), day.month(), later(day, 5)).await, told);
}

pub async fn what_is_held_is_of_no_day<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let group = |n| one.wants(app(1), None, (Resource::Group, n), &limits());
    let (kept, gone) = (group(3), group(5));
    one.gets(&kept).await;
    one.gets(&gone).await;
    let until = super::now().plus(60_000);
    let held = super::reserving(
        one.wants(app(1), Some("held"), (Resource::Group, 7), &limits()),
        until,
    );
    one.gets(&held).await;
    one.answered(&held, None).await;
    let month = today().month();
    let told = one.month(app(1), month, today()).await;
    assert_eq!((told.days, told.groups), (Vec::new(), Peak::default()));
    // What waits for its answer is there now; what is reserved is not.
    assert_eq!(told.groups_at_end, 8);
    one.answered(&kept, None).await;
    one.abort(&gone).await;
    let told = one.month(app(1), month, today()).await;
    assert_eq!(days(&told), [(today(), 0, 3)]);
    assert_eq!((told.groups.count, told.groups_at_end), (3, 3));
    // A day that begins with a release had what was there before it.
    let mut back = one.returns(app(1), None, (Resource::Group, 2));
    back.day = today().next();
    one.release(&back).await;
    let of = back.day.month();
    let told = one.month(app(1), of, back.day).await;
    assert_eq!(days(&told).last(), Some(&(back.day, 0, 3)));
    assert_eq!(told.groups_at_end, 1);
}

pub async fn a_report_after_midnight_is_of_the_day_that_has_begun<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    // Midnight between two months.
    let first = next_month(today());
    let last = later(first, -1);
    one.has(app(1), last, (10, 0, 10)).await;
    one.has(app(1), first, (12, 0, 12)).await;
    // Its clock has the old month still.
    two.has(app(1), last, (5, 0, 5)).await;
    let mut back = two.returns(app(1), None, (Resource::Group, 4));
    back.day = last;
    two.release(&back).await;
    let told = one.month(app(1), last.month(), first).await;
    assert_eq!(days(&told).last(), Some(&(last, 0, 10)));
    assert_eq!((told.groups.count, told.groups_at_end), (10, 10));
    let told = one.month(app(1), first.month(), first).await;
    assert_eq!(days(&told), [(first, 0, 17)]);
    assert_eq!((told.carried_in, told.groups_at_end), (10, 13));
    assert_eq!(told.groups, peak(17, Some(first)));
}

pub async fn a_login_ahead_of_midnight_begins_no_month<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let first = next_month(today());
    let last = later(first, -1);
    one.has(app(1), last, (10, 0, 10)).await;
    one.logins(app(1), first, &[user(1)]).await;
    one.has(app(1), last, (15, 0, 15)).await;
    let told = one.month(app(1), first.month(), first).await;
    assert_eq!((told.carried_in, told.groups), (15, peak(15, None)));
    assert_eq!(days(&told), [(first, 1, 15)]);
    assert_eq!(one.usage_on(app(1), first).await.month_peak_groups, 15);
    // What comes then is of the new month.
    one.has(app(1), first, (15, 3, 15)).await;
    let told = one.month(app(1), first.month(), first).await;
    assert_eq!((told.carried_in, told.groups_at_end), (15, 12));
    let told = one.month(app(1), last.month(), first).await;
    assert_eq!((told.groups.count, told.groups_at_end), (15, 15));
}

pub async fn what_is_carried_in_has_no_day<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let day = third();
    let next = later(next_month(day), 4);
    one.has(app(1), day, (20, 0, 20)).await;
    one.has(app(1), next, (20, 5, 20)).await;
    let told = one.month(app(1), next.month(), next).await;
    assert_eq!((told.carried_in, told.groups), (20, peak(20, None)));
    assert_eq!(days(&told), [(next, 0, 20)]);
    // Reached again it is no new peak; one more is.
    one.has(app(1), next.next(), (25, 5, 20)).await;
    let groups = one.month(app(1), next.month(), next.next()).await.groups;
    assert_eq!(groups, peak(20, None));
    one.has(app(1), next.next(), (26, 5, 21)).await;
    let groups = one.month(app(1), next.month(), next.next()).await.groups;
    assert_eq!(groups, peak(21, Some(next.next())));
}

pub async fn a_month_without_an_event_is_like_the_end_of_the_one_before<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let day = third();
    one.has(app(1), day, (9, 2, 8)).await;
    let idle = MonthHistory {
        carried_in: 7,
        groups: peak(7, None),
        groups_at_end: 7,
        ..MonthHistory::default()
    };
    let (first, second) = (next_month(day), next_month(next_month(day)));
    let third = next_month(second);
    for now in [first, second, third] {
        assert_eq!(one.month(app(1), first.month(), now).await, idle);
    }
    one.has(app(1), third, (10, 2, 8)).await;
    for month in [first.month(), second.month()] {
        assert_eq!(one.month(app(1), month, third).await, idle);
    }
    let told = one.month(app(1), third.month(), third).await;
    assert_eq!((told.carried_in, told.groups_at_end), (7, 8));
    // Before the first event there was nothing; of an app that nobody knows there is nothing.
    let before = today().month();
    let nothing = MonthHistory::default();
    assert_eq!(one.month(app(1), before, third).await, nothing);
    assert_eq!(one.month(app(2), third.month(), third).await, nothing);
    // Accounts are no event of groups, logins are none either.
    one.logins(app(3), day, &[user(1)]).await;
    one.has(app(3), second, (4, 0, 4)).await;
    let told = one.month(app(3), day.month(), third).await;
    assert_eq!(days(&told), [(day, 1, 0)]);
    assert_eq!((told.groups, told.groups_at_end), (Peak::default(), 0));
}

pub async fn logins_that_come_late_are_of_their_own_day<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let first = next_month(today());
    let last = later(first, -1);
    one.has(app(1), last, (6, 0, 6)).await;
    one.logins(app(1), first, &[user(1)]).await;
    one.has(app(1), first, (9, 0, 9)).await;
    one.logins(app(1), last, &[user(1), user(2), user(3)]).await;
    let increments = report(app(1), &[(Cell::Increment(last), totals(4, 0), 0)]);
    one.settle_on(app(1), &increments, first).await;
    let told = one.month(app(1), last.month(), first).await;
    assert_eq!(days(&told).last(), Some(&(last, 7, 6)));
    assert_eq!(told.daily_active, peak(7, Some(last)));
    let told = one.month(app(1), first.month(), first).await;
    assert_eq!(days(&told), [(first, 1, 9)]);
    assert_eq!(told.daily_active, peak(1, Some(first)));
}

pub async fn a_clock_that_was_far_ahead_takes_no_later_day<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let day = third();
    one.has(app(1), later(day, 400), (5, 0, 5)).await;
    one.has(app(1), day, (8, 0, 8)).await;
    one.has(app(1), day.next(), (9, 0, 9)).await;
    let told = one.month(app(1), day.month(), day.next()).await;
    assert_eq!(days(&told), [(day, 0, 8), (day.next(), 0, 9)]);
    assert_eq!((told.carried_in, told.groups_at_end), (5, 9));
    let told = one
        .month(app(1), next_month(day).month(), next_month(day))
        .await;
    assert_eq!((told.carried_in, told.groups), (9, peak(9, None)));
}
