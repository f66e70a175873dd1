//! For how long an app's past is kept.

/// For how long days and months of the past are kept, in months, the running one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    days: i32,
    months: i32,
}

impl Default for Retention {
    /// Days for 13 months, months for 10 years.
    fn default() -> Self {
        Self {
            days: 13,
            months: 120,
        }
    }
}

impl Retention {
    /// The shortest and the longest time for days, in months: a month is billed, and its days corrected, in the next
    /// one.
    pub const DAYS: (i32, i32) = (2, 120);
    /// The same for months: a year can be looked back on; a ledger looks through so many for the count that an app
    /// has had since, in one step.
    pub const MONTHS: (i32, i32) = (13, 240);

    /// So many months for days, and for months; `None` if that is too short or too long, or if days were kept longer
    /// than months.
    #[must_use]
    pub fn of(days: i32, months: i32) -> Option<Self> {
        let fits = |value: i32, (least, most): (i32, i32)| (least..=most).contains(&value);
        let is_good = fits(days, Self::DAYS) && fits(months, Self::MONTHS) && days <= months;
        is_good.then_some(Self { days, months })
    }

    /// For how many months the days of a month are kept.
    #[must_use]
    pub fn days(self) -> i32 {
        self.days
    }

    /// For how many months months and their bills are kept.
    #[must_use]
    pub fn months(self) -> i32 {
        self.months
    }
}
