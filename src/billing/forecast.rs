//! How a running month may end.

use super::bill::{Bill, bill};
use super::fee::TooLarge;
use super::usage::{Editions, MonthUsage, Peak};
use crate::clock::Day;
use crate::quota::Currency;

/// A running month's end, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// The bill then.
    pub bill: Bill,
    /// What it assumes, in a sentence.
    pub assumes: String,
}

/// Goes on as the month went until `today`: groups grow by as many a day as they did so far, no day has more
/// active users than the highest until now, and the edition stays.
///
/// # Errors
/// [`TooLarge`].
pub fn forecast(
    usage: &MonthUsage,
    carried_in: u64,
    today: Day,
    (editions, currency, waived): (&Editions, Currency, bool),
) -> Result<Forecast, TooLarge> {
    let last = usage.month.last_day();
    let gone = span(usage.month.first_day(), today) + 1;
    let left = span(today, last);
    let gained = usage.groups_at_end.saturating_sub(carried_in);
    // The growth of all days that are left, up to a whole group.
    let growth = u128::from(gained) * u128::from(left);
    let growth = u64::try_from(growth.div_ceil(u128::from(gone))).map_err(|_| TooLarge)?;
    let groups_at_end = usage.groups_at_end.checked_add(growth).ok_or(TooLarge)?;
    let groups = if groups_at_end > usage.groups.count {
        Peak {
            count: groups_at_end,
            day: Some(last),
        }
    } else {
        usage.groups
    };
    let then = MonthUsage {
        groups,
        groups_at_end,
        as_of: last,
        ..*usage
    };
    let pace = if growth == 0 {
        "groups do not grow, as in this month so far".to_owned()
    } else {
        format!("groups grow by {growth} in the {left} days left, as they did so far")
    };
    Ok(Forecast {
        bill: bill(&then, editions, currency, waived)?,
        assumes: format!(
            "{pace}; no day has more active users than {}; the edition stays",
            usage.daily_active.count
        ),
    })
}

/// Days from one to another, not negative.
fn span(from: Day, to: Day) -> u64 {
    u64::try_from(to.number().saturating_sub(from.number())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Month;
    use crate::quota::built_in;

    #[test]
    fn groups_go_on_at_their_pace_and_the_highest_day_stays() {
        let month = Month::parse("2026-11").expect("it is a month");
        let day = |number| month.day(number).expect("a day of November");
        let usage = MonthUsage {
            month,
            daily_active: Peak {
                count: 22_000,
                day: Some(day(3)),
            },
            groups: Peak {
                count: 60_000,
                day: Some(day(10)),
            },
            groups_at_end: 60_000,
            as_of: day(10),
        };
        let [_, pro, _] = built_in();
        let editions = Editions::always(Arc::new(pro));
        let on = |today, carried| {
            let rules = (&editions, Currency::USD, false);
            forecast(&usage, carried, day(today), rules).expect("it is small")
        };
        // 30,000 in ten days are 60,000 more in the twenty that are left.
        let grown = on(10, 30_000);
        let groups = grown.bill.lines.last().expect("that of the groups");
        assert_eq!((groups.peak.count, groups.blocks), (120_000, 1));
        assert_eq!(groups.peak.day, Some(month.last_day()));
        assert_eq!(grown.bill.total.to_string(), "599.96");
        assert!(grown.assumes.contains("60000 in the 20 days left"));
        // What falls does not fall below what was reached.
        let fallen = on(10, 90_000);
        let groups = fallen.bill.lines.last().expect("that of the groups");
        assert_eq!(groups.peak, usage.groups);
        // On the last day nothing is left to come.
        assert_eq!(on(30, 30_000).bill.total.to_string(), "449.97");
    }
}
