//! Plans, bills, the list of apps, and for how long the past is kept.

use imquota::clock::Month;
use imquota::quota::{AppId, Resource, Retention};
use imquota::store::{BILL_BYTES_MAX, MonthHistory, PLANS_MAX, StoreFault};

use super::actives::user;
use super::history::{days, later, peak, third};
use super::{LedgerUnderTest, Seat, app, limits, next_month, today};

pub async fn plans_are_told_by_the_days_on_which_they_changed<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    let day = third();
    let plans = |told: MonthHistory| {
        let plans = told.plans.into_iter();
        plans
            .map(|(day, name)| (day, name.to_string()))
            .collect::<Vec<_>>()
    };
    let of = |day, name: &str| (day, name.to_owned());
    one.has_plan(app(1), day, "trial").await;
    // The same again, whoever says it.
    two.has_plan(app(1), day.next(), "trial").await;
    let told = one.month(app(1), day.month(), day).await;
    assert_eq!(plans(told), [of(day, "trial")]);
    // Twice on a day: the last one.
    one.has_plan(app(1), later(day, 2), "pro").await;
    two.has_plan(app(1), later(day, 2), "flagship").await;
    // And back again on the next.
    one.has_plan(app(1), later(day, 4), "pro").await;
    two.has_plan(app(1), later(day, 4), "flagship").await;
    let told = one.month(app(1), day.month(), later(day, 4)).await;
    let both = [of(day, "trial"), of(later(day, 2), "flagship")];
    assert_eq!(plans(told), both);
    // A month begins with the one in force; one that comes on its first day is the one.
    let next = next_month(day);
    let told = one.month(app(1), next.month(), next).await;
    assert_eq!(plans(told), [both[1].clone()]);
    one.has_plan(app(1), next.next(), "pro").await;
    let told = one.month(app(1), next.month(), next.next()).await;
    assert_eq!(plans(told), [both[1].clone(), of(next.next(), "pro")]);
    let after = next_month(next);
    one.has_plan(app(1), after, "trial").await;
    let told = one.month(app(1), after.month(), after).await;
    assert_eq!(plans(told), [of(after, "trial")]);
    let before = one.month(app(1), today().month(), after).await;
    assert_eq!(plans(before), []);
    // The oldest go.
    for n in 1..=PLANS_MAX {
        let day = later(after, i32::try_from(n).unwrap());
        one.has_plan(app(1), day, &format!("plan-{n}")).await;
    }
    let now = later(after, 70);
    let told = one.month(app(1), after.month(), now).await;
    assert_eq!(plans(told)[0], of(after.next(), "plan-1"));
    // A plan counts nothing.
    assert_eq!(one.usage(app(1)).await.view.net, [0; 4]);
}

pub async fn a_bill_is_written_once<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (store, operator) = ledger.both().await;
    let one = Seat::with(store, 1, None).await;
    let day = third();
    one.has(app(1), day, (3, 0, 3)).await;
    let (month, now) = (day.month(), next_month(day));
    assert_eq!(one.month(app(1), month, now).await.bill, None);
    let bill = "{\"total\": \"149.99\"}\n";
    let (written, first) = operator
        .write_bill(app(1), month, bill, "ann")
        .await
        .unwrap();
    assert_eq!((&*written, first), (bill, true));
    let (written, first) = operator
        .write_bill(app(1), month, "other", "bob")
        .await
        .unwrap();
    assert_eq!((&*written, first), (bill, false));
    assert_eq!(
        one.month(app(1), month, now).await.bill.as_deref(),
        Some(bill)
    );
    assert_eq!(one.month(app(1), now.month(), now).await.bill, None);
    assert_eq!(one.month(app(2), month, now).await.bill, None);
    let entries = operator.audit(Some(app(1)), 10).await.unwrap();
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((&*entry.who, &*entry.what), ("ann", "bill"));
    assert_eq!(&*entry.subject, &month.to_string());
    assert_eq!((entry.from, entry.to), (None, None));
    let long = "x".repeat(BILL_BYTES_MAX + 1);
    let refused = operator.write_bill(app(1), now.month(), &long, "ann").await;
    assert!(
        matches!(refused, Err(StoreFault::Unusable(_))),
        "{refused:?}"
    );
    let longest = &long[1..];
    let (written, _) = operator
        .write_bill(app(1), now.month(), longest, "ann")
        .await
        .unwrap();
    assert_eq!(&*written, longest);
}

