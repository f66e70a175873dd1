//! What a beat says of single apps: that a recount has frozen them, or that somebody starves for what
//! others were lent and do not spend.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::restate::by_shard;
use super::{bases::unread, lock};
use crate::ledger::entry::Entry;
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
    /// Whether it was minded: the ledger has this member's acknowledgement, or the app's entry sees to it.
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
                ledger.freeze(&entry, *token);
            }
        }
        let mut recalled = lock(&self.recalled);
        let room = NOTICES_MAX.saturating_sub(recalled.len());
        recalled.extend(beaten.recalls.iter().take(room));
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

/// Answers recalls, and notices of freezes. What was lent goes back; an app of which this member has
/// nothing is acknowledged here, one in memory by its next report, as soon as nothing of it is open.
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
        settle::settle_apps(ledger, shard, entries).await?;
    }
    for (app, token) in notices.unacked() {
        match of_memory_or_journal(ledger, app)? {
            Some(entry) => ledger.freeze(&entry, token),
            None => acknowledge_unmet(ledger, app, token).await?,
        }
        notices.acked(app, token);
    }
    Ok(())
}

/// Acknowledges for an app of which this member has nothing.
async fn acknowledge_unmet(ledger: &Ledger, app: AppId, token: u64) -> Result<(), StoreFault> {
    let report = Report {
        apps: vec![AppReport {
            app,
            cells: Vec::new(),
            acks_freeze: Some(token),
            plan: None,
        }],
        ..Report::default()
    };
    let now = ledger.now();
    let day = ledger.zone.day(now);
    ledger
        .store
        .settle(Shard::of(app), &report, day, now)
        .await?;
    Ok(())
}

fn of_memory(ledger: &Ledger, app: AppId) -> Option<Arc<Entry>> {
    ledger.apps.get(app)
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
    ledger.entry(app).map_err(unread)
}
