//! Spending what was lent: a creation under limits, decided here without asking.
//!
//! The decision is one act inside the journal's append, under the entry's lock: the lease is looked at, every
//! part is spent, counted and written. So there is no moment at which a unit is neither spare nor counted,
//! and a freeze or a recount comes before a spending or after it.
//!
//! Behind the append everything is looked at once more: a thread that stood still between the first look and
//! here may come after the lease, and the truth of a recount may have been counted without its object. Such a
//! creation is not answered with ALLOW, and its unit stays charged until a recount. To give it back would be
//! a second change, and a recount between the two would count the creation as its own and let the return
//! free a unit that somebody else holds.

use std::sync::Arc;

use super::Ledger;
use super::entry::Entry;
use super::guard::{Heard, cell_of};
use super::ids::{Effect, Once};
use super::journal::{Frames, LogFull};
use super::repeats::{Despite, Repeated, Unkept};
use crate::clock::{Day, Millis};
use crate::quota::Charge;
use crate::store::Cell;

/// What became of a creation that was to be spent from what was lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It is counted; so many are there now, of the charge's first part.
    Counted(i64),
    /// It was counted before; so many are there now.
    Before(i64),
    /// Its id stands for another request.
    Other,
    /// Nothing was spent: the ledger must be asked.
    Ask,
    /// It is counted and came too late: it must not be answered with ALLOW, and stays charged.
    Late,
}

/// Why nothing was spent.
enum Unspent {
    /// The ledger must be asked.
    Ask,
    /// It was made before, or cannot be kept.
    Repeated(Repeated),
}

impl From<LogFull> for Unspent {
    fn from(full: LogFull) -> Self {
        Self::Repeated(full.into())
    }
}

impl From<Repeated> for Unspent {
    fn from(repeated: Repeated) -> Self {
        Self::Repeated(repeated)
    }
}

impl Ledger {
    /// Counts a creation from what was lent, if that covers all its limited parts and may be spent now,
    /// and if `once` was not made before.
    ///
    /// # Errors
    /// [`Unkept`]; nothing is counted then.
    pub fn spend(
        &self,
        entry: &Arc<Entry>,
        charge: &Charge,
        now: Millis,
        once: Option<Once>,
    ) -> Result<Spent, Unkept> {
        let day = self.zone.day(now);
        let at = self.clock.now();
        if let Some(once) = once {
            let lives = self.lives(&entry.books(), charge, day);
            if let Err(repeated) = self.is_new(&once, lives, at, Despite::Nothing) {
                return self.spent_before(entry, charge, now, repeated);
            }
        }
        if !self.note_demand(entry, charge, day, now) {
            return Ok(Spent::Ask);
        }
        let spent = self.journal.append_with(at, |frames| {
            self.spend_inside(entry, charge, day, (once, at), frames)
        });
        let under = match spent {
            Ok(under) => under,
            Err(Unspent::Ask) => return Ok(Spent::Ask),
            Err(Unspent::Repeated(repeated)) => {
                return self.spent_before(entry, charge, now, repeated);
            }
        };
        self.apps.to_settle_soon(entry);
        if !self.may_answer(entry, under) {
            return Ok(Spent::Late);
        }
        if entry.runs_low(charge, day, now) {
            self.settle_at_once(entry, now);
        }
        let net = self.net(entry, charge.parts()[0].counter, now);
        Ok(Spent::Counted(net))
    }

    /// A creation that is not new: allowed once more, where one that is counted now might be.
    fn spent_before(
        &self,
        entry: &Arc<Entry>,
        charge: &Charge,
        now: Millis,
        repeated: Repeated,
    ) -> Result<Spent, Unkept> {
        match repeated {
            Repeated::Before(Effect::Here(_)) if self.may_repeat(entry) => {
                let net = self.net(entry, charge.parts()[0].counter, now);
                Ok(Spent::Before(net))
            }
            Repeated::Before(_) => Ok(Spent::Ask),
            Repeated::Other => Ok(Spent::Other),
            Repeated::Unkept(unkept) => Err(unkept),
        }
    }

    fn spend_inside(
        &self,
        entry: &Arc<Entry>,
        charge: &Charge,
        day: Day,
        (once, at): (Option<Once>, Millis),
        frames: &mut Frames,
    ) -> Result<Heard, Unspent> {
        let amount = u64::from(charge.amount().get());
        let mut books = entry.books();
        let named = once.map(|once| (once, self.lives(&books, charge, day)));
        if let Some((once, lives)) = &named {
            self.is_new(once, *lives, at, Despite::Nothing)?;
        }
        let guard = books.guard_mut();
        let covered = limited(charge, day).all(|cell| {
            guard
                .account(cell)
                .is_some_and(|a| a.sums().spare() >= amount)
        });
        let under = self.composing();
        if !covered || !guard.may_admit(&self.lease, self.clock.steady()) {
            return Err(Unspent::Ask);
        }
        self.apps.to_save(entry);
        for cell in limited(charge, day) {
            let account = guard.open(cell);
            account.spend(amount);
            frames.escrow(entry.app, cell, &account.sums());
        }
        entry.consume(&mut books, charge, day, frames);
        if let Some((once, lives)) = named {
            self.remember(once, lives.number, at, frames);
        }
        Ok(under)
    }

    /// Whether a creation that was decided under the lease of `under` may still be answered with ALLOW: that
    /// lease never lapsed, and no freeze has come. To be asked when all is written, as the last thing.
    pub(super) fn may_answer(&self, entry: &Entry, under: Heard) -> bool {
        // The app may have been heard again in a newer lease: what lies between the two is what matters.
        entry.frozen().is_none() && self.has_lease() && self.composing() == under
    }

    /// Takes note of what is asked for. Answers whether it may be there; if not, the ledger is told what
    /// would be wished for.
    fn note_demand(&self, entry: &Arc<Entry>, charge: &Charge, day: Day, now: Millis) -> bool {
        let amount = u64::from(charge.amount().get());
        let mut covered = true;
        {
            let mut books = entry.books();
            let guard = books.guard_mut();
            for cell in limited(charge, day) {
                let account = guard.open(cell);
                account.want(amount, now);
                covered &= account.sums().spare() >= amount;
            }
        }
        if !covered {
            self.settle_at_once(entry, now);
        }
        covered
    }

    /// Has an app settled within a few milliseconds, but not the same one again and again.
    fn settle_at_once(&self, entry: &Arc<Entry>, now: Millis) {
        self.apps.to_settle_soon(entry);
        if entry.books().guard_mut().may_wish(now) {
            self.apps.to_settle_at_once(entry);
            self.hurry.notify_one();
        }
    }
}

impl Entry {
    /// Whether less than half of what is wished for is left of some part.
    fn runs_low(&self, charge: &Charge, day: Day, now: Millis) -> bool {
        let books = self.books();
        let Some(guard) = books.guard() else {
            return false;
        };
        limited(charge, day).any(|cell| guard.account(cell).is_some_and(|a| a.runs_low(now)))
    }
}

/// The cells of a charge that a limit guards.
fn limited(charge: &Charge, day: Day) -> impl Iterator<Item = Cell> {
    let limited = charge.parts().iter();
    limited
        .filter(|part| part.limit.get().is_some())
        .map(move |part| cell_of(part.counter, day))
}
