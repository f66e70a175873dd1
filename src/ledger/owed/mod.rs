//! What the ledger must still hear of: takes whose outcome it is to keep or to withdraw, releases
//! that it may not have. Each is in the journal as well.

mod due;
mod given;
mod kept;
mod recounted;
mod releases;
mod takes;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use due::{DueRecords, LeftOut};
pub use recounted::Accepted;
pub use releases::{OpenRelease, RELEASES_MAX, Resend};
pub use takes::{OpenTake, Wanted, Withdrawn};

use given::Given;
use kept::Kept;
use releases::{InSums, Sending, gave_back_at_most};
use takes::Tracked;

use super::journal::{Journal, LogFull, OwedRelease, OwedTake, Record};
use crate::chance;
use crate::clock::{Clock, Millis};
use crate::quota::RequestId;
use crate::store::{Attempt, GaveBack, Known, RecordKey, SHARDS, Shard};

/// Numbers of one run: so many attempts and releases would take two years at 20,000 a second.
const RUN_BITS: u32 = 40;

/// Why nothing more can be owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Too many calls wait for the ledger's word.
    #[error("too many calls wait for the ledger; ask again in a second")]
    Waiting,
    /// The journal takes nothing.
    #[error(transparent)]
    Journal(#[from] LogFull),
}

/// Takes and releases that are not settled.
#[derive(Debug)]
pub struct Owed {
    journal: Arc<Journal>,
    clock: Arc<Clock>,
    /// Drawn at each start and part of the keys that this process makes: two processes of one journal
    /// (a copied data folder) must not answer each other's calls.
    run: u64,
    /// Whether the ledger is in this process, and may forget with it what it had.
    local: bool,
    next: AtomicU64,
    /// By ledger shard, so that a busy app fills up its own shard alone.
    takes: Box<[Mutex<BTreeMap<Attempt, Tracked>>]>,
    releases: Mutex<BTreeMap<u64, Sending>>,
    /// Releases that own sums contain, by ledger shard and in the order in which they came to contain
    /// them. Locked behind `releases`.
    gaves: Mutex<BTreeMap<(u16, u64), InSums>>,
    /// Locked behind `releases`.
    given: Mutex<Given>,
    kept: Kept<Known>,
    /// Releases under clients' ids that own sums contain, however long ago the ledger heard of it.
    kept_releases: Kept<GaveBack>,
}

/// What a checkpoint keeps of this.
#[derive(Debug)]
pub struct OwedCopy {
    /// All takes.
    pub takes: BTreeMap<Attempt, OwedTake>,
    /// All releases.
    pub releases: BTreeMap<u64, OwedRelease>,
}

impl OwedCopy {
    /// When the oldest of them was accepted: a ledger in this process must still know its record, so
    /// that stating it again changes nothing.
    pub fn oldest(&self) -> Option<Millis> {
        let takes = self.takes.values().map(|owed| owed.at);
        let releases = self.releases.values();
        let releases = releases.map(|owed| owed.sent.unwrap_or(Millis(0)));
        takes.chain(releases).min()
    }
}

impl Owed {
    /// Begins with what an earlier run left.
    pub fn new(journal: Arc<Journal>, clock: Arc<Clock>, local: bool, left: OwedCopy) -> Self {
        let boot = u64::from(journal.identity().boot);
        let takes: Box<[Mutex<BTreeMap<_, _>>]> = (0..SHARDS).map(|_| Mutex::default()).collect();
        let (gave, sent): (BTreeMap<_, _>, BTreeMap<_, _>) =
            left.releases.into_iter().partition(|(_, owed)| owed.gave);
        let releases = sent.into_iter().map(|(n, owed)| (n, Sending::left(owed)));
        let mut given = Given::default();
        let kept_releases = Kept::default();
        for owed in gave.values() {
            given.note(owed.give_back.app, &owed.give_back.key, clock.now());
            if let Some(gave_back) = gave_back_at_most(&owed.give_back) {
                kept_releases.note(gave_back, clock.now());
            }
        }
        let gaves = gave.into_iter().map(|(number, owed)| {
            let shard = Shard::of(owed.give_back.app).number();
            ((shard, number), InSums::left(number, owed))
        });
        let this = Self {
            journal,
            clock,
            run: chance::draw(),
            local,
            // A journal is not opened 16 million times; if it were, numbers would begin anew.
            next: AtomicU64::new(boot << RUN_BITS),
            takes,
            releases: Mutex::new(releases.collect()),
            gaves: Mutex::new(gaves.collect()),
            given: Mutex::new(given),
            kept: Kept::default(),
            kept_releases,
        };
        for (attempt, owed) in left.takes {
            this.takes_of(owed.take.app)
                .insert(attempt, Tracked::due(owed));
        }
        this
    }

    /// Copies for a checkpoint.
    pub fn copy(&self) -> OwedCopy {
        let mut takes = BTreeMap::new();
        for shard in &self.takes {
            takes.extend(
                lock(shard)
                    .iter()
                    .map(|(attempt, tracked)| (*attempt, tracked.owed.clone())),
            );
        }
        let releases = lock(&self.releases);
        let gaves = lock(&self.gaves);
        let gaves = gaves
            .values()
            .map(|release| (release.number, release.owed.clone()));
        let releases = releases
            .iter()
            .map(|(number, sending)| (*number, sending.owed.clone()))
            .chain(gaves);
        OwedCopy {
            takes,
            releases: releases.collect(),
        }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn key(&self, request_id: Option<RequestId>, number: u64) -> RecordKey {
        match request_id {
            Some(id) => RecordKey::Client(id),
            None => RecordKey::Own {
                incarnation: self.run,
                attempt: Attempt(number),
            },
        }
    }

    fn append(&self, record: &Record) -> Result<(), LogFull> {
        self.journal.append(&record.frame(), self.clock.now())
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps are changed in one step; a poisoned one is still whole.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}
