//! Takes on their way, and those of which the ledger is to be told how they ended.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

use super::{Full, Owed, lock};
use crate::clock::{Day, Millis};
use crate::ledger::journal::{Frames, LogFull, OwedTake, Record, TakeState};
use crate::quota::{AppId, Charge, Counter, ObjectNumber, RequestId};
use crate::store::{Abort, Answered, Attempt, Fingerprint, Intent, Known, RecordKey, Shard, Take};

/// The most takes of one ledger shard that may be open or owed at a time.
pub const TAKES_MAX: usize = 8_192;
/// From so many on none is added that was counted without the ledger: when it is back there is room for others.
pub const ALONE_MAX: usize = TAKES_MAX / 2;

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
    /// The object, where it is named.
    pub object: Option<ObjectNumber>,
    /// What is done.
    pub intent: Intent,
}

/// A take, and from when on the ledger is to hear of it.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) owed: OwedTake,
    pub(super) due: Millis,
    /// Its place in the order in which sums came to contain them.
    pub(super) order: u64,
}

impl Tracked {
    /// One that is due.
    pub(super) fn due(owed: OwedTake) -> Self {
        Self {
            order: owed.take.attempt.0,
            owed,
            due: Millis(0),
        }
    }
}

/// The attempt was withdrawn while its answer was on its way: that answer counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawn;

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
            object,
            intent,
        } = wanted;
        let attempt = Attempt(number);
        let (key, note) = match object {
            Some(object) => (RecordKey::Object(object), request_id),
            None => (self.key(request_id, number), None),
        };
        let take = Take {
            app,
            key,
            fingerprint,
            attempt,
            charge,
            day,
            intent,
            note,
        };
        let at = self.clock.now();
        let mut takes = self.takes_of(app);
        let most = if intent == Intent::Alone {
            ALONE_MAX
        } else {
            TAKES_MAX
        };
        if takes.len() >= most {
            return Err(Full::Waiting);
        }
        // Under the lock that a checkpoint copies under: it sees the journal's record or this one.
        self.append(&Record::Attempt(at, Box::new(take.clone())))?;
        let (open, state) = (take.clone(), TakeState::Open);
        takes.insert(attempt, Tracked::due(OwedTake { take, at, state }));
        drop(takes);
        Ok(OpenTake {
            owed: self.clone(),
            take: open,
            over: false,
        })
    }

    /// Withdraws every attempt that has no answer, also those whose callers wait for one.
    pub fn abort_open(&self) {
        for shard in &self.takes {
            self.abort_some(lock(shard), |_| true);
        }
    }

    /// As [`Owed::abort_open`], for one app, but for one attempt whose answer is being heard.
    pub fn abort_open_of(&self, app: AppId, but: Option<Attempt>) {
        self.abort_some(self.takes_of(app), |take| {
            take.app == app && Some(take.attempt) != but
        });
    }

    /// Whether nothing of the app is under way: no take without an answer, no release that the ledger
    /// may have done and whose answer was not heard.
    pub fn nothing_open(&self, app: AppId) -> bool {
        let open = |tracked: &Tracked| {
            tracked.owed.take.app == app && tracked.owed.state == TakeState::Open
        };
        !self.takes_of(app).values().any(open) && !self.has_open_release(app)
    }

    /// Counts a take, which the ledger says nobody else will count, in own sums: `change` does so, and
    /// answers in which generation.
    ///
    /// # Errors
    /// [`LogFull`]; it stays as it was.
    pub fn count(
        &self,
        answered: &Answered,
        change: impl FnOnce(&mut Frames) -> Result<u64, LogFull>,
    ) -> Result<(), LogFull> {
        let attempt = answered.take.attempt;
        let mut takes = self.takes_of(answered.take.app);
        let Some(tracked) = takes.get_mut(&attempt) else {
            return Ok(());
        };
        let TakeState::Answered { refused, contained } = tracked.owed.state else {
            return Ok(());
        };
        if contained != answered.contained {
            return Ok(()); // Counted meanwhile, by the answer to another report.
        }
        let contained = self.journal.append_with(self.clock.now(), |frames| {
            let contained = change(frames)?;
            frames.answered(attempt, refused, Some(contained));
            Ok::<_, LogFull>(contained)
        })?;
        let contained = Some(contained);
        tracked.owed.state = TakeState::Answered { refused, contained };
        tracked.order = self.number();
        Ok(())
    }

    /// The object of an answered take is deleted, and the ledger is told of the take no more: `change` gives it
    /// back in own sums.
    ///
    /// # Errors
    /// [`LogFull`]; it stays as it was.
    pub fn gone(
        &self,
        answered: &Answered,
        change: impl FnOnce(&mut Frames) -> Result<(), LogFull>,
    ) -> Result<(), LogFull> {
        let attempt = answered.take.attempt;
        let mut takes = self.takes_of(answered.take.app);
        let Some(tracked) = takes.get(&attempt) else {
            return Ok(()); // Heard already, by the answer to another report.
        };
        if tracked.owed.state.contained() != answered.contained {
            return Ok(()); // Counted meanwhile: it is told once more.
        }
        self.journal.append_with(self.clock.now(), |frames| {
            change(frames)?;
            frames.kept(attempt);
            Ok::<_, LogFull>(())
        })?;
        takes.remove(&attempt);
        drop(takes);
        if answered.take.note.is_some() {
            self.keep(answered.clone(), Vec::new());
        }
        Ok(())
    }

    /// What the ledger is to know again if it forgot: answers under clients' ids that it had, answers
    /// that it is to be told, and withdrawals that are owed.
    pub fn to_restate(&self, shard: Shard, now: Millis) -> (Vec<Known>, Vec<Answered>, Vec<Abort>) {
        let mut answered = Vec::new();
        let mut aborts = Vec::new();
        for Tracked { owed, .. } in lock(&self.takes[usize::from(shard.number())]).values() {
            match owed.state {
                TakeState::Answered { refused, contained } => answered.push(Answered {
                    take: owed.take.clone(),
                    refused,
                    contained,
                }),
                TakeState::Abort => aborts.push(Abort::of(&owed.take)),
                TakeState::Open => {}
            }
        }
        // Behind those that are owed: one that is settled meanwhile is stated twice, and none is left out.
        let kept = self.kept.of(shard, now);
        (kept, answered, aborts)
    }

    fn abort_some(
        &self,
        mut takes: MutexGuard<'_, BTreeMap<Attempt, Tracked>>,
        which: impl Fn(&Take) -> bool,
    ) {
        for (attempt, Tracked { owed, .. }) in takes.iter_mut() {
            if owed.state == TakeState::Open && which(&owed.take) {
                self.journal_abort(*attempt);
                owed.state = TakeState::Abort;
            }
        }
    }

    fn journal_abort(&self, attempt: Attempt) {
        if let Err(full) = self.append(&Record::Abort(attempt)) {
            // A restart withdraws every attempt without an outcome, so nothing hangs on this record.
            tracing::warn!(%full, "an abort could not be journaled");
        }
    }

    pub(super) fn takes_of(&self, app: AppId) -> MutexGuard<'_, BTreeMap<Attempt, Tracked>> {
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

    /// Journals the ALLOW that is about to go out; the ledger is to be told. `change` moves the sums that
    /// contain it, in the same append, and answers in which generation they do; `None`: they are not
    /// this member's.
    ///
    /// # Errors
    /// What `change` refuses with, [`LogFull`], or `Withdrawn`: the answer must not go out, and the take
    /// is withdrawn.
    pub fn allowed<E: From<LogFull> + From<Withdrawn>>(
        mut self,
        change: impl FnOnce(&mut Frames) -> Result<Option<u64>, E>,
    ) -> Result<(), E> {
        let attempt = self.take.attempt;
        {
            // As in `open_take`: a checkpoint must not come between the two.
            let mut takes = self.owed.takes_of(self.take.app);
            let tracked = takes.get_mut(&attempt).ok_or(Withdrawn)?;
            if tracked.owed.state != TakeState::Open {
                return Err(Withdrawn.into());
            }
            let now = self.owed.clock.now();
            let contained = self.owed.journal.append_with(now, |frames| {
                let contained = change(frames)?;
                frames.answered(attempt, None, contained);
                Ok::<_, E>(contained)
            })?;
            let refused = None;
            tracked.owed.state = TakeState::Answered { refused, contained };
            tracked.order = self.owed.number();
        }
        self.over = true;
        Ok(())
    }

    /// Journals an ALLOW that is about to go out of what sums contain already, in these `lives` of its live counters: the
    /// ledger need not be told. `valid`: whether it may go out.
    ///
    /// # Errors
    /// What `valid` refuses with, [`LogFull`], or `Withdrawn`: the answer must not go out, and the take is withdrawn.
    pub fn met<E: From<LogFull> + From<Withdrawn>>(
        mut self,
        valid: impl FnOnce() -> Result<(), E>,
        lives: Vec<u64>,
    ) -> Result<(), E> {
        self.journal_kept(valid)?;
        let answered = Answered {
            take: self.take.clone(),
            refused: None,
            contained: None,
        };
        self.owed.keep(answered, lives);
        Ok(())
    }

    /// Journals an ALLOW that is about to go out once more, of what is gone since: the ledger is not told, and not told
    /// again. `valid`: whether it may go out.
    ///
    /// # Errors
    /// As [`OpenTake::met`].
    pub fn repeated<E: From<LogFull> + From<Withdrawn>>(
        mut self,
        valid: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.journal_kept(valid)
    }

    /// Journals that there is nothing to settle, unless it was withdrawn meanwhile.
    fn journal_kept<E: From<LogFull> + From<Withdrawn>>(
        &mut self,
        valid: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let (app, attempt) = (self.take.app, self.take.attempt);
        let mut takes = self.owed.takes_of(app);
        let tracked = takes.get(&attempt).ok_or(Withdrawn)?;
        if tracked.owed.state != TakeState::Open {
            return Err(Withdrawn.into());
        }
        valid()?;
        self.owed.append(&Record::Kept(attempt))?;
        takes.remove(&attempt);
        drop(takes);
        self.over = true;
        Ok(())
    }

    /// Journals the DENY that is about to go out. The ledger wrote it in the take itself; one in this
    /// process may forget it with the process and is then told by the journal.
    ///
    /// # Errors
    /// [`LogFull`]: the answer must not go out, and the take is withdrawn.
    pub fn refused(mut self, counter: Counter) -> Result<(), LogFull> {
        if self.owed.local {
            let attempt = self.take.attempt;
            let mut takes = self.owed.takes_of(self.take.app);
            let refused = Record::Answered(attempt, Some(counter), None);
            self.owed.append(&refused)?;
            takes.remove(&attempt);
        } else {
            let (take, refused) = (self.take.clone(), Some(counter));
            let answered = Answered {
                take,
                refused,
                contained: None,
            };
            let lives = Vec::new();
            let known = Known { answered, lives };
            self.owed.kept.note(known, self.owed.clock.now());
            self.forget();
            return Ok(());
        }
        self.over = true;
        Ok(())
    }

    /// The ledger wrote nothing for this attempt: there is nothing to settle. One that was withdrawn
    /// meanwhile stays withdrawn.
    pub fn forget(mut self) {
        self.over = true;
        let mut takes = self.owed.takes_of(self.take.app);
        let open = |tracked: &Tracked| tracked.owed.state == TakeState::Open;
        if takes.get(&self.take.attempt).is_some_and(open) {
            takes.remove(&self.take.attempt);
        }
    }
}

impl Drop for OpenTake {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut takes = self.owed.takes_of(self.take.app);
        let Some(tracked) = takes.get_mut(&self.take.attempt) else {
            return;
        };
        if tracked.owed.state == TakeState::Open {
            self.owed.journal_abort(self.take.attempt);
            tracked.owed.state = TakeState::Abort;
        }
    }
}
