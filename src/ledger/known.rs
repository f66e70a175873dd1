//! Users whom the ledger has acknowledged. May forget, never falsely remembers: whole hashes are
//! kept, no digest of them. How many it forgot is known by the day: a ledger that forgets, too, is not told of these.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxBuildHasher;

use crate::clock::Day;
use crate::quota::AppId;
use crate::store::Login;

/// The most users remembered; about 40 bytes each.
pub const KNOWN_MAX: usize = 2_000_000;
/// How many parts the memory has.
pub const KNOWN_PARTS: usize = 64;
const GENERATION_MAX: usize = KNOWN_MAX / KNOWN_PARTS / 2;
/// Of how many days it is kept how many users were forgotten; more than take events at a time.
const FORGOTTEN_DAYS_MAX: usize = 8;

/// Two generations of users: when the younger is full, the elder is forgotten.
#[derive(Debug, Default)]
struct Part {
    younger: HashSet<Mark, FxBuildHasher>,
    elder: HashSet<Mark, FxBuildHasher>,
}

/// A login in 32 bytes. All of it, since a ledger that forgot users is told again who they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Mark {
    user: [u64; 2],
    app: AppId,
    day: Day,
}

/// The users known to be active on their day.
#[derive(Debug)]
pub struct Known {
    parts: Box<[Mutex<Part>]>,
    /// How many users of each of the newest days were forgotten.
    forgotten: Mutex<BTreeMap<Day, u64>>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            parts: (0..KNOWN_PARTS).map(|_| Mutex::default()).collect(),
            forgotten: Mutex::default(),
        }
    }
}

impl Known {
    /// Whether the ledger has acknowledged this login.
    pub fn contains(&self, login: &Login) -> bool {
        let (part, mark) = (self.part(login), mark(login));
        part.younger.contains(&mark) || part.elder.contains(&mark)
    }

    /// The ledger has acknowledged this login.
    pub fn insert(&self, login: &Login) {
        let mut part = self.part(login);
        if part.younger.len() >= GENERATION_MAX {
            let younger = std::mem::take(&mut part.younger);
            let elder = std::mem::replace(&mut part.elder, younger);
            self.forget(&elder, &part.elder);
        }
        part.younger.insert(mark(login));
    }

    /// How many users of `from` and later days were acknowledged, and are not remembered any more.
    pub fn forgotten(&self, from: Day) -> u64 {
        let forgotten = whole(&self.forgotten);
        forgotten.range(from..).map(|(_, users)| users).sum()
    }

    fn forget(&self, elder: &HashSet<Mark, FxBuildHasher>, kept: &HashSet<Mark, FxBuildHasher>) {
        let mut forgotten = whole(&self.forgotten);
        for mark in elder.difference(kept) {
            *forgotten.entry(mark.day).or_default() += 1;
        }
        while forgotten.len() > FORGOTTEN_DAYS_MAX {
            forgotten.pop_first();
        }
    }

    /// What part number `at` remembers: at most a 64th of [`KNOWN_MAX`].
    pub fn of_part(&self, at: usize) -> Vec<Login> {
        let part = whole(&self.parts[at % KNOWN_PARTS]);
        part.younger.union(&part.elder).map(login).collect()
    }

    fn part(&self, login: &Login) -> MutexGuard<'_, Part> {
        // The remainder of a division by 64 fits any usize.
        let at = usize::try_from(login.user % KNOWN_PARTS as u128).unwrap_or(0);
        whole(&self.parts[at])
    }
}

fn whole<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Sets and maps are changed in one step; a poisoned one is still whole.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn mark(login: &Login) -> Mark {
    let Login { app, day, user } = *login;
    // Two halves, since a number of 128 bits would make 48 bytes of it; each fits.
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    let user = [half(user >> 64), half(user)];
    Mark { user, app, day }
}

fn login(mark: &Mark) -> Login {
    let [high, low] = mark.user;
    Login {
        app: mark.app,
        day: mark.day,
        user: u128::from(high) << 64 | u128::from(low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(app: u64, day: i32, user: u128) -> Login {
        let (app, day) = (AppId::new(app).unwrap(), Day::from_number(day).unwrap());
        Login { app, day, user }
    }

    #[test]
    fn a_user_is_known_for_the_app_and_day_of_the_login_alone() {
        let known = Known::default();
        known.insert(&login(1, 20_000, 7));
        assert!(known.contains(&login(1, 20_000, 7)));
        assert!(!known.contains(&login(2, 20_000, 7)));
        assert!(!known.contains(&login(1, 20_001, 7)));
        assert!(!known.contains(&login(1, 20_000, 8)));
    }

    #[test]
    fn all_that_is_remembered_can_be_told_again() {
        let known = Known::default();
        assert_eq!(size_of::<Mark>(), 32);
        let all: Vec<Login> = (0..100)
            .map(|n| login(1 + n % 3, 20_000, u128::MAX / (1 + u128::from(n))))
            .collect();
        for login in &all {
            known.insert(login);
        }
        let parts = (0..KNOWN_PARTS).flat_map(|part| known.of_part(part));
        let mut told: Vec<Login> = parts.collect();
        assert_eq!(told.len(), all.len());
        told.retain(|login| !all.contains(login));
        assert_eq!(told, []);
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_the_youngest() {
        let known = Known::default();
        let in_one_part = |n: usize| login(1, 20_000, (n * KNOWN_PARTS) as u128);
        for n in 0..3 * GENERATION_MAX {
            known.insert(&in_one_part(n));
        }
        let sizes = known.parts.iter().map(|part| {
            let part = part.lock().unwrap();
            part.younger.len() + part.elder.len()
        });
        assert!(sizes.max().unwrap() <= 2 * GENERATION_MAX);
        let (day, next) = (in_one_part(0).day, in_one_part(0).day.next());
        let kept = 2 * GENERATION_MAX;
        assert_eq!(known.forgotten(day), (3 * GENERATION_MAX - kept) as u64);
        assert_eq!(known.forgotten(next), 0);
        assert!(known.contains(&in_one_part(3 * GENERATION_MAX - 1)));
        assert!(!known.contains(&in_one_part(0)));
    }
}
