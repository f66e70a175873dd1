//! The only reader of "now", and the calendar of the billing zone.
//!
//! Everything below takes time as an argument. Instants that cross the network are [`Millis`] since
//! the Unix epoch; how long something may take is a [`std::time::Duration`].

mod calendar;
#[cfg(test)]
mod tests;
mod zone;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use calendar::{Day, Month};
pub use zone::{Followed, Zone};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// How far a machine's clock may be from the ledger's, in ms, before it is an alarm and before no bill is made
/// final by it (domain page).
pub const ERROR_MAX_MS: u64 = 60_000;

/// Nanoseconds since the Unix epoch, by the system's clock alone: for traces, which others put in order.
#[must_use]
pub fn unix_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

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

    /// This instant and `time` more, saturating.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        self.plus(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
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

    /// How far the machine's own clock is from the ledger's, in either direction.
    pub fn error_ms(&self) -> u64 {
        self.ledger_ahead_ms.load(Ordering::Relaxed).unsigned_abs()
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
