//! What a bill is made from.

use std::sync::Arc;

use crate::clock::{Day, Month};
use crate::quota::Plan;

/// The highest count of a month, and the day on which it was reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peak {
    /// How many.
    pub count: u64,
    /// When; `None`: never within the month. It was carried in, or there was nothing.
    pub day: Option<Day>,
}

/// What an app had in a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthUsage {
    /// The month.
    pub month: Month,
    /// The highest day's distinct active users.
    pub daily_active: Peak,
    /// The highest net group count, in the order of settlement; what was carried in is its first value.
    pub groups: Peak,
    /// The net group count at the month's end; while the month runs, that of now.
    pub groups_at_end: u64,
    /// Of which day that is: the month's last, or today.
    pub as_of: Day,
}

/// The plans that an app had, each from a day on.
#[derive(Debug, Clone)]
pub struct Editions {
    /// Oldest first, no two of one day; never empty.
    plans: Vec<(Day, Arc<Plan>)>,
}

impl Editions {
    /// One plan, always.
    #[must_use]
    pub fn always(plan: Arc<Plan>) -> Self {
        Self {
            plans: vec![(Day::EPOCH, plan)],
        }
    }

    /// The same, and from `day` on another plan. A change on the day of the last one takes its place.
    #[must_use]
    pub fn then(mut self, day: Day, plan: Arc<Plan>) -> Self {
        self.plans.retain(|(from, _)| *from < day);
        self.plans.push((day, plan));
        self
    }

    /// The plan in force on a day; before the first change the first.
    #[must_use]
    pub fn on(&self, day: Day) -> &Arc<Plan> {
        let at = self.plans.partition_point(|(from, _)| *from <= day);
        &self.plans[at.saturating_sub(1)].1
    }
}
