//! This member among its fellows: its beat, and what the ledger tells with it.
//!
//! A ledger that is shared knows its members by their beats, and tells each until when it may admit (the
//! *lease*), who its fellows are (the *roll*), which apps are frozen or recalled, and whether a *recovery*
//! is open: whether the ledger has forgotten something that members must tell again.
//!
//! Two tasks share the work. The one of [`beat`] alone speaks for the member as such: it says hello and
//! beats, and is the only writer of the [`Standing`] in the journal. The one of `meeting` speaks of apps:
//! it restates, settles, and pulls bases, one after the other, so that no report is composed between the
//! parts of a statement. What it has done it hands over here, and the next beat says it.

mod alarm;
mod bases;
mod beat;
mod leave;
mod notices;
mod restate;
mod succession;
#[cfg(test)]
mod tests;
mod users;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub(super) use bases::pull;
pub(super) use beat::{Greeted, keep, round};
pub(super) use leave::leave;
pub(super) use notices::acknowledge;
pub(super) use restate::restate;
pub(super) use users::tell_again;

use alarm::Alarms;
use notices::Notices;
use users::ToldAgain;

use super::journal::Standing;
use crate::chance;
use crate::store::{Beat, Beaten, Recovery, Roll, StoreFault};

/// The most calls of one of these tasks that are under way together.
const TOGETHER_MAX: usize = 16;
/// The most of all members at a time, where each has as much to tell: a ledger that comes back answers so many in about
/// 0.2 s. Were there more, calls would be given up before they are answered, and begun anew by all.
const OF_ALL_MAX: usize = 640;
/// How long members that hear of a newcomer wait, for each of them, until they say that they have it in their journals; and at
/// most.
const WITNESSES_SPREAD: Duration = Duration::from_millis(2);
const WITNESS_WITHIN: Duration = Duration::from_secs(1);

/// What the tasks of this member share.
#[derive(Debug)]
pub struct Membership {
    /// As the journal has it.
    standing: Mutex<Arc<Standing>>,
    word: Mutex<Word>,
    /// The recovery whose restatement was acknowledged in full, since the last beat perhaps.
    restated: AtomicU64,
    /// The epoch and the number of the news up to which all bases are in the journal.
    pulled: Mutex<(u64, u64)>,
    /// When what is lacking of them is to be asked for.
    pull_at: Mutex<Option<Instant>>,
    users: Mutex<ToldAgain>,
    /// How often the ledger was found to be away or forgetful.
    troubles: AtomicU64,
    leaving: AtomicBool,
    /// When another process or another ledger was last found in this one's place, by the steady clock.
    fenced_at: Mutex<Option<Duration>>,
    hurry: Notify,
    /// After what time a fellow is to be shown that the newest roll is in the journal here.
    witness: Mutex<Option<Duration>>,
    work: Notify,
    notices: Notices,
    alarms: Mutex<Alarms>,
}

/// What the last beat was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Word {
    /// Whether there is one: the ledger was met, and no beat has failed since.
    pub heard: bool,
    /// The newest recovery.
    pub epoch: u64,
    /// How it stands with it.
    pub recovery: Recovery,
    /// The newest news of bases.
    pub news: u64,
    /// Up to which news another member has all bases.
    pub news_elsewhere: u64,
    /// Whether a lease came with it.
    pub leased: bool,
    /// Whether the member is gone for the ledger.
    pub gone: bool,
}

impl Membership {
    /// Begins as the journal has it.
    pub fn new(standing: Standing) -> Self {
        Self {
            word: Mutex::default(),
            restated: standing.restated.into(),
            pulled: Mutex::new((standing.epoch, standing.news)),
            pull_at: Mutex::default(),
            users: Mutex::new(ToldAgain::nothing_to_tell(standing.epoch)),
            standing: Mutex::new(Arc::new(standing)),
            troubles: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            fenced_at: Mutex::default(),
            hurry: Notify::new(),
            witness: Mutex::default(),
            work: Notify::new(),
            notices: Notices::default(),
            alarms: Mutex::default(),
        }
    }

    /// How this member stands, as the journal has it.
    pub(super) fn standing(&self) -> Arc<Standing> {
        lock(&self.standing).clone()
    }

    /// How many calls this member may have under way where it has many to make: fewer, the more members do the same.
    pub(super) fn together(&self) -> usize {
        let members = self.standing().roll.present.len().max(1);
        (OF_ALL_MAX / members).clamp(1, TOGETHER_MAX)
    }

    /// What the last beat was told.
    pub(super) fn word(&self) -> Word {
        *lock(&self.word)
    }

    /// Whether all that this member knows was told in the newest recovery.
    pub(super) fn is_restated(&self) -> bool {
        self.has_restated(self.word().epoch)
    }

    /// The ledger has acknowledged the restatement for `epoch` in full. The next beat says so.
    pub(super) fn restated(&self, epoch: u64) {
        self.restated.fetch_max(epoch, Ordering::AcqRel);
        self.hurry();
    }

    /// Whether the restatement for `epoch` was acknowledged in full.
    fn has_restated(&self, epoch: u64) -> bool {
        self.restated.load(Ordering::Acquire) == epoch
    }

    /// Whether `word` tells of bases that are not in the journal, and it is this member's turn to ask for
    /// them.
    pub(super) fn lacks_bases(&self, word: &Word) -> bool {
        let lacks = word.recovery != Recovery::Open
            && word.news > 0
            && *lock(&self.pulled) != (word.epoch, word.news);
        let turn = || Instant::now() + bases::turn(self.standing().roll.present.len());
        lacks && *lock(&self.pull_at).get_or_insert_with(turn) <= Instant::now()
    }

