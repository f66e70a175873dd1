//! One app that this sidecar has met: its own sums, what the ledger said of the others', and what limits
//! guard.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::apps::Listed;
use super::cell::LiveCell;
use super::days::Days;
use super::escrow::Account;
use super::guard::{Guard, Heard, cell_of};
use super::journal::Saved;
use super::lease::Lease;
use crate::clock::{Day, Millis};
use crate::quota::{AppId, AppRules, Counter, RESOURCES, Resource};
use crate::store::{Cell, CellReport, Totals, View};

/// An app that this sidecar has met.
#[derive(Debug)]
pub struct Entry {
    /// Its id.
    pub app: AppId,
    /// The rules it lives under.
    pub rules: Arc<AppRules>,
    live: [LiveCell; 3],
    books: Mutex<Books>,
    pub(super) listed: Listed,
}

/// What of an app is kept under a lock: few apps have much of it, and it changes together.
#[derive(Debug, Default)]
pub struct Books {
    /// The sums that belong to days.
    pub days: Days,
    guard: Option<Box<Guard>>,
}

impl Books {
    /// What limits guard, if there is anything.
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_deref()
    }

    /// What limits guard, begun if need be.
    pub fn guard_mut(&mut self) -> &mut Guard {
        self.guard.get_or_insert_default()
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

impl Entry {
    /// An app as the journal kept it.
    pub fn restored(app: AppId, rules: Arc<AppRules>, cells: Vec<(Cell, Saved)>) -> Self {
        let mut live: [LiveCell; 3] = Default::default();
        let mut books = Books::default();
        for (cell, saved) in cells {
            if let Some(account) = &saved.account {
                let guard = books.guard_mut();
                guard.restore(cell, Account::restored(**account));
            }
            match cell {
                Cell::Live(resource) => live[resource as usize] = LiveCell::restored(&saved),
                Cell::Gained(_) | Cell::Increment(_) => books.days.restore(cell, &saved),
            }
        }
        Self {
            app,
            rules,
            live,
            books: Mutex::new(books),
            listed: Listed::default(),
        }
    }

    /// A resource's live count.
    pub fn live(&self, resource: Resource) -> &LiveCell {
        &self.live[resource as usize]
    }

    /// What is kept under a lock. Held for a few instructions, never across an await. It comes behind
    /// the journal's lock, where both are held.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        // No step of a change panics, so a poisoned value is still whole.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the ledger's word on the counts of everybody else; the view's gain is `day`'s.
    pub fn learn(&self, view: &View, day: Day) {
        for resource in RESOURCES {
            self.live(resource).learn(view.others(resource.counter()));
        }
        self.books().days.of(day).gained.others = view.others(Counter::GroupsGained);
    }

    /// Whether the ledger has yet to hear of objects of this app.
    pub fn is_owed(&self) -> bool {
        let live = |resource| self.live(resource).is_owed();
        RESOURCES.into_iter().any(live) || self.books().guard().is_some_and(Guard::is_owed)
    }

    /// Whether something that was lent was returned, and the ledger has yet to hear of it. What was spent is
    /// no less charged when the ledger hears of it.
    pub fn has_returned(&self) -> bool {
        let books = self.books();
        let cells = self.cells(&books, false);
        cells.iter().any(|(_, saved)| {
            let account = saved.account.as_deref();
            let unheard = account.map_or(0, |a| a.sums.done.saturating_sub(a.acked.done));
            let spent = saved.totals.consumed.saturating_sub(saved.acked.consumed);
            unheard > spent
        })
    }

    /// Whether units may be spent at `now`. Where it says no, the ledger must be asked.
    pub fn may_admit(&self, lease: &Lease, now: Duration) -> bool {
        let books = self.books();
        books
            .guard()
            .is_some_and(|guard| guard.may_admit(lease, now))
    }

    /// What the ledger has yet to hear of this app, with `wishes`; and, where an answered take or release
    /// is told with it, every account that may contain it.
    pub fn report(&self, now: Millis, telling: Telling) -> Vec<CellReport> {
        // Spent units are read with the lock held that they move under, and the live sums after them: no
        // unit is missing in both.
        let books = self.books();
        let mut cells = Vec::new();
        let guard = books.guard();
        let frozen = guard.is_some_and(|guard| guard.frozen().is_some());
        for (cell, kept) in self.cells(&books, telling == Telling::All) {
            let account = guard.and_then(|guard| guard.account(cell));
            let limit = self.limit_of(cell).filter(|_| !frozen);
            let wish = match (account, limit) {
                (Some(account), Some(limit)) => account.wish(limit, now),
                _ => None,
            };
            let owed = kept.is_owed() || account.is_some_and(Account::is_owed);
            let told = owed || telling != Telling::News && account.is_some();
            if told || wish.is_some() || telling == Telling::All {
                let (totals, high) = match cell {
                    Cell::Live(resource) if telling != Telling::All => self.live(resource).report(),
                    _ => (kept.totals, kept.high),
                };
                cells.push(CellReport {
                    cell,
                    totals,
                    high,
                    escrow: account.map(Account::sums),
                    wish,
                });
            }
        }
        cells
    }

    /// All that this member ever counted here, for a ledger that forgot.
    pub fn cells_to_restate(&self) -> Vec<CellReport> {
        self.report(Millis(0), Telling::All)
    }

    /// The ledger acknowledged `cells`.
    pub fn settled(&self, cells: &[CellReport]) {
        let mut books = self.books();
        for report in cells {
            match report.cell {
                Cell::Live(resource) => self.live(resource).settled(report.totals),
                Cell::Gained(_) | Cell::Increment(_) => books.days.settled(report),
            }
            if let Some(escrow) = &report.escrow {
                books.guard_mut().open(report.cell).settled(escrow);
            }
        }
    }

    /// A report did not arrive.
    pub fn report_failed(&self, cells: &[CellReport]) {
        for report in cells {
            if let Cell::Live(resource) = report.cell {
                self.live(resource).report_failed(report.high);
            }
        }
    }

    /// Every cell as the journal keeps it.
    pub fn saved(&self) -> Vec<(Cell, Saved)> {
        let books = self.books();
        let cells = self.cells(&books, true);
        cells
            .into_iter()
            .filter(|(_, saved)| *saved != Saved::default())
            .collect()
    }

    /// Takes what the ledger lends and says of freezes, once recounts in it were noted. Answers what
    /// follows from it.
    pub fn hear(&self, view: &View, day: Day, heard: Heard, now: Duration) -> News {
        let mut books = self.books();
        if books.guard().is_none() && !says_anything(view) {
            return News::default();
        }
        let guard = books.guard_mut();
        let known = guard.frozen();
        guard.learn(view, day, heard, now);
        News {
            frozen: guard.frozen().is_some() && guard.frozen() != known,
            recalled: view.recalled && guard.has_spare(),
            watch: guard.frozen().is_some() || guard.has_spare(),
        }
    }

    /// Whether the app's shard was heard since the lease last began, as far as anything depends on it.
    pub fn is_heard(&self, lease: &Lease) -> bool {
        let books = self.books();
        books.guard().is_none_or(|guard| guard.is_heard(lease))
    }

    /// Takes notice of a freeze. Answers whether it is news.
    pub fn freeze(&self, token: u64, now: Duration) -> bool {
        self.books().guard_mut().freeze(token, now)
    }

    /// The freeze whose token is out for certain.
    pub fn token_out(&self, now: Duration) -> Option<u64> {
        self.books().guard()?.token_out(now)
    }

    /// The freeze that this app is known to be in.
    pub fn frozen(&self) -> Option<u64> {
        self.books().guard().and_then(Guard::frozen)
    }

    /// The freeze that may be acknowledged as far as this entry goes: nothing that was lent is left.
    /// Whether something is open is known to `Owed::nothing_open`.
    pub fn acks_freeze(&self) -> Option<u64> {
        let books = self.books();
        let guard = books.guard()?;
        guard.frozen().filter(|_| !guard.has_spare())
    }

    /// The sums of a cell that stands in `books`.
    pub fn totals_of(&self, books: &mut Books, cell: Cell) -> Totals {
        match cell {
            Cell::Live(resource) => self.live(resource).totals(),
            Cell::Gained(day) => books.days.of(day).gained.totals,
            Cell::Increment(day) => books.days.of(day).increments.totals,
        }
    }

    /// The limit that guards a cell, if one does.
    pub fn limit_of(&self, cell: Cell) -> Option<u64> {
        let limits = &self.rules.limits;
        match cell {
            Cell::Live(resource) => limits.of(resource.counter()).get(),
            Cell::Gained(_) => limits.of(Counter::GroupsGained).get(),
            Cell::Increment(_) => None,
        }
    }

    /// The net count of a cell as far as this member knows it.
    pub fn net_of(&self, books: &mut Books, cell: Cell) -> i64 {
        match cell {
            Cell::Live(resource) => self.live(resource).net(),
            Cell::Gained(day) => books.days.of(day).gained.net(),
            Cell::Increment(_) => 0,
        }
    }

    /// Every cell that has anything, live ones first.
    fn cells(&self, books: &Books, all: bool) -> Vec<(Cell, Saved)> {
        let live = RESOURCES.map(|resource| (Cell::Live(resource), self.live(resource).saved()));
        let mut cells: Vec<_> = live.into_iter().collect();
        cells.extend(books.days.saved());
        for (cell, account) in books.guard().into_iter().flat_map(Guard::accounts) {
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
        if all {
            cells.retain(|(_, saved)| *saved != Saved::default());
        }
        cells
    }
}

/// How much a report tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// What the ledger has yet to hear.
    News,
    /// That, and every account: an answered take or release is told with it.
    Accounts,
    /// Everything.
    All,
}

/// What follows from a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct News {
    /// The app is frozen, which was not known: what is open is to be withdrawn.
    pub frozen: bool,
    /// Others starve for what this member holds.
    pub recalled: bool,
    /// Something is held that may have to be returned, or a freeze has to be seen ending.
    pub watch: bool,
}

/// Whether a view says anything that is kept for limits.
fn says_anything(view: &View) -> bool {
    view.frozen.is_some() || view.escrow.iter().any(|escrow| escrow.granted > 0)
}
