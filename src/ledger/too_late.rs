//! Users of whom the ledger was told when their day was sealed. They are in no count, and that is said: here, in
//! the log, by a figure, and by the ledger on the bill of their month.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::lines::Lines;
use crate::clock::{Day, Millis};
use crate::quota::AppId;
use crate::store::{Active, Login, TooLate};

/// How many there were, since the start.
#[derive(Debug, Default)]
pub struct Refused {
    users: AtomicU64,
    lines: Mutex<Lines>,
}

impl Refused {
    /// How many users, over all apps.
    pub fn users(&self) -> u64 {
        self.users.load(Ordering::Relaxed)
    }

    /// What the ledger said of increments.
    pub fn note(&self, all: &[TooLate], now: Millis) {
        for TooLate { app, day, users } in all {
            self.users.fetch_add(*users, Ordering::Relaxed);
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(line) = lines.line(now) {
                tracing::warn!(
                    %app, %day, users,
                    "active users came when their day was sealed, and are in no count; `imquota bill correct` puts that \
                     right{}", line.end()
                );
            }
        }
    }

    /// What the ledger said of users by name.
    pub fn note_logins(&self, logins: &[Login], active: &[Active], now: Millis) {
        if active.iter().all(|active| !active.too_late) {
            return;
        }
        let mut all: BTreeMap<(AppId, Day), u64> = BTreeMap::new();
        for (login, _) in logins
            .iter()
            .zip(active)
            .filter(|(_, active)| active.too_late)
        {
            *all.entry((login.app, login.day)).or_default() += 1;
        }
        let all = all.into_iter();
        let all: Vec<_> = all
            .map(|((app, day), users)| TooLate { app, day, users })
            .collect();
        self.note(&all, now);
    }
}
