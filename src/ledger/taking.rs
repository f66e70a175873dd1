//! Takes that the ledger answered: what this member owns of them is in its own sums.

use std::sync::Arc;

use super::Ledger;
use super::books::Books;
use super::entry::Entry;
use super::guard::{Heard, cell_of};
use super::hearing::But;
use super::journal::{Frames, LogFull};
use super::owed::{OpenTake, Withdrawn};
use crate::clock::Day;
use crate::quota::{Charge, Counter};
use crate::store::{Abort, Answered, Intent, Known, Shard, Take, View, Whose};

/// Why an ALLOW of the ledger must not be passed on. Its take is withdrawn, if it is not in the journal yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It came too late: after the lease, after a recount, or for an attempt that was withdrawn. What is
    /// found out when it is in the journal already stays charged, and is answered again to whoever asks
    /// under the same id.
    Late,
    /// It cannot be journaled.
    Full(LogFull),
}

impl From<LogFull> for NotTaken {
    fn from(full: LogFull) -> Self {
        Self::Full(full)
    }
}

impl From<Withdrawn> for NotTaken {
    fn from(_: Withdrawn) -> Self {
        Self::Late
    }
}
impl Ledger {
    /// Journals an ALLOW of the ledger that is about to go out; where this member owns the record, its
    /// own sums contain it from now on. Of what somebody's contain already, or nobody's any more, the ledger is not told.
    ///
    /// # Errors
    /// [`NotTaken`]: the answer must not go out.
    pub fn take_allowed(
        &self,
        entry: &Arc<Entry>,
        open: OpenTake,
        view: &View,
        whose: Whose,
        heard: Heard,
    ) -> Result<(), NotTaken> {
        let take = open.take();
        let (charge, day, attempt) = (take.charge, take.day, take.attempt);
        let mine = whose == Whose::Asker && take.intent.is_counted();
        if !mine {
            // An app of which nothing was lent yet would not be known to have been heard.
            entry.books().guard_mut();
        }
        self.learn_but(entry, view, day, heard, But::Attempt(attempt));
        if self.store.is_local() {
            return if whose == Whose::Nobody {
                open.repeated(|| Ok(()))
            } else {
                open.allowed(|_| Ok(None))
            };
        }
        let under = self.composing();
        let in_time = |books: &mut Books| {
            let outlived = charge.parts().iter().any(|part| {
                let told = view.generations[part.counter.index()];
                told < books.generation(part.counter, day)
            });
            let now = self.clock.steady();
            // What another answered before a recount or in a freeze may be in no count.
            let valid = if mine {
                self.lease.holds(now)
            } else {
                books.guard_mut().may_admit(&self.lease, now)
            };
            (valid && !outlived).then_some(()).ok_or(NotTaken::Late)
        };
        match whose {
            Whose::Told => {
                let lives = self.lives_of(open.take());
                open.met::<NotTaken>(|| in_time(&mut entry.books()), lives)?;
            }
            Whose::Nobody => open.repeated::<NotTaken>(|| in_time(&mut entry.books()))?,
            Whose::Asker | Whose::Another => open.allowed::<NotTaken>(|frames| {
                let mut books = entry.books();
                in_time(&mut books)?;
                if !mine {
                    return Ok(None);
                }
                let known = books.generation(charge.parts()[0].counter, day);
                self.apps.to_save(entry);
                take_parts(entry, &mut books, &charge, day, frames);
                Ok(Some(known))
            })?,
        }
        // As with what is spent from memory: the thread may have stood still since it looked.
        let in_time = self.may_answer(entry, under);
        in_time.then_some(()).ok_or(NotTaken::Late)
    }

    /// The ledger says that nobody else counts an answered take: this member's own sums contain it from
    /// now on, and the next report says so.
    pub(super) fn count_answered(&self, entry: &Arc<Entry>, answered: &Answered) {
        let (charge, day) = (answered.take.charge, answered.take.day);
        let own = charge.parts()[0].counter;
        let counted = self.owed.count(answered, |frames| {
            let mut books = entry.books();
            let known = books.generation(own, day);
            if answered.contained != Some(known) {
                self.apps.to_save(entry);
                take_parts(entry, &mut books, &charge, day, frames);
            }
            Ok(known)
        });
        match counted {
            Ok(()) => self.apps.to_settle_soon(entry),
            // The ledger will say so again.
            Err(full) => tracing::warn!(app = %entry.app, %full, "a take could not be counted"),
        }
    }

    /// The object of an answered take was deleted before the ledger heard of the take: it is given back in
    /// own sums, if these contain it in their present life.
    pub(super) fn give_gone(&self, entry: &Arc<Entry>, answered: &Answered) {
        let (charge, day) = (answered.take.charge, answered.take.day);
        let own = charge.parts()[0].counter;
        let gone = self.owed.gone(answered, |frames| {
            let mut books = entry.books();
            if answered.contained == Some(books.generation(own, day)) {
                self.apps.to_save(entry);
                for part in charge.parts() {
                    let cell = cell_of(part.counter, day);
                    let account = books.guard_mut().open(cell);
                    account.give(charge.amount().get().into());
                    frames.escrow(entry.app, cell, &account.sums());
                }
            }
            Ok(())
        });
        match gone {
            Ok(()) => self.apps.to_settle_soon(entry),
            // The ledger will say so again.
            Err(full) => tracing::warn!(app = %entry.app, %full, "a deletion could not be noted"),
        }
    }

    /// The lives of a take's live counters, as far as this member knows.
    pub(super) fn lives_of(&self, take: &Take) -> Vec<u64> {
        let entry = self.apps.get(take.app);
        let parts = take.charge.parts().iter();
        let live = parts.filter(|part| part.counter != Counter::GroupsGained);
        let life = |counter| {
            let life = |entry: &Arc<Entry>| entry.books().generation(counter, take.day);
            entry.as_ref().map_or(0, life)
        };
        live.map(|part| life(part.counter)).collect()
    }

    /// Answers under clients' ids that a shard had and is to know again, answers that it is to be told, and
    /// withdrawals that are owed to it. What was settled before a recount is left out: it takes a new unit if it is
    /// asked again.
    pub(super) fn records_to_restate(
        &self,
        shard: Shard,
    ) -> (Vec<Known>, Vec<Answered>, Vec<Abort>) {
        let (mut kept, owed, aborts) = self.owed.to_restate(shard, self.now());
        kept.retain(|kept| {
            if let Intent::Confirm { .. } = kept.answered.take.intent {
                // What it held is not asked for anew: without this it would be held again.
                return true;
            }
            let now = self.lives_of(&kept.answered.take);
            kept.lives.iter().zip(now).all(|(then, now)| *then >= now)
        });
        (kept, owed, aborts)
    }
}

/// A creation on the record path, in every part.
fn take_parts(entry: &Entry, books: &mut Books, charge: &Charge, day: Day, frames: &mut Frames) {
    for part in charge.parts() {
        let cell = cell_of(part.counter, day);
        let account = books.guard_mut().open(cell);
        account.take(charge.amount().get().into());
        frames.escrow(entry.app, cell, &account.sums());
    }
}
