//! What is kept of an app's past: its days, its months, the plans that it had, and the bills that were written.

use crate::billing::Peak;
use crate::clock::Day;
use crate::quota::PlanName;

/// For how long the days of a month are kept, in months, the running one included.
pub const DAYS_KEPT_MONTHS: i32 = 13;
/// For how long months are kept, the running one included.
pub const MONTHS_KEPT: i32 = 120;
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
    /// The bill that was written.
    pub bill: Option<Box<str>>,
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
}
