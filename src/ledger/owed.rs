//! What the ledger must still hear of: takes whose outcome it is to keep or to withdraw, releases
//! that it may not have.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::journal::{Journal, LogFull, OwedRelease, OwedTake, Record, TakeState};
use crate::clock::Day;
use crate::clock::{Clock, Millis};
use crate::quota::{AppId, Charge, Counter, RequestId};
use crate::store::{Abort, Answered, Attempt, Fingerprint, GiveBack, RecordKey, Shard, Take};

/// The most takes that may be open or owed at a time.
pub const TAKES_MAX: usize = 100_000;
/// The most releases that may be owed at a time.
pub const RELEASES_MAX: usize = 100_000;
/// For how long a release of unknown outcome may be sent again. The ledger remembers it by its key for
/// the id window: sent later it might be done twice, and the second time free what others hold.
pub const RELEASE_RESEND_MS: u64 = 9 * 60 * 1000;

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

/// Takes and releases that are not settled, each also in the journal.
#[derive(Debug)]
pub struct Owed {
    journal: Arc<Journal>,
    clock: Arc<Clock>,
    incarnation: u64,
    /// Whether the ledger is in this process, and may forget with it what it had.
    local: bool,
    /// Attempts and releases of earlier runs have numbers below this.
    first_of_run: u64,
    next: AtomicU64,
    takes: Mutex<BTreeMap<Attempt, OwedTake>>,
    releases: Mutex<BTreeMap<u64, Sending>>,
}

/// A release, and whether a caller is sending it just now.
#[derive(Debug)]
struct Sending {
    owed: OwedRelease,
    by_caller: bool,
}

/// Whether a kept release may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// It may.
    Now,
    /// Not while the journal is full.
    Later,
    /// Its outcome is unknown, and the ledger could have forgotten it since.
    Never,
}

/// What a take is about: all of [`Take`] but its attempt.
#[derive(Debug)]
pub struct Wanted {
    /// The app that creates.
    pub app: AppId,
    /// The client's id.
    pub request_id: Option<RequestId>,
    /// What the request asks for.
    pub fingerprint: Fingerprint,
    /// What is created.
    pub charge: Charge,
    /// The day of the gain.
    pub day: Day,
}

/// One call's worth of records to settle.
#[derive(Debug, Default)]
pub struct DueRecords {
    /// Takes whose answer went out.
    pub answered: Vec<Answered>,
    /// Takes to withdraw.
    pub aborts: Vec<Abort>,
}

impl Owed {
    /// Begins with what an earlier run left.
    pub fn new(
        journal: Arc<Journal>,
        clock: Arc<Clock>,
        local: bool,
        takes: BTreeMap<Attempt, OwedTake>,
        releases: BTreeMap<u64, OwedRelease>,
    ) -> Self {
        let identity = journal.identity();
        // A run would have to open a million million takes to reach the next run's numbers.
        let first_of_run = u64::from(identity.boot) << 32;
        Self {
            journal,
            clock,
            incarnation: identity.incarnation,
            local,
            first_of_run,
            next: AtomicU64::new(first_of_run),
            takes: Mutex::new(takes),
            releases: Mutex::new(
                releases
                    .into_iter()
                    .map(|(number, owed)| {
                        (
                            number,
                            Sending {
                                owed,
                                by_caller: false,
                            },
                        )
                    })
                    .collect(),
            ),
        }
    }

    /// Journals a take that is about to be sent.
    pub fn open_take(self: &Arc<Self>, wanted: Wanted) -> Result<OpenTake, Full> {
        let attempt = Attempt(self.next.fetch_add(1, Ordering::Relaxed));
        let Wanted {
            app,
            request_id,
            fingerprint,
            charge,
            day,
        } = wanted;
        let key = self.key(request_id, attempt);
        let take = Take {
            app,
            key,
            fingerprint,
            attempt,
            charge,
            day,
        };
        let mut takes = lock(&self.takes);
        if takes.len() >= TAKES_MAX {
            return Err(Full::Waiting);
        }
        self.append(&Record::Attempt(take.clone()))?;
        takes.insert(
            attempt,
            OwedTake {
                take: take.clone(),
                state: TakeState::Open,
            },
        );
        drop(takes);
        Ok(OpenTake {
            owed: self.clone(),
            take,
            over: false,
        })
    }

