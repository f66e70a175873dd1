//! What this process has seen of each shard: the proof that a ledger which shows less has forgotten.

use std::sync::{Mutex, PoisonError};

use crate::store::{SHARDS, Shard};

/// A point in a shard's life: an opening under one run of Redis, and the writes until then. Points of
/// a ledger that forgets nothing only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Point {
    pub(super) epoch: u64,
    pub(super) seq: u64,
}

/// The latest point acknowledged by each shard.
#[derive(Debug)]
pub(super) struct Seen(Box<[Mutex<Point>]>);

impl Seen {
    pub(super) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    /// The latest point of `shard`; the default if it was never met.
    pub(super) fn of(&self, shard: Shard) -> Point {
        *self.lock(shard)
    }

    /// Takes note of an answer. Answers may come in any order.
    pub(super) fn note(&self, shard: Shard, point: Point) {
        let mut seen = self.lock(shard);
        *seen = point.max(*seen);
    }

    fn lock(&self, shard: Shard) -> std::sync::MutexGuard<'_, Point> {
        // A point is whole even if a holder panicked.
        self.0[usize::from(shard.number())]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
