//! What this process has seen of each shard: the proof that a ledger which shows less has forgotten.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::{SHARDS, Shard};

/// A seq stays below this: at a million writes a second of one shard for eight years.
const SEQ_BITS: u32 = 48;

/// The highest epoch and seq acknowledged by each shard.
#[derive(Debug)]
pub(super) struct Seen {
    /// Epoch above seq, so that the larger number is the later point.
    shards: Box<[AtomicU64]>,
    /// The run of Redis under which they were seen.
    run: Mutex<String>,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
            run: Mutex::default(),
        }
    }

    /// The highest (epoch, seq) of `shard`; (0, 0) if it was never met.
    pub(super) fn of(&self, shard: Shard) -> (u64, u64) {
        let point = self.shards[usize::from(shard.number())].load(Ordering::Relaxed);
        (point >> SEQ_BITS, point & ((1 << SEQ_BITS) - 1))
    }

    /// Takes note of an answer. Answers may come in any order.
    pub(super) fn note(&self, shard: Shard, epoch: u64, seq: u64) {
        let point = (epoch << SEQ_BITS) | (seq & ((1 << SEQ_BITS) - 1));
        self.shards[usize::from(shard.number())].fetch_max(point, Ordering::Relaxed);
    }

    /// The shards that were ever met.
    pub(super) fn met(&self, shard: Shard) -> bool {
        self.of(shard) != (0, 0)
    }

    /// Whether what was seen was seen under another run than `run`.
    pub(super) fn under_another_run(&self, run: &str) -> bool {
        let seen = self.lock();
        !seen.is_empty() && *seen != run
    }

    /// From now on what is seen is seen under `run`.
    pub(super) fn enter(&self, run: &str) {
        run.clone_into(&mut self.lock());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        // A string is whole even if a holder panicked.
        self.run
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
