//! What one report tells of records: answers, withdrawals, releases.

use std::collections::{BTreeMap, BTreeSet};

use super::releases::InSums;
use super::takes::Tracked;
use super::{Owed, lock};
use crate::clock::{Day, Millis};
use crate::ledger::guard::cell_of;
use crate::ledger::journal::{Record, TakeState};
use crate::quota::{AppId, Charge};
use crate::store::{
    Abort, Ack, Answered, AppReport, Attempt, Cell, Gave, Intent, Known, REPORT_APPS_MAX,
    REPORT_RECORDS_MAX, RecordKey, Shard, Take,
};

/// For how long an answer waits that the ledger wants to hear again.
const AGAIN_MS: i64 = 1_000;
/// The most takes of one report: some room is for releases, however many takes there are.
const TAKES_TOLD_MAX: usize = REPORT_RECORDS_MAX / 4 * 3;

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
    /// How many there are.
    pub fn len(&self) -> usize {
        self.answered.len() + self.aborts.len()
    }

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
    gaves: &'a BTreeMap<(u16, u64), InSums>,
}

impl Records<'_> {
    /// Takes that the sums in `apps` contain in the life that they speak of, and that `named` does not say to
    /// be contained in it. `apps` is what was read in this same moment: a take that came behind the
    /// reading would be taken out of sums that lack it, and be charged nowhere for a while. What this member counted alone
    /// no record ever charged.
    pub fn left_out(&self, apps: &[AppReport], named: &[Answered]) -> Vec<LeftOut> {
        let named: BTreeSet<_> = named
            .iter()
            .map(|named| (named.take.attempt, named.contained))
            .collect();
        let left = self.takes.iter().filter(|(attempt, tracked)| {
            let contained = tracked.owed.state.contained();
            contained.is_some()
                && tracked.owed.take.intent != Intent::Alone
                && contained == generation_in(apps, &tracked.owed.take)
                && !named.contains(&(**attempt, contained))
        });
        let left = left.map(|(_, tracked)| &tracked.owed.take);
        left.map(|take| LeftOut::Taken(take.app, take.charge, take.day))
            .collect()
    }

    /// Releases that the sums in `apps` contain and the ledger was not told of, each with its place in the
    /// order of [`Owed::gave_told`]: as many as a report that names `takes` has room for. And what of the
    /// sums the others are.
    pub fn gave(&self, apps: &[AppReport], takes: usize) -> (Vec<(u64, Gave)>, Vec<LeftOut>) {
        let room = REPORT_RECORDS_MAX.saturating_sub(takes);
        let number = self.shard.number();
        let (mut named, mut left) = (Vec::new(), Vec::new());
        for ((_, order), release) in self.gaves.range((number, 0)..=(number, u64::MAX)) {
            let (app, key) = release.of();
            if !apps.iter().any(|told| told.app == app) {
                continue;
            }
            if named.len() < room {
                let key = key.clone();
                named.push((*order, Gave { app, key }));
                continue;
            }
            let moved = release.moved.iter();
            left.extend(moved.map(|&(cell, amount)| LeftOut::Given(app, cell, amount)));
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

/// Answered takes that the ledger leaves to their reporter.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// To be counted: nobody else will.
    pub yours: Vec<Answered>,
    /// To be given back, where they are counted: their objects are deleted.
    pub gone: Vec<Answered>,
}

/// What sums contain and a report does not name. Its amounts are left out of the sums that it tells: else
/// the ledger would have them twice for a while, here and in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// A take of this life of its counter.
    Taken(AppId, Charge, Day),
    /// A release, which gave back so many.
    Given(AppId, Cell, u64),
}

impl Owed {
    /// Records of `shard` to settle, or those of `only` some of its apps: at most [`TAKES_TOLD_MAX`], and of
    /// at most [`REPORT_APPS_MAX`] apps whose sums are to be told with them. To be asked before those sums
    /// are read, which then contain all that is named here.
    ///
    /// Where not all fit, those come first which are in the sums the longest: of two reports that are under
    /// way at once the one then names all that the other does, so that the larger sums are the newer ones.
    pub fn due_records(&self, shard: Shard, only: Option<&[AppId]>, now: Millis) -> DueRecords {
        self.due(shard, only, None, now)
    }

