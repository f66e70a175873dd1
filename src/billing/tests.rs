//! The domain page's worked cases, and what holds for every bill.

use std::sync::Arc;

use jiff::civil::date;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::clock::{Day, Month};
use crate::quota::{Currency, GroupBasis, Limits, MeteredFee, Plan, PlanName, PriceList, built_in};

fn plan(name: &str) -> Arc<Plan> {
    let mut all = built_in().into_iter();
    let found = all.find(|plan| plan.name.as_str() == name);
    Arc::new(found.expect("it is built in"))
}

fn month(text: &str) -> Month {
    Month::parse(text).expect("it is a month")
}

fn peak(count: u64, day: Option<Day>) -> Peak {
    Peak { count, day }
}

/// A month with these peaks, reached on its tenth.
fn usage(daily_active: u64, groups: u64) -> MonthUsage {
    let month = month("2020-05");
    let day = month.day(10);
    MonthUsage {
        month,
        daily_active: peak(daily_active, day),
        groups: peak(groups, day),
        groups_at_end: groups,
        as_of: month.last_day(),
    }
}

fn of(name: &str, usage: &MonthUsage) -> Bill {
    let editions = Editions::always(plan(name));
    bill(usage, &editions, Currency::USD, false).expect("it is small")
}

/// The amount of one item, as it stands on the bill.
fn amount(bill: &Bill, item: Item) -> String {
    let line = bill.lines.iter().find(|line| line.item == item);
    line.map_or("none".into(), |line| line.amount.to_string())
}

#[test]
fn the_worked_cases_of_the_domain_page() {
    for (actives, due) in [
        (9_999, "0.00"),
        (10_000, "0.00"),
        (10_001, "149.99"),
        (20_000, "149.99"),
        (20_001, "299.98"),
        (22_000, "299.98"),
        (25_000, "299.98"),
    ] {
        let bill = of("pro", &usage(actives, 0));
        assert_eq!(amount(&bill, Item::DailyActive), due, "{actives}");
    }
    for (groups, due) in [
        (100_000, "0.00"),
        (100_001, "149.99"),
        (130_000, "149.99"),
        (200_000, "149.99"),
        (202_000, "299.98"),
    ] {
        let bill = of("pro", &usage(0, groups));
        assert_eq!(amount(&bill, Item::Groups), due, "{groups}");
    }
    let bill = of("pro", &usage(22_000, 202_000));
    assert_eq!(bill.total.to_string(), "749.95");
    assert_eq!(amount(&bill, Item::Plan), "149.99");
    assert_eq!(of("flagship", &usage(0, 0)).total.to_string(), "449.99");
}

#[test]
fn a_trial_never_pays() {
    let bill = of("trial", &usage(u64::MAX, u64::MAX));
    assert_eq!(
        (bill.lines.len(), bill.total.to_string()),
        (0, "0.00".into())
    );
}

#[test]
fn a_bill_is_due_on_the_third_of_the_next_month() {
    for (of, due) in [("2020-05", "2020-06-03"), ("2020-12", "2021-01-03")] {
        let usage = MonthUsage {
            month: month(of),
            ..usage(0, 0)
        };
        let editions = Editions::always(plan("pro"));
        let bill = bill(&usage, &editions, Currency::USD, false).expect("it is small");
        assert_eq!(bill.due.to_string(), due);
    }
}

#[test]
fn the_month_of_activation_has_no_plan_fee() {
    let editions = Editions::always(plan("pro"));
    let bill = bill(&usage(22_000, 0), &editions, Currency::USD, true).expect("it is small");
    assert_eq!(amount(&bill, Item::Plan), "0.00");
    assert_eq!(bill.total.to_string(), "299.98");
    let line = &bill.lines[0];
    assert_eq!(
        (line.blocks, line.unit_price.to_string()),
        (0, "149.99".into())
    );
}

#[test]
fn the_edition_of_the_peaks_day_decides() {
    let may = month("2020-05");
    let editions = |change| {
        let day = may.day(change).expect("a day of May");
        Editions::always(plan("trial")).then(day, plan("pro"))
    };
    let total = |change| {
        let usage = usage(22_000, 202_000);
        bill(&usage, &editions(change), Currency::USD, false).expect("it is small")
    };
    // On the tenth it was a pro edition already, or not yet.
    assert_eq!(total(10).total.to_string(), "749.95");
    let later = total(11);
    assert_eq!(later.total.to_string(), "149.99");
    assert_eq!(later.plan.as_str(), "pro");
    // What was carried in belongs to the edition of the first day.
    let carried = MonthUsage {
        groups: peak(202_000, None),
        ..usage(0, 0)
    };
    let bill = bill(&carried, &editions(2), Currency::USD, false).expect("it is small");
    assert_eq!(amount(&bill, Item::Groups), "none");
}

#[test]
fn groups_may_be_billed_as_they_are_at_the_end() {
    let mut pro = (*plan("pro")).clone();
    if let Some((_, basis)) = &mut pro.fees[0].groups {
        *basis = GroupBasis::MonthEnd;
    }
    let editions = Editions::always(Arc::new(pro));
    let usage = MonthUsage {
        groups_at_end: 100_001,
        ..usage(0, 900_000)
    };
    let bill = bill(&usage, &editions, Currency::USD, false).expect("it is small");
    assert_eq!(amount(&bill, Item::Groups), "149.99");
    let line = bill.lines.last().expect("that of the groups");
    assert_eq!(line.peak, peak(100_001, Some(month("2020-05").last_day())));
    // While the month runs they are those of today.
    let today = month("2020-05").day(12).expect("a day of May");
    let usage = MonthUsage {
        as_of: today,
        ..usage
    };
    let running = super::bill(&usage, &editions, Currency::USD, false).expect("it is small");
    let line = running.lines.last().expect("that of the groups");
    assert_eq!(line.peak, peak(100_001, Some(today)));
    let rules = (&editions, Currency::USD, false);
    let ahead = forecast(&usage, 100_001, today, rules).expect("it is small");
    let line = ahead.bill.lines.last().expect("that of the groups");
    assert_eq!(line.peak, peak(100_001, Some(month("2020-05").last_day())));
}

