//! How both ledgers tell what they keep of the past.

use crate::clock::{Day, Month};
use crate::quota::{PlanName, Retention};
use crate::store::{BILL_BYTES_MAX, PLANS_MAX, StoreFault};

/// How much earlier than an app's last change of groups one may be said to be, in days, and still come after it: a
/// call is answered within minutes, but may be told again after its member's restart. An app whose last change was
/// further ahead had it by a wrong clock.
pub(super) const LATE_DAYS: i32 = 3;

/// A day as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeptDay {
    pub(super) day: Day,
    /// Its active users, increments included.
    pub(super) daily_active: u64,
    /// If groups came or went on it: their highest net count, the one it began with included, and the last.
    pub(super) groups: Option<(u64, u64)>,
}

impl KeptDay {
    /// A day on which nothing is known to have happened.
    pub(super) fn new(day: Day) -> Self {
        Self {
            day,
            daily_active: 0,
            groups: None,
        }
    }
}

/// Whether anything of the month is told on a day.
pub(super) fn keeps_month(kept: Retention, month: Month, today: Day) -> bool {
    month.number() > today.month().number() - kept.months()
}

/// Whether the month's days are.
pub(super) fn keeps_days(kept: Retention, month: Month, today: Day) -> bool {
    month.number() > today.month().number() - kept.days()
}

/// The plan in force when the month began, and those that came in it.
pub(super) fn plans_of(all: &[(Day, PlanName)], month: Month) -> Vec<(Day, PlanName)> {
    let begun = all.partition_point(|(from, _)| *from <= month.first_day());
    let past = all.partition_point(|(from, _)| *from <= month.last_day());
    all[begun.saturating_sub(1)..past].to_vec()
}

/// Takes note of the plan that an app has from `today` on. Of one day the last change counts; what changes nothing
/// is none.
pub(super) fn note_plan(plans: &mut Vec<(Day, PlanName)>, today: Day, plan: &PlanName) {
    if plans.last().is_some_and(|(_, last)| last == plan) {
        return;
    }
    let mut from = today;
    if let Some((last, _)) = plans.pop_if(|(last, _)| *last >= today) {
        from = last;
    }
    if plans.last().is_none_or(|(_, last)| last != plan) {
        plans.push((from, plan.clone()));
    }
    plans.drain(..plans.len().saturating_sub(PLANS_MAX));
}

/// A bill that is too long for a ledger is a fault of the caller.
pub(super) fn check_bill(bill: &str) -> Result<(), StoreFault> {
    if bill.is_empty() || bill.len() > BILL_BYTES_MAX {
        return Err(StoreFault::Unusable(format!(
            "a bill of {} bytes: the ledger keeps from 1 to {BILL_BYTES_MAX}",
            bill.len()
        )));
    }
    Ok(())
}
