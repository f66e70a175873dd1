//! Answers that the ledger has, kept for the case that it forgets them: within the id window a client may
//! ask again.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::lock;
use crate::clock::Millis;
use crate::quota::AppId;
use crate::store::{GaveBack, ID_WINDOW_MS, Known, Shard};

/// The most answers kept of a kind; about 200 bytes each. The oldest go first.
pub const KEPT_MAX: usize = 65_536;

/// The last answers under clients' ids, oldest first. Memory only: an id that is asked again after both a
/// restart here and a loss there is charged anew, or given back anew.
#[derive(Debug)]
pub struct Kept<T>(Mutex<VecDeque<(Millis, T)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// What is kept belongs to an app.
pub trait OfApp: Clone {
    /// Which.
    fn app(&self) -> AppId;
}

impl OfApp for Known {
    fn app(&self) -> AppId {
        self.answered.take.app
    }
}

impl OfApp for GaveBack {
    fn app(&self) -> AppId {
        self.give_back.app
    }
}

impl<T: OfApp> Kept<T> {
    /// Keeps one.
    pub fn note(&self, answered: T, now: Millis) {
        let mut kept = lock(&self.0);
        while kept.len() >= KEPT_MAX || kept.front().is_some_and(|(at, _)| is_old(*at, now)) {
            kept.pop_front();
        }
        kept.push_back((now, answered));
    }

    /// All of `shard` that the window still has.
    pub fn of(&self, shard: Shard, now: Millis) -> Vec<T> {
        let kept = lock(&self.0);
        let young = kept.iter().filter(|(at, _)| !is_old(*at, now));
        let all = young.map(|(_, answered)| answered);
        let of = all.filter(|answered| Shard::of(answered.app()) == shard);
        of.cloned().collect()
    }
}

fn is_old(at: Millis, now: Millis) -> bool {
    now.since(at) > ID_WINDOW_MS.cast_unsigned()
}
