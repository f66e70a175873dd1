//! What is kept of an app's past: its days, its months, the plans that it had, and the bills that were written.

use crate::billing::Peak;
use crate::clock::{Day, Millis};
use crate::quota::{AppId, PlanName};

/// For how long after its end a day takes events from gateways (domain page).
pub const DAY_TAKES_MS: i64 = 48 * 3_600_000;
/// For how long after that the ledger takes what sidecars were told before: longer than a total waits to be
/// settled, and than most outages of a ledger last. Then the day is sealed.
pub const SEAL_MARGIN_MS: i64 = 3_600_000;
/// How long after its end a day is sealed: from then on an operator alone changes it.
pub const SEALED_AFTER_MS: i64 = DAY_TAKES_MS + SEAL_MARGIN_MS;

/// The most changes of plan that are kept of an app; the oldest go first.
pub const PLANS_MAX: usize = 64;
/// The most bytes of a bill that is kept.
pub const BILL_BYTES_MAX: usize = 8 * 1024;

/// An app's month. A month without an event is like the end of the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonthHistory {
    /// Net groups that were carried in.
    pub carried_in: u64,
    /// The highest net group count in the order of settlement; what was carried in is its first value, of no day.
    pub groups: Peak,
    /// The net group count at the month's end; while it runs, that of now.
    pub groups_at_end: u64,
    /// The highest day's active users.
    pub daily_active: Peak,
    /// Days on which something was counted, in order. None, where days of that age are not kept any more.
    pub days: Vec<DayHistory>,
    /// The plans that the app had, each from a day on, oldest first: the one in force when the month began, if any
    /// is known, and those of the month.
    pub plans: Vec<(Day, PlanName)>,
    /// Days on which the ledger was told again by its members what it had forgotten: of users, something may be
    /// missing.
    pub told_again: Vec<Day>,
    /// Users of whom members told when the day was sealed, by day: they are in no count.
    pub too_late: Vec<(Day, u64)>,
    /// What operators corrected, in the order of the days. `days` and the peaks are what it made of them.
    pub corrections: Vec<Correction>,
    /// How often anything of the month was corrected.
    pub revision: u64,
    /// The bill that was written.
    pub bill: Option<Box<str>>,
}

impl MonthHistory {
    /// A day of the month, also one on which nothing was counted.
    #[must_use]
    pub fn day(&self, day: Day) -> DayHistory {
        let after = self.days.partition_point(|known| known.day <= day);
        let before = after.checked_sub(1).map(|at| self.days[at]);
        if let Some(known) = before.filter(|known| known.day == day) {
            return known;
        }
        let there = before.map_or(self.carried_in, |known| known.groups_at_end);
        DayHistory {
            day,
            daily_active: 0,
            groups: there,
            groups_at_end: there,
        }
    }
}

/// An app's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayHistory {
    /// Which.
    pub day: Day,
    /// Its distinct active users, increments included.
    pub daily_active: u64,
    /// Its highest net group count in the order of settlement, the one it began with included.
    pub groups: u64,
    /// The net group count that it ended with.
    pub groups_at_end: u64,
}

/// What an operator corrected of a sealed day, last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The day.
    pub day: Day,
    /// What its active users are instead.
    pub daily_active: Option<u64>,
    /// What its highest net group count is instead. What it began or ended with is no higher.
    pub groups: Option<u64>,
    /// When.
    pub at: Millis,
    /// Why.
    pub why: Box<str>,
}

/// A change from one count to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The count before.
    pub from: u64,
    /// The count from then on.
    pub to: u64,
}

/// Corrects a day; what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    /// The app.
    pub app: AppId,
    /// The day.
    pub day: Day,
    /// Its active users.
    pub daily_active: Option<Change>,
    /// Its highest net group count.
    pub groups: Option<Change>,
    /// The [`MonthHistory::revision`] by which the changes were found.
    pub revision: u64,
    /// Who acts.
    pub who: Box<str>,
    /// Why.
    pub why: Box<str>,
}
