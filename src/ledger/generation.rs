//! Which settings are in force, and since when.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{Clock, Millis};

/// Which settings are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Counts from 1, which is what the process began with.
    pub number: u64,
    /// Since when it holds, by this machine's clock.
    pub since: Millis,
    /// How often a settings file with a fault was refused.
    pub refused: u64,
    /// Whether the file as it was last read is in force; not where it has a fault.
    pub is_current: bool,
}

/// The generation as it is now.
#[derive(Debug)]
pub struct Generations(Mutex<Generation>);

impl Default for Generations {
    fn default() -> Self {
        Self(Mutex::new(Generation {
            number: 1,
            since: Clock::system(),
            refused: 0,
            is_current: true,
        }))
    }
}

impl Generations {
    /// What holds now.
    pub fn now(&self) -> Generation {
        *self.lock()
    }

    /// Others hold from now on. Answers their number.
    pub fn next(&self) -> u64 {
        let mut now = self.lock();
        now.number += 1;
        now.since = Clock::system();
        now.is_current = true;
        now.number
    }

    /// The file says what holds.
    pub fn same(&self) {
        self.lock().is_current = true;
    }

    /// The file has a fault, and what holds stays.
    pub fn refused(&self) {
        let mut now = self.lock();
        now.refused += 1;
        now.is_current = false;
    }

    fn lock(&self) -> MutexGuard<'_, Generation> {
        // It is changed in steps that cannot fail; a poisoned one is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
