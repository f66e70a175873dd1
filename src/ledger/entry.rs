//! One app that this sidecar has met: its own sums, what the ledger said of the others', and what limits
//! guard.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::apps::Listed;
use super::books::Books;
use super::guard::{Guard, Heard};
use super::journal::Saved;
use super::lease::Lease;
use super::rest::{Kept, OpenBooks};
use crate::clock::{Day, Millis};
use crate::quota::{AppId, AppRules, Counter, Resource};
use crate::store::{Cell, CellReport, View, Wish};

/// An app that this sidecar has met.
#[derive(Debug)]
pub struct Entry {
    /// Its id.
    pub app: AppId,
    rules: ArcSwap<AppRules>,
    /// Whether nobody names it any more: it may create nothing, and what it owes is settled.
    gone: AtomicBool,
    pub(super) listed: Listed,
    /// Whether the ledger was told which plan it has.
    pub(super) plan_told: AtomicBool,
    books: Mutex<Kept>,
}

impl Entry {
    /// An app as the journal kept it.
    pub fn restored(app: AppId, rules: Arc<AppRules>, cells: &[(Cell, Saved)]) -> Self {
        let books = Box::new(Books::restored(cells));
        Self {
            app,
            rules: ArcSwap::new(rules),
            gone: AtomicBool::new(false),
            listed: Listed::default(),
            plan_told: AtomicBool::new(false),
            books: Mutex::new(Kept::Open(books)),
        }
    }

    /// The rules it lives under just now. To be looked at once for one decision: they may change.
    pub fn rules(&self) -> impl Deref<Target = Arc<AppRules>> {
        self.rules.load()
    }

    /// Whether nobody names the app any more.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Lives under `rules` from now on.
    pub fn live_by(&self, rules: &Arc<AppRules>) -> Change {
        let back = self.gone.swap(false, Ordering::AcqRel);
        if !back && **self.rules.load() == **rules {
            return Change::None;
        }
        let old = self.rules.swap(rules.clone());
        if back || old.plan.name != rules.plan.name {
            self.plan_told.store(false, Ordering::Relaxed);
        }
        Change::Some
    }

    /// Nobody names it from now on.
    pub fn end(&self) -> Change {
        if self.gone.swap(true, Ordering::AcqRel) {
            Change::None
        } else {
            Change::Some
        }
    }

    /// What is kept under a lock. Held for a few instructions, never across an await. It comes behind
    /// the journal's lock, where both are held.
    pub fn books(&self) -> OpenBooks<'_> {
        OpenBooks::new(self.kept())
    }

    /// Puts the books to rest: nobody is at them for now, as far as is known.
    pub fn rest(&self) {
        self.kept().rest();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // No step of a change panics, so a poisoned value is still whole.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The net count of a resource as far as this member knows it.
    pub fn net(&self, resource: Resource) -> i64 {
        self.books().live(resource).net()
    }

    /// Takes the ledger's word on the counts of everybody else; the view's gain is `day`'s.
    pub fn learn(&self, view: &View, day: Day) {
        self.books().learn(view, day);
    }

    /// Whether the ledger has yet to hear of objects of this app.
    pub fn is_owed(&self) -> bool {
        self.books().is_owed()
    }

    /// Whether something that was lent was returned, and the ledger has yet to hear of it. What was spent is
    /// no less charged when the ledger hears of it.
    pub fn has_returned(&self) -> bool {
        let cells = self.books().cells();
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
        let mut books = self.books();
        let mut cells = Vec::new();
        let frozen = books.guard().and_then(Guard::frozen).is_some();
        let all = telling == Telling::All;
        for (cell, kept) in if all { books.saved() } else { books.cells() } {
            let account = books.guard().and_then(|guard| guard.account(cell)).copied();
            let limit = self.limit_of(cell).filter(|_| !frozen);
            let wish = match (&account, limit) {
                (Some(account), Some(limit)) => account.wish(limit, now).map(|wish| Wish {
                    edition: self.rules().edition,
                    ..wish
                }),
                _ => None,
            };
            let owed = kept.is_owed() || account.is_some_and(|account| account.is_owed());
            let told = owed || telling != Telling::News && account.is_some();
            if told || wish.is_some() || all {
                let (totals, high) = match cell {
                    Cell::Live(resource) if !all => books.live_mut(resource).report(),
                    _ => (kept.totals, kept.high),
                };
                cells.push(CellReport {
                    cell,
                    totals,
                    high,
                    escrow: account.map(|account| account.sums()),
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
                Cell::Live(resource) => books.live_mut(resource).settled(report.totals),
                Cell::Gained(_) | Cell::Increment(_) => books.days.settled(report),
            }
            if let Some(escrow) = &report.escrow {
                books.guard_mut().open(report.cell).settled(escrow);
            }
        }
    }

    /// A report did not arrive.
    pub fn report_failed(&self, cells: &[CellReport]) {
        let mut books = self.books();
        for report in cells {
            if let Cell::Live(resource) = report.cell {
                books.live_mut(resource).report_failed(report.high);
            }
        }
    }

    /// Every cell as the journal keeps it.
    pub fn saved(&self) -> Vec<(Cell, Saved)> {
        self.books().saved()
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
        let lent = guard.learn(view, day, heard, now);
        News {
            lent,
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

    /// The limit that guards a cell, if one does.
    pub fn limit_of(&self, cell: Cell) -> Option<u64> {
        let rules = self.rules();
        if self.is_gone() {
            return None;
        }
        let limits = &rules.limits;
        match cell {
            Cell::Live(resource) => limits.of(resource.counter()).get(),
            Cell::Gained(_) => limits.of(Counter::GroupsGained).get(),
            Cell::Increment(_) => None,
        }
    }
}

/// Whether the rules that an app lives under changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// They did not.
    None,
    /// They did.
    Some,
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
    /// How many units were lent that were not before.
    pub lent: u64,
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
