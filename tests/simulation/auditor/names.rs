//! What may be said of names when the ledger has forgotten some.

use std::time::Duration;

use tokio::time::Instant;

use super::{App, Deal, Known};

/// How long an answer may be on its way to the ledger's totals, where a sidecar stops or is cut off meanwhile, and how
/// long the world waits for that one before the ledger forgets.
const UNTOLD: Duration = Duration::from_secs(30);

impl Known {
    /// Whether names, reservations and their ids may be unknown to the ledger: it forgot, and not all processes that
    /// knew them have told it again; or a journal is lost. What lives longer than ten minutes no run has.
    pub(super) fn may_lack_names(&self) -> bool {
        !self.lost.is_empty() || self.ever_forgot && !self.ended.is_empty()
    }
}

impl App {
    /// Somebody was told that a named object exists.
    pub(super) fn is_told(&mut self, deal: &Deal) {
        if let Some(name) = deal.id.as_ref().filter(|_| deal.is_named) {
            let told = self.told_again.entry(name.clone());
            let told = told.or_insert((0, Instant::now()));
            *told = (told.0 + 1, Instant::now());
        }
    }

    /// A named object is about to be deleted.
    pub(super) fn is_deleted(&mut self, deal: &Deal) {
        let told = deal.id.as_ref().and_then(|name| self.told_again.get(name));
        if told.is_some_and(|(times, at)| *times > 1 && at.elapsed() < UNTOLD) {
            self.deleted_soon.push((Instant::now(), deal.clone()));
        }
    }

    /// The ledger forgets. Whoever was told that an object is there says so again, if that was on its way; an emptied
    /// ledger cannot tell whether that was before the deletion that it hears of as well. So the object may stay charged.
    pub(super) fn doubt_deleted(&mut self) {
        for (at, deal) in std::mem::take(&mut self.deleted_soon) {
            if at.elapsed() < UNTOLD {
                for (sum, _) in deal.sums() {
                    self.sums.entry(sum).or_default().high += deal.amount();
                }
            }
        }
    }
}
