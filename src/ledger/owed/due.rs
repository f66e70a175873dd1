//! What one report tells of records: answers, withdrawals, releases.

use std::collections::BTreeSet;

use super::{Owed, lock};
use crate::clock::Millis;
use crate::ledger::journal::{Record, TakeState};
use crate::quota::AppId;
use crate::store::{
    Abort, Ack, Answered, Gave, REPORT_APPS_MAX, REPORT_RECORDS_MAX, RecordKey, Shard, Take,
};

/// For how long an answer waits that the ledger wants to hear again.
const AGAIN_MS: i64 = 1_000;

/// One call's worth of records to settle.
#[derive(Debug, Default)]
pub struct DueRecords {
    /// Takes whose answer went out.
    pub answered: Vec<Answered>,
    /// Takes to withdraw.
    pub aborts: Vec<Abort>,
    /// Releases that own sums contain, with their numbers.
    pub gave: Vec<(u64, Gave)>,
    /// Whether more was due than fits.
    pub more: bool,
}

impl DueRecords {
    /// Whether there is nothing to settle.
    pub fn is_empty(&self) -> bool {
        self.answered.is_empty() && self.aborts.is_empty() && self.gave.is_empty()
    }

    /// The apps whose sums contain some of these, and must be told in the same call: the ledger takes
    /// its own charge back when it hears of one.
    pub fn contained(&self) -> BTreeSet<AppId> {
        let answered = self.answered.iter();
        let answered = answered.filter(|answered| answered.contained.is_some());
        let gave = self.gave.iter().map(|(_, gave)| gave.app);
        answered
            .map(|answered| answered.take.app)
            .chain(gave)
            .collect()
    }

    /// Leaves out what sums of `app` contain: they cannot be told now.
    pub fn leave_out(&mut self, app: AppId) {
        self.answered
            .retain(|answered| answered.take.app != app || answered.contained.is_none());
        self.gave.retain(|(_, gave)| gave.app != app);
    }
}

impl Owed {
    /// Records of `shard` to settle, at most [`REPORT_RECORDS_MAX`] of a kind, and of at most
    /// [`REPORT_APPS_MAX`] apps whose sums are to be told with them.
    pub fn due_records(&self, shard: Shard, now: Millis) -> DueRecords {
        let mut due = DueRecords::default();
        let mut apps = BTreeSet::new();
        let mut has_room =
            |app: AppId| apps.contains(&app) || apps.len() < REPORT_APPS_MAX && apps.insert(app);
        let takes = lock(&self.takes[usize::from(shard.number())]);
        for tracked in takes.values().filter(|tracked| tracked.due <= now) {
            let take = &tracked.owed.take;
            match tracked.owed.state {
                TakeState::Answered { refused, contained } => {
                    let room = due.answered.len() < REPORT_RECORDS_MAX;
                    if room && (contained.is_none() || has_room(take.app)) {
                        due.answered.push(Answered {
                            take: take.clone(),
                            refused,
                            contained,
                        });
                    } else {
                        due.more = true;
                    }
                }
                TakeState::Abort if due.aborts.len() < REPORT_RECORDS_MAX => {
                    due.aborts.push(Abort {
                        app: take.app,
                        key: take.key.clone(),
                        attempt: take.attempt,
                    });
                }
                TakeState::Abort => due.more = true,
                TakeState::Open => {}
            }
        }
        drop(takes);
        let number = shard.number();
        let gaves = lock(&self.gaves);
        for ((_, number), owed) in gaves.range((number, 0)..=(number, u64::MAX)) {
            let app = owed.give_back.app;
            if due.gave.len() < REPORT_RECORDS_MAX && has_room(app) {
                let key = owed.give_back.key.clone();
                due.gave.push((*number, Gave { app, key }));
            } else {
                due.more = true;
            }
        }
        due
    }

    /// The ledger has these, and says `acks` to the answers. Answers those that this member is to count.
    pub fn settled(
        &self,
        shard: Shard,
        due: &DueRecords,
        acks: &[Ack],
        now: Millis,
        generation: impl Fn(&Take) -> u64,
    ) -> Vec<Answered> {
        let mut yours = Vec::new();
        for (at, answered) in due.answered.iter().enumerate() {
            let attempt = answered.take.attempt;
            // A ledger of one member has nothing else to say.
            match acks.get(at).unwrap_or(&Ack::Counted) {
                Ack::Counted => {
                    self.takes_of(answered.take.app).remove(&attempt);
                    self.note_kept(answered, now, &generation);
                }
                Ack::Yours => yours.push(answered.clone()),
                Ack::Again => {
                    if let Some(own) = self.takes_of(answered.take.app).get_mut(&attempt) {
                        own.due = now.plus(AGAIN_MS);
                    }
                }
            }
        }
        for abort in &due.aborts {
            self.takes_of(abort.app).remove(&abort.attempt);
        }
        let mut gaves = lock(&self.gaves);
        for (number, _) in &due.gave {
            gaves.remove(&(shard.number(), *number));
        }
        yours
    }

    /// The ledger contains this answer for good.
    fn note_kept(&self, answered: &Answered, now: Millis, generation: impl Fn(&Take) -> u64) {
        if !self.local && answered.contained.is_none() && answered.refused.is_none() {
            // Told again after a restart, when the ledger may have forgotten the record, it would be
            // charged as one that is in no sums.
            if let Err(full) = self.append(&Record::Kept(answered.take.attempt)) {
                tracing::warn!(%full, "a settled take could not be noted");
            }
        }
        if !self.local && matches!(answered.take.key, RecordKey::Client(_)) {
            // Contained in this life of the counter, in whosever sums.
            let contained = answered
                .contained
                .or_else(|| Some(generation(&answered.take)));
            let answered = Answered {
                contained: contained.filter(|_| answered.refused.is_none()),
                ..answered.clone()
            };
            self.kept.note(answered, now);
        }
    }
}
