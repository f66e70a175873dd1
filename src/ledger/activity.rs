//! Active users: hashed, journaled, then told to the ledger.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::Ledger;
use super::apps::Entry;
use super::journal::{LogFull, Record, totals_frame};
use crate::clock::Day;
use crate::quota::UserId;
use crate::store::{Active, Cell, LOGINS_MAX, Login, Shard, StoreFault, Totals};

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
    /// [`LogFull`].
    pub fn journal_logins(&self, logins: &[Login]) -> Result<(), LogFull> {
        let Some(first) = logins.first() else {
            return Ok(());
        };
        let users = logins.iter().map(|login| login.user).collect();
        self.journal.append(
            &Record::Logins(first.app, first.day, users).frame(),
            self.now(),
        )
    }

    /// Tells the ledger of journaled logins, together with whoever does at the same time.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub async fn tell_logins(&self, logins: Vec<Login>) -> Result<Vec<Active>, StoreFault> {
        let active = if self.store.is_local() {
            self.tell_local(&logins).await?
        } else {
            self.logins.tell(logins.clone()).await?
        };
        self.note_active(&logins, &active);
        Ok(active)
    }

    /// A ledger in this process answers at once: sharing its answer would only cost time.
    async fn tell_local(&self, logins: &[Login]) -> Result<Vec<Active>, StoreFault> {
        let mut active = Vec::with_capacity(logins.len());
        for chunk in logins.chunks(LOGINS_MAX) {
            let shard = Shard::of(chunk[0].app);
            active.extend(self.store.record_active(shard, chunk, self.now()).await?);
            self.logins.acknowledged(chunk);
        }
        Ok(active)
    }

    /// Keeps journaled logins of one app and day until the ledger answers. Answers how many did not
    /// wait already, or `None` if there is no room for them.
    pub fn keep_logins(&self, entry: &Entry, logins: &[Login]) -> Option<u64> {
        let new = self.logins.wait(logins)?;
        if let Some(login) = logins.first() {
            entry.days().of(login.day).active_pending += new;
        }
        Some(new)
    }

    /// The day's active users as far as this sidecar knows them.
    pub fn active(&self, entry: &Entry, day: Day) -> u64 {
        let mut days = entry.days();
        let sums = days.of(day);
        let own = sums.increments.totals.consumed;
        sums.active_elsewhere
            .saturating_add(own)
            .saturating_add(sums.active_pending)
    }

    /// What this sidecar knows of the day's active users and a ledger that counts `told` of its
    /// increments does not: increments not settled, users who wait.
    pub fn active_unsettled(&self, entry: &Entry, day: Day, told: u64) -> u64 {
        let mut days = entry.days();
        let sums = days.of(day);
        sums.increments
            .totals
            .consumed
            .saturating_sub(told)
            .saturating_add(sums.active_pending)
    }

    /// Counts users that a gateway told apart itself. Answers the day's active users.
    ///
    /// # Errors
    /// [`LogFull`]; nothing is counted then.
    pub fn increment(&self, entry: &Arc<Entry>, day: Day, by: u64) -> Result<u64, LogFull> {
        {
            let mut days = entry.days();
            let totals = &mut days.of(day).increments.totals;
            let grown = Totals {
                consumed: totals.consumed.saturating_add(by),
                released: 0,
            };
            let frame = totals_frame(entry.app, Cell::Increment(day), grown);
            self.journal.append(&frame, self.now())?;
            *totals = grown;
        }
        self.apps.touched(entry);
        Ok(self.active(entry, day))
    }

    /// The ledger told of active users.
    pub(super) fn note_active(&self, logins: &[Login], active: &[Active]) {
        for (login, active) in logins.iter().zip(active) {
            let Some(entry) = self.apps.get(login.app) else {
                continue;
            };
            let mut days = entry.days();
            let sums = days.of(login.day);
            let own = sums.increments.acked.consumed;
            sums.active_elsewhere = active.daily_active.saturating_sub(own);
        }
    }

    /// The ledger has logins that waited for it.
    pub(super) fn note_waited(&self, logins: &[Login]) {
        for login in logins {
            let Some(entry) = self.apps.get(login.app) else {
                continue;
            };
            let mut days = entry.days();
            let sums = days.of(login.day);
            sums.active_pending = sums.active_pending.saturating_sub(1);
        }
    }
}