    /// Journals a release that is about to be sent (`sent`), or that waits for a ledger that is away;
    /// it will be sent until the ledger has it.
    pub fn open_release(
        self: &Arc<Self>,
        request_id: Option<RequestId>,
        give_back: impl FnOnce(RecordKey) -> GiveBack,
        sent: Option<Millis>,
    ) -> Result<OpenRelease, Full> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let give_back = give_back(self.key(request_id, Attempt(number)));
        let mut releases = lock(&self.releases);
        if releases.len() >= RELEASES_MAX {
            return Err(Full::Waiting);
        }
        self.append(&Record::Release(number, sent, give_back.clone()))?;
        let owed = OwedRelease {
            sent,
            give_back: give_back.clone(),
        };
        releases.insert(
            number,
            Sending {
                owed,
                by_caller: true,
            },
        );
        drop(releases);
        Ok(OpenRelease {
            owed: self.clone(),
            number,
            give_back,
        })
    }

    /// Whether a kept release may be sent now; journaled if it is for the first time.
    pub fn resend(&self, number: u64, release: &OwedRelease, now: Millis) -> Resend {
        if let Some(sent) = release.sent {
            // A ledger in this process folds nothing that its journal may still state.
            let safe = self.local || now.since(sent) <= RELEASE_RESEND_MS;
            return if safe { Resend::Now } else { Resend::Never };
        }
        if self.append(&Record::ReleaseSent(number, now)).is_err() {
            return Resend::Later;
        }
        if let Some(sending) = lock(&self.releases).get_mut(&number) {
            sending.owed.sent = Some(now);
        }
        Resend::Now
    }

    /// The ledger has the release: `released` is what it gave back. `None`: it will never take it.
    pub fn release_done(&self, number: u64, released: Option<u32>) {
        lock(&self.releases).remove(&number);
        let restate = released.filter(|_| self.local);
        if let Err(full) = self.append(&Record::ReleaseDone(number, restate)) {
            // It would be sent again after a restart, under the same key: no second effect.
            tracing::warn!(%full, "a settled release could not be noted");
        }
    }

    /// Releases to send again, oldest first.
    pub fn due_releases(&self, most: usize) -> Vec<(u64, OwedRelease)> {
        let releases = lock(&self.releases);
        let idle = releases.iter().filter(|(_, sending)| !sending.by_caller);
        idle.take(most)
            .map(|(number, sending)| (*number, sending.owed.clone()))
            .collect()
    }

    /// Records to settle, by shard, at most `most` of a kind in each.
    pub fn due_records(&self, most: usize) -> BTreeMap<Shard, DueRecords> {
        let mut due: BTreeMap<Shard, DueRecords> = BTreeMap::new();
        for owed in lock(&self.takes).values() {
            let take = &owed.take;
            match owed.state {
                TakeState::Open => {}
                TakeState::Answered { refused } => {
                    let answered = &mut due.entry(Shard::of(take.app)).or_default().answered;
                    if answered.len() < most {
                        answered.push(Answered {
                            take: take.clone(),
                            refused,
                        });
                    }
                }
                TakeState::Abort => {
                    let aborts = &mut due.entry(Shard::of(take.app)).or_default().aborts;
                    if aborts.len() < most {
                        let (app, key) = (take.app, take.key.clone());
                        aborts.push(Abort {
                            app,
                            key,
                            attempt: take.attempt,
                        });
                    }
                }
            }
        }
        due
    }

    /// The ledger has these.
    pub fn settled(&self, records: &DueRecords) {
        let mut takes = lock(&self.takes);
        for answered in &records.answered {
            takes.remove(&answered.take.attempt);
        }
        for abort in &records.aborts {
            takes.remove(&abort.attempt);
        }
    }

    /// Copies for a checkpoint, and whether something of an earlier run is still among them.
    pub fn copy(
        &self,
    ) -> (
        BTreeMap<Attempt, OwedTake>,
        BTreeMap<u64, OwedRelease>,
        bool,
    ) {
        let takes = lock(&self.takes).clone();
        let releases: BTreeMap<_, _> = lock(&self.releases)
            .iter()
            .map(|(number, sending)| (*number, sending.owed.clone()))
            .collect();
        let oldest = takes.keys().next().map_or(u64::MAX, |attempt| attempt.0);
        let oldest = oldest.min(releases.keys().next().copied().unwrap_or(u64::MAX));
        (takes, releases, oldest < self.first_of_run)
    }

    fn key(&self, request_id: Option<RequestId>, attempt: Attempt) -> RecordKey {
        match request_id {
            Some(id) => RecordKey::Client(id),
            None => RecordKey::Own {
                incarnation: self.incarnation,
                attempt,
            },
        }
    }

    fn append(&self, record: &Record) -> Result<(), LogFull> {
        self.journal.append(&record.frame(), self.clock.now())
    }
}

/// A take on its way. If it is dropped before an answer is journaled (a time-out, a client that went
/// away), it is withdrawn.
#[derive(Debug)]
pub struct OpenTake {
    owed: Arc<Owed>,
    take: Take,
    over: bool,
}

impl OpenTake {
    /// The take to send.
    pub fn take(&self) -> &Take {
        &self.take
    }

    /// Journals the answer that is about to go out.
    ///
    /// # Errors
    /// [`LogFull`]: the answer must not go out, and the take is withdrawn.
    pub fn answered(mut self, refused: Option<Counter>) -> Result<(), LogFull> {
        let state = TakeState::Answered { refused };
        self.owed
            .append(&Record::Answered(self.take.attempt, refused))?;
        self.over = true;
        if let Some(owed) = lock(&self.owed.takes).get_mut(&self.take.attempt) {
            owed.state = state;
        }
        Ok(())
    }

    /// The ledger wrote nothing for this attempt: there is nothing to settle.
    pub fn forget(mut self) {
        self.over = true;
        lock(&self.owed.takes).remove(&self.take.attempt);
    }
}

impl Drop for OpenTake {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if let Err(full) = self.owed.append(&Record::Abort(self.take.attempt)) {
            // A restart withdraws every attempt without an outcome, so nothing hangs on this record.
            tracing::warn!(%full, "an abort could not be journaled");
        }
        if let Some(owed) = lock(&self.owed.takes).get_mut(&self.take.attempt) {
            owed.state = TakeState::Abort;
        }
    }
}

/// A release on its way. If it is dropped before the ledger has answered, it is sent again in the
/// background until the ledger has it.
#[derive(Debug)]
pub struct OpenRelease {
    owed: Arc<Owed>,
    number: u64,
    give_back: GiveBack,
}

impl OpenRelease {
    /// The release to send.
    pub fn give_back(&self) -> &GiveBack {
        &self.give_back
    }

    /// The ledger has it: `released` is what it gave back. `None`: it will never take it.
    pub fn done(self, released: Option<u32>) {
        self.owed.release_done(self.number, released);
    }
}

impl Drop for OpenRelease {
    fn drop(&mut self) {
        if let Some(sending) = lock(&self.owed.releases).get_mut(&self.number) {
            sending.by_caller = false;
        }
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps are changed in one step; a poisoned one is still whole.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}
