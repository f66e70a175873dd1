//! What all gateways together were answered, and so how much each cell can have counted.

use std::ops::RangeInclusive;

use crate::cells::{CELLS, Cell};
use crate::logins::Logins;
use crate::tally::{Progress, Shared};

/// How many sidecars there are.
pub const SIDECARS: usize = 6;

/// What all gateways share.
#[derive(Clone, Copy)]
pub struct World<'a> {
    pub book: &'a Shared<Book>,
    pub progress: &'a Progress,
    /// Answers that the ledger gave, of a hard limit.
    pub judged: &'a Progress,
    /// Whether ids outlive what is done here. A ledger that forgot is told of them by the process that
    /// answered; where that was killed as well, an id that is asked again is charged anew.
    pub ids_last: bool,
    /// The first of the sidecars that remember whom they recorded, whatever the ledger forgets: those after it are never ended.
    /// All of them, of a ledger that keeps everything.
    pub remember_from: usize,
}

/// Objects of one cell. Every amount stands for calls; one of unknown outcome may have been counted.
#[derive(Debug, Default, Clone, Copy)]
pub struct Sums {
    pub allowed: u64,
    /// Of those, how many were admitted without the ledger: beyond the limit, where it is open then.
    pub degraded: u64,
    /// Creations that were sent and not yet answered, or never.
    pub maybe_allowed: u64,
    /// Objects that were deleted: their release was at least sent.
    pub deleted: u64,
    pub released: u64,
    /// Releases that were sent and not yet answered, or never.
    pub maybe_released: u64,
}

impl Sums {
    /// How many can be counted.
    pub fn possible(&self) -> RangeInclusive<u64> {
        let gone = self.released + self.maybe_released;
        self.allowed.saturating_sub(gone)..=self.allowed + self.maybe_allowed - self.released
    }

    /// How many objects there are for certain.
    fn alive(&self) -> u64 {
        self.allowed - self.deleted
    }
}

/// The book of all gateways.
pub struct Book {
    cells: [Sums; CELLS.len()],
    /// How often the ledger could not be asked.
    pub unavailable: u64,
    /// How many calls got no answer.
    pub lost: u64,
    /// How many calls were answered.
    pub answered: u64,
    /// How many creations were judged in batches, and how many in streams.
    pub in_batches: u64,
    pub in_streams: u64,
    /// Users who logged in.
    pub logins: Logins,
}

impl Book {
    pub fn new() -> Self {
        Self {
            cells: Default::default(),
            unavailable: 0,
            lost: 0,
            answered: 0,
            in_batches: 0,
            in_streams: 0,
            logins: Logins::default(),
        }
    }

    pub fn cell(&self, cell: usize) -> &Sums {
        &self.cells[cell]
    }

    /// Writes down a change, and looks whether a limit was passed.
    pub fn write(&mut self, cell: usize, change: impl Fn(&mut Sums)) {
        change(&mut self.cells[cell]);
        let (sums, of) = (&self.cells[cell], &CELLS[cell]);
        let Cell { name, limit, .. } = of;
        if let Some((limit, _)) = limit {
            // What was admitted without the ledger is known to it later; it binds all the same.
            let beyond = if of.open_while_away { sums.degraded } else { 0 };
            let bound = limit + beyond;
            assert!(sums.alive() <= bound, "{name}: over the limit: {sums:?}");
        }
    }
}
