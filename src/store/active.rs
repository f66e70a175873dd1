//! Daily active users, and what GetUsage reads.

use super::View;
use crate::clock::Day;
use crate::quota::AppId;

/// A user who logged in: the app, the day of the event, and the keyed hash of the user's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Login {
    /// The app that the user logged in to.
    pub app: AppId,
    /// The day of the event.
    pub day: Day,
    /// 128 bits of keyed hash.
    pub user: u128,
}

/// What the ledger knows after a [`Login`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    /// Whether the user was not yet active on that day.
    pub newly: bool,
    /// Whether the user is not counted, since the day is sealed.
    pub too_late: bool,
    /// Distinct active users of that app and day, increments included, after the whole call.
    pub daily_active: u64,
}

/// What GetUsage reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// The counts.
    pub view: View,
    /// Distinct active users of the day, increments included.
    pub daily_active: u64,
    /// This member's own increment total that `daily_active` contains.
    pub my_increment: u64,
    /// The highest daily active users of the day's month, up to now.
    pub month_peak_daily_active: u64,
    /// The highest net group count of the day's month, up to now, the value carried in and what is
    /// held at this moment included.
    pub month_peak_groups: u64,
}
