//! Requests that are made again: within the append that would count one it is looked at whether it was
//! counted before, and the same append remembers it. So of two at once one counts.

use super::Ledger;
use super::books::Books;
use super::entry::Entry;
use super::ids::{Effect, Found, IdsFull, Known, Once};
use super::journal::{Frames, LogFull};
use crate::clock::{Day, Millis};
use crate::quota::{Charge, RequestId};

/// What became of something that was to be counted from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// It is counted; so many are there now.
    Now(i64),
    /// Nothing was: the known count does not cover it, or the ledger was asked before.
    Not,
    /// Nothing was: the ledger was asked before, and allowed it.
    There,
    /// It was counted before, here, with this number.
    Before(u32),
    /// Its id stands for another request.
    Other,
}

/// Why something could not be counted, nor refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unkept {
    /// The journal takes nothing.
    Log(LogFull),
    /// Its id cannot be remembered.
    Ids(IdsFull),
}

/// What was done before and does not stand in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Despite {
    /// Whatever was done stands in the way.
    Nothing,
    /// That the ledger was asked: it is away, and what it was asked is withdrawn where its outcome is not
    /// known.
    Asked,
}

/// Why an append counted nothing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Repeated {
    /// It was made before.
    Before(Effect),
    /// Its id stands for another request.
    Other,
    /// It cannot be kept.
    Unkept(Unkept),
}

impl From<LogFull> for Repeated {
    fn from(full: LogFull) -> Self {
        Self::Unkept(Unkept::Log(full))
    }
}

impl Repeated {
    /// An append's outcome in words: `net` gives the count if something was counted.
    pub(super) fn told<T>(
        outcome: Result<T, Self>,
        net: impl FnOnce(T) -> Option<i64>,
    ) -> Result<Counted, Unkept> {
        match outcome {
            Ok(done) => Ok(net(done).map_or(Counted::Not, Counted::Now)),
            Err(Self::Before(Effect::Here(number))) => Ok(Counted::Before(number)),
            Err(Self::Before(Effect::Asked)) => Ok(Counted::Not),
            Err(Self::Before(Effect::There)) => Ok(Counted::There),
            Err(Self::Other) => Ok(Counted::Other),
            Err(Self::Unkept(unkept)) => Err(unkept),
        }
    }
}

impl Ledger {
    /// Looks whether a request is new, and can be remembered. One under limits is of the same `lives` of
    /// its counters: what was counted in another may be in no count any more.
    pub(super) fn is_new(
        &self,
        once: &Once,
        lives: Lives,
        now: Millis,
        despite: Despite,
    ) -> Result<(), Repeated> {
        let stands = |effect| match effect {
            Effect::Here(of) => !lives.are_others_than(of),
            Effect::Asked => despite != Despite::Asked,
            Effect::There => true,
        };
        match self.ids.look(once, now, stands) {
            Ok(Found::New) => Ok(()),
            Ok(Found::Known(effect)) => Err(Repeated::Before(effect)),
            Ok(Found::Other) => Err(Repeated::Other),
            Err(full) => Err(Repeated::Unkept(Unkept::Ids(full))),
        }
    }

    /// As [`Ledger::is_new`], for what no limit guards.
    pub(super) fn is_first(&self, once: &Once, now: Millis) -> Result<(), Repeated> {
        self.is_new(once, Lives::default(), now, Despite::Nothing)
    }

    /// Remembers what is counted by the same append.
    pub(super) fn remember(&self, once: Once, number: u32, at: Millis, frames: &mut Frames) {
        self.note(once, Effect::Here(number), at, frames);
    }

    fn note(&self, once: Once, effect: Effect, at: Millis, frames: &mut Frames) {
        frames.once(&Known { once, effect, at });
        self.ids.remember(once, effect, at);
    }

    /// The ledger is about to be asked for a request, from now on always; unless memory knows it. Of a
    /// creation under limits `charge` says which.
    ///
    /// # Errors
    /// [`Unkept`]: the ledger must not be asked then.
    pub fn asks(
        &self,
        entry: &Entry,
        charge: Option<&Charge>,
        once: Once,
        day: Day,
    ) -> Result<Counted, Unkept> {
        let at = self.clock.now();
        let asks = self.journal.append_with(at, |frames| {
            let lives = match charge {
                Some(charge) => self.lives(&entry.books(), charge, day),
                None => Lives::default(),
            };
            match self.is_new(&once, lives, at, Despite::Nothing) {
                Err(Repeated::Before(Effect::Asked | Effect::There)) => Ok(()),
                Err(repeated) => Err(repeated),
                Ok(()) => {
                    self.note(once, Effect::Asked, at, frames);
                    Ok(())
                }
            }
        });
        Repeated::told(asks, |()| None)
    }

    /// The ledger has allowed a request. Known to this process alone: a restart asks the ledger again.
    pub fn was_allowed(&self, once: Once) {
        self.ids.amend(&once, Effect::There);
    }

    /// Whether a client's id says that it is too old to be remembered; nothing may be done for it.
    pub fn is_expired(&self, id: &RequestId, now: Millis) -> bool {
        self.ids.is_expired(id, now)
    }

    /// Whether a creation under limits that was counted before may be allowed once more: as one that is
    /// counted now might be. This member may have slept through a recount.
    pub fn may_repeat(&self, entry: &Entry) -> bool {
        let steady = self.clock.steady();
        let books = entry.books();
        let guard = books.guard();
        self.store.is_local() || guard.is_some_and(|guard| guard.may_admit(&self.lease, steady))
    }
}

/// The lives of the counters that a charge's limits guard, as one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lives {
    pub(super) number: u32,
    /// Whether these are the present ones. If not, none can be said to be older.
    known: bool,
}

/// Lives are numbered by milliseconds: two that are at most a window of ids apart differ in these bits.
const LIVES: u64 = 1 << 30;

impl Lives {
    fn are_others_than(self, number: u32) -> bool {
        self.known && self.number != number
    }
}

impl Ledger {
    /// The lives of the counters that a charge's limits guard, as far as the ledger was heard.
    pub(super) fn lives(&self, books: &Books, charge: &Charge, day: Day) -> Lives {
        if charge.is_metered() {
            return Lives::default();
        }
        let parts = charge.parts().iter();
        let limited = parts.filter(|part| part.limit.get().is_some());
        let lives = limited.map(|part| books.generation(part.counter, day));
        let sum = lives.fold(0_u64, u64::wrapping_add);
        let heard = books
            .guard()
            .is_some_and(|guard| guard.is_heard(&self.lease));
        Lives {
            // Below 2^30.
            number: u32::try_from(sum % LIVES).unwrap_or(0),
            known: heard || self.store.is_local(),
        }
    }
}
