//! Releases under clients' ids that own sums contain: a client may ask for one a second time while the
//! first answer is on its way, and the ledger says to both that they are this member's.

use std::collections::HashSet;

use rustc_hash::FxBuildHasher;

use crate::clock::Millis;
use crate::quota::AppId;
use crate::store::RecordKey;

/// For how long a release is remembered, at least: longer than any answer is on its way.
const REMEMBERED_MS: u64 = 60_000;
/// The most that are remembered of one such time; about 100 bytes each.
const REMEMBERED_MAX: usize = 65_536;

type Keys = HashSet<(AppId, RecordKey), FxBuildHasher>;

/// Two generations of keys: when the younger is old or full, the elder is forgotten.
#[derive(Debug)]
pub struct Given {
    younger: Keys,
    elder: Keys,
    begun: Millis,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            younger: Keys::default(),
            elder: Keys::default(),
            begun: Millis(0),
        }
    }
}

impl Given {
    /// Whether own sums contain it.
    pub fn knows(&self, app: AppId, key: &RecordKey) -> bool {
        let wanted = (app, key.clone());
        self.younger.contains(&wanted) || self.elder.contains(&wanted)
    }

    /// Own sums contain it. A key of this member's own making is asked for by one call alone.
    pub fn note(&mut self, app: AppId, key: &RecordKey, now: Millis) {
        if !matches!(key, RecordKey::Client(_)) {
            return;
        }
        if self.younger.len() >= REMEMBERED_MAX || now.since(self.begun) > REMEMBERED_MS {
            self.elder = std::mem::take(&mut self.younger);
            self.begun = now;
        }
        self.younger.insert((app, key.clone()));
    }
}
