//! An app's sums that belong to a day: groups gained, and active users that a gateway counted itself.

use super::journal::Saved;
use super::passage::Passage;
use crate::clock::Day;
use crate::store::{Cell, CellReport, Totals};

/// For how many days before today a day is kept here: events are taken until 48 hours after a day's
/// end, and settled soon after.
pub const DAYS_KEPT: i32 = 4;

/// One day of one app, as this member knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct DaySums {
    /// The day.
    pub day: Day,
    /// Groups gained from memory.
    pub gained: Tally,
    /// Active users that gateways counted themselves; only `consumed` moves.
    pub increments: Tally,
    /// The day's active users as the ledger last told, this member's own increments left out; `None`
    /// until it did.
    pub active_elsewhere: Option<u64>,
    /// Users of the day that wait here for the ledger. Below zero for a moment, where the ledger was
    /// told before it was noted that they wait.
    pub active_pending: i64,
}

/// Sums of one cell.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// This member's own.
    pub totals: Totals,
    /// What the ledger acknowledged of them.
    pub acked: Totals,
    /// The others' net, as the ledger last told.
    pub others: i64,
}

impl DaySums {
    fn new(day: Day) -> Self {
        Self {
            day,
            gained: Tally::default(),
            increments: Tally::default(),
            active_elsewhere: None,
            active_pending: 0,
        }
    }

    fn pass(&mut self, by: &mut impl Passage) {
        by.day(&mut self.day);
        self.gained.pass(by);
        self.increments.pass(by);
        by.maybe(&mut self.active_elsewhere, Passage::number);
        by.signed(&mut self.active_pending);
    }
}

impl Tally {
    fn pass(&mut self, by: &mut impl Passage) {
        by.totals(&mut self.totals);
        by.totals(&mut self.acked);
        by.signed(&mut self.others);
    }

    fn restored(saved: &Saved) -> Self {
        Self {
            totals: saved.totals,
            acked: saved.acked,
            others: 0,
        }
    }

    fn saved(&self) -> Saved {
        Saved {
            totals: self.totals,
            acked: self.acked,
            high: self.totals.net(),
            account: None,
        }
    }

    fn settled(&mut self, totals: Totals) {
        self.acked.consumed = self.acked.consumed.max(totals.consumed);
        self.acked.released = self.acked.released.max(totals.released);
    }

    /// The net as far as this member knows it.
    pub fn net(&self) -> i64 {
        self.others.saturating_add(self.totals.net())
    }
}

/// The days of one app that are still of interest; at most a handful.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Days(Vec<DaySums>);

impl Days {
    /// Puts them into a row, or takes them out of one.
    pub fn pass(&mut self, by: &mut impl Passage) {
        by.list(
            &mut self.0,
            || DaySums::new(Day::EPOCH),
            |by, sums| sums.pass(by),
        );
    }

    /// The sums of `day`, made if need be.
    pub fn of(&mut self, day: Day) -> &mut DaySums {
        let at = self
            .0
            .iter()
            .position(|sums| sums.day == day)
            .unwrap_or_else(|| {
                // Nearly every app has one day here; growing to four at once would cost each 300 bytes.
                self.0.reserve_exact(1);
                self.0.push(DaySums::new(day));
                self.0.len() - 1
            });
        &mut self.0[at]
    }

    /// Takes a cell as the journal kept it.
    pub fn restore(&mut self, cell: Cell, saved: &Saved) {
        match cell {
            Cell::Live(_) => {}
            Cell::Gained(day) => self.of(day).gained = Tally::restored(saved),
            Cell::Increment(day) => self.of(day).increments = Tally::restored(saved),
        }
    }

    /// Every cell with its sums.
    pub fn saved(&self) -> impl Iterator<Item = (Cell, Saved)> + '_ {
        self.tallies().map(|(cell, tally)| (cell, tally.saved()))
    }

    /// The ledger acknowledged a cell's sums.
    pub fn settled(&mut self, report: &CellReport) {
        match report.cell {
            Cell::Live(_) => {}
            Cell::Gained(day) => self.of(day).gained.settled(report.totals),
            Cell::Increment(day) => self.of(day).increments.settled(report.totals),
        }
    }

    /// Forgets days that are over and owe nothing.
    pub fn forget_before(&mut self, day: Day) {
        self.0.retain(|sums| {
            sums.day >= day || sums.active_pending != 0 || {
                sums.gained.totals != sums.gained.acked
                    || sums.increments.totals != sums.increments.acked
            }
        });
    }

    fn tallies(&self) -> impl Iterator<Item = (Cell, &Tally)> + '_ {
        self.0.iter().flat_map(|sums| {
            [
                (Cell::Gained(sums.day), &sums.gained),
                (Cell::Increment(sums.day), &sums.increments),
            ]
            .into_iter()
            .filter(|(_, tally)| tally.totals != Totals::default())
        })
    }
}
