//! What was done for each app, and for how many it stands in line: who asks for one app over many connections has one share,
//! and not as many.
//!
//! Apps are counted in a table of fixed size, twice, by two hashes: of the two the smaller count is an app's. So an app
//! is held up by another's flood only where both of its slots are the other's, too, and which those are nobody outside
//! can reckon: they are drawn when a thread begins.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::chance;

/// Slots of each of the two tables. Any number of apps may be asked for, also of those that nobody knows.
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 9;

/// What was done for a connection, and which app it asked for last.
#[derive(Debug, Default)]
pub(in crate::grpc) struct Account {
    had: AtomicU64,
    /// 0: it has asked for none.
    app: AtomicU64,
}

impl Account {
    /// It asks for this one, whether there is such an app or not.
    pub(in crate::grpc) fn asks_for(&self, app: u64) {
        self.app.store(app, Ordering::Relaxed);
    }

    pub(super) fn had(&self) -> u64 {
        self.had.load(Ordering::Relaxed)
    }

    /// So much was done; what others had `since` it was silent, it has not saved up.
    pub(super) fn add(&self, since: u64, work: u64) {
        add(&self.had, since, work);
    }
}

/// Where an app is counted.
pub(super) type Slots = [usize; 2];

/// The apps' shares of one thread.
#[derive(Debug)]
pub(super) struct Shares {
    tables: [Box<[Share]>; 2],
    /// What ids are multiplied by.
    keys: [u64; 2],
}

#[derive(Debug, Default)]
struct Share {
    /// What was done for those who asked for it.
    had: AtomicU64,
    /// What those expect who stand in line for it.
    stands: AtomicU64,
}

impl Default for Shares {
    fn default() -> Self {
        let table = || (0..SLOTS).map(|_| Share::default()).collect();
        Self {
            tables: [table(), table()],
            // Odd: then all bits of an id are in the upper ones of the product.
            keys: [(); 2].map(|()| chance::draw::<u64>() | 1),
        }
    }
}

impl Shares {
    /// Where the app is counted that was asked for last.
    pub(super) fn of(&self, account: &Account) -> Option<Slots> {
        match account.app.load(Ordering::Relaxed) {
            0 => None,
            app => Some(self.keys.map(|key| slot(app.wrapping_mul(key)))),
        }
    }

    /// The account that the next turn for an app begins with: behind all who stand for it.
    pub(super) fn begin(&self, slots: Slots, now: u64) -> u64 {
        let [first, second] = self.shares(slots).map(|share| {
            let had = share.had.load(Ordering::Relaxed).max(now);
            had + share.stands.load(Ordering::Relaxed)
        });
        first.min(second)
    }

    /// So much was done for it.
    pub(super) fn add(&self, slots: Slots, since: u64, work: u64) {
        for share in self.shares(slots) {
            add(&share.had, since, work);
        }
    }

    /// Somebody stands in line for it and expects so much.
    pub(super) fn stand(&self, slots: Slots, expects: u64) {
        for share in self.shares(slots) {
            let stands = share.stands.load(Ordering::Relaxed);
            share.stands.store(stands + expects, Ordering::Relaxed);
        }
    }

    /// Who stood there does so no longer.
    pub(super) fn leave(&self, slots: Slots, expected: u64) {
        for share in self.shares(slots) {
            let stands = share.stands.load(Ordering::Relaxed);
            share.stands.store(stands - expected, Ordering::Relaxed);
        }
    }

    fn shares(&self, slots: Slots) -> [&Share; 2] {
        let ([first, second], [one, other]) = (&self.tables, slots);
        [&first[one], &second[other]]
    }
}

/// All of it is of one thread: there is nobody between the two steps.
fn add(to: &AtomicU64, since: u64, work: u64) {
    let had = to.load(Ordering::Relaxed).max(since);
    to.store(had + work, Ordering::Relaxed);
}

/// The upper bits of a product, in which all of its factors are.
fn slot(product: u64) -> usize {
    // Fewer bits than a usize has.
    usize::try_from(product >> (u64::BITS - SLOT_BITS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(app: u64) -> Account {
        let account = Account::default();
        account.asks_for(app);
        account
    }

    #[test]
    fn an_app_is_held_up_by_another_only_where_both_slots_are_the_same() {
        let shares = Shares::default();
        assert_eq!(shares.of(&Account::default()), None);
        let flood = shares.of(&asking(1)).expect("it asks for one");
        shares.add(flood, 0, 1_000_000);
        shares.stand(flood, 1_000);
        assert_eq!(shares.begin(flood, 7), 1_001_000);
        let apps = 2..20_000;
        let others = apps.filter_map(|app| shares.of(&asking(app)));
        let (mut half, mut whole) = (0, 0);
        for slots in others {
            let shared = slots.iter().zip(flood).filter(|(own, its)| **own == *its);
            let shared = shared.count();
            half += usize::from(shared == 1);
            whole += usize::from(shared == 2);
            let begins = if shared == 2 { 1_001_000 } else { 7 };
            assert_eq!(shares.begin(slots, 7), begins);
        }
        assert!(half > 0 && whole < 10, "{half} and {whole}");
        shares.leave(flood, 1_000);
        assert_eq!(shares.begin(flood, 7), 1_000_000);
    }

    #[test]
    fn what_others_had_meanwhile_is_not_saved_up() {
        let account = Account::default();
        account.add(100, 4);
        assert_eq!(account.had(), 104);
        account.add(50, 4);
        assert_eq!(account.had(), 108);
    }
}
