//! A month's bill.

use rust_decimal::Decimal;

use super::fee::{Item, Line, TooLarge, scaled};
use super::usage::{Editions, MonthUsage, Peak};
use crate::clock::{Day, Month};
use crate::quota::{Currency, GroupBasis, Plan, PlanName, PriceList};

/// The day of the next month on which a bill is due (rule S6).
const DUE_DAY: i8 = 3;

/// A month's bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// The month.
    pub month: Month,
    /// The edition in force at the month's end.
    pub plan: PlanName,
    /// What amounts are in.
    pub currency: Currency,
    /// Plan, daily active users, groups: those that the plan has prices for.
    pub lines: Vec<Line>,
    /// The sum of all lines.
    pub total: Decimal,
    /// When it is due.
    pub due: Day,
}

/// Makes the bill of a month. `waived`: whether the plan's own fee is not due, since the app was activated in it.
///
/// # Errors
/// [`TooLarge`].
pub fn bill(
    usage: &MonthUsage,
    editions: &Editions,
    currency: Currency,
    waived: bool,
) -> Result<Bill, TooLarge> {
    let month = usage.month;
    let last = editions.on(month.last_day());
    let mut lines = Vec::new();
    if let Some(prices) = prices(last, month)
        && !prices.plan.is_zero()
    {
        lines.push(Line::plan(&last.name, prices.plan, waived, currency)?);
    }
    let on = |peak: Peak| editions.on(peak.day.unwrap_or(month.first_day()));
    let plan = on(usage.daily_active);
    if let Some(fee) = prices(plan, month).and_then(|prices| prices.daily_active) {
        let item = Item::DailyActive;
        let line = Line::metered(item, &plan.name, usage.daily_active, &fee, currency)?;
        lines.push(line);
    }
    lines.extend(groups(usage, editions, currency)?);
    let mut total = scaled(Decimal::ZERO, currency)?;
    for line in &lines {
        total = total.checked_add(line.amount).ok_or(TooLarge)?;
    }
    Ok(Bill {
        month,
        plan: last.name.clone(),
        currency,
        lines,
        total: scaled(total, currency)?,
        due: month
            .next()
            .day(DUE_DAY)
            .unwrap_or_else(|| month.last_day()),
    })
}

/// The edition of the peak decides; where it bills the month's end, the edition of that day does. If that one bills
/// the peak, which was another's, it bills what there is at the end.
fn groups(
    usage: &MonthUsage,
    editions: &Editions,
    currency: Currency,
) -> Result<Option<Line>, TooLarge> {
    let month = usage.month;
    let at_end = Peak {
        count: usage.groups_at_end,
        day: Some(usage.as_of),
    };
    let of_peak = editions.on(usage.groups.day.unwrap_or(month.first_day()));
    let of_end = editions.on(month.last_day());
    let fee = |plan: &Plan| prices(plan, month).and_then(|prices| prices.groups);
    let (plan, peak, fee) = match (fee(of_peak), fee(of_end)) {
        (Some((fee, GroupBasis::MonthPeak)), _) => (of_peak, usage.groups, fee),
        (_, Some((fee, GroupBasis::MonthEnd))) | (Some(_), Some((fee, _))) => (of_end, at_end, fee),
        (_, None) | (None, Some(_)) => return Ok(None),
    };
    Line::metered(Item::Groups, &plan.name, peak, &fee, currency).map(Some)
}

/// The price list in force on the month's first day; `None`: nothing is due.
#[must_use]
pub fn prices(plan: &Plan, month: Month) -> Option<&PriceList> {
    let first = month.first_day().date();
    let lists = plan.fees.iter().rev();
    lists.into_iter().find(|list| list.effective_from <= first)
}
