//! A bill, and what is to be said beside it.

use super::editions::MonthEditions;
use crate::billing::{Bill, Forecast};
use crate::clock::{self, Day, Month, Zone};
use crate::quota::AppId;
use crate::store::{Correction, MonthHistory};

/// The most corrected days that a bill names.
const CORRECTIONS_MAX: usize = 5;
/// The most bytes of the reason that it gives.
const WHY_MAX: usize = 120;

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
    /// How often days of the month had been corrected.
    pub revision: u64,
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
    (zone, clock_error_ms): (&Zone, u64),
) -> Vec<String> {
    let mut notes = zones(zone, month);
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
    match history.plans.first() {
        None => notes.push(format!(
            "the ledger knows nothing of the app in {month}: either it is newer, or the ledger has lost that time"
        )),
        Some((since, _)) if *since > month.first_day() => notes.push(format!(
            "the ledger knows the app since {since}: of what was before, users and groups are not here"
        )),
        Some(_) => {}
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
    notes.extend(too_late(&history.too_late));
    notes.extend(corrections(&history.corrections));
    if clock_error_ms > clock::ERROR_MAX_MS {
        notes.push(format!(
            "this server's clock is {} s from the ledger's: no bill of {month} is final here",
            clock_error_ms / 1000
        ));
    }
    notes
}

fn zones(zone: &Zone, month: Month) -> Vec<String> {
    let changes = zone.changed().filter_map(|(from, name)| {
        if from == month {
            Some(format!(
                "days are counted in {name} from this month on, which began when it had begun in the zone before, too"
            ))
        } else if from == month.next() {
            Some(format!(
                "days are counted in {name} from {from} on: this month ends when that has begun in both zones"
            ))
        } else {
            None
        }
    });
    changes.collect()
}

fn too_late(days: &[(Day, u64)]) -> Option<String> {
    let ((first, _), (last, _)) = (days.first()?, days.last()?);
    let users = days
        .iter()
        .fold(0, |all: u64, (_, users)| all.saturating_add(*users));
    let when = if first == last {
        format!("of {first}")
    } else {
        format!("of days between {first} and {last}")
    };
    Some(format!(
        "the ledger was told of {users} active users {when} when those were sealed: they are not counted"
    ))
}

fn corrections(all: &[Correction]) -> Vec<String> {
    let shown = all.iter().take(CORRECTIONS_MAX).map(|of| {
        let counts = [(of.daily_active, "active users"), (of.groups, "groups")];
        let counts = counts
            .iter()
            .filter_map(|(count, of)| count.map(|count| format!("{count} {of}")));
        let counts: Vec<_> = counts.collect();
        let (day, why) = (of.day, &of.why);
        let why = &why[..why.floor_char_boundary(WHY_MAX)];
        format!("{day} was corrected to {}: {why}", counts.join(" and "))
    });
    let mut notes: Vec<_> = shown.collect();
    let others = all.len().saturating_sub(CORRECTIONS_MAX);
    if others > 0 {
        notes.push(format!("{others} other days were corrected"));
    }
    notes
}
