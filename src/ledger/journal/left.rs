//! What the log of the last run says, until the first checkpoint of this one has it.
//!
//! A start does not wait for a disk to take over the log: it reads it, goes on in a segment of its own,
//! and leaves the old ones to the first checkpoint, as if they had been finished in this run.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use super::Saved;
use crate::quota::{AppId, COUNTERS, Counter};
use crate::store::Cell;

/// Apps with all their cells, by number.
pub type AppsCells = BTreeMap<AppId, Vec<(Cell, Saved)>>;

/// Apps that the log speaks of, as they are with it.
#[derive(Debug, Default)]
pub struct LeftApps(Mutex<Arc<AppsCells>>);

impl LeftApps {
    /// Begins with what was replayed.
    pub fn new(apps: AppsCells) -> Self {
        Self(Mutex::new(Arc::new(apps)))
    }

    /// All of them.
    pub fn all(&self) -> Arc<AppsCells> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The checkpoint has them.
    pub fn are_saved(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    /// Lays them over a page of the checkpoint: up to `most` apps behind `after`.
    pub fn lay_over(
        &self,
        page: Vec<(AppId, Vec<(Cell, Saved)>)>,
        after: Option<AppId>,
        most: usize,
    ) -> Vec<(AppId, Vec<(Cell, Saved)>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let last = page.last().filter(|_| page.len() >= most);
        let to = last.map_or(Bound::Unbounded, |(app, _)| Bound::Included(*app));
        let mut apps: AppsCells = page.into_iter().collect();
        let left = self.all();
        let in_page = left.range((from, to));
        apps.extend(in_page.map(|(app, cells)| (*app, cells.clone())));
        apps.into_iter().take(most).collect()
    }
}

/// An app of which the ledger has yet to hear something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsettled {
    /// The app.
    pub app: AppId,
    /// By [`Counter`], whether more was created than the ledger has lent or recorded: where a limit
    /// guards such a count, nobody may be answered before the ledger knows of it.
    pub beyond: [bool; 4],
}

impl Unsettled {
    /// What is owed of an app, if anything is.
    pub fn of(app: AppId, cells: &[(Cell, Saved)]) -> Option<Self> {
        let owed = cells.iter().any(|(_, saved)| saved.is_owed());
        let beyond = COUNTERS.map(|counter| {
            let mut own = cells
                .iter()
                .filter(|(cell, _)| counter_of(*cell) == Some(counter));
            own.any(|(_, saved)| saved.is_beyond())
        });
        owed.then_some(Self { app, beyond })
    }
}

/// The counter that a cell belongs to; `None` for increments, which no limit guards.
fn counter_of(cell: Cell) -> Option<Counter> {
    match cell {
        Cell::Live(resource) => Some(resource.counter()),
        Cell::Gained(_) => Some(Counter::GroupsGained),
        Cell::Increment(_) => None,
    }
}
