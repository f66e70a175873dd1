//! What this process has seen of each shard: the proof that a ledger which shows less has forgotten.

use std::sync::{Mutex, PoisonError};

use crate::store::{SHARDS, Shard};

/// A point in a shard's life: an epoch, and the writes until then. Points of a ledger that forgets
/// nothing only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Point {
    pub(super) epoch: u64,
    pub(super) seq: u64,
}

/// The latest point acknowledged by each shard, and the highest count of writes in any epoch.
#[derive(Debug)]
pub(super) struct Seen(Box<[Mutex<(Point, u64)>]>);

impl Seen {
    pub(super) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    /// The most writes that `shard` has shown in `epoch`; 0 if it was not met in it.
    pub(super) fn of(&self, shard: Shard, epoch: u64) -> u64 {
        let (point, _) = *self.lock(shard);
        if point.epoch == epoch { point.seq } else { 0 }
    }

    /// The most writes that `shard` has ever shown.
    pub(super) fn most(&self, shard: Shard) -> u64 {
        self.lock(shard).1
    }

    /// Takes note of an answer. Answers may come in any order.
    pub(super) fn note(&self, shard: Shard, point: Point) {
        let mut seen = self.lock(shard);
        seen.0 = point.max(seen.0);
        seen.1 = seen.1.max(point.seq);
    }

    fn lock(&self, shard: Shard) -> std::sync::MutexGuard<'_, (Point, u64)> {
        // A point is whole even if a holder panicked.
        self.0[usize::from(shard.number())]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
