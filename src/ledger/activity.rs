//! Active users: hashed, journaled, then told to the ledger.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::Ledger;
use super::entry::Entry;
use super::ids::{Effect, Once};
use super::journal::Record;
use super::logins::OpenLogins;
use super::owed::Full;
use super::repeats::{Repeated, Unkept};
use crate::clock::Day;
use crate::quota::UserId;
use crate::store::{Active, Cell, LOGINS_MAX, Login, Shard, StoreFault};

/// What became of an increment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incremented {
    /// It is counted.
    Now,
    /// It was counted before, for this day.
    Before(Day),
    /// Its id stands for another request.
    Other,
}

impl Ledger {
    /// The keyed hash of a user's id; `None` until the ledger was met, since it holds the key.
    pub fn user(&self, id: UserId<'_>) -> Option<u128> {
        let installation = self.installation.get()?;
        let mut hasher = SipHasher24::new_with_key(&installation.user_key);
        hasher.write(id.as_str().as_bytes());
        Some(hasher.finish128().as_u128())
    }

    /// Whether the ledger is known to have this login.
    pub fn knows(&self, login: &Login) -> bool {
        self.logins.is_known(login)
    }

    /// Journals logins of one app and day that the ledger is about to be told of.
    ///
    /// # Errors
    /// [`Full`]: nothing is journaled then.
    pub fn open_logins(self: &Arc<Self>, logins: Vec<Login>) -> Result<OpenLogins, Full> {
        let open = OpenLogins::new(self.clone(), logins)?;
        if let Some(first) = open.logins().first() {
            let users = open.logins().iter().map(|login| login.user).collect();
            let record = Record::Logins(first.app, first.day, users);
            if let Err(full) = self.journal.append(&record.frame(), self.now()) {
                open.forget();
                return Err(full.into());
            }
        }
        Ok(open)
    }

    /// Tells the ledger of journaled logins, together with whoever does at the same time. One in this
    /// process answers at once: sharing its answer would only cost time.
    ///
    /// # Errors
    /// [`StoreFault`]; the logins then wait for the ledger.
    pub async fn tell_logins(&self, open: &OpenLogins) -> Result<Vec<Active>, StoreFault> {
        let logins = open.logins();
        let active = if self.store.is_local() {
            let mut active = Vec::with_capacity(logins.len());
            for chunk in logins.chunks(LOGINS_MAX) {
                let shard = Shard::of(chunk[0].app);
                let told = self.store.record_active(shard, chunk, self.now()).await?;
                self.logins.acknowledged(chunk);
                active.extend(told);
            }
            active
        } else {
            self.logins.tell(logins.to_vec()).await?
        };
        self.note_active(logins, &active);
        Ok(active)
    }

    /// The day's active users as far as this sidecar knows them.
    pub fn active(&self, entry: &Entry, day: Day) -> u64 {
        let mut books = entry.books();
        let sums = books.days.of(day);
        let own = sums.increments.totals.consumed;
        let elsewhere = sums.active_elsewhere.unwrap_or(0);
        elsewhere
            .saturating_add(own)
            .saturating_add(u64::try_from(sums.active_pending).unwrap_or(0))
    }

    /// What this sidecar knows of the day's active users and a ledger that counts `told` of its
    /// increments does not: increments not settled, users who wait.
    pub fn active_unsettled(&self, entry: &Entry, day: Day, told: u64) -> u64 {
        let mut books = entry.books();
        let sums = books.days.of(day);
        sums.increments
            .totals
            .consumed
            .saturating_sub(told)
            .saturating_add(u64::try_from(sums.active_pending).unwrap_or(0))
    }

    /// Counts users that a gateway told apart itself, if `once` was not made before. The day that they
    /// count for, and whether they did before.
    ///
    /// # Errors
    /// [`Unkept`]; nothing is counted then.
    pub fn increment(
        &self,
        entry: &Arc<Entry>,
        day: Day,
        by: u64,
        once: Option<Once>,
    ) -> Result<Incremented, Unkept> {
        let at = self.clock.now();
        // A day of this century: others are sealed, or too far ahead.
        let number = u32::try_from(day.number()).unwrap_or(0);
        let counted = self.journal.append_with(at, |frames| {
            if let Some(once) = once {
                self.is_first(&once, at)?;
            }
            self.apps.to_save(entry);
            let mut books = entry.books();
            let totals = &mut books.days.of(day).increments.totals;
            totals.consumed = totals.consumed.saturating_add(by);
            frames.totals(entry.app, Cell::Increment(day), *totals);
            if let Some(once) = once {
                self.remember(once, number, at, frames);
            }
            Ok(())
        });
        match counted {
            Ok(()) => {
                self.apps.to_settle(entry);
                self.look_at_actives(entry, day);
                Ok(Incremented::Now)
            }
            Err(Repeated::Before(Effect::Here(number))) => {
                let of = i32::try_from(number).ok().and_then(Day::from_number);
                Ok(Incremented::Before(of.unwrap_or(day)))
            }
            // What the ledger is asked under an id is no increment.
            Err(Repeated::Other | Repeated::Before(Effect::Asked | Effect::There)) => {
                Ok(Incremented::Other)
            }
            Err(Repeated::Unkept(unkept)) => Err(unkept),
        }
    }

    /// The ledger told of active users.
    pub(super) fn note_active(&self, logins: &[Login], active: &[Active]) {
        self.too_late.note_logins(logins, active, self.clock.now());
        for (login, active) in logins.iter().zip(active) {
            let Some(entry) = self.apps.get(login.app) else {
                continue;
            };
            let mut books = entry.books();
            let sums = books.days.of(login.day);
            let own = sums.increments.acked.consumed;
            sums.active_elsewhere = Some(active.daily_active.saturating_sub(own));
            drop(books);
            let (rules, count) = (entry.rules(), active.daily_active);
            let now = self.clock.now();
            self.marks
                .look_at_actives(login.app, &rules, count, login.day, now);
        }
    }

    /// Whether the ledger has told of the day's active users.
    pub fn knows_active(&self, entry: &Entry, day: Day) -> bool {
        entry.books().days.of(day).active_elsewhere.is_some()
    }

    /// The ledger told of the day's active users, `mine` of which are this member's own increments.
    pub fn learn_active(&self, entry: &Entry, day: Day, daily_active: u64, mine: u64) {
        entry.books().days.of(day).active_elsewhere = Some(daily_active.saturating_sub(mine));
        self.look_at_actives(entry, day);
    }

    /// Whether a day's active users have passed a mark that is to be told.
    fn look_at_actives(&self, entry: &Entry, day: Day) {
        let count = self.active(entry, day);
        let now = self.clock.now();
        self.marks
            .look_at_actives(entry.app, &entry.rules(), count, day, now);
    }

    /// Logins of an app wait for the ledger, or do so no more.
    pub(super) fn note_waiting(&self, login: &Login, change: i64) {
        let Some(entry) = self.apps.get(login.app) else {
            return;
        };
        let mut books = entry.books();
        let sums = books.days.of(login.day);
        sums.active_pending = sums.active_pending.saturating_add(change);
    }
}
