//! A bill, and what is to be said beside it.

use super::editions::MonthEditions;
use crate::billing::{Bill, Forecast};
use crate::clock::{self, Day, Month};
use crate::quota::AppId;
use crate::store::MonthHistory;

/// The bill of an app's month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The app.
    pub app: AppId,
    /// The bill.
    pub bill: Bill,
    /// Whether nothing can change it any more.
    pub is_final: bool,
    /// Whether it was written for good.
    pub written: bool,
    /// What is to be known beside the numbers, a sentence each.
    pub notes: Vec<String>,
    /// How the running month may end.
    pub forecast: Option<Forecast>,
}

/// A day's active users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayReport {
    /// The day.
    pub day: Day,
    /// Its distinct active users.
    pub daily_active: u64,
    /// Whether nothing can change it any more.
    pub is_final: bool,
}

/// What is to be known beside the numbers.
pub(super) fn notes(
    history: &MonthHistory,
    editions: &MonthEditions,
    month: Month,
    clock_error_ms: u64,
) -> Vec<String> {
    let mut notes = Vec::new();
    if history.carried_in > 0 && history.groups.day.is_none() {
        notes.push(format!(
            "the highest group count, {}, was carried in from the month before",
            history.groups.count
        ));
    }
    for (day, plan) in &editions.changes {
        notes.push(format!(
            "plan {plan} from {day} on: the edition in force on the day of a peak decides what it costs"
        ));
    }
    for plan in &editions.unknown {
        notes.push(format!(
            "the app had plan {plan}, which the settings do not name any more: it is billed by another"
        ));
    }
    if let (Some(first), Some(last)) = (history.told_again.first(), history.told_again.last()) {
        let when = if first == last {
            format!("on {first}")
        } else {
            format!("between {first} and {last}")
        };
        notes.push(format!(
            "the ledger was told again what it had forgotten, {when}: active users of that time may be missing"
        ));
    }
    if clock_error_ms > clock::ERROR_MAX_MS {
        notes.push(format!(
            "this server's clock is {} s from the ledger's: no bill of {month} is final here",
            clock_error_ms / 1000
        ));
    }
    notes
}
