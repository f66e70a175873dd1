//! Releases that the ledger did: what this member owns of them is in its own sums.

use std::sync::Arc;

use super::Ledger;
use super::entry::Entry;
use super::guard::{Heard, cell_of};
use super::hearing::But;
use super::journal::{Frames, LogFull};
use super::owed::OpenRelease;
use crate::quota::{Counter, Resource};
use crate::store::{Cell, GiveBack, View};

/// What a release gave back, as the ledger told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fell {
    /// What was given back: a named object may be of another resource than the release says.
    pub resource: Resource,
    /// Of the resource itself.
    pub released: u32,
    /// Of the groups that follow it, and of the day's gain.
    pub groups: u32,
    /// Whether this member owns the record.
    pub mine: bool,
}
impl Ledger {
    /// The ledger has a release: what this member owns of it goes into its own sums.
    pub fn release_answered(
        &self,
        entry: &Arc<Entry>,
        open: OpenRelease,
        fell: Fell,
        view: &View,
        heard: Heard,
    ) {
        let give_back = open.give_back().clone();
        let but = But::Release(open.number());
        self.learn_but(entry, view, give_back.day, heard, but);
        if fell.mine {
            let gave = open.gave(fell, |frames| {
                Ok(self.give_parts(entry, &give_back, fell, view, frames))
            });
            warn_unkept(gave);
            self.apps.to_settle_soon(entry);
        } else {
            open.done(Some(fell));
        }
    }

    /// As [`Ledger::release_answered`], for one that was sent in the background.
    pub(super) fn release_settled(
        &self,
        entry: &Arc<Entry>,
        number: u64,
        give_back: &GiveBack,
        fell: Fell,
        view: &View,
        heard: Heard,
    ) {
        self.learn_but(entry, view, give_back.day, heard, But::Release(number));
        if fell.mine {
            let give =
                |frames: &mut Frames| Ok(self.give_parts(entry, give_back, fell, view, frames));
            warn_unkept(self.owed.release_gave(number, fell, give));
            self.apps.to_settle_soon(entry);
        } else {
            self.owed.release_done(number, Some(fell));
        }
    }

    /// Adds what a release gave back to this member's sums. Answers what of them that is.
    fn give_parts(
        &self,
        entry: &Arc<Entry>,
        give_back: &GiveBack,
        fell: Fell,
        view: &View,
        frames: &mut Frames,
    ) -> Vec<(Cell, u64)> {
        self.apps.to_save(entry);
        let mut books = entry.books();
        let own = fell.resource.counter();
        let mut parts = vec![(own, fell.released)];
        if fell.resource == Resource::AvRoom {
            parts.push((Counter::Groups, fell.groups));
        }
        if fell.resource != Resource::Account {
            parts.push((Counter::GroupsGained, fell.groups));
        }
        let mut moved = Vec::with_capacity(parts.len());
        for (counter, amount) in parts {
            // What fell before a recount is not in the count that the recount set.
            let outlived =
                view.generations[counter.index()] < books.generation(counter, give_back.day);
            if amount > 0 && !outlived {
                let cell = cell_of(counter, give_back.day);
                let account = books.guard_mut().open(cell);
                account.give(amount.into());
                frames.escrow(entry.app, cell, &account.sums());
                moved.push((cell, amount.into()));
            }
        }
        moved
    }
}

fn warn_unkept(kept: Result<(), LogFull>) {
    if let Err(full) = kept {
        // It stays owed: the ledger is asked again under the same key.
        tracing::warn!(%full, "a release could not be noted");
    }
}
