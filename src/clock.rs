//! The only reader of "now", and the calendar of the billing zone.
//!
//! Everything below takes time as an argument. Instants that cross the network are [`Millis`] since
//! the Unix epoch; how long something may take is a [`std::time::Duration`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Millis {
    /// Milliseconds from `earlier` to `self`; 0 if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// This instant moved by `ms`, saturating.
    #[must_use]
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    fn timestamp(self) -> Timestamp {
        // Out of jiff's range (year 9999) only if a clock is absurd; the bound is then the answer.
        Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }
}

/// The process' clock: its machine's, corrected by what the ledger's own clock says.
#[derive(Debug, Default)]
pub struct Clock {
    ledger_ahead_ms: AtomicI64,
    /// `None`: the system's own clocks.
    machine: Option<Arc<dyn Machine>>,
}

/// The clocks of a machine that is not this one: a simulated one.
pub trait Machine: fmt::Debug + Send + Sync {
    /// The time of day, which may be set.
    fn wall(&self) -> Millis;
    /// Time since some moment, which is never set and does not stand still while the machine sleeps.
    fn steady(&self) -> Duration;
}

impl Clock {
    /// The clock of a process that runs on `machine`.
    #[must_use]
    pub fn of(machine: Arc<dyn Machine>) -> Self {
        Self {
            ledger_ahead_ms: AtomicI64::new(0),
            machine: Some(machine),
        }
    }

    /// Now, by the ledger's time as far as it is known.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.own()
            .plus(self.ledger_ahead_ms.load(Ordering::Relaxed))
    }

    /// Now, by the machine's clock alone.
    #[must_use]
    pub fn own(&self) -> Millis {
        self.machine
            .as_ref()
            .map_or_else(Self::system, |machine| machine.wall())
    }

    /// Time since some moment of the machine's life, by a clock that is never set and goes on while the
    /// machine is suspended: a lease that ended in a suspended machine must be found to have ended.
    #[must_use]
    pub fn steady(&self) -> Duration {
        self.machine.as_ref().map_or_else(
            || {
                let time = clock_gettime(ClockId::Boottime);
                // Neither part of a time since the start is negative.
                Duration::new(
                    u64::try_from(time.tv_sec).unwrap_or(0),
                    u32::try_from(time.tv_nsec).unwrap_or(0),
                )
            },
            |machine| machine.steady(),
        )
    }

    /// Takes note that the ledger's clock showed `ledger` when the machine's own showed `own`.
    pub fn correct(&self, ledger: Millis, own: Millis) {
        self.ledger_ahead_ms
            .store(ledger.0.saturating_sub(own.0), Ordering::Relaxed);
    }

    /// Now, by the system's clock alone.
    #[must_use]
    pub fn system() -> Millis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The billing zone: what a day and a month are.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    name: Box<str>,
    zone: TimeZone,
}

impl Zone {
    /// Reads a fixed offset (`+08:00`) or a name of the zone database (`Asia/Shanghai`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let zone = match text.as_bytes() {
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]
                if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) =>
            {
                let two = |a: &u8, b: &u8| i32::from(a - b'0') * 10 + i32::from(b - b'0');
                let (hours, minutes) = (two(h1, h2), two(m1, m2));
                if minutes > 59 || hours > 14 {
                    return None;
                }
                let seconds = (hours * 60 + minutes) * 60;
                let seconds = if *sign == b'-' { -seconds } else { seconds };
                TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds).ok()?)
            }
            _ => TimeZone::get(text).ok()?,
        };
        Some(Self {
            name: text.into(),
            zone,
        })
    }

    /// The name it was read from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The day that `at` falls on.
    #[must_use]
    pub fn day(&self, at: Millis) -> Day {
        Day(self.zone.to_datetime(at.timestamp()).date())
    }

    /// The first instant of `day`.
    #[must_use]
    pub fn start_of(&self, day: Day) -> Millis {
        let start = day
            .0
            .to_zoned(self.zone.clone())
            .map(|zoned| zoned.timestamp());
        Millis(start.map_or(i64::MAX, Timestamp::as_millisecond))
    }
}

/// A calendar day in the billing zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

impl Day {
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

impl fmt::Display for Month {
    /// `YYYY-MM`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}
