//! Counting from memory: every part of a charge moves, and the journal has it before the answer. Sums
//! move inside the append that journals them.

use std::sync::Arc;

use super::Ledger;
use super::books::Books;
use super::entry::Entry;
use super::guard::cell_of;
use super::ids::Once;
use super::journal::Frames;
use super::repeats::{Counted, Despite, Repeated, Unkept};
use crate::clock::{Day, Millis};
use crate::quota::{Charge, Counter};
use crate::store::{Cell, Totals, View};

impl Ledger {
    /// Counts a creation that came at `came`, now at `at`, if `once` was not made before; what of that stands in
    /// the way, `despite` says. The number is the count of the charge's first part, the creation included.
    ///
    /// # Errors
    /// [`Unkept`]; the counts are as before then.
    pub fn consume(
        &self,
        entry: &Arc<Entry>,
        charge: &Charge,
        (came, at): (Millis, Millis),
        once: Option<Once>,
        despite: Despite,
    ) -> Result<Counted, Unkept> {
        let day = self.zone.day(came);
        let counted = self.journal.append_with(at, |frames| {
            let mut books = entry.books();
            let named = once.map(|once| (once, self.lives(&books, charge, day)));
            if let Some((once, lives)) = &named {
                self.is_new(once, *lives, at, despite)?;
            }
            self.apps.to_save(entry);
            entry.consume(&mut books, charge, day, frames);
            if let Some((once, lives)) = named {
                self.remember(once, lives.number, at, frames);
            }
            Ok(books.net_of(cell_of(charge.parts()[0].counter, day)))
        });
        Repeated::told(counted, |net| {
            self.apps.to_settle(entry);
            Some(net)
        })
    }

    /// Gives back what the charge took, if the known count of its first part covers it;
    /// [`Counted::Not`] if it does not, and the ledger must be asked.
    ///
    /// # Errors
    /// [`Unkept`]; the counts are as before then.
    pub fn release(
        &self,
        entry: &Arc<Entry>,
        charge: &Charge,
        now: Millis,
        once: Option<Once>,
    ) -> Result<Counted, Unkept> {
        let day = self.zone.day(now);
        let own = charge.parts()[0].counter;
        let at = self.clock.now();
        let given = self.journal.append_with(at, |frames| {
            if let Some(once) = once {
                self.is_first(&once, at)?;
            }
            let covered = entry.release_within_net(&mut entry.books(), charge, day, frames);
            if covered {
                self.apps.to_save(entry);
                if let Some(once) = once {
                    self.remember(once, 0, at, frames);
                }
            }
            Ok(covered)
        });
        Repeated::told(given, |covered| {
            covered.then(|| {
                self.apps.to_settle(entry);
                self.net(entry, own, now)
            })
        })
    }

    /// The net count of `counter` by an answer of the ledger, with what this sidecar counted from memory
    /// and the ledger has not heard of; the view's gain is `day`'s.
    pub fn net_in(&self, entry: &Entry, view: &View, counter: Counter, day: Day) -> i64 {
        let own = entry.books().totals_of(cell_of(counter, day));
        view.others(counter).saturating_add(own.net())
    }

    /// The net count of `counter` as far as this sidecar knows it; the gain is the day's of `now`.
    pub fn net(&self, entry: &Entry, counter: Counter, now: Millis) -> i64 {
        let cell = cell_of(counter, self.zone.day(now));
        entry.books().net_of(cell)
    }
}

impl Entry {
    /// Moves every part of a creation up.
    pub(super) fn consume(
        &self,
        books: &mut Books,
        charge: &Charge,
        day: Day,
        frames: &mut Frames,
    ) {
        let amount = u64::from(charge.amount().get());
        for part in charge.parts() {
            let cell = cell_of(part.counter, day);
            let totals = match cell {
                Cell::Live(resource) => books.live_mut(resource).consume(amount),
                Cell::Gained(_) | Cell::Increment(_) => moved(books, day, |totals| {
                    totals.consumed = totals.consumed.saturating_add(amount);
                }),
            };
            frames.totals(self.app, cell, totals);
        }
    }

    /// Moves every part of a deletion, if the known count of the first covers it.
    fn release_within_net(
        &self,
        books: &mut Books,
        charge: &Charge,
        day: Day,
        frames: &mut Frames,
    ) -> bool {
        let amount = u64::from(charge.amount().get());
        for (at, part) in charge.parts().iter().enumerate() {
            let cell = cell_of(part.counter, day);
            let totals = match cell {
                Cell::Live(resource) if at == 0 => {
                    let live = books.live_mut(resource);
                    let Some(totals) = live.release_within_net(amount) else {
                        return false;
                    };
                    totals
                }
                Cell::Live(resource) => books.live_mut(resource).release(amount),
                Cell::Gained(_) | Cell::Increment(_) => moved(books, day, |totals| {
                    totals.released = totals.released.saturating_add(amount);
                }),
            };
            frames.totals(self.app, cell, totals);
        }
        true
    }
}

fn moved(books: &mut Books, day: Day, how: impl FnOnce(&mut Totals)) -> Totals {
    let totals = &mut books.days.of(day).gained.totals;
    how(totals);
    *totals
}