pub async fn all_apps_are_listed_in_order<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (store, operator) = ledger.both().await;
    let one = Seat::with(store, 1, None).await;
    assert_eq!(operator.apps().await.unwrap(), []);
    // Whatever is known of them: totals, logins, records, plans.
    let told = |n: u64| app(n * 7919);
    for n in [9, 4, 7] {
        one.has(told(n), today(), (n, 0, 1)).await;
    }
    one.logins(told(3), today(), &[user(1)]).await;
    one.gets(&one.wants(told(8), None, (Resource::Account, 1), &limits()))
        .await;
    one.has_plan(told(2), today(), "pro").await;
    // One that was only read is none.
    one.usage(told(1)).await;
    one.month(told(1), today().month(), today()).await;
    let expected: Vec<AppId> = [2, 3, 4, 7, 8, 9].map(told).to_vec();
    assert_eq!(operator.apps().await.unwrap(), expected);
    one.store.checkpoint(super::now()).await.unwrap();
    assert_eq!(operator.apps().await.unwrap(), expected);
}

pub async fn days_and_months_are_kept_for_their_time<L: LedgerUnderTest>() {
    let kept = Retention::default();
    assert_eq!((kept.days(), kept.months()), (13, 120));
    is_kept(L::fresh().await, kept).await;
}

pub async fn days_and_months_are_kept_as_long_as_is_chosen<L: LedgerUnderTest>() {
    let kept = Retention::of(3, 15).unwrap();
    is_kept(L::keeping(kept).await, kept).await;
}

async fn is_kept<L: LedgerUnderTest>(ledger: L, kept: Retention) {
    let (store, operator) = ledger.both().await;
    assert_eq!(store.retention(), kept);
    let one = Seat::with(store, 1, None).await;
    // In each month one more group is made, and somebody logs in on the day after.
    let mut known = vec![third()];
    for made in 1.. {
        let day = known[known.len() - 1];
        one.has(app(1), day, (made, 0, made.cast_signed())).await;
        one.logins(app(1), day.next(), &[user(made)]).await;
        let written = operator.write_bill(app(1), day.month(), "a bill", "ann");
        assert!(written.await.unwrap().1);
        let log_from = super::zone().start_of(day);
        one.store.checkpoint(log_from).await.unwrap();
        if made > kept.days().cast_unsigned().into() {
            break;
        }
        known.push(later(next_month(day), 2));
    }
    let newest = known[known.len() - 1];
    let with_days = newest.month().number() - kept.days();
    for (made, &day) in (1..).zip(&known) {
        let told = one.month(app(1), day.month(), newest.next()).await;
        let both = [(day, 0, made), (day.next(), 1, made)];
        let kept = day.month().number() > with_days;
        assert_eq!(days(&told), if kept { &both[..] } else { &[] });
        assert_eq!((told.carried_in, told.groups_at_end), (made - 1, made));
        assert_eq!(told.groups, peak(made, Some(day)));
        assert_eq!(told.daily_active, peak(1, Some(day.next())));
        assert_eq!(told.bill.as_deref(), Some("a bill"));
    }
    // Months go later, and bills with them; whatever was swept until then.
    let last = Month::from_number(known[0].month().number() + kept.months()).unwrap();
    let now = later(last.first_day(), 5);
    for _ in 0..2 {
        let first = one.month(app(1), known[0].month(), now).await;
        assert_eq!(first, MonthHistory::default());
        let second = one.month(app(1), known[1].month(), now).await;
        assert_eq!((second.groups.count, second.days), (2, Vec::new()));
        assert!(second.bill.is_some());
        let idle = one.month(app(1), last, now).await;
        assert_eq!(idle.carried_in, known.len() as u64);
        let log_from = super::zone().start_of(now);
        one.store.checkpoint(log_from).await.unwrap();
    }
}
