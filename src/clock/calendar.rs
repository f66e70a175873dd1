//! Days and months.

use std::fmt;

use jiff::civil::Date;

/// A calendar day in the billing zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

impl Day {
    /// The day of a date.
    pub(super) fn of(date: Date) -> Self {
        Self(date)
    }

    /// 1970-01-01.
    pub const EPOCH: Self = Self(EPOCH);

    /// The day `number` days after 1970-01-01; `None` outside the calendar (years -9999 to 9999).
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        let date = EPOCH
            .checked_add(jiff::Span::new().try_days(number).ok()?)
            .ok()?;
        Some(Self(date))
    }

    /// Reads `YYYY-MM-DD`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date: Date = text.parse().ok()?;
        (date.to_string() == text).then_some(Self(date))
    }

    /// Days since 1970-01-01: the form that keys and records carry.
    #[must_use]
    pub fn number(self) -> i32 {
        // Both dates lie within jiff's calendar, whose span in days fits.
        EPOCH.until(self.0).map_or(0, |span| span.get_days())
    }

    /// The month that the day belongs to.
    #[must_use]
    pub fn month(self) -> Month {
        Month {
            year: self.0.year(),
            month: self.0.month(),
        }
    }

    /// The calendar's own form.
    #[must_use]
    pub fn date(self) -> Date {
        self.0
    }

    /// The day after; the calendar's last day is its own.
    #[must_use]
    pub fn next(self) -> Self {
        self.0.tomorrow().map_or(self, Self)
    }
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

impl fmt::Display for Day {
    /// `YYYY-MM-DD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A calendar month in the billing zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// Months since year 0: the form that keys carry.
    #[must_use]
    pub fn number(self) -> i32 {
        i32::from(self.year) * 12 + i32::from(self.month) - 1
    }
}

impl Month {
    /// Reads `YYYY-MM`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits = |text: &str, most: usize| {
            text.len() == most && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(year, 4) || !digits(month, 2) {
            return None;
        }
        let (year, month) = (year.parse().ok()?, month.parse().ok()?);
        let valid = (1..=12).contains(&month) && year >= 1;
        valid.then_some(Self { year, month })
    }

    /// The month of that number; `None` outside the calendar (years 1 to 9999).
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        let year = i16::try_from(number.div_euclid(12)).ok()?;
        let month = i8::try_from(number.rem_euclid(12) + 1).ok()?;
        (1..=9999).contains(&year).then_some(Self { year, month })
    }

    /// Its first day.
    #[must_use]
    pub fn first_day(self) -> Day {
        self.day(1).unwrap_or(Day::EPOCH)
    }

    /// Its last day: the 28th to the 31st.
    #[must_use]
    pub fn last_day(self) -> Day {
        Day(self.first_day().0.last_of_month())
    }

    /// Its day of that number, from 1; `None` if it has none.
    #[must_use]
    pub fn day(self, number: i8) -> Option<Day> {
        Date::new(self.year, self.month, number).ok().map(Day)
    }

    /// The month after; the calendar's last month is its own.
    #[must_use]
    pub fn next(self) -> Self {
        Self::from_number(self.number() + 1).unwrap_or(self)
    }
}

impl fmt::Display for Month {
    /// `YYYY-MM`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}
