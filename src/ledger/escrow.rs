//! This member's account of one cell that a limit guards: what it was lent, what of that it may still
//! spend, and how much it is asked for.
//!
//! An account is changed under its entry's lock, and all that it journals inside the append that
//! journals it: charge and record are one act, and the sums stand in the log in the order in which they
//! grew.

use super::passage::Passage;
use crate::clock::Millis;
use crate::store::{Escrow, Totals, Wish};

/// How long one reading of the demand is.
const WINDOW_MS: i64 = 2_000;
/// How many readings without demand make a cell idle: a minute.
const IDLE_WINDOWS: u32 = 30;
/// The least that is wished for where there was demand in the last minute, so that the next creation of
/// a slow app is answered from memory.
const WISH_MIN: u64 = 8;
/// Looks in a row that must find a spare superfluous before it goes back.
const LOOKS: u32 = 2;

/// One cell's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    sums: Escrow,
    acked: Escrow,
    demand: Demand,
    /// Lent to all members, as the ledger last told.
    outstanding: u64,
    superfluous: u32,
}

/// An account as the journal keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SavedAccount {
    /// What it is.
    pub sums: Escrow,
    /// What the ledger acknowledged of it.
    pub acked: Escrow,
}

impl SavedAccount {
    /// Whether the ledger has yet to hear of something here.
    pub fn is_owed(&self) -> bool {
        let heard = |sums: &Escrow| (sums.generation, sums.taken, sums.given, sums.done);
        heard(&self.sums) != heard(&self.acked)
    }

    /// How much was spent or returned that the ledger has yet to hear of.
    pub fn untold(&self) -> u64 {
        self.sums.done.saturating_sub(self.acked.done)
    }
}

impl Account {
    /// An account as the journal kept it. What was lent and not spent is the member's still.
    pub fn restored(saved: SavedAccount) -> Self {
        Self {
            sums: saved.sums,
            acked: saved.acked,
            ..Self::default()
        }
    }

    /// Puts it into a row, or takes it out of one.
    pub fn pass(&mut self, by: &mut impl Passage) {
        by.escrow(&mut self.sums);
        by.escrow(&mut self.acked);
        by.short(&mut self.demand.window);
        by.short(&mut self.demand.this);
        by.short(&mut self.demand.before);
        by.number(&mut self.outstanding);
        by.short(&mut self.superfluous);
    }

    /// What the journal keeps.
    pub fn saved(&self) -> SavedAccount {
        SavedAccount {
            sums: self.sums,
            acked: self.acked,
        }
    }

    /// What a report says.
    pub fn sums(&self) -> Escrow {
        self.sums
    }

    /// Spends `amount` of the spare, all of it or nothing.
    pub fn spend(&mut self, amount: u64) -> bool {
        let enough = self.sums.spare() >= amount;
        if enough {
            self.sums.done += amount;
        }
        enough
    }

    /// A record that this member owns created so many.
    pub fn take(&mut self, amount: u64) {
        self.sums.taken = self.sums.taken.saturating_add(amount);
    }

    /// A release that this member owns gave back so many.
    pub fn give(&mut self, amount: u64) {
        self.sums.given = self.sums.given.saturating_add(amount);
    }

    /// Returns what of the spare is above `keep`. Answers how much that was.
    pub fn hand_back(&mut self, keep: u64) -> u64 {
        let back = self.sums.spare().saturating_sub(keep);
        self.sums.done += back;
        self.superfluous = 0;
        back
    }

    /// Whether the ledger knows of a recount that this account does not.
    pub fn is_outlived(&self, told: &Escrow, current: u64) -> bool {
        told.generation.max(current) > self.sums.generation
    }

    /// Takes note of a recount. What the ledger counted of this member until then is `told`; where it
    /// still waits for this member, that is all of `totals` and of the sums here. What was lent before
    /// is worth nothing.
    pub fn outlive(&mut self, told: &Escrow, current: u64, totals: Totals) {
        if !self.is_outlived(told, current) {
            return;
        }
        if told.generation > self.sums.generation {
            self.sums.generation = told.generation;
            self.sums.offset = told.offset;
        }
        if current > self.sums.generation {
            self.sums.generation = current;
            self.sums.offset = self.sums.net(totals);
        }
        self.sums.granted = self.sums.granted.max(told.granted);
        self.hand_back(0);
    }

    /// Takes what the ledger has lent. What it lent in another life of the cell is not in this one; and
    /// of what it lent before a recount it takes all for done, whether it came here or not. Answers how much of it
    /// is news.
    pub fn learn(&mut self, told: &Escrow, outstanding: u64) -> u64 {
        let known = self.sums.granted;
        if told.generation == self.sums.generation {
            self.sums.granted = self.sums.granted.max(told.granted);
            self.sums.done = self.sums.done.max(told.done);
        }
        self.outstanding = outstanding;
        self.sums.granted - known
    }

    /// Somebody asks for `amount`, whether it is there or not.
    pub fn want(&mut self, amount: u64, now: Millis) {
        self.demand.note(amount, now);
    }

    /// Whether less than half of what is wished for is there.
    pub fn runs_low(&self, now: Millis) -> bool {
        self.sums.spare() < self.wished_units(now).div_ceil(2)
    }

    /// What to ask of the ledger under `limit`.
    pub fn wish(&self, limit: u64, now: Millis) -> Option<Wish> {
        let units = self.wished_units(now);
        (units > self.sums.spare()).then_some(Wish {
            units,
            limit,
            edition: 0,
        })
    }

    /// Whether half of `limit` is used or lent, where `net` is counted.
    pub fn is_scarce(&self, limit: u64, net: i64) -> bool {
        let used = u64::try_from(net).unwrap_or(0);
        limit.saturating_sub(used.saturating_add(self.outstanding)) <= limit / 2
    }

