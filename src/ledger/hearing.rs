//! What the ledger answers, taken into the books: recounts, freezes, what it lends, and the records that
//! this member owns.

use std::sync::Arc;

use super::Ledger;
use super::books::Books;
use super::entry::{Entry, News};
use super::guard::{Heard, cell_of};
use super::journal::{Frames, LogFull};
use super::owed::{Accepted, OpenRelease, OpenTake, Withdrawn};
use crate::clock::Day;
use crate::quota::{Charge, Counter, Resource};
use crate::store::{Abort, Answered, Attempt, Cell, GiveBack, Known, Shard, Take, View};

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
    /// To be noted before a call is composed, and handed back with its answer.
    pub fn composing(&self) -> Heard {
        Heard::now(&self.lease)
    }

    /// Whether answers of the ledger can be acted on: a shared one needs a valid lease.
    pub fn has_lease(&self) -> bool {
        self.lease.holds(self.clock.steady())
    }

    /// Takes in what an app's shard answered to a call; the view's gain is `day`'s.
    pub fn learn(&self, entry: &Arc<Entry>, view: &View, day: Day, heard: Heard) {
        self.learn_but(entry, view, day, heard, But::Nothing);
    }

    fn learn_but(&self, entry: &Arc<Entry>, view: &View, day: Day, heard: Heard, but: But) {
        entry.learn(view, day);
        if self.store.is_local() {
            return;
        }
        let freeze = entry.frozen();
        let recounted = match self.outlive(entry, view, day) {
            Ok(recounted) => recounted,
            Err(full) => {
                tracing::warn!(app = %entry.app, %full, "a recount could not be noted: the app is not served from memory");
                entry.books().guard_mut().unhear();
                return;
            }
        };
        let News {
            frozen,
            recalled,
            watch,
        } = entry.hear(view, day, heard, self.clock.steady());
        if frozen || !recounted.is_empty() {
            self.owed.abort_open_of(entry.app, but.attempt());
            self.apps.to_settle_soon(entry);
        }
        if !recounted.is_empty() {
            let but = but.release();
            self.owed
                .drop_releases_of(entry.app, &recounted, freeze, but);
        }
        if frozen || recalled {
            self.return_spare(entry);
        }
        if watch {
            self.apps.to_watch(entry);
        }
    }

    /// The lives of a take's live counters, as far as this member knows.
    pub(super) fn lives_of(&self, take: &Take) -> Vec<u64> {
        let entry = self.apps.get(take.app).map(|entry| entry.clone());
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
            let now = self.lives_of(&kept.answered.take);
            kept.lives.iter().zip(now).all(|(then, now)| *then >= now)
        });
        (kept, owed, aborts)
    }

    /// What is known of recounts of an app just now.
    pub(super) fn acceptance(&self, entry: &Entry) -> Accepted {
        let now = self.clock.steady();
        // A process that was stopped finds calls that have waited for it, as long as its lease at most if that
        // still holds: what they speak of may have been before a token that is out by now.
        if !self.lease.holds(now) {
            return Accepted::Unknown;
        }
        match entry.token_out(now) {
            Some(token) => Accepted::Behind(token),
            None if entry.frozen().is_none() => Accepted::Leased(now),
            None => Accepted::Unknown,
        }
    }

    /// Takes notice of a freeze: nothing is spent, taken or left open in the app until its shard has told
    /// that the freeze is over.
    pub fn freeze(&self, entry: &Arc<Entry>, token: u64) {
        if entry.freeze(token, self.clock.steady()) {
            self.owed.abort_open_of(entry.app, None);
            self.return_spare(entry);
            self.apps.to_watch(entry);
            self.apps.to_settle_soon(entry);
        }
    }

    /// Returns all that was lent and not spent; the ledger hears of it with the next report.
    pub fn return_spare(&self, entry: &Arc<Entry>) {
        self.return_some(entry, |_, _| Some(0));
    }

    /// Returns what is above what `keep` says of a cell.
    pub(super) fn return_some(
        &self,
        entry: &Arc<Entry>,
        mut keep: impl FnMut(&mut Books, Cell) -> Option<u64>,
    ) {
        let returned =
            self.journal
                .append_with(self.clock.now(), |frames| -> Result<u64, LogFull> {
                    let mut books = entry.books();
                    let mut returned = 0;
                    for cell in books.spare_cells().into_iter().take(ACCOUNTS_AN_APPEND_MAX) {
                        let Some(keep) = keep(&mut books, cell) else {
                            continue;
                        };
                        let account = books.guard_mut().open(cell);
                        returned += account.hand_back(keep);
                        frames.escrow(entry.app, cell, &account.sums());
                    }
                    if returned > 0 {
                        self.apps.to_save(entry);
                    }
                    Ok(returned)
                });
        match returned {
            Ok(0) => {}
            Ok(_) => self.apps.to_settle_soon(entry),
            // It is looked at again: what was lent stays watched.
            Err(full) => tracing::warn!(app = %entry.app, %full, "what was lent is kept"),
        }
    }

    /// Journals an ALLOW of the ledger that is about to go out; where this member owns the record, its
    /// own sums contain it from now on.
    ///
    /// # Errors
    /// [`NotTaken`]: the answer must not go out.
    pub fn take_allowed(
        &self,
        entry: &Arc<Entry>,
        open: OpenTake,
        view: &View,
        mine: bool,
        heard: Heard,
    ) -> Result<(), NotTaken> {
        let take = open.take();
        let (charge, day, attempt) = (take.charge, take.day, take.attempt);
        self.learn_but(entry, view, day, heard, But::Attempt(attempt));
        if self.store.is_local() {
            return open.allowed(|_| Ok(None));
        }
        let under = self.composing();
        open.allowed(|frames| {
            let mut books = entry.books();
            let own = charge.parts()[0].counter;
            let known = books.generation(own, day);
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
            if !valid || outlived {
                return Err(NotTaken::Late);
            }
            if !mine {
                return Ok(None);
            }
            self.apps.to_save(entry);
            take_parts(entry, &mut books, &charge, day, frames);
            Ok(Some(known))
        })?;
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
            open.done(Some(fell.released));
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
            self.owed.release_done(number, Some(fell.released));
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
        let own = give_back.resource.counter();
        let mut parts = vec![(own, fell.released)];
        if give_back.groups_follow {
            if give_back.resource == Resource::AvRoom {
                parts.push((Counter::Groups, fell.groups));
            }
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

    /// Takes note of recounts that `view` shows. Answers which counters they were of.
    fn outlive(&self, entry: &Arc<Entry>, view: &View, day: Day) -> Result<Vec<Counter>, LogFull> {
        if !entry.books().is_outlived(view, day) {
            return Ok(Vec::new());
        }
        self.journal.append_with(self.clock.now(), |frames| {
            self.apps.to_save(entry);
            let mut books = entry.books();
            let outlived: Vec<_> = books.guard_mut().outlived(view, day).collect();
            for (cell, counter) in outlived.iter().copied() {
                let totals = books.totals_of(cell);
                let guard = books.guard_mut();
                guard.outlive(cell, counter, view, totals);
                frames.escrow(entry.app, cell, &guard.open(cell).sums());
            }
            Ok(outlived.into_iter().map(|(_, counter)| counter).collect())
        })
    }
}

/// What of an app is not withdrawn by an answer, because that answer is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum But {
    Nothing,
    Attempt(Attempt),
    Release(u64),
}

impl But {
    fn attempt(self) -> Option<Attempt> {
        match self {
            Self::Attempt(attempt) => Some(attempt),
            Self::Nothing | Self::Release(_) => None,
        }
    }

    fn release(self) -> Option<u64> {
        match self {
            Self::Release(number) => Some(number),
            Self::Nothing | Self::Attempt(_) => None,
        }
    }
}

/// The most accounts that one append may change.
const ACCOUNTS_AN_APPEND_MAX: usize = 4;

/// A creation on the record path, in every part.
fn take_parts(entry: &Entry, books: &mut Books, charge: &Charge, day: Day, frames: &mut Frames) {
    for part in charge.parts() {
        let cell = cell_of(part.counter, day);
        let account = books.guard_mut().open(cell);
        account.take(charge.amount().get().into());
        frames.escrow(entry.app, cell, &account.sums());
    }
}

fn warn_unkept(kept: Result<(), LogFull>) {
    if let Err(full) = kept {
        // It stays owed: the ledger is asked again under the same key.
        tracing::warn!(%full, "a release could not be noted");
    }
}
