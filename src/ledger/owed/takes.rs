//! Takes on their way, and those of which the ledger is to be told how they ended.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

use super::{Full, Owed, lock};
use crate::clock::Day;
use crate::ledger::journal::{LogFull, OwedTake, Record, TakeState};
use crate::quota::{AppId, Charge, Counter, RequestId};
use crate::store::{Abort, Answered, Attempt, Fingerprint, Shard, Take};

/// The most takes of one ledger shard that may be open or owed at a time.
pub const TAKES_MAX: usize = 8_192;

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

impl DueRecords {
    /// Whether there is nothing to settle.
    pub fn is_empty(&self) -> bool {
        self.answered.is_empty() && self.aborts.is_empty()
    }
}

impl Owed {
    /// Journals a take that is about to be sent.
    pub fn open_take(self: &Arc<Self>, wanted: Wanted) -> Result<OpenTake, Full> {
        let number = self.number();
        let Wanted {
            app,
            request_id,
            fingerprint,
            charge,
            day,
        } = wanted;
        let (key, attempt) = (self.key(request_id, number), Attempt(number));
        let take = Take {
            app,
            key,
            fingerprint,
            attempt,
            charge,
            day,
        };
        let at = self.clock.now();
        let mut takes = self.takes_of(app);
        if takes.len() >= TAKES_MAX {
            return Err(Full::Waiting);
        }
        // Under the lock that a checkpoint copies under: it sees the journal's record or this one.
        self.append(&Record::Attempt(at, take.clone()))?;
        let (open, state) = (take.clone(), TakeState::Open);
        takes.insert(attempt, OwedTake { take, at, state });
        drop(takes);
        Ok(OpenTake {
            owed: self.clone(),
            take: open,
            over: false,
        })
    }

    /// Records of `shard` to settle, at most `most` of a kind.
    pub fn due_records(&self, shard: Shard, most: usize) -> DueRecords {
        let mut due = DueRecords::default();
        for owed in lock(&self.takes[usize::from(shard.number())]).values() {
            match owed.state {
                TakeState::Answered { refused } if due.answered.len() < most => {
                    due.answered.push(Answered {
                        take: owed.take.clone(),
                        refused,
                        contained: None,
                    });
                }
                TakeState::Abort if due.aborts.len() < most => {
                    let (app, key) = (owed.take.app, owed.take.key.clone());
                    due.aborts.push(Abort {
                        app,
                        key,
                        attempt: owed.take.attempt,
                    });
                }
                TakeState::Open | TakeState::Answered { .. } | TakeState::Abort => {}
            }
        }
        due
    }

    /// The ledger has these.
    pub fn settled(&self, records: &DueRecords) {
        for answered in &records.answered {
            self.takes_of(answered.take.app)
                .remove(&answered.take.attempt);
        }
        for abort in &records.aborts {
            self.takes_of(abort.app).remove(&abort.attempt);
        }
    }

    pub(super) fn takes_of(&self, app: AppId) -> MutexGuard<'_, BTreeMap<Attempt, OwedTake>> {
        lock(&self.takes[usize::from(Shard::of(app).number())])
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

    /// Journals the ALLOW that is about to go out; the ledger is to be told.
    ///
    /// # Errors
    /// [`LogFull`]: the answer must not go out, and the take is withdrawn.
    pub fn allowed(self) -> Result<(), LogFull> {
        self.answered(None, true)
    }

    /// Journals the DENY that is about to go out. The ledger wrote it in the take itself; one in this
    /// process may forget it with the process and is then told by the journal.
    ///
    /// # Errors
    /// [`LogFull`]: the answer must not go out, and the take is withdrawn.
    pub fn refused(self, counter: Counter) -> Result<(), LogFull> {
        if self.owed.local {
            self.answered(Some(counter), false)
        } else {
            self.forget();
            Ok(())
        }
    }

    /// The ledger wrote nothing for this attempt: there is nothing to settle.
    pub fn forget(mut self) {
        self.over = true;
        self.owed.takes_of(self.take.app).remove(&self.take.attempt);
    }

    fn answered(mut self, refused: Option<Counter>, owed: bool) -> Result<(), LogFull> {
        let attempt = self.take.attempt;
        {
            // As in `open_take`: a checkpoint must not come between the two.
            let mut takes = self.owed.takes_of(self.take.app);
            self.owed.append(&Record::Answered(attempt, refused))?;
            if !owed {
                takes.remove(&attempt);
            } else if let Some(owed) = takes.get_mut(&attempt) {
                owed.state = TakeState::Answered { refused };
            }
        }
        self.over = true;
        Ok(())
    }
}

impl Drop for OpenTake {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut takes = self.owed.takes_of(self.take.app);
        if let Err(full) = self.owed.append(&Record::Abort(self.take.attempt)) {
            // A restart withdraws every attempt without an outcome, so nothing hangs on this record.
            tracing::warn!(%full, "an abort could not be journaled");
        }
        if let Some(owed) = takes.get_mut(&self.take.attempt) {
            owed.state = TakeState::Abort;
        }
    }
}
