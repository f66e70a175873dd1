//! Users whom the ledger has acknowledged. May forget, never falsely remembers: whole hashes are
//! kept, no digest of them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxBuildHasher;

use crate::store::Login;

/// The most users remembered; about 20 bytes each.
pub const KNOWN_MAX: usize = 2_000_000;
const PARTS: usize = 64;
const GENERATION_MAX: usize = KNOWN_MAX / PARTS / 2;

/// Two generations of users: when the younger is full, the elder is forgotten.
#[derive(Debug, Default)]
struct Part {
    younger: HashSet<u128, FxBuildHasher>,
    elder: HashSet<u128, FxBuildHasher>,
}

/// The users known to be active on their day.
#[derive(Debug)]
pub struct Known {
    parts: Box<[Mutex<Part>]>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Known {
    /// Whether the ledger has acknowledged this login.
    pub fn contains(&self, login: &Login) -> bool {
        let mark = mark(login);
        let part = self.part(mark);
        part.younger.contains(&mark) || part.elder.contains(&mark)
    }

    /// The ledger has acknowledged this login.
    pub fn insert(&self, login: &Login) {
        let mark = mark(login);
        let mut part = self.part(mark);
        if part.younger.len() >= GENERATION_MAX {
            part.elder = std::mem::take(&mut part.younger);
        }
        part.younger.insert(mark);
    }

    fn part(&self, mark: u128) -> std::sync::MutexGuard<'_, Part> {
        // The remainder of a division by 64 fits any usize.
        let at = usize::try_from(mark % PARTS as u128).unwrap_or(0);
        // Sets are changed in one step; a poisoned one is still whole.
        self.parts[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// App, day and user in one number. The user's part is 128 bits of keyed hash, so two logins share a
/// mark as seldom as two users share a hash.
fn mark(login: &Login) -> u128 {
    let place = u128::from(login.app.get()) << 32 | u128::from(login.day.number().cast_unsigned());
    login.user ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Day;
    use crate::quota::AppId;

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
    fn the_memory_is_bounded_and_keeps_the_youngest() {
        let known = Known::default();
        let in_one_part = |n: usize| login(1, 20_000, (n * PARTS) as u128);
        for n in 0..3 * GENERATION_MAX {
            known.insert(&in_one_part(n));
        }
        let sizes = known.parts.iter().map(|part| {
            let part = part.lock().unwrap();
            part.younger.len() + part.elder.len()
        });
        assert!(sizes.max().unwrap() <= 2 * GENERATION_MAX);
        assert!(known.contains(&in_one_part(3 * GENERATION_MAX - 1)));
        assert!(!known.contains(&in_one_part(0)));
    }
}
