//! What one report tells of records: answers, withdrawals, releases.

use std::collections::{BTreeMap, BTreeSet};

use super::takes::Tracked;
use super::{Owed, lock};
use crate::clock::{Day, Millis};
use crate::ledger::guard::cell_of;
use crate::ledger::journal::{OwedRelease, Record, TakeState};
use crate::quota::{AppId, Charge, Resource};
use crate::store::{
    Abort, Ack, Answered, AppReport, Attempt, Cell, Gave, REPORT_APPS_MAX, REPORT_RECORDS_MAX,
    RecordKey, Shard, Take,
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
    /// Whether more was due than fits.
    pub more: bool,
}

impl DueRecords {
    /// Whether there is nothing to settle.
    pub fn is_empty(&self) -> bool {
        self.answered.is_empty() && self.aborts.is_empty()
    }

    /// The apps whose sums contain some of these, and must be told in the same call: the ledger takes
    /// its own charge back when it hears of one.
    pub fn contained(&self) -> BTreeSet<AppId> {
        let answered = self.answered.iter();
        let contained = answered.filter(|answered| answered.contained.is_some());
        contained.map(|answered| answered.take.app).collect()
    }

    /// Leaves out what sums of `app` contain: they cannot be told now.
    pub fn leave_out(&mut self, app: AppId) {
        self.answered
            .retain(|answered| answered.take.app != app || answered.contained.is_none());
    }
}

/// Records of one shard while no sums of its apps can come to contain another.
pub struct Records<'a> {
    shard: Shard,
    takes: &'a BTreeMap<Attempt, Tracked>,
    gaves: &'a BTreeMap<(u16, u64), OwedRelease>,
}

impl Records<'_> {
    /// Takes that the sums in `apps` contain in the life that they speak of, and that `named` does not say to
    /// be contained in it. `apps` is what was read in this same moment: a take that came behind the
    /// reading would be taken out of sums that lack it, and be charged nowhere for a while.
    pub fn left_out(&self, apps: &[AppReport], named: &[Answered]) -> Vec<LeftOut> {
        let named: BTreeSet<_> = named
            .iter()
            .map(|named| (named.take.attempt, named.contained))
            .collect();
        let left = self.takes.iter().filter(|(attempt, tracked)| {
            let contained = tracked.owed.state.contained();
            contained.is_some()
                && contained == generation_in(apps, &tracked.owed.take)
                && !named.contains(&(**attempt, contained))
        });
        let left = left.map(|(_, tracked)| &tracked.owed.take);
        left.map(|take| LeftOut::Taken(take.app, take.charge, take.day))
            .collect()
    }

    /// Releases that the sums in `apps` contain and the ledger was not told of, at most
    /// [`REPORT_RECORDS_MAX`], and what is left out of them.
    pub fn gave(&self, apps: &[AppReport]) -> (Vec<(u64, Gave)>, Vec<LeftOut>) {
        let number = self.shard.number();
        let (mut named, mut left) = (Vec::new(), Vec::new());
        for ((_, number), owed) in self.gaves.range((number, 0)..=(number, u64::MAX)) {
            let give_back = &owed.give_back;
            let (app, key) = (give_back.app, give_back.key.clone());
            if !apps.iter().any(|told| told.app == app) {
                continue;
            }
            if named.len() < REPORT_RECORDS_MAX {
                named.push((*number, Gave { app, key }));
                continue;
            }
            let most = u64::from(give_back.amount.get());
            left.push(LeftOut::Given(app, Cell::Live(give_back.resource), most));
            if give_back.groups_follow {
                if give_back.resource == Resource::AvRoom {
                    left.push(LeftOut::Given(app, Cell::Live(Resource::Group), most));
                }
                left.push(LeftOut::Given(app, Cell::Gained(give_back.day), most));
            }
        }
        (named, left)
    }
}

/// The life of a take's first counter of which `apps` tell the sums; `None`: they tell none of it.
fn generation_in(apps: &[AppReport], take: &Take) -> Option<u64> {
    let cell = cell_of(take.charge.parts()[0].counter, take.day);
    let told = apps.iter().find(|told| told.app == take.app)?;
    let told = told.cells.iter().find(|told| told.cell == cell)?;
    told.escrow.map(|escrow| escrow.generation)
}

/// What sums contain and a report does not name. Its amounts are left out of the sums that it tells: else
/// the ledger would have them twice for a while, here and in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// A take of this life of its counter.
    Taken(AppId, Charge, Day),
    /// A release; it gave back so many at most.
    Given(AppId, Cell, u64),
}

impl Owed {
    /// Records of `shard` to settle, or those of `only` some of its apps: at most [`REPORT_RECORDS_MAX`]
    /// of a kind, and of at most [`REPORT_APPS_MAX`] apps whose sums are to be told with them. To be
    /// asked before those sums are read, which then contain all that is named here.
    pub fn due_records(&self, shard: Shard, only: Option<&[AppId]>, now: Millis) -> DueRecords {
        let mut due = DueRecords::default();
        let mut apps = BTreeSet::new();
        let mut has_room =
            |app: AppId| apps.contains(&app) || apps.len() < REPORT_APPS_MAX && apps.insert(app);
        let takes = lock(&self.takes[usize::from(shard.number())]);
        let of = |take: &Take| only.is_none_or(|only| only.contains(&take.app));
        let is_due = |tracked: &&Tracked| tracked.due <= now && of(&tracked.owed.take);
        for tracked in takes.values().filter(is_due) {
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
        due
    }

    /// Lets `look` read sums of apps of `shard` and see which records they contain, while neither changes:
    /// whoever adds a record to sums holds one of these locks until it is known here that they contain it.
    pub fn between_records<T>(&self, shard: Shard, look: impl FnOnce(&Records<'_>) -> T) -> T {
        // In this order before the journal's lock and an entry's, as where sums change.
        let takes = lock(&self.takes[usize::from(shard.number())]);
        let _releases = lock(&self.releases);
        let gaves = lock(&self.gaves);
        look(&Records {
            shard,
            takes: &takes,
            gaves: &gaves,
        })
    }

    /// The apps of which some release is to be told.
    pub fn apps_that_gave(&self) -> BTreeSet<AppId> {
        let gaves = lock(&self.gaves);
        gaves.values().map(|owed| owed.give_back.app).collect()
    }

    /// The ledger has these releases.
    pub fn gave_told(&self, shard: Shard, told: &[(u64, Gave)]) {
        let mut gaves = lock(&self.gaves);
        for (number, _) in told {
            gaves.remove(&(shard.number(), *number));
        }
    }

    /// The ledger has these, and says `acks` to the answers. Answers those that this member is to count.
    pub fn settled(
        &self,
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
