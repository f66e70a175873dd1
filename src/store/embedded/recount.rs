//! A recount: the app is frozen, what is under way comes to rest, and one step sets the count.
//!
//! The step must survive a kill, though counts live in memory and the journal states again what the
//! last checkpoint does not have. So a recount *is* a checkpoint: one transaction holds the corrected
//! count, all totals and records that it stands on, and the entry of the audit list. Memory follows
//! only when the file has it; until then the app stays frozen, and nobody was told the new count.
//!
//! A replay finds the file's totals and records and changes nothing by stating them again: totals are
//! merged by maximum and never begin anew, a record is known by its name, and a checkpoint of a recount
//! folds none. What the journal has beyond the checkpoint moves the count by the difference, as it
//! does without a kill.

use super::checkpoint::Batch;
use super::format;
use super::ledger::Ledger;
use super::shard::{Caller, LedgerShard};
use crate::clock::{Clock, Day};
use crate::quota::{AppId, Limit, Resource};
use crate::store::{AuditEntry, Freeze, Recount, Recounted, Shard, StoreFault};

/// How a recount moves an app's count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Correction {
    pub(super) app: AppId,
    pub(super) resource: Resource,
    /// By how much.
    by: i64,
    /// The count before it, without what is held and reserved.
    from: i64,
    /// What is held and reserved beside it.
    held: u64,
    /// The day of the recount, whose month the count may be the peak of.
    today: Day,
}

impl LedgerShard {
    /// Freezes an app. Answers what is counted of `resource`.
    pub(super) fn freeze(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        resource: Resource,
    ) -> Result<Freeze, StoreFault> {
        let counted = self.apps.touch(by.file, app)?.get().answered();
        let frozen = self.freezes.begin(app, counted);
        Ok(Freeze {
            token: frozen.token,
            count: frozen.counted[resource.counter().index()],
        })
    }

    /// Whether nothing of the app is under way any more. Then what is counted now is what the truth
    /// will be compared with.
    pub(super) fn rests(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        token: u64,
    ) -> Result<bool, StoreFault> {
        let counts = self.apps.touch(by.file, app)?.get();
        let Some(frozen) = self.freezes.under(app, token) else {
            return Ok(true);
        };
        if !frozen.quiet && counts.held == [0; 3] {
            (frozen.quiet, frozen.counted) = (true, counts.answered());
        }
        Ok(frozen.quiet)
    }

    /// The member says that nothing of the app is under way.
    pub(super) fn acknowledge(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        token: u64,
    ) -> Result<(), StoreFault> {
        let counts = self.apps.touch(by.file, app)?.get();
        if let Some(frozen) = self.freezes.under(app, token)
            && !frozen.quiet
        {
            (frozen.quiet, frozen.counted) = (true, counts.answered());
        }
        Ok(())
    }

    /// Ends a freeze without a recount.
    pub(super) fn unfreeze(&mut self, app: AppId, token: u64) {
        if self
            .freezes
            .under(app, token)
            .is_some_and(|frozen| !frozen.writing)
        {
            self.freezes.end(app);
        }
    }

    /// What a recount will change; `None` if the app is not frozen under its token. From now on nothing
    /// ends the freeze until the recount is [`LedgerShard::corrected`] or [`LedgerShard::not_written`].
    fn correction(
        &mut self,
        by: Caller<'_>,
        recount: &Recount,
        today: Day,
    ) -> Result<Option<Correction>, StoreFault> {
        let Recount { app, resource, .. } = *recount;
        let today = self.open_day(today);
        let counts = self.apps.touch(by.file, app)?;
        let Some(frozen) = self.freezes.under(app, recount.token) else {
            return Ok(None);
        };
        frozen.writing = true;
        let k = resource.counter().index();
        let from = frozen.counted[k];
        // Without a change it would not be written, and could leave memory before it is corrected.
        let counts = counts.change(self.round);
        let held = counts.held[k] + counts.reserved[k];
        Ok(Some(Correction {
            app,
            resource,
            by: recount.to.min(Limit::MAX).cast_signed() - from,
            from,
            held: u64::try_from(held).unwrap_or(0),
            today,
        }))
    }

    /// Puts the app as it will be in the place of what a snapshot took.
    fn correct_in(
        &mut self,
        by: Caller<'_>,
        batch: &mut Batch,
        correction: Correction,
    ) -> Result<(), StoreFault> {
        let Correction { app, resource, .. } = correction;
        let mut corrected = self.apps.touch(by.file, app)?.get().look().into_owned();
        corrected.correct(resource, correction.by, correction.today);
        batch.apps.retain(|(other, _)| *other != app);
        let value = format::write_app(&corrected, self.open_from);
        batch.apps.push((app, value));
        Ok(())
    }

    /// The file has the correction: memory follows, and the freeze is over.
    fn corrected(&mut self, by: Caller<'_>, correction: Correction) -> Result<(), StoreFault> {
        let app = self.apps.touch(by.file, correction.app)?;
        let counts = app.change(self.round);
        counts.correct(correction.resource, correction.by, correction.today);
        self.freezes.end(correction.app);
        Ok(())
    }

    /// The file may not have the correction: memory is right, and goes with the next checkpoint.
    fn not_written(&mut self, app: AppId) {
        if let Some(frozen) = self.freezes.of(app) {
            frozen.writing = false;
        }
    }
}

impl Ledger {
    /// Sets a count and keeps it. Waits for the disk.
    pub(super) fn recount(&self, member: u64, recount: &Recount) -> Result<Recounted, StoreFault> {
        let by = self.caller(member)?;
        let writing = self.writing()?;
        // An operator's call carries no time.
        let (own, now) = (Shard::of(recount.app), Clock::system());
        let today = self.zone().day(now);
        let Some(correction) = self.shard(own)?.correction(by, recount, today)? else {
            return Ok(Recounted::NotFrozen);
        };
        let entry = AuditEntry {
            at: now,
            who: recount.who.clone(),
            what: "recount".into(),
            app: Some(recount.app),
            subject: recount.resource.name().into(),
            from: Some(correction.from),
            to: Some(correction.from + correction.by),
            why: recount.why.clone(),
        };
        let written = self.write_all(&writing, Some(&entry), |shard, at, batch| {
            if shard == own {
                at.correct_in(by, batch, correction)?;
            }
            Ok(())
        });
        let (number, written) = match written {
            Ok(written) => written,
            Err(fault) => {
                self.shard(own)?.not_written(recount.app);
                return Err(fault);
            }
        };
        // Before the shards are told what the file has: an app without a change may leave memory, and
        // would be read from the file with the correction in it.
        self.shard(own)?.corrected(by, correction)?;
        self.note_written(written)?;
        Ok(Recounted::Done {
            from: correction.from,
            generation: number,
            held: correction.held,
        })
    }
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;
