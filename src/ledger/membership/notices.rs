//! What a beat says of single apps: that a recount has frozen them, or that somebody starves for what
//! others were lent and do not spend.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::restate::by_shard;
use super::{bases::unread, lock};
use crate::ledger::apps::Entry;
use crate::ledger::owed::DueRecords;
use crate::ledger::{Ledger, settle};
use crate::quota::AppId;
use crate::store::{AppReport, Beaten, REPORT_APPS_MAX, Report, Shard, StoreFault};

/// The most notices that are minded at a time. An app beyond them is frozen by its shard's own word.
const NOTICES_MAX: usize = 10_000;

/// Notices of freezes, and recalls that wait for the next round.
#[derive(Debug, Default)]
pub struct Notices {
    frozen: Mutex<BTreeMap<AppId, Notice>>,
    recalled: Mutex<BTreeSet<AppId>>,
}

/// One freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Notice {
    token: u64,
    /// Whether the ledger has this member's acknowledgement.
    acked: bool,
}

impl Notices {
    /// Takes a beat's notices: what is in memory stops at once, the rest follows in the next round.
    pub(super) fn heed(&self, ledger: &Ledger, beaten: &Beaten) {
        let mut due = false;
        {
            let mut frozen = lock(&self.frozen);
            let old = std::mem::take(&mut *frozen);
            for (app, token) in beaten.notices.iter().take(NOTICES_MAX) {
                let known = old.get(app).filter(|known| known.token == *token);
                let notice = known.copied().unwrap_or(Notice {
                    token: *token,
                    acked: false,
                });
                due |= !notice.acked;
                frozen.insert(*app, notice);
            }
        }
        for (app, token) in beaten.notices.iter().take(NOTICES_MAX) {
            if let Some(entry) = of_memory(ledger, *app) {
                freeze(ledger, &entry, *token);
            }
        }
        let mut recalled = lock(&self.recalled);
        let room = NOTICES_MAX.saturating_sub(recalled.len());
        let met = beaten
            .recalls
            .iter()
            .filter(|app| ledger.apps.get(**app).is_some());
        recalled.extend(met.take(room));
        due |= !recalled.is_empty();
        drop(recalled);
        if due {
            ledger.membership.work_now();
        }
    }

    fn unacked(&self) -> Vec<(AppId, u64)> {
        let frozen = lock(&self.frozen);
        let unacked = frozen.iter().filter(|(_, notice)| !notice.acked);
        unacked.map(|(app, notice)| (*app, notice.token)).collect()
    }

    fn acked(&self, app: AppId, token: u64) {
        if let Some(notice) = lock(&self.frozen).get_mut(&app)
            && notice.token == token
        {
            notice.acked = true;
        }
    }
}

/// Answers recalls and notices of freezes: returns what was lent, and acknowledges a freeze as soon as
/// nothing of the app is open here.
///
/// # Errors
/// [`StoreFault`]; what was not said is said in the next round.
pub async fn acknowledge(ledger: &Ledger) -> Result<(), StoreFault> {
    let notices = &ledger.membership.notices;
    let recalled = std::mem::take(&mut *lock(&notices.recalled));
    let entries = recalled
        .into_iter()
        .filter_map(|app| of_memory(ledger, app));
    let entries = entries.map(|entry| (entry.app, entry));
    for (shard, entries) in by_shard(entries, REPORT_APPS_MAX) {
        for entry in &entries {
            ledger.return_spare(entry);
        }
        settle::settle_apps(ledger, shard, entries, DueRecords::default()).await?;
    }
    for (app, token) in notices.unacked() {
        let acked = match of_memory_or_journal(ledger, app)? {
            Some(entry) => acknowledge_met(ledger, &entry, token).await?,
            None => acknowledge_unmet(ledger, app, token).await?,
        };
        if acked {
            notices.acked(app, token);
        }
    }
    Ok(())
}

/// Acknowledges for an app in memory, if nothing is open. Whether there is nothing more to say.
async fn acknowledge_met(
    ledger: &Ledger,
    entry: &Arc<Entry>,
    token: u64,
) -> Result<bool, StoreFault> {
    freeze(ledger, entry, token);
    if entry.frozen() != Some(token) {
        return Ok(true); // Its shard has told of a later moment since.
    }
    if entry.acks_freeze() != Some(token) || !ledger.owed.nothing_open(entry.app) {
        return Ok(false);
    }
    let (shard, entries) = (Shard::of(entry.app), vec![entry.clone()]);
    settle::settle_apps(ledger, shard, entries, DueRecords::default()).await?;
    Ok(true)
}

/// Acknowledges for an app of which this member has nothing.
async fn acknowledge_unmet(ledger: &Ledger, app: AppId, token: u64) -> Result<bool, StoreFault> {
    let report = Report {
        apps: vec![AppReport {
            app,
            cells: Vec::new(),
            acks_freeze: Some(token),
        }],
        ..Report::default()
    };
    let now = ledger.now();
    let day = ledger.zone.day(now);
    ledger
        .store
        .settle(Shard::of(app), &report, day, now)
        .await?;
    Ok(true)
}

/// An app stops: nothing is spent any more, what was lent goes back, what is on its way is withdrawn.
fn freeze(ledger: &Ledger, entry: &Arc<Entry>, token: u64) {
    if entry.freeze(token) {
        ledger.owed.abort_open_of(entry.app);
        ledger.return_spare(entry);
        ledger.apps.to_settle(entry);
    }
}

fn of_memory(ledger: &Ledger, app: AppId) -> Option<Arc<Entry>> {
    ledger.apps.get(app).map(|entry| entry.clone())
}

/// The app's entry, if this member ever had something of it. One that is not in the settings any more
/// is not spent from, and need not stop.
fn of_memory_or_journal(ledger: &Ledger, app: AppId) -> Result<Option<Arc<Entry>>, StoreFault> {
    if let Some(entry) = of_memory(ledger, app) {
        return Ok(Some(entry));
    }
    if ledger.journal.cells_of(app).map_err(unread)?.is_empty() {
        return Ok(None);
    }
    ledger.entry(app).map_err(|why| unread(why.to_string()))
}
