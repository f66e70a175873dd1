//! What the ledger answers, taken into the books: recounts, freezes, what it lends, and the records that
//! this member owns.

use std::sync::Arc;

use super::Ledger;
use super::books::Books;
use super::entry::{Entry, News};
use super::guard::Heard;
use super::journal::LogFull;
use super::owed::Accepted;
use crate::clock::Day;
use crate::quota::{COUNTERS, Counter};
use crate::store::{Attempt, Cell, View};

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

    pub(super) fn learn_but(
        &self,
        entry: &Arc<Entry>,
        view: &View,
        day: Day,
        heard: Heard,
        but: But,
    ) {
        entry.learn(view, day);
        self.note_held(entry, view);
        self.look_for_marks(entry, view, day);
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
            lent,
            frozen,
            recalled,
            watch,
        } = entry.hear(view, day, heard, self.clock.steady());
        self.events.lent(lent);
        if recalled {
            self.events.was_recalled();
        }
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

    /// Whether some count has passed a mark that is to be told.
    fn look_for_marks(&self, entry: &Entry, view: &View, day: Day) {
        let counts = COUNTERS.map(|counter| self.net_in(entry, view, counter, day));
        let now = self.clock.now();
        self.marks.look(entry.app, &entry.rules(), counts, day, now);
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
pub(super) enum But {
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
