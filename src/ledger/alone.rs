//! Creations that this member counts without the ledger's word, under ids that all are to know: memory has each at
//! once, and the ledger is told of its id. Of two members that counted under one id the second hears that, and gives it
//! back in its own sums.

use std::sync::Arc;

use super::Ledger;
use super::entry::Entry;
use super::guard::cell_of;
use super::ids::Once;
use super::journal::LogFull;
use super::owed::{Full, Wanted, Withdrawn};
use super::repeats::{Counted, Despite, Repeated, Unkept};
use crate::clock::Millis;

/// Why nothing was counted under an attempt of its own.
enum Unheard {
    /// It was made before, or cannot be kept.
    Repeated(Repeated),
    /// All attempts were just withdrawn.
    Withdrawn,
}

impl From<LogFull> for Unheard {
    fn from(full: LogFull) -> Self {
        Self::Repeated(full.into())
    }
}

impl From<Withdrawn> for Unheard {
    fn from(_: Withdrawn) -> Self {
        Self::Withdrawn
    }
}

impl From<Repeated> for Unheard {
    fn from(repeated: Repeated) -> Self {
        Self::Repeated(repeated)
    }
}

impl Ledger {
    /// As [`Ledger::consume`], and the ledger will be told of the id. Where too many wait for that it is this member's own.
    ///
    /// # Errors
    /// [`Unkept`]; the counts are as before then.
    pub fn consume_alone(
        &self,
        entry: &Arc<Entry>,
        wanted: Wanted,
        now: Millis,
        once: Once,
    ) -> Result<Counted, Unkept> {
        let (charge, day) = (wanted.charge, wanted.day);
        let at = self.clock.now();
        let lives = self.lives(&entry.books(), &charge, day);
        // What is known already needs no attempt.
        if let Err(repeated) = self.is_new(&once, lives, at, Despite::Asked) {
            return Repeated::told(Err::<(), _>(repeated), |()| None);
        }
        let open = match self.open_take(wanted) {
            Ok(open) => open,
            Err(Full::Waiting) => {
                return self.consume(entry, &charge, (now, at), Some(once), Despite::Asked);
            }
            Err(Full::Journal(full)) => return Err(Unkept::Log(full)),
        };
        let counted = open.allowed::<Unheard>(|frames| {
            let mut books = entry.books();
            let lives = self.lives(&books, &charge, day);
            self.is_new(&once, lives, at, Despite::Asked)?;
            self.apps.to_save(entry);
            entry.consume(&mut books, &charge, day, frames);
            self.remember(once, lives.number, at, frames);
            Ok(Some(books.generation(charge.parts()[0].counter, day)))
        });
        let counted = match counted {
            Err(Unheard::Withdrawn) => {
                return self.consume(entry, &charge, (now, at), Some(once), Despite::Asked);
            }
            Err(Unheard::Repeated(repeated)) => Err(repeated),
            Ok(()) => Ok(()),
        };
        Repeated::told(counted, |()| {
            self.apps.to_settle(entry);
            let cell = cell_of(charge.parts()[0].counter, day);
            Some(entry.books().net_of(cell))
        })
    }
}
