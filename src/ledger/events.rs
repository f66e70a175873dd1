//! What has happened between this sidecar and the ledger since the start, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// No moment. A steady clock does not get there in 584 years.
const NEVER: u64 = u64::MAX;

/// Counts that only grow.
#[derive(Debug)]
pub struct Events {
    lent: AtomicU64,
    recalls_asked: AtomicU64,
    recalls_heard: AtomicU64,
    epochs: AtomicU64,
    users_told_again: AtomicU64,
    /// When the ledger was last known to have all that was due, in nanoseconds of the steady clock.
    in_step: AtomicU64,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            lent: AtomicU64::new(0),
            recalls_asked: AtomicU64::new(0),
            recalls_heard: AtomicU64::new(0),
            epochs: AtomicU64::new(0),
            users_told_again: AtomicU64::new(0),
            in_step: AtomicU64::new(NEVER),
        }
    }
}

impl Events {
    /// So many units were lent to this sidecar.
    pub fn lent(&self, units: u64) {
        self.lent.fetch_add(units, Ordering::Relaxed);
    }

    /// This sidecar starved and asked for what others hold.
    pub fn asked_recall(&self) {
        self.recalls_asked.fetch_add(1, Ordering::Relaxed);
    }

    /// Another starved, and this sidecar returned what it held.
    pub fn was_recalled(&self) {
        self.recalls_heard.fetch_add(1, Ordering::Relaxed);
    }

    /// The ledger was found to have forgotten something.
    pub fn new_epoch(&self) {
        self.epochs.fetch_add(1, Ordering::Relaxed);
    }

    /// So many users were told again to a ledger that may have forgotten them.
    pub fn told_users_again(&self, users: u64) {
        self.users_told_again.fetch_add(users, Ordering::Relaxed);
    }

    /// All that was due is settled at `now`, by the steady clock.
    pub fn in_step(&self, now: Duration) {
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(NEVER - 1);
        self.in_step.store(nanos, Ordering::Relaxed);
    }

    /// How many units were lent.
    pub fn units_lent(&self) -> u64 {
        self.lent.load(Ordering::Relaxed)
    }

    /// How many recalls were asked for, and how many were heard.
    pub fn recalls(&self) -> (u64, u64) {
        let asked = self.recalls_asked.load(Ordering::Relaxed);
        (asked, self.recalls_heard.load(Ordering::Relaxed))
    }

    /// How often the ledger was found to have forgotten something.
    pub fn epochs(&self) -> u64 {
        self.epochs.load(Ordering::Relaxed)
    }

    /// How many users were told again to a ledger that may have forgotten them.
    pub fn users_told_again(&self) -> u64 {
        self.users_told_again.load(Ordering::Relaxed)
    }

    /// How long ago all that was due was settled; `None`: never yet.
    pub fn sync_age(&self, now: Duration) -> Option<Duration> {
        let at = self.in_step.load(Ordering::Relaxed);
        (at != NEVER).then(|| now.saturating_sub(Duration::from_nanos(at)))
    }
}
