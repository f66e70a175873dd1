//! Releases that the ledger may not have: sent again until it does.

use std::sync::Arc;

use super::recounted::Accepted;
use super::{Full, Owed, lock};
use crate::clock::Millis;
use crate::ledger::giving::Fell;
use crate::ledger::journal::{Frames, LogFull, OwedRelease, Record};
use crate::quota::{AppId, RequestId, Resource};
use crate::store::{Cell, GaveBack, GiveBack, RecordKey, Shard};

/// The most releases that may be owed at a time.
pub const RELEASES_MAX: usize = 100_000;
/// For how long a release of unknown outcome may be sent again. The ledger remembers it by its key for
/// the id window: sent later it might be done twice, and the second time free what others hold.
pub const RELEASE_RESEND_MS: u64 = 9 * 60 * 1000;

/// A release, and whether a caller is sending it just now.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) owed: OwedRelease,
    by_caller: bool,
    pub(super) accepted: Accepted,
}

impl Sending {
    /// One that an earlier run left.
    pub(super) fn left(owed: OwedRelease) -> Self {
        Self {
            owed,
            by_caller: false,
            accepted: Accepted::Unknown,
        }
    }
}

/// A release that own sums contain.
#[derive(Debug)]
pub(super) struct InSums {
    pub(super) number: u64,
    pub(super) owed: OwedRelease,
    /// What of the sums it is.
    pub(super) moved: Vec<(Cell, u64)>,
}

impl InSums {
    /// One that an earlier run left. Its journal does not say how much fell: it is taken for the most that
    /// it can have been, by which more is charged for a moment than there is, never less.
    pub(super) fn left(number: u64, owed: OwedRelease) -> Self {
        let GiveBack {
            resource,
            amount,
            day,
            groups_follow,
            object,
            ..
        } = owed.give_back;
        let mut cells = vec![Cell::Live(resource)];
        if resource == Resource::Group && object.is_some() {
            cells.push(Cell::Live(Resource::AvRoom)); // It may have been one.
        }
        if groups_follow || object.is_some() && resource != Resource::Account {
            if resource == Resource::AvRoom {
                cells.push(Cell::Live(Resource::Group));
            }
            cells.push(Cell::Gained(day));
        }
        let most = u64::from(amount.get());
        let moved = cells.into_iter().map(|cell| (cell, most)).collect();
        Self {
            number,
            owed,
            moved,
        }
    }

