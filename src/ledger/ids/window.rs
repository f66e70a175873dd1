//! Ids in the order in which they came, each found by its hash.

use hashbrown::HashTable;

use super::slots::Slots;
use super::{Effect, Known, Once};
use crate::clock::Millis;
use crate::store::Fingerprint;

/// An entry: 32 bytes.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: [u64; 2],
    print: u64,
    at_s: u32,
    effect: u32,
}

impl Slot {
    fn new(known: &Known) -> Self {
        let Known { once, effect, at } = known;
        Self {
            key: halves(once.key),
            print: once.print.0,
            // Rounded up, so that none is forgotten early. Until the year 2106.
            at_s: u32::try_from(at.0.saturating_add(999).div_euclid(1000)).unwrap_or_default(),
            effect: effect.code(),
        }
    }

    fn key(&self) -> u128 {
        u128::from(self.key[0]) | u128::from(self.key[1]) << 64
    }

    fn at(&self) -> Millis {
        Millis(i64::from(self.at_s) * 1000)
    }

    fn known(&self) -> Known {
        Known {
            once: Once::read(self.key(), Fingerprint(self.print)),
            effect: Effect::of(self.effect),
            at: self.at(),
        }
    }
}

/// One window. An entry that was replaced stays in its place until it is the oldest.
#[derive(Debug)]
pub struct Window {
    most: usize,
    salt: u64,
    slots: Slots<Slot>,
    /// The number of the oldest entry; each has the next one's, less one.
    first: u64,
    /// The number of the oldest that no checkpoint has.
    saved: u64,
    /// The low halves of the numbers of entries, by their keys.
    index: HashTable<u32>,
}

impl Window {
    /// An empty one, of at most so many entries.
    pub fn new(most: usize, salt: u64) -> Self {
        Self {
            most,
            salt,
            slots: Slots::new(),
            first: 0,
            saved: 0,
            index: HashTable::new(),
        }
    }

    /// Has room for so many from now on; where there are more, the oldest go.
    pub fn resize(&mut self, most: usize) {
        self.most = most;
        while self.slots.len() > most && self.forget_one(|_| true) {}
    }

    /// The entry of this key.
    pub fn find(&self, key: u128) -> Option<Known> {
        let (first, slots) = (self.first, &self.slots);
        let found = self.index.find(self.hash(key), |number| {
            slot(slots, first, *number).key() == key
        });
        found.map(|number| slot(slots, first, *number).known())
    }

    /// Changes the effect in the entry of this key, if there is one.
    pub fn amend(&mut self, key: u128, effect: Effect) {
        let (first, slots) = (self.first, &self.slots);
        let found = self.index.find(self.hash(key), |number| {
            slot(slots, first, *number).key() == key
        });
        if let Some(number) = found {
            let at = number.wrapping_sub(low(first)) as usize;
            self.slots.at_mut(at).effect = effect.code();
        }
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// When its oldest entry was made, to the second.
    pub fn oldest(&self) -> Option<Millis> {
        self.slots.front().map(Slot::at)
    }

    /// Whether it has as many entries as it may.
    pub fn is_full(&self) -> bool {
        self.slots.len() >= self.most
    }

    /// Puts an entry at the end, in place of the one of its key. The caller has made room.
    pub fn put(&mut self, known: &Known) {
        let key = known.once.key;
        let number = low(self.end());
        self.slots.push_back(Slot::new(known));
        let (first, slots, salt) = (self.first, &self.slots, self.salt);
        let entry = self.index.entry(
            hash(salt, key),
            |number| slot(slots, first, *number).key() == key,
            |number| hash(salt, slot(slots, first, *number).key()),
        );
        entry.and_modify(|old| *old = number).or_insert(number);
    }

    /// As [`Window::put`] at a start, where the oldest make room whatever their age.
    pub fn put_back(&mut self, known: &Known) {
        if self.is_full() {
            self.forget_one(|_| true);
        }
        self.put(known);
    }

    /// Forgets entries from the oldest on, as long as they are of an age that `may` go.
    pub fn forget(&mut self, may: impl Fn(Millis) -> bool) {
        while self.forget_one(&may) {}
    }

    /// Forgets the oldest entry, if it is of an age that `may` go.
    pub fn forget_one(&mut self, may: impl Fn(Millis) -> bool) -> bool {
        let Some(oldest) = self.slots.front().filter(|slot| may(slot.at())) else {
            return false;
        };
        let (hash, number) = (self.hash(oldest.key()), low(self.first));
        // Not there if it was replaced.
        if let Ok(found) = self.index.find_entry(hash, |entry| *entry == number) {
            found.remove();
        }
        self.slots.pop_front();
        self.first += 1;
        true
    }

    /// The number of the next entry.
    pub fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// Entries that no checkpoint has, oldest first.
    pub fn unsaved(&self) -> impl Iterator<Item = Known> + '_ {
        let from = usize::try_from(self.saved.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.slots.behind(from).map(Slot::known)
    }

    /// A checkpoint has all entries before this number.
    pub fn saved(&mut self, to: u64) {
        self.saved = self.saved.max(to);
    }

    fn hash(&self, key: u128) -> u64 {
        hash(self.salt, key)
    }

    /// The most bytes that a window takes on its way to so many entries.
    #[cfg(test)]
    pub fn bytes_of(entries: u32) -> u64 {
        let mut window = Self::new(usize::MAX, 1);
        let mut most = 0;
        for number in 0..entries {
            let key = u128::from(number) << 64 | u128::from(number.wrapping_mul(0x9e37_79b9));
            window.put(&Known {
                once: Once::read(key, Fingerprint(0)),
                effect: Effect::Asked,
                at: Millis(0),
            });
            let bytes = window.slots.bytes() + window.index.allocation_size();
            // Of a small window its beginnings are most.
            if number >= entries / 10 {
                most = most.max(bytes as u64 * u64::from(entries) / u64::from(number + 1));
            }
        }
        most
    }
}

/// The low half of an entry's number: a window never has 2^32 of them.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the low half is what is meant"
)]
fn low(number: u64) -> u32 {
    number as u32
}

fn slot(slots: &Slots<Slot>, first: u64, number: u32) -> &Slot {
    slots.at(number.wrapping_sub(low(first)) as usize)
}

/// Another hash in each process, so that nobody can choose ids which meet.
fn hash(salt: u64, key: u128) -> u64 {
    let [low, high] = halves(key);
    let [low, high] = halves(u128::from(low ^ salt) * u128::from(high | 1));
    low ^ high
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "each half is what is meant"
)]
fn halves(of: u128) -> [u64; 2] {
    [of as u64, (of >> 64) as u64]
}
