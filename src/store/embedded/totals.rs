//! Members' totals, merged by maximum into an app's counts.

use super::app::App;
use crate::clock::Day;
use crate::quota::Resource;
use crate::store::{Cell, CellReport, Totals};

/// One member's totals of one cell, as far as they were settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// The member's incarnation.
    pub(super) member: u64,
    pub(super) cell: Cell,
    pub(super) totals: Totals,
}

impl App {
    fn told(&self, member: u64, cell: Cell) -> Option<usize> {
        let same = |told: &Told| told.member == member && told.cell == cell;
        self.told.iter().position(same)
    }

    /// Whether the report says nothing new.
    pub(super) fn knows(&self, member: u64, report: &CellReport) -> bool {
        let at = self.told(member, report.cell);
        let old = at.map_or(Totals::default(), |at| self.told[at].totals);
        report.totals.consumed <= old.consumed && report.totals.released <= old.released
    }

    /// Merges a member's totals by maximum. A report that says nothing new must not come here: its
    /// peak is from a time that is settled.
    pub(super) fn settle(&mut self, member: u64, report: &CellReport, today: Day) {
        let at = self.told(member, report.cell).unwrap_or_else(|| {
            self.told.reserve_exact(1);
            self.told.push(Told {
                member,
                cell: report.cell,
                totals: Totals::default(),
            });
            self.told.len() - 1
        });
        let old = self.told[at].totals;
        let new = Totals {
            consumed: old.consumed.max(report.totals.consumed),
            released: old.released.max(report.totals.released),
        };
        self.told[at].totals = new;
        match report.cell {
            Cell::Live(resource) => self.settle_live(resource, old, new, report.high, today),
            Cell::Gained(day) => self.day_mut(day).gained += new.net() - old.net(),
            Cell::Increment(day) => {
                self.day_mut(day).increment += new.consumed - old.consumed;
                self.note_actives(day);
            }
        }
    }

    fn settle_live(&mut self, resource: Resource, old: Totals, new: Totals, high: i64, today: Day) {
        let own = resource.counter().index();
        let before = self.answered()[own];
        self.live[own] += new.net() - old.net();
        if resource == Resource::Group {
            let others = before.saturating_sub(old.net());
            self.book_groups(before, others.saturating_add(high), today);
        }
    }
}