    /// Its app and its record.
    pub(super) fn of(&self) -> (AppId, &RecordKey) {
        let GiveBack { app, key, .. } = &self.owed.give_back;
        (*app, key)
    }
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

impl Owed {
    /// Journals a release that is about to be sent (`sent`), or that waits for a ledger that is away;
    /// it will be sent until the ledger has it.
    pub fn open_release(
        self: &Arc<Self>,
        request_id: Option<RequestId>,
        give_back: impl FnOnce(RecordKey) -> GiveBack,
        sent: Option<Millis>,
        accepted: Accepted,
    ) -> Result<OpenRelease, Full> {
        let number = self.number();
        let give_back = give_back(self.key(request_id, number));
        let mut releases = lock(&self.releases);
        if releases.len() + lock(&self.gaves).len() >= RELEASES_MAX {
            return Err(Full::Waiting);
        }
        self.append(&Record::Release(number, sent, give_back.clone()))?;
        let owed = OwedRelease {
            sent,
            give_back: give_back.clone(),
            gave: false,
        };
        releases.insert(
            number,
            Sending {
                owed,
                by_caller: true,
                accepted,
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
        if self.note_sent(number, now) {
            Resend::Now
        } else {
            Resend::Later
        }
    }

    /// Journals that a kept release is about to be sent for the first time; false if the journal is
    /// full, or if it is not to be sent any more.
    fn note_sent(&self, number: u64, now: Millis) -> bool {
        let mut releases = lock(&self.releases);
        let Some(sending) = releases.get_mut(&number) else {
            return false; // A recount has overtaken it.
        };
        if self.append(&Record::ReleaseSent(number, now)).is_err() {
            return false;
        }
        sending.owed.sent = Some(now);
        true
    }

    /// Whether a release is still to be sent or heard of.
    pub fn is_open(&self, number: u64) -> bool {
        lock(&self.releases).contains_key(&number)
    }

    /// The ledger decided nothing: the release is as unsent as before this sending.
    pub fn not_sent(&self, number: u64, before: Option<Millis>) {
        if let Some(sending) = lock(&self.releases).get_mut(&number) {
            sending.owed.sent = before;
        }
    }

    /// The ledger has the release, and what fell is in nobody's sums but those that the ledger knows of.
    /// `None`: it will never take it.
    pub fn release_done(&self, number: u64, fell: Option<Fell>) {
        let restate = fell.filter(|_| self.local).map(|fell| fell.released);
        let mut releases = lock(&self.releases);
        let done = releases.remove(&number);
        if let (Some(done), Some(fell)) = (done, fell)
            && !self.local
            && fell.released > 0
            && done.owed.give_back.object.is_some()
        {
            // The object is gone, whoever counts that.
            let gave_back = gave_back(&done.owed.give_back, fell);
            self.kept_releases.note(gave_back, self.clock.now());
        }
        if let Err(full) = self.append(&Record::ReleaseDone(number, restate)) {
            // It would be sent again after a restart, under the same key: no second effect.
            tracing::warn!(%full, "a settled release could not be noted");
        }
    }

    /// How many takes are not settled, and how many releases the ledger has yet to hear of.
    pub fn counts(&self) -> (usize, usize) {
        let takes = self.takes.iter().map(|takes| lock(takes).len()).sum();
        (takes, self.releases_kept())
    }

    /// How many releases are owed, of [`RELEASES_MAX`].
    pub fn releases_kept(&self) -> usize {
        lock(&self.releases).len()
    }

    /// The ledger has the release, and this member owns its record: `change` adds what it gave back to
    /// own sums and answers what of them that is, and the ledger is to be told. One that they contain already, by another call under the
    /// same id, is added to nothing.
    ///
    /// # Errors
    /// [`LogFull`]: it stays open, and the ledger will be asked again.
    pub fn release_gave(
        &self,
        number: u64,
        fell: Fell,
        change: impl FnOnce(&mut Frames) -> Result<Vec<(Cell, u64)>, LogFull>,
    ) -> Result<(), LogFull> {
        let mut releases = lock(&self.releases);
        let Some(sending) = releases.get(&number) else {
            return Ok(()); // Heard already, by another answer.
        };
        let (app, key) = (sending.owed.give_back.app, &sending.owed.give_back.key);
        let now = self.clock.now();
        let mut given = lock(&self.given);
        if given.knows(app, key) {
            self.append(&Record::ReleaseDone(number, None))?;
            releases.remove(&number);
            return Ok(());
        }
        let moved = self.journal.append_with(now, |frames| {
            let moved = change(frames)?;
            frames.gave(number);
            Ok::<_, LogFull>(moved)
        })?;
        given.note(app, key, now);
        if is_repeatable(&sending.owed.give_back) {
            let gave_back = gave_back(&sending.owed.give_back, fell);
            self.kept_releases.note(gave_back, now);
        }
        let shard = Shard::of(app).number();
        let owed = OwedRelease {
            gave: true,
            ..sending.owed.clone()
        };
        let mut gaves = lock(&self.gaves);
        // As with takes: first in the sums, first told.
        let order = self.number();
        gaves.insert(
            (shard, order),
            InSums {
                number,
                owed,
                moved,
            },
        );
        drop(gaves);
        releases.remove(&number);
        Ok(())
    }

    /// Whether a release of `app` was sent whose answer was not heard.
    pub(super) fn has_open_release(&self, app: AppId) -> bool {
        let open =
            |sending: &Sending| sending.owed.give_back.app == app && sending.owed.sent.is_some();
        lock(&self.releases).values().any(open)
    }

    /// What the ledger is to know again of releases if it forgot: those under clients' ids that were
    /// answered. Each is named whatever was recounted since, unlike a take: it counts nothing, and a recount
    /// lacks what was deleted before it, so that the id must not give it back anew.
    pub fn releases_to_restate(&self, shard: Shard, now: Millis) -> Vec<GaveBack> {
        self.kept_releases.of(shard, now)
    }

    /// Releases to send again, oldest first.
    pub fn due_releases(&self, most: usize) -> Vec<(u64, OwedRelease)> {
        let releases = lock(&self.releases);
        let idle = releases.iter().filter(|(_, sending)| !sending.by_caller);
        idle.take(most)
            .map(|(number, sending)| (*number, sending.owed.clone()))
            .collect()
    }
}

/// Whether it may be asked for once more: under the client's id, or for the object that it named.
fn is_repeatable(give_back: &GiveBack) -> bool {
    matches!(give_back.key, RecordKey::Client(_)) || give_back.object.is_some()
}

fn gave_back(give_back: &GiveBack, fell: Fell) -> GaveBack {
    GaveBack {
        give_back: give_back.clone(),
        released: fell.released,
        resource: fell.resource,
        groups: fell.groups,
        in_sums: fell.mine,
    }
}

/// What is to be stated of a release that an earlier run left in its sums. Its journal does not say how much
/// fell, so the most that it can have been stands for it: nothing is counted by it, and without it the id
/// would give back twice.
pub(super) fn gave_back_at_most(give_back: &GiveBack) -> Option<GaveBack> {
    let most = give_back.amount.get();
    is_repeatable(give_back).then(|| GaveBack {
        give_back: give_back.clone(),
        released: most,
        resource: give_back.resource,
        groups: if give_back.groups_follow { most } else { 0 },
        in_sums: true,
    })
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

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The ledger decided nothing: it waits, as one that was never sent.
    pub fn undecided(self) {
        self.owed.not_sent(self.number, None);
    }

    /// One that waited is about to be sent; false if the journal is full: it waits on then, and is sent
    /// in the background.
    pub fn note_sent(&self, now: Millis) -> bool {
        self.owed.note_sent(self.number, now)
    }

    /// As `Owed::release_gave`.
    ///
    /// # Errors
    /// [`LogFull`].
    pub fn gave(
        self,
        fell: Fell,
        change: impl FnOnce(&mut Frames) -> Result<Vec<(Cell, u64)>, LogFull>,
    ) -> Result<(), LogFull> {
        self.owed.release_gave(self.number, fell, change)
    }

    /// As `Owed::release_done`.
    pub fn done(self, fell: Option<Fell>) {
        self.owed.release_done(self.number, fell);
    }
}

impl Drop for OpenRelease {
    fn drop(&mut self) {
        if let Some(sending) = lock(&self.owed.releases).get_mut(&self.number) {
            sending.by_caller = false;
        }
    }
}
