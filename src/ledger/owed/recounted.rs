//! Releases that a recount overtakes. The truth that it sets is what existed when its token was out: an
//! object that was deleted before is not in it, and must not be given back once more.

use std::time::Duration;

use super::{Owed, lock};
use crate::ledger::journal::Record;
use crate::ledger::lease::LEASE_MARGIN_MS;
use crate::quota::{AppId, Counter};
use crate::store::GiveBack;

/// What was known of recounts when a release was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Nothing.
    Unknown,
    /// The lease held at that time, and no freeze was known. A token that was not out then is not out
    /// before a lease margin later: a recount that is heard of within that time was over before.
    Leased(Duration),
    /// The app was frozen under this token, and it was out.
    Behind(u64),
}

impl Owed {
    /// Drops the releases of an app's counters that were recounted, but for those that are certain to
    /// have come after the token of that recount (`freeze`: under which the app was known to be
    /// frozen), and for the one whose answer is being heard. Where it cannot be told which came first, a
    /// release stays charged until the next recount: that passes no limit.
    pub fn drop_releases_of(
        &self,
        app: AppId,
        recounted: &[Counter],
        freeze: Option<u64>,
        but: Option<u64>,
    ) {
        let outlived = |give_back: &GiveBack| {
            let own = give_back.resource.counter();
            let groups = give_back.groups_follow.then_some(Counter::Groups);
            let mut moved = [Some(own), groups].into_iter().flatten();
            give_back.app == app && moved.any(|counter| recounted.contains(&counter))
        };
        let now = self.clock.steady();
        let mut releases = lock(&self.releases);
        releases.retain(|number, sending| {
            let came_after = match sending.accepted {
                Accepted::Unknown => false,
                Accepted::Leased(at) => {
                    now.saturating_sub(at) < Duration::from_millis(LEASE_MARGIN_MS)
                }
                Accepted::Behind(token) => freeze == Some(token),
            };
            if Some(*number) == but || came_after || !outlived(&sending.owed.give_back) {
                return true;
            }
            match self.append(&Record::ReleaseDone(*number, None)) {
                Ok(()) => {
                    tracing::info!(%app, "a deletion from before a recount is not given back once more");
                    false
                }
                Err(full) => {
                    tracing::warn!(%app, %full, "a deletion from before a recount is kept");
                    true
                }
            }
        });
    }
}
