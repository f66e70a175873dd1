//! What an app has that limits guard: its accounts, and whether they may be spent just now. An app
//! without limits has none of this, and pays nothing for it.

use std::time::Duration;

use super::escrow::Account;
use super::lease::Lease;
use super::passage::Passage;
use crate::clock::{Day, Millis};
use crate::quota::{COUNTERS, Counter, Resource};
use crate::store::{Cell, LEASE_TTL_MS, Totals, View};

/// The shortest time between two recalls that this member asks for in one app.
const RECALL_MS: u64 = 250;
/// The shortest time between two reports that a wish alone is worth.
const WISH_MS: u64 = 50;

/// When a call was composed, as far as leases go: after that many of their gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Heard(u32);

impl Heard {
    /// A call that is composed now.
    pub fn now(lease: &Lease) -> Self {
        Self(lease.gap())
    }
}

/// The guarded part of an entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// At most one for each live count, and one for each day that is kept.
    accounts: Vec<(Cell, Account)>,
    /// The token of the freeze that is known.
    frozen: Option<u64>,
    /// When that was heard of, by the steady clock: one that is set would let a token be out too early.
    frozen_at: Option<Duration>,
    /// The shard's count of writes in the newest view.
    seq: u64,
    /// The same in the view of which the counts of the others are.
    counted: u64,
    /// After which gap of the lease the shard was asked what it answered last.
    heard: Option<Heard>,
    recall_asked: Option<Millis>,
    wish_told: Option<Millis>,
}

impl Guard {
    /// Puts it into a row, or takes it out of one.
    pub fn pass(&mut self, by: &mut impl Passage) {
        let blank = || (Cell::Live(Resource::Account), Account::default());
        by.list(&mut self.accounts, blank, |by, (cell, account)| {
            by.cell(cell);
            account.pass(by);
        });
        by.maybe(&mut self.frozen, Passage::number);
        by.steady(&mut self.frozen_at);
        by.number(&mut self.seq);
        by.number(&mut self.counted);
        let mut heard = self.heard.map(|heard| heard.0);
        by.maybe(&mut heard, Passage::short);
        self.heard = heard.map(Heard);
        by.moment(&mut self.recall_asked);
        by.moment(&mut self.wish_told);
    }

    /// Takes a cell's account as the journal kept it.
    pub fn restore(&mut self, cell: Cell, account: Account) {
        *self.open(cell) = account;
    }

    /// The account of a cell, if there is one.
    pub fn account(&self, cell: Cell) -> Option<&Account> {
        let mut accounts = self.accounts.iter();
        accounts
            .find(|(of, _)| *of == cell)
            .map(|(_, account)| account)
    }

    /// The account of a cell, opened if need be.
    pub fn open(&mut self, cell: Cell) -> &mut Account {
        let at = self.accounts.iter().position(|(of, _)| *of == cell);
        let at = at.unwrap_or_else(|| {
            self.accounts.reserve_exact(1);
            self.accounts.push((cell, Account::default()));
            self.accounts.len() - 1
        });
        &mut self.accounts[at].1
    }

    /// All accounts.
    pub fn accounts(&self) -> impl Iterator<Item = (Cell, &Account)> {
        self.accounts.iter().map(|(cell, account)| (*cell, account))
    }

    /// All accounts, to be changed.
    pub fn accounts_mut(&mut self) -> impl Iterator<Item = (Cell, &mut Account)> {
        let accounts = self.accounts.iter_mut();
        accounts.map(|(cell, account)| (*cell, account))
    }

    /// Whether units may be spent at `now`: the lease holds, the shard was heard since it began, and no
    /// freeze is known.
    pub fn may_admit(&self, lease: &Lease, now: Duration) -> bool {
        lease.holds(now) && self.is_heard(lease) && self.frozen.is_none()
    }

    /// Whether the shard was heard since the lease last began.
    pub fn is_heard(&self, lease: &Lease) -> bool {
        self.heard == Some(Heard::now(lease))
    }

    /// The token of the freeze that is known.
    pub fn frozen(&self) -> Option<u64> {
        self.frozen
    }

    /// Takes notice of a freeze. Answers whether it is news: a notice may be older than what the shard
    /// itself has told since.
    pub fn freeze(&mut self, token: u64, now: Duration) -> bool {
        let news = token > self.seq && self.frozen.is_none_or(|known| known < token);
        if news {
            (self.frozen, self.frozen_at) = (Some(token), Some(now));
        }
        news
    }

