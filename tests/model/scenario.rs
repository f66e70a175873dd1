//! What a run of the model may do: how many members, which limits, which faults, and which mutant.

use crate::mutant::Mutant;
use crate::words::*;
use crate::world::Act;

/// How often each kind of event may happen in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    pub asks: u8,
    pub releases: u8,
    pub drops: u8,
    pub doubles: u8,
    pub restarts: u8,
    pub losses: u8,
    pub joins: u8,
    pub ttls: u8,
    pub lease_ends: u8,
    pub rollbacks: u8,
    pub flushes: u8,
    pub leaves: u8,
    pub retires: u8,
    pub recounts: u8,
    pub cancels: u8,
    pub folds: u8,
    pub silences: u8,
}

/// How a run begins, before chance takes over. What is not offered is left out.
#[derive(Clone, Copy, Debug)]
pub enum Lead {
    Do(Act),
    /// Delivers until nothing is on its way.
    Flow,
    /// Delivers the first message of the kind.
    Bring(Kind),
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub mutant: Option<Mutant>,
    pub limits: [i8; K],
    /// Counters that are spent from grants; the others take the record path always.
    pub leased: [bool; K],
    /// The parts of each id.
    pub ids: &'static [[i8; K]],
    /// Members registered at the start, who know one another.
    pub members: usize,
    /// Whether the wait for a witness ends after a lease ttl.
    pub witness_bound: bool,
    pub budget: Budget,
    pub lead: Vec<Lead>,
}

impl Scenario {
    pub fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
    pub fn part(&self, id: usize, k: usize) -> i8 {
        self.ids[id][k]
    }
    /// The first counter that an id is charged to.
    pub fn first(&self, id: usize) -> usize {
        usize::from(self.ids[id][0] == 0)
    }
    /// An id that may be answered from memory is known at one sidecar only until it settles.
    pub fn home(&self, id: usize) -> Option<usize> {
        self.leased[self.first(id)].then_some(id % self.members)
    }
    pub fn with(&self, mutant: Mutant) -> Self {
        Self {
            mutant: Some(mutant),
            ..self.clone()
        }
    }
}
