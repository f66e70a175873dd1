//! The books of one app: this member's own sums, what the ledger said of the others', and what limits
//! guard.

use super::cell::LiveCell;
use super::days::Days;
use super::escrow::Account;
use super::guard::{Guard, cell_of};
use super::journal::Saved;
use super::passage::Passage;
use crate::clock::Day;
use crate::quota::{Counter, RESOURCES, Resource};
use crate::store::{Cell, Totals, View};

/// What of an app is counted here. It changes together, under one lock.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Books {
    live: [LiveCell; 3],
    /// The sums that belong to days.
    pub days: Days,
    guard: Option<Box<Guard>>,
}

impl Books {
    /// As the journal kept them.
    pub fn restored(cells: &[(Cell, Saved)]) -> Self {
        let mut books = Self::default();
        for (cell, saved) in cells {
            if let Some(account) = &saved.account {
                let guard = books.guard_mut();
                guard.restore(*cell, Account::restored(**account));
            }
            match cell {
                Cell::Live(resource) => *books.live_mut(*resource) = LiveCell::restored(saved),
                Cell::Gained(_) | Cell::Increment(_) => books.days.restore(*cell, saved),
            }
        }
        books
    }

    /// Puts them into a row, or takes them out of one.
    pub fn pass(&mut self, by: &mut impl Passage) {
        for live in &mut self.live {
            live.pass(by);
        }
        self.days.pass(by);
        by.maybe(&mut self.guard, |by, guard| guard.pass(by));
    }

    /// A resource's live count.
    pub fn live(&self, resource: Resource) -> &LiveCell {
        &self.live[resource as usize]
    }

    /// A resource's live count, to be changed.
    pub fn live_mut(&mut self, resource: Resource) -> &mut LiveCell {
        &mut self.live[resource as usize]
    }

    /// Whether the ledger has yet to hear of objects of this app.
    pub fn is_owed(&self) -> bool {
        self.live.iter().any(LiveCell::is_owed) || self.guard().is_some_and(Guard::is_owed)
    }

    /// The sums of a cell.
    pub fn totals_of(&mut self, cell: Cell) -> Totals {
        match cell {
            Cell::Live(resource) => self.live(resource).totals(),
            Cell::Gained(day) => self.days.of(day).gained.totals,
            Cell::Increment(day) => self.days.of(day).increments.totals,
        }
    }

    /// The net count of a cell as far as this member knows it.
    pub fn net_of(&mut self, cell: Cell) -> i64 {
        match cell {
            Cell::Live(resource) => self.live(resource).net(),
            Cell::Gained(day) => self.days.of(day).gained.net(),
            Cell::Increment(_) => 0,
        }
    }

    /// Every cell as the journal keeps it, live ones first.
    pub fn saved(&self) -> Vec<(Cell, Saved)> {
        let mut cells = self.cells();
        cells.retain(|(_, saved)| *saved != Saved::default());
        cells
    }

    /// Every cell that has anything or is live, live ones first.
    pub fn cells(&self) -> Vec<(Cell, Saved)> {
        let live = RESOURCES.map(|resource| (Cell::Live(resource), self.live(resource).saved()));
        let mut cells: Vec<_> = live.into_iter().collect();
        cells.extend(self.days.saved());
        for (cell, account) in self.guard().into_iter().flat_map(Guard::accounts) {
            let account = Some(Box::new(account.saved()));
            match cells.iter_mut().find(|(of, _)| *of == cell) {
                Some((_, saved)) => saved.account = account,
                None => cells.push((
                    cell,
                    Saved {
                        account,
                        ..Saved::default()
                    },
                )),
            }
        }
        cells
    }

    /// What limits guard, if there is anything.
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_deref()
    }

    /// What limits guard, begun if need be.
    pub fn guard_mut(&mut self) -> &mut Guard {
        self.guard.get_or_insert_default()
    }

    /// Takes the ledger's word on the counts of everybody else, unless a newer one is known; the view's gain
    /// is `day`'s. Where no limit is, nobody minds.
    pub fn learn(&mut self, view: &View, day: Day) {
        let guard = self.guard.as_mut();
        if guard.is_some_and(|guard| !guard.counts_by(view)) {
            return;
        }
        for resource in RESOURCES {
            let others = view.others(resource.counter());
            self.live_mut(resource).learn(others);
        }
        self.days.of(day).gained.others = view.others(Counter::GroupsGained);
    }

    /// The life that a counter's cell is in, as far as this member knows.
    pub fn generation(&self, counter: Counter, day: Day) -> u64 {
        let account = self
            .guard()
            .and_then(|guard| guard.account(cell_of(counter, day)));
        account.map_or(0, |account| account.sums().generation)
    }

    /// Whether `view` shows a recount that is not known here.
    pub fn is_outlived(&self, view: &View, day: Day) -> bool {
        match self.guard() {
            Some(guard) => guard.outlived(view, day).next().is_some(),
            None => Guard::default().outlived(view, day).next().is_some(),
        }
    }

    /// Cells that have something that was lent and not spent.
    pub fn spare_cells(&self) -> Vec<Cell> {
        let accounts = self.guard().into_iter().flat_map(Guard::accounts);
        let spare = accounts.filter(|(_, account)| account.sums().spare() > 0);
        spare.map(|(cell, _)| cell).collect()
    }

    /// Forgets days that are over and owe nothing.
    pub fn forget_before(&mut self, day: Day) {
        self.days.forget_before(day);
        if let Some(guard) = &mut self.guard {
            guard.forget_before(day);
        }
    }
}
