//! One live count of one app: this member's own sums, and what the ledger said of the others'.

use super::journal::Saved;
use super::passage::Passage;
use crate::store::Totals;

/// A count that is moved from memory and settled later. It stands in its app's books, under their lock.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LiveCell {
    totals: Totals,
    acked: Totals,
    /// The net count of everybody else, as of the last word of the ledger.
    others: i64,
    /// The highest own net since the last report was composed.
    high: i64,
}

impl LiveCell {
    /// A cell as the journal kept it.
    pub fn restored(saved: &Saved) -> Self {
        Self {
            totals: saved.totals,
            acked: saved.acked,
            others: 0,
            high: saved.high,
        }
    }

    /// Puts it into a row, or takes it out of one.
    pub fn pass(&mut self, by: &mut impl Passage) {
        by.totals(&mut self.totals);
        by.totals(&mut self.acked);
        by.signed(&mut self.others);
        by.signed(&mut self.high);
    }

    /// This member's own sums.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The net count as far as this member knows it.
    pub fn net(&self) -> i64 {
        self.others.saturating_add(self.totals.net())
    }

    /// Counts `amount` new objects.
    pub fn consume(&mut self, amount: u64) -> Totals {
        self.totals.consumed = self.totals.consumed.saturating_add(amount);
        self.high = self.high.max(self.totals.net());
        self.totals
    }

    /// Gives back `amount` if the known net count covers it.
    pub fn release_within_net(&mut self, amount: u64) -> Option<Totals> {
        let covered = self.net() >= amount.cast_signed();
        covered.then(|| self.release(amount))
    }

    /// Gives back `amount`, whatever is known: it follows another cell's release.
    pub fn release(&mut self, amount: u64) -> Totals {
        self.totals.released = self.totals.released.saturating_add(amount);
        self.totals
    }

    /// Whether the ledger has yet to hear of some sum.
    pub fn is_owed(&self) -> bool {
        self.totals != self.acked
    }

    /// What a report says: the sums, and the highest net since the last report. From now on the high
    /// is counted anew; [`LiveCell::report_failed`] puts it back.
    pub fn report(&mut self) -> (Totals, i64) {
        let net = self.totals.net();
        let high = std::mem::replace(&mut self.high, net).max(net);
        (self.totals, high)
    }

    /// The report did not arrive: its high still stands.
    pub fn report_failed(&mut self, high: i64) {
        self.high = self.high.max(high);
    }

    /// The ledger acknowledged `totals`.
    pub fn settled(&mut self, totals: Totals) {
        self.acked.consumed = self.acked.consumed.max(totals.consumed);
        self.acked.released = self.acked.released.max(totals.released);
    }

    /// The ledger told what the others have.
    pub fn learn(&mut self, others: i64) {
        self.others = others;
    }

    /// What the journal keeps.
    pub fn saved(&self) -> Saved {
        Saved {
            totals: self.totals,
            acked: self.acked,
            high: self.high,
            account: None,
        }
    }
}