    /// One of the looks that come every second. Answers what of the spare is to be kept, where some is to
    /// go back: units go back because they are scarce, never because they are idle.
    pub fn look(&mut self, limit: u64, net: i64, now: Millis) -> Option<u64> {
        let keep = self.demand.recent(now);
        if !self.is_scarce(limit, net) || self.sums.spare() <= keep {
            self.superfluous = 0;
            return None;
        }
        self.superfluous += 1;
        (self.superfluous >= LOOKS).then_some(keep)
    }

    /// Whether the ledger has yet to hear of something here.
    pub fn is_owed(&self) -> bool {
        self.saved().is_owed()
    }

    /// The ledger acknowledged `told`.
    pub fn settled(&mut self, told: &Escrow) {
        let acked = &mut self.acked;
        acked.generation = acked.generation.max(told.generation);
        acked.taken = acked.taken.max(told.taken);
        acked.given = acked.given.max(told.given);
        acked.done = acked.done.max(told.done);
    }

    fn wished_units(&self, now: Millis) -> u64 {
        if self.demand.is_idle(now) {
            0
        } else {
            self.demand.recent(now).max(WISH_MIN)
        }
    }
}

/// How much was asked for lately: in this window of two seconds, and in the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Demand {
    /// The window's number, from 1 on; 0: nobody ever asked.
    window: u32,
    this: u32,
    before: u32,
}

impl Demand {
    fn note(&mut self, amount: u64, now: Millis) {
        *self = self.at(now);
        let amount = u32::try_from(amount).unwrap_or(u32::MAX);
        self.this = self.this.saturating_add(amount);
    }

    /// Units of about the last two seconds.
    fn recent(&self, now: Millis) -> u64 {
        let Self { this, before, .. } = self.at(now);
        this.max(before).into()
    }

    fn is_idle(&self, now: Millis) -> bool {
        self.window == 0 || window(now).saturating_sub(self.window) > IDLE_WINDOWS
    }

    /// The same as it stands at `now`.
    fn at(&self, now: Millis) -> Self {
        let window = window(now);
        match window.saturating_sub(self.window) {
            0 => *self,
            1 => Self {
                window,
                this: 0,
                before: self.this,
            },
            _ => Self {
                window,
                this: 0,
                before: 0,
            },
        }
    }
}

fn window(now: Millis) -> u32 {
    // Windows of two seconds fill 32 bits in the year 2242.
    u32::try_from(now.0 / WINDOW_MS).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Millis {
        Millis(1_760_000_000_000 + seconds * 1_000)
    }

    fn lent(granted: u64) -> Account {
        let mut account = Account::default();
        let told = Escrow {
            granted,
            ..Escrow::default()
        };
        account.learn(&told, granted);
        account
    }

    #[test]
    fn what_is_spent_is_all_there_or_nothing_is() {
        let mut account = lent(5);
        assert!(account.spend(3));
        assert!(!account.spend(3));
        assert!(account.spend(2));
        assert_eq!(account.sums().spare(), 0);
    }

    #[test]
    fn an_older_word_lends_nothing_anew() {
        let mut account = lent(5);
        account.spend(5);
        let older = Escrow {
            granted: 3,
            ..Escrow::default()
        };
        account.learn(&older, 0);
        assert_eq!(account.sums().spare(), 0);
    }

    #[test]
    fn what_the_ledger_takes_for_done_is_not_spent() {
        // Lent before a recount, and never heard of: in the new life the ledger holds nothing back for it.
        let mut account = Account::default();
        account.outlive(&Escrow::default(), 1, Totals::default());
        let told = Escrow {
            generation: 1,
            granted: 8,
            done: 8,
            ..Escrow::default()
        };
        account.learn(&told, 0);
        assert_eq!(account.sums().spare(), 0);
    }

    #[test]
    fn a_recount_that_slept_through_contains_all_that_was_counted_until_it_is_heard_of() {
        let mut account = lent(5);
        account.spend(2);
        account.take(4);
        let totals = Totals {
            consumed: 2,
            released: 1,
        };
        account.outlive(&Escrow::default(), 3, totals);
        let sums = account.sums();
        assert_eq!((sums.generation, sums.offset, sums.spare()), (3, 5, 0));
        assert!(account.is_owed(), "the ledger waits to hear of it");
    }

    #[test]
    fn two_seconds_of_demand_are_wished_for_and_nothing_after_a_minute() {
        let mut account = Account::default();
        assert_eq!(account.wish(100, at(0)), None);
        account.want(1, at(0));
        assert_eq!(account.wish(100, at(0)).map(|wish| wish.units), Some(8));
        for _ in 0..50 {
            account.want(1, at(2));
        }
        assert_eq!(account.wish(100, at(3)).map(|wish| wish.units), Some(50));
        assert_eq!(account.wish(100, at(5)).map(|wish| wish.units), Some(50));
        assert_eq!(account.wish(100, at(9)).map(|wish| wish.units), Some(8));
        assert_eq!(account.wish(100, at(80)), None);
    }

    #[test]
    fn units_go_back_because_they_are_scarce_and_never_because_they_are_idle() {
        let mut account = lent(10);
        assert_eq!(account.look(100, 20, at(0)), None);
        assert_eq!(account.look(100, 20, at(1)), None);
        assert_eq!(account.look(100, 60, at(2)), None, "looked at once");
        assert_eq!(account.look(100, 20, at(3)), None, "plenty in between");
        assert_eq!(account.look(100, 60, at(4)), None);
        assert_eq!(account.look(100, 60, at(5)), Some(0));
    }
}
