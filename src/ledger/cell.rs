//! One live count of one app: this member's own sums, and what the ledger said of the others'.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::journal::Saved;
use crate::store::Totals;

/// A count that is moved from memory and settled later. One atomic a sum; no lock.
#[derive(Debug, Default)]
pub struct LiveCell {
    consumed: AtomicU64,
    released: AtomicU64,
    /// The net count of everybody else, as of the last word of the ledger.
    others: AtomicI64,
    acked_consumed: AtomicU64,
    acked_released: AtomicU64,
    /// The highest own net since the last report was composed.
    high: AtomicI64,
}

impl LiveCell {
    /// A cell as the journal kept it.
    pub fn restored(saved: &Saved) -> Self {
        Self {
            consumed: saved.totals.consumed.into(),
            released: saved.totals.released.into(),
            others: AtomicI64::new(0),
            acked_consumed: saved.acked.consumed.into(),
            acked_released: saved.acked.released.into(),
            high: saved.high.into(),
        }
    }

    /// This member's own sums. Between the two reads another thread may move one of them; each sum
    /// by itself is one that was reached.
    pub fn totals(&self) -> Totals {
        Totals {
            released: self.released.load(Ordering::Acquire),
            consumed: self.consumed.load(Ordering::Acquire),
        }
    }

    /// The net count as far as this member knows it.
    pub fn net(&self) -> i64 {
        self.others
            .load(Ordering::Relaxed)
            .saturating_add(self.totals().net())
    }

    /// Counts `amount` new objects.
    pub fn consume(&self, amount: u64) -> Totals {
        self.consumed.fetch_add(amount, Ordering::AcqRel);
        let totals = self.totals();
        self.high.fetch_max(totals.net(), Ordering::Relaxed);
        totals
    }

    /// Gives back `amount` if the known net count covers it; checked and done as one act.
    pub fn release_within_net(&self, amount: u64) -> Option<Totals> {
        let others = self.others.load(Ordering::Relaxed);
        self.released
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |released| {
                let own = Totals {
                    consumed: self.consumed.load(Ordering::Acquire),
                    released,
                };
                let known = others.saturating_add(own.net());
                (known >= amount.cast_signed()).then(|| released + amount)
            })
            .ok()?;
        Some(self.totals())
    }

    /// Gives back `amount`, whatever is known: it follows another cell's release.
    pub fn release(&self, amount: u64) -> Totals {
        self.released.fetch_add(amount, Ordering::AcqRel);
        self.totals()
    }

    /// Whether the ledger has yet to hear of some sum.
    pub fn is_owed(&self) -> bool {
        self.totals() != self.acked()
    }

    /// What a report says: the sums, and the highest net since the last report. From now on the high
    /// is counted anew; [`LiveCell::report_failed`] puts it back.
    pub fn report(&self) -> (Totals, i64) {
        let totals = self.totals();
        let high = self
            .high
            .swap(totals.net(), Ordering::Relaxed)
            .max(totals.net());
        (totals, high)
    }

    /// The report did not arrive: its high still stands.
    pub fn report_failed(&self, high: i64) {
        self.high.fetch_max(high, Ordering::Relaxed);
    }

    /// The ledger acknowledged `totals`.
    pub fn settled(&self, totals: Totals) {
        self.acked_consumed
            .fetch_max(totals.consumed, Ordering::Relaxed);
        self.acked_released
            .fetch_max(totals.released, Ordering::Relaxed);
    }

    /// The ledger told what the others have.
    pub fn learn(&self, others: i64) {
        self.others.store(others, Ordering::Relaxed);
    }

    /// What the journal keeps.
    pub fn saved(&self) -> Saved {
        // Acknowledged first: it never overtakes the sums that are read after it.
        let acked = self.acked();
        Saved {
            acked,
            totals: self.totals(),
            high: self.high.load(Ordering::Relaxed),
            account: None,
        }
    }

    fn acked(&self) -> Totals {
        Totals {
            consumed: self.acked_consumed.load(Ordering::Relaxed),
            released: self.acked_released.load(Ordering::Relaxed),
        }
    }
}