/// A plan with two lists, of which the second doubles the price from the second of a month on.
fn dearer_from(year: i16, on: i8) -> Editions {
    let fee = |cents| MeteredFee {
        free: 0,
        block: 1,
        price: Decimal::new(cents, 2),
    };
    let list = |effective_from, cents| PriceList {
        effective_from,
        plan: Decimal::ZERO,
        daily_active: Some(fee(cents)),
        groups: None,
    };
    Editions::always(Arc::new(Plan {
        name: PlanName::parse("listed").expect("a name"),
        limits: Limits::UNLIMITED,
        fees: vec![list(date(2020, 1, 1), 100), list(date(year, 5, on), 200)],
    }))
}

#[test]
fn the_list_of_the_months_first_day_counts_for_all_of_it() {
    let total = |editions: &Editions, of: &str| {
        let usage = MonthUsage {
            month: month(of),
            ..usage(3, 0)
        };
        let bill = bill(&usage, editions, Currency::USD, false).expect("it is small");
        bill.total.to_string()
    };
    assert_eq!(total(&dearer_from(2020, 1), "2020-05"), "6.00");
    assert_eq!(total(&dearer_from(2020, 2), "2020-05"), "3.00");
    assert_eq!(total(&dearer_from(2020, 2), "2020-06"), "6.00");
    assert_eq!(total(&dearer_from(2020, 2), "2019-12"), "0.00");
}

#[test]
fn amounts_have_the_currencys_places() {
    let editions = dearer_from(2021, 1);
    let usage = MonthUsage {
        month: month("2020-06"),
        ..usage(3, 0)
    };
    for (code, total) in [("USD", "3.00"), ("JPY", "3"), ("KWD", "3.000")] {
        let currency = Currency::parse(code).expect("a code");
        let bill = bill(&usage, &editions, currency, false).expect("it is small");
        assert_eq!(bill.total.to_string(), total);
    }
}

#[test]
fn what_does_not_fit_is_no_number() {
    let fee = MeteredFee {
        free: 0,
        block: 1,
        price: Decimal::new(1_000_000_000_000, 2),
    };
    let dear = Plan {
        name: PlanName::parse("dear").expect("a name"),
        limits: Limits::UNLIMITED,
        fees: vec![PriceList {
            effective_from: date(2020, 1, 1),
            plan: Decimal::ZERO,
            daily_active: Some(fee),
            groups: Some((fee, GroupBasis::MonthPeak)),
        }],
    };
    let editions = Editions::always(Arc::new(dear));
    let of = |count| bill(&usage(count, 0), &editions, Currency::USD, false);
    assert_eq!(of(u64::MAX).err(), Some(TooLarge));
    // A month that would pass the largest count has no forecast.
    let today = month("2020-05").day(2).expect("a day of May");
    let rules = (&editions, Currency::USD, false);
    let ahead = forecast(&usage(0, u64::MAX), 0, today, rules);
    assert_eq!(ahead.err(), Some(TooLarge));
    let largest = of(1_000_000_000_000_000).expect("it fits");
    assert_eq!(largest.total.to_string(), "10000000000000000000000000.00");
}

proptest! {
    #[test]
    fn a_bill_never_falls_when_a_peak_rises(
        low in 0_u64..1_000_000, more in 0_u64..1_000_000, groups in 0_u64..1_000_000,
        free in 0_u64..200_000, block in 1_u64..200_000, cents in 0_i64..1_000_000,
    ) {
        let fee = MeteredFee { free, block, price: Decimal::new(cents, 2) };
        let list = PriceList {
            effective_from: date(2020, 1, 1),
            plan: Decimal::new(cents, 2),
            daily_active: Some(fee),
            groups: Some((fee, GroupBasis::MonthPeak)),
        };
        let name = PlanName::parse("any").expect("a name");
        let plan = Plan { name, limits: Limits::UNLIMITED, fees: vec![list] };
        let editions = Editions::always(Arc::new(plan));
        let of = |actives, groups| bill(&usage(actives, groups), &editions, Currency::USD, false).unwrap();
        let (lower, higher) = (of(low, groups), of(low + more, groups));
        prop_assert!(lower.total <= higher.total);
        let with_groups = of(low, groups + more);
        prop_assert!(lower.total <= with_groups.total);
        for bill in [lower, higher, with_groups] {
            let sum: Decimal = bill.lines.iter().map(|line| line.amount).sum();
            prop_assert_eq!(sum, bill.total);
            for line in &bill.lines {
                let priced = Decimal::from(line.blocks) * line.unit_price;
                prop_assert_eq!(priced, line.amount);
                // In whole cents, by another way: block after block until all is paid for.
                if line.item != Item::Plan {
                    let mut left = line.peak.count.saturating_sub(free);
                    let mut paid = 0;
                    while left > 0 && block > 500 {
                        left = left.saturating_sub(block);
                        paid += cents;
                    }
                    prop_assert!(block <= 500 || line.amount == Decimal::new(paid, 2));
                }
            }
        }
    }
}
