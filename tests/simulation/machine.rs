//! The clocks of simulated machines: all follow the runtime's paused clock, each with an error of its own.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use imquota::clock::{Machine, Millis};
use tokio::time::Instant;

/// One machine's clocks.
#[derive(Debug)]
pub struct Dial {
    begun: Instant,
    begun_at: Millis,
    ahead_ms: AtomicI64,
}

impl Dial {
    /// A machine whose wall clock shows `now`.
    pub fn new(now: Millis) -> Self {
        Self {
            begun: Instant::now(),
            begun_at: now,
            ahead_ms: AtomicI64::new(0),
        }
    }

    /// Sets the wall clock so far ahead of the true time, or behind it.
    pub fn set_ahead(&self, ms: i64) {
        self.ahead_ms.store(ms, Ordering::Relaxed);
    }

    /// The true time.
    pub fn truth(&self) -> Millis {
        let passed = i64::try_from(self.steady().as_millis()).expect("a short run");
        self.begun_at.plus(passed)
    }
}

impl Machine for Dial {
    fn wall(&self) -> Millis {
        self.truth().plus(self.ahead_ms.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        self.begun.elapsed()
    }
}
