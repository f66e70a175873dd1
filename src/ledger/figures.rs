//! How this sidecar stands, in numbers: read for whoever looks after it.

use std::time::Duration;

use super::entry::Entry;
use super::{Ledger, Passings, State};
use crate::quota::{AppId, COUNTERS, Counter, Limit};
use crate::store::{SEALED_AFTER_MS, Shard};

/// How this sidecar stands with the ledger.
#[derive(Debug, Clone)]
pub struct Figures {
    /// What is known of the ledger.
    pub state: State,
    /// Why it does not answer, if it does not.
    pub cause: Option<String>,
    /// Whether this sidecar may admit from memory under limits.
    pub leased: bool,
    /// How long ago all that was due was settled; `None`: not since the start.
    pub sync_age: Option<Duration>,
    /// How far this machine's clock is from the ledger's, in either direction.
    pub clock_error: Duration,
    /// The newest recovery that is known; 0: there was none.
    pub epoch: u64,
    /// How often the ledger was found to have forgotten something, since the start.
    pub epochs: u64,
    /// The members of the ledger, this one included; 1 where nobody shares it.
    pub members: usize,
    /// Those of them that are silent for a minute or longer, by name.
    pub silent: Vec<String>,
    /// Apps in memory.
    pub apps: usize,
    /// Apps of which the ledger has yet to hear something.
    pub unsettled_apps: usize,
    /// Creations and deletions of these that it has yet to hear of.
    pub unsettled_units: u64,
    /// Creations that were asked of the ledger and are not settled.
    pub takes: usize,
    /// Deletions that the ledger has yet to hear of, or to acknowledge.
    pub releases: usize,
    /// Users who wait to be told to it.
    pub users: usize,
    /// Bytes of the journal that wait for a checkpoint, and the most that may.
    pub journal: (u64, u64),
    /// Request ids that are remembered, and the most that may be.
    pub ids: (usize, usize),
    /// For how long ids are remembered just now.
    pub id_window: Duration,
    /// Units that were lent to this sidecar since the start.
    pub lent: u64,
    /// Recalls since the start: asked for by this sidecar, and heard from others.
    pub recalls: (u64, u64),
    /// Each hard limit's counter, whether it is lifted just now, and how many were admitted beyond it since the
    /// start.
    pub lifted: [(Counter, bool, u64); 3],
    /// Reservations that have expired and of which nobody has said what they came to, as far as is known here.
    pub in_doubt: usize,
    /// How often which mark was passed.
    pub marks: Vec<Passings>,
    /// Active users of whom the ledger was told when their day was sealed, since the start.
    pub users_too_late: u64,
    /// Users who were told again to a ledger that may have forgotten them, since the start.
    pub users_told_again: u64,
    /// Users of days that are not sealed whom the ledger acknowledged and nobody here remembers.
    pub users_not_remembered: u64,
}

impl Ledger {
    /// How it stands. Takes its turn among the tasks of the runtime again and again.
    pub async fn figures(&self) -> Figures {
        let (unsettled_apps, unsettled_units) = self.unsettled().await;
        let (now, steady) = (self.now(), self.clock.steady());
        let state = self.outlook.state();
        let standing = self.membership.standing();
        let roll = &standing.roll;
        let name = |member| roll.present.get(member).map(ToString::to_string);
        let owed = self.owed.counts();
        Figures {
            state,
            cause: (state != State::Up).then(|| self.outlook.cause()),
            leased: self.lease.holds(steady),
            sync_age: self.events.sync_age(steady),
            clock_error: Duration::from_millis(self.clock_error_ms()),
            epoch: standing.epoch,
            epochs: self.events.epochs(),
            members: roll.present.len().max(1),
            silent: roll.silent.keys().filter_map(name).collect(),
            apps: self.apps.len(),
            unsettled_apps,
            unsettled_units,
            takes: owed.0,
            releases: owed.1,
            users: self.logins.pending(),
            journal: self.journal.bytes(),
            ids: self.ids.room(),
            id_window: self.ids.reach(now),
            lent: self.events.units_lent(),
            recalls: self.events.recalls(),
            lifted: self.outlook.lifted(),
            in_doubt: self.holding.in_doubt(),
            marks: self.marks_passed(),
            users_too_late: self.users_too_late(),
            users_told_again: self.events.users_told_again(),
            users_not_remembered: self
                .logins
                .forgotten(self.zone.day(now.plus(-SEALED_AFTER_MS))),
        }
    }

    /// How many apps have something to settle, and how much.
    async fn unsettled(&self) -> (usize, u64) {
        let (mut apps, mut units) = (0, 0);
        for shard in Shard::all() {
            let owing = self.apps.owing(shard);
            if owing.is_empty() {
                continue;
            }
            for entry in owing {
                let owed = entry.unsettled_units();
                apps += usize::from(owed > 0);
                units += owed;
            }
            // There may be many, and others have less time.
            tokio::task::yield_now().await;
        }
        (apps, units)
    }
}

impl Entry {
    /// How many creations and deletions the ledger has yet to hear of.
    fn unsettled_units(&self) -> u64 {
        let cells = self.books().cells();
        let live = cells
            .iter()
            .filter(|(cell, _)| matches!(cell, crate::store::Cell::Live(_)));
        live.map(|(_, saved)| {
            let consumed = saved.totals.consumed.saturating_sub(saved.acked.consumed);
            consumed + saved.totals.released.saturating_sub(saved.acked.released)
        })
        .sum()
    }
}

/// What one app has, as far as this sidecar knows.
#[derive(Debug, Clone, Copy)]
pub struct AppCounts {
    /// Each count and its limit; the gain is today's.
    pub counts: [(Counter, u64, Limit); COUNTERS.len()],
    /// Today's active users.
    pub active: u64,
}

impl Ledger {
    /// What an app has; `None`: it was not met yet.
    pub fn counts_of(&self, app: AppId) -> Option<AppCounts> {
        let entry = self.met_entry(app)?;
        let now = self.now();
        let counts = COUNTERS.map(|counter| {
            let count = self.net(&entry, counter, now);
            let limit = entry.rules().limits.of(counter);
            (counter, u64::try_from(count).unwrap_or(0), limit)
        });
        let active = self.active(&entry, self.zone.day(now));
        entry.rest();
        Some(AppCounts { counts, active })
    }
}
