//! What all gateways together were answered, and so how much each cell can have counted.

use std::ops::RangeInclusive;

use crate::cells::{CELLS, Cell};

/// How many sidecars there are.
pub const SIDECARS: usize = 6;

/// Objects of one cell. Every amount stands for calls; one of unknown outcome may have been counted.
#[derive(Debug, Default, Clone, Copy)]
pub struct Sums {
    pub allowed: u64,
    /// Of those, how many were admitted without the ledger.
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
    /// The same by the sidecar that was asked, for what is released where it was created.
    doors: [[Sums; SIDECARS]; CELLS.len()],
    /// How often the ledger could not be asked.
    pub unavailable: u64,
    /// How many calls got no answer.
    pub lost: u64,
    /// How many calls were answered.
    pub answered: u64,
}

impl Book {
    pub fn new() -> Self {
        Self {
            cells: Default::default(),
            doors: Default::default(),
            unavailable: 0,
            lost: 0,
            answered: 0,
        }
    }

    pub fn cell(&self, cell: usize) -> &Sums {
        &self.cells[cell]
    }

    /// What was asked of one sidecar.
    pub fn door(&self, cell: usize, door: usize) -> &Sums {
        &self.doors[cell][door]
    }

    /// Writes down a change, and looks whether a limit was passed.
    pub fn write(&mut self, cell: usize, door: usize, change: impl Fn(&mut Sums)) {
        change(&mut self.cells[cell]);
        change(&mut self.doors[cell][door]);
        let (sums, Cell { name, limit, .. }) = (&self.cells[cell], &CELLS[cell]);
        if let Some((limit, _)) = limit {
            // What was admitted without the ledger is known to it later; it binds all the same.
            let bound = limit + sums.degraded;
            assert!(sums.alive() <= bound, "{name}: over the limit: {sums:?}");
        }
    }
}
