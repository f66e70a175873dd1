//! How it stands with the ledger's recoveries, as far as this process has heard.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::store::Recovery;

/// An epoch, and what is known of its recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    pub(super) epoch: u64,
    pub(super) stance: Stance,
}

/// What a caller says of its epoch's recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stance {
    /// Members restate.
    Open,
    /// It is over. Apps wait for a recount that they have not had since that epoch; 0: none waits.
    Closed { since: u64 },
}

impl Default for Stance {
    fn default() -> Self {
        Self::Closed { since: 0 }
    }
}

impl Stance {
    pub(super) fn recovery(self) -> Recovery {
        match self {
            Self::Open => Recovery::Open,
            Self::Closed { since: 0 } => Recovery::Closed,
            Self::Closed { .. } => Recovery::Incomplete,
        }
    }
}

impl fmt::Display for Stance {
    /// As the guard of a step takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("-"),
            Self::Closed { since } => since.fmt(f),
        }
    }
}

/// The latest standing, and the epoch of which something was found missing.
#[derive(Debug, Default)]
pub(super) struct Heard {
    latest: Mutex<Standing>,
    beaten: AtomicU64,
    doubted: AtomicU64,
}

impl Heard {
    pub(super) fn latest(&self) -> Standing {
        // A standing is whole even if a holder panicked.
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an answer. Answers may come in any order: an older epoch is an older answer.
    pub(super) fn note(&self, standing: Standing) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if standing.epoch >= latest.epoch {
            *latest = standing;
        }
    }

    /// Takes note that a beat was answered in `epoch`: what the next one says of the roll is of it.
    pub(super) fn note_beat(&self, epoch: u64) {
        self.beaten.fetch_max(epoch, Ordering::Relaxed);
    }

    /// The epoch of the last beat that was answered to this process; 0: none was.
    pub(super) fn beaten(&self) -> u64 {
        self.beaten.load(Ordering::Relaxed)
    }

    /// Takes note that the ledger lacks something that it had in `epoch`.
    pub(super) fn doubt(&self, epoch: u64) {
        self.doubted.fetch_max(epoch, Ordering::Relaxed);
    }

    /// The last epoch in which something was found missing; 0: none.
    pub(super) fn doubted(&self) -> u64 {
        self.doubted.load(Ordering::Relaxed)
    }
}