    /// Records of `app` that were begun before the release of that number.
    pub fn due_before(&self, app: AppId, number: u64, now: Millis) -> DueRecords {
        self.due(Shard::of(app), Some(&[app]), Some(number), now)
    }

    fn due(
        &self,
        shard: Shard,
        only: Option<&[AppId]>,
        before: Option<u64>,
        now: Millis,
    ) -> DueRecords {
        let mut due = DueRecords::default();
        let mut apps = BTreeSet::new();
        let mut has_room =
            |app: AppId| apps.contains(&app) || apps.len() < REPORT_APPS_MAX && apps.insert(app);
        let takes = lock(&self.takes[usize::from(shard.number())]);
        let of = |take: &Take| only.is_none_or(|only| only.contains(&take.app));
        let is_due = |tracked: &&Tracked| {
            let take = &tracked.owed.take;
            let early = before.is_none_or(|before| take.attempt.0 < before);
            tracked.owed.state != TakeState::Open && tracked.due <= now && early && of(take)
        };
        let mut waiting: Vec<_> = takes.values().filter(is_due).collect();
        if waiting.len() > TAKES_TOLD_MAX {
            waiting.sort_unstable_by_key(|tracked| tracked.order);
        }
        for tracked in waiting {
            if due.len() == TAKES_TOLD_MAX {
                due.more = true;
                break;
            }
            let take = &tracked.owed.take;
            match tracked.owed.state {
                TakeState::Answered { refused, contained } => {
                    if contained.is_none() || has_room(take.app) {
                        due.answered.push(Answered {
                            take: take.clone(),
                            refused,
                            contained,
                        });
                    } else {
                        due.more = true;
                    }
                }
                TakeState::Abort => due.aborts.push(Abort::of(take)),
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
        gaves.values().map(|release| release.of().0).collect()
    }

    /// The ledger has these releases.
    pub fn gave_told(&self, shard: Shard, told: &[(u64, Gave)]) {
        let mut gaves = lock(&self.gaves);
        for (order, _) in told {
            gaves.remove(&(shard.number(), *order));
        }
    }

    /// The ledger has these, and says `acks` to the answers. Answers what this member is to do with some.
    pub fn settled(
        &self,
        due: &DueRecords,
        acks: &[Ack],
        now: Millis,
        lives: impl Fn(&Take) -> Vec<u64>,
    ) -> Verdicts {
        let mut verdicts = Verdicts::default();
        for (at, answered) in due.answered.iter().enumerate() {
            let attempt = answered.take.attempt;
            // A ledger of one member has nothing else to say.
            match acks.get(at).unwrap_or(&Ack::Counted) {
                Ack::Gone => verdicts.gone.push(answered.clone()),
                Ack::Counted => {
                    self.takes_of(answered.take.app).remove(&attempt);
                    self.note_kept(answered, &lives);
                }
                Ack::Yours => verdicts.yours.push(answered.clone()),
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
        verdicts
    }

    /// The ledger contains this answer for good.
    fn note_kept(&self, answered: &Answered, lives: impl Fn(&Take) -> Vec<u64>) {
        if !self.local && answered.contained.is_none() && answered.refused.is_none() {
            // Told again after a restart, when the ledger may have forgotten the record, it would be
            // charged as one that is in no sums.
            if let Err(full) = self.append(&Record::Kept(answered.take.attempt)) {
                tracing::warn!(%full, "a settled take could not be noted");
            }
        }
        if !self.local {
            self.keep(answered.clone(), lives(&answered.take));
        }
    }

    /// Keeps an answer that sums contain in these `lives` of its live counters, whosever sums: the ledger may forget it.
    pub(super) fn keep(&self, answered: Answered, lives: Vec<u64>) {
        if matches!(answered.take.key, RecordKey::Own { .. }) {
            return; // Nobody asks for it again.
        }
        let uncounted = answered.refused.is_some() || !answered.take.intent.is_counted();
        let mut lives = if uncounted { Vec::new() } else { lives };
        if let (Some(life), Some(own)) = (lives.first_mut(), answered.contained) {
            *life = own;
        }
        let answered = Answered {
            contained: lives.first().copied(),
            ..answered
        };
        self.kept.note(Known { answered, lives }, self.clock.now());
    }
}