    /// All bases of `word` are in the journal.
    pub(super) fn pulled(&self, word: &Word) {
        *lock(&self.pulled) = (word.epoch, word.news);
        *lock(&self.pull_at) = None;
        self.hurry();
    }

    /// Has the next beat sent at once.
    pub fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Has the next beat sent soon: somebody waits for one of so many members to have the new roll in its journal. The more
    /// there are, the longer each waits, by chance: one of them is soon enough, and they are told of each newcomer.
    pub(super) fn witness_soon(&self, members: usize) {
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        let within = (WITNESSES_SPREAD.saturating_mul(members)).min(WITNESS_WITHIN);
        let wait = within.mul_f64(chance::within(0.0..1.0));
        *lock(&self.witness) = Some(wait);
    }

    /// How long to wait before the next beat, where it is to come soon.
    pub(super) fn witnesses_in(&self) -> Option<Duration> {
        lock(&self.witness).take()
    }

    /// Has the next round of settling come at once.
    pub(super) fn work_now(&self) {
        self.work.notify_one();
    }

    /// Ends when there is something to do at once.
    pub(super) async fn work_is_due(&self) {
        self.work.notified().await;
    }

    /// How often the ledger was found to be away or forgetful: whoever means to say that all is well
    /// compares it with what it was when the work for that began.
    pub(super) fn troubles(&self) -> u64 {
        self.troubles.load(Ordering::Acquire)
    }

    /// The process was fenced off at `now`, by the steady clock.
    pub(super) fn fenced(&self, now: Duration) {
        self.troubles.fetch_add(1, Ordering::AcqRel);
        *lock(&self.fenced_at) = Some(now);
    }

    /// A beat failed: what was told is old.
    fn unheard(&self) {
        self.troubles.fetch_add(1, Ordering::AcqRel);
        lock(&self.word).heard = false;
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// The next beat.
    fn beat(&self) -> Beat {
        let standing = self.standing();
        let open = self.word().recovery == Recovery::Open;
        Beat {
            epoch: standing.epoch,
            restated: standing.restated,
            roll_version: standing.seen,
            roll: (open && standing.restated == standing.epoch).then(|| standing.roll.clone()),
            news: standing.news,
            leaving: self.is_leaving(),
            fresh: !standing.knows,
        }
    }

    /// What the journal is to have: the standing with what was done since.
    fn progress(&self) -> Standing {
        let mut standing = Standing::clone(&self.standing());
        standing.restated = standing.restated.max(self.restated.load(Ordering::Acquire));
        let (epoch, news) = *lock(&self.pulled);
        if epoch == standing.epoch {
            standing.news = standing.news.max(news);
            standing.read_on();
        }
        standing
    }
}

/// What an answer changes in `standing`.
///
/// # Errors
/// A ledger that shows an older recovery than one that is known: it forgot, and does not know it yet.
fn learn(standing: &mut Standing, beaten: &Beaten) -> Result<(), StoreFault> {
    let open = beaten.recovery == Recovery::Open;
    if beaten.epoch < standing.epoch {
        return Err(StoreFault::Frozen(format!(
            "it knows of recovery {} and not of {}, which came after it",
            beaten.epoch, standing.epoch
        )));
    }
    if beaten.epoch > standing.epoch {
        if standing.epoch == 0 && !open {
            // Nothing was ever told to it, so there is nothing to tell again.
            standing.restated = beaten.epoch;
        }
        standing.epoch = beaten.epoch;
        standing.seen = 0;
        standing.unread.clear();
    }
    standing.knows |= !open;
    if let Some(told) = &beaten.roll {
        // Nothing is forgotten within a recovery's epoch: who was on its last closed roll and is not on this
        // one was gone for so long that no loss brings it back.
        let follows = !open && standing.seen > 0 && told.version > standing.seen;
        let mut told_now = told.clone();
        hold_back(standing, &mut told_now);
        unite(&mut standing.roll, &told_now, open);
        if follows {
            let roll = &mut standing.roll;
            roll.gone
                .retain(|of| told.gone.contains(of) || told.present.contains_key(of));
        }
        standing.seen = standing.seen.max(told.version);
    }
    Ok(())
}

/// Whoever says that a member is gone has the bases that contain it: what `told` says of those whose bases are not
/// here yet is held back, and its news with it.
fn hold_back(standing: &mut Standing, told: &mut Roll) {
    if told.news <= standing.news {
        return;
    }
    let known = &standing.roll;
    let marks: Vec<u64> = told.gone.difference(&known.gone).copied().collect();
    for member in &marks {
        told.gone.remove(member);
        let name = known.present.get(member).cloned().unwrap_or_default();
        told.present.insert(*member, name);
        standing.unread.entry(*member).or_insert(told.news);
    }
    // A recount is news as well, and nobody comes back to tell it.
    let only_marks = told.news - known.news.min(told.news) <= marks.len() as u64;
    if only_marks {
        told.news = known.news;
    }
}

/// Adds what is told to what is known. Nobody is ever dropped but by being told to be gone: a ledger
/// that forgot a member does not make it less of one.
fn unite(known: &mut Roll, told: &Roll, open: bool) {
    let present = told.present.iter();
    known
        .present
        .extend(present.map(|(of, name)| (*of, name.clone())));
    known.gone.extend(&told.gone);
    let Roll { present, gone, .. } = known;
    present.retain(|member, _| !gone.contains(member));
    known.news = known.news.max(told.news);
    if !open {
        known.version = told.version;
        known.silent.clone_from(&told.silent);
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each is changed in one step; a poisoned one is still whole.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