    /// The token of the freeze that is known, once it is certain to have been out for as long as a lease: what is
    /// asked from then on, and has not waited for longer than that, is not in the truth that is being counted.
    pub fn token_out(&self, now: Duration) -> Option<u64> {
        let ttl = Duration::from_millis(LEASE_TTL_MS);
        let heard = self.frozen_at?;
        self.frozen.filter(|_| now.saturating_sub(heard) > 2 * ttl)
    }

    /// Whether something lent is left here.
    pub fn has_spare(&self) -> bool {
        let mut accounts = self.accounts.iter();
        accounts.any(|(_, account)| account.sums().spare() > 0)
    }

    /// Whether the ledger has yet to hear of something here.
    pub fn is_owed(&self) -> bool {
        self.accounts.iter().any(|(_, account)| account.is_owed())
    }

    /// Counters of `view` that were recounted and whose accounts here do not know it.
    pub fn outlived(&self, view: &View, day: Day) -> impl Iterator<Item = (Cell, Counter)> {
        let none = Account::default();
        COUNTERS.into_iter().filter_map(move |counter| {
            let (k, cell) = (counter.index(), cell_of(counter, day));
            let account = self.account(cell).unwrap_or(&none);
            let outlived = account.is_outlived(&view.escrow[k], view.generations[k]);
            outlived.then_some((cell, counter))
        })
    }

    /// Takes note of a recount of one cell.
    pub fn outlive(&mut self, cell: Cell, counter: Counter, view: &View, totals: Totals) {
        let k = counter.index();
        let account = self.open(cell);
        account.outlive(&view.escrow[k], view.generations[k], totals);
    }

    /// Whether a view's counts are to be taken, which is noted then. Answers may overtake each other, and an
    /// older one lacks what a newer one has told of.
    pub fn counts_by(&mut self, view: &View) -> bool {
        let newest = view.seq >= self.counted;
        if newest {
            self.counted = view.seq;
        }
        newest
    }

    /// Takes what the ledger tells, once every recount in it was noted. Answers how many units were lent anew.
    pub fn learn(&mut self, view: &View, day: Day, heard: Heard, now: Duration) -> u64 {
        let mut lent = 0;
        for counter in COUNTERS {
            let (k, cell) = (counter.index(), cell_of(counter, day));
            let told = &view.escrow[k];
            if told.granted > 0 || self.account(cell).is_some() {
                lent += self.open(cell).learn(told, view.outstanding[k]);
            }
        }
        self.heard = self.heard.max(Some(heard));
        self.counted = self.counted.max(view.seq);
        if view.seq < self.seq {
            return lent; // An answer that another has overtaken tells nothing of a freeze.
        }
        self.seq = view.seq;
        // A freeze ends by a view from after it; one from before may lack it.
        if view.frozen.is_some() || self.frozen.is_none_or(|token| view.seq > token) {
            let known = self.frozen;
            let newer = known.filter(|token| *token > view.seq);
            self.frozen = view.frozen.max(newer);
            if self.frozen != known {
                self.frozen_at = Some(now);
            }
        }
        lent
    }

    /// What the shard told is not enough to spend by: something in it could not be kept.
    pub fn unhear(&mut self) {
        self.heard = None;
    }

    /// Whether a recall is worth asking for now; if so, it is noted as asked.
    pub fn may_recall(&mut self, now: Millis) -> bool {
        is_time(&mut self.recall_asked, now, RECALL_MS)
    }

    /// Whether a wish alone is worth a report now; if so, it is noted as told.
    pub fn may_wish(&mut self, now: Millis) -> bool {
        is_time(&mut self.wish_told, now, WISH_MS)
    }

    /// Forgets accounts of days before `day` that owe nothing.
    pub fn forget_before(&mut self, day: Day) {
        self.accounts
            .retain(|(cell, account)| cell.day().is_none_or(|of| of >= day) || account.is_owed());
    }
}

/// The cell in which a counter is kept on `day`.
pub fn cell_of(counter: Counter, day: Day) -> Cell {
    use crate::quota::Resource::{Account, AvRoom, Group};
    match counter {
        Counter::Accounts => Cell::Live(Account),
        Counter::Groups => Cell::Live(Group),
        Counter::AvRooms => Cell::Live(AvRoom),
        Counter::GroupsGained => Cell::Gained(day),
    }
}

fn is_time(last: &mut Option<Millis>, now: Millis, apart_ms: u64) -> bool {
    // A clock that was set back counts as time enough.
    let is = last.is_none_or(|last| now < last || now.since(last) >= apart_ms);
    if is {
        *last = Some(now);
    }
    is
}
