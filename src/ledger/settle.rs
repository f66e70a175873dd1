//! Telling the ledger what this sidecar did: sums, outcomes of takes, releases, logins.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::Ledger;
use super::apps::Entry;
use super::journal::OwedRelease;
use super::owed::{DueRecords, Resend};
use crate::store::{
    AppReport, GivenBack, REPORT_APPS_MAX, REPORT_RECORDS_MAX, Report, Shard, StoreFault,
};

/// How old a metered total may get before it is settled.
pub const SETTLE_AGE: Duration = Duration::from_secs(5);
/// The most shards that are settled at a time.
const TOGETHER_MAX: usize = 16;
/// The most passes over records in one round: as many as a shard can owe.
const RECORD_PASSES_MAX: usize = 64;
/// The most releases sent again in one round.
const RELEASES_MAX: usize = 10_000;
/// The most passes over logins that wait, in one round.
const LOGIN_PASSES_MAX: usize = 64;

/// What is settled in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// What has reached its age.
    Due,
    /// Everything: before the first answer, and before the end.
    All,
}

/// One round. What a shard refuses stops no other: it stays owed, and the refusal is answered at the
/// end.
pub(super) async fn settle(ledger: &Ledger, scope: Scope) -> Result<(), StoreFault> {
    let mut refusals = Refusals::default();
    let mut scope = scope;
    for _ in 0..RECORD_PASSES_MAX {
        let more = settle_records_and_totals(ledger, scope, &mut refusals).await?;
        if !more {
            break;
        }
        scope = Scope::Due;
    }
    settle_releases(ledger, &mut refusals).await?;
    settle_logins(ledger, &mut refusals).await?;
    refusals.first.map_or(Ok(()), Err)
}

/// What some shards refuse, so that others need not wait for them.
#[derive(Debug, Default)]
struct Refusals {
    first: Option<StoreFault>,
}

impl Refusals {
    /// Keeps a refusal and goes on; a ledger that is away ends the round.
    fn pass<T>(&mut self, answer: Result<T, StoreFault>) -> Result<Option<T>, StoreFault> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(fault @ StoreFault::Away(_)) => Err(fault),
            Err(fault) => {
                self.first.get_or_insert(fault);
                Ok(None)
            }
        }
    }
}

/// One call for each shard that has something due. Answers whether some shard has more than that.
async fn settle_records_and_totals(
    ledger: &Ledger,
    scope: Scope,
    refusals: &mut Refusals,
) -> Result<bool, StoreFault> {
    let mut calls = Vec::new();
    for shard in Shard::all() {
        let records = ledger.owed.due_records(shard, REPORT_RECORDS_MAX);
        let mut apps = ledger.apps.unsettled(shard);
        // Most shards have nothing: for them the time is not asked for.
        if apps > 0 && scope == Scope::Due {
            let since = ledger.apps.settled_since(shard);
            if since.is_some_and(|since| since < SETTLE_AGE) {
                apps = 0;
            }
        }
        if apps > 0 || !records.is_empty() {
            let full = records.answered.len().max(records.aborts.len()) == REPORT_RECORDS_MAX;
            calls.push(async move { (full, settle_shard(ledger, shard, records, apps).await) });
        }
    }
    let mut calls = futures_util::stream::iter(calls).buffer_unordered(TOGETHER_MAX);
    let mut more = false;
    while let Some((full, settled)) = calls.next().await {
        // A ledger that is away ends the round: the calls that are left would only wait in vain.
        more |= refusals.pass(settled)?.is_some() && full;
    }
    Ok(more)
}

/// Settles records and `apps` waiting apps of one shard, in as many calls as that takes.
async fn settle_shard(
    ledger: &Ledger,
    shard: Shard,
    mut records: DueRecords,
    mut apps: usize,
) -> Result<(), StoreFault> {
    if apps > 0 {
        ledger.apps.settling(shard);
    }
    loop {
        let entries = ledger.apps.take_unsettled(shard, apps.min(REPORT_APPS_MAX));
        apps = apps.saturating_sub(REPORT_APPS_MAX);
        settle_apps(ledger, shard, entries, std::mem::take(&mut records)).await?;
        if apps == 0 {
            return Ok(());
        }
    }
}

/// A report on its way. If it is dropped before the ledger has answered, all that it says is due
/// again.
struct Telling<'a> {
    ledger: &'a Ledger,
    entries: Vec<Arc<Entry>>,
    apps: Vec<AppReport>,
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        for (entry, told) in self.entries.iter().zip(&self.apps) {
            entry.report_failed(&told.cells);
            self.ledger.apps.to_settle(entry);
        }
    }
}

/// One call to the ledger. If it fails, all that it would have settled is due again.
pub(super) async fn settle_apps(
    ledger: &Ledger,
    shard: Shard,
    entries: Vec<Arc<Entry>>,
    records: DueRecords,
) -> Result<(), StoreFault> {
    let now = ledger.now();
    let today = ledger.zone.day(now);
    let apps = entries.iter().map(|entry| AppReport {
        app: entry.app,
        cells: entry.report(),
        acks_freeze: None,
    });
    let apps: Vec<AppReport> = apps.collect();
    let mut telling = Telling {
        ledger,
        entries,
        apps: apps.clone(),
    };
    let (answered, aborts) = (records.answered.clone(), records.aborts.clone());
    let report = Report {
        apps,
        answered,
        aborts,
        gave: Vec::new(),
    };
    if report == Report::default() {
        return Ok(());
    }
    let views = ledger.store.settle(shard, &report, today, now).await?.views;
    ledger.owed.settled(&records);
    for ((entry, told), view) in telling.entries.drain(..).zip(&report.apps).zip(&views) {
        entry.settled(&told.cells, view, today);
        ledger.note_acked(&entry, &told.cells);
    }
    Ok(())
}

/// Sends releases whose outcome is unknown, until the ledger has them.
async fn settle_releases(ledger: &Ledger, refusals: &mut Refusals) -> Result<(), StoreFault> {
    let due = ledger.owed.due_releases(RELEASES_MAX);
    let calls = due
        .into_iter()
        .map(|(number, owed)| settle_release(ledger, number, owed));
    let mut calls = futures_util::stream::iter(calls).buffer_unordered(TOGETHER_MAX);
    while let Some(settled) = calls.next().await {
        refusals.pass(settled)?;
    }
    Ok(())
}

async fn settle_release(ledger: &Ledger, number: u64, owed: OwedRelease) -> Result<(), StoreFault> {
    let app = owed.give_back.app;
    let entry = ledger.apps.get(app).map(|entry| entry.clone());
    if let Some(entry) = entry.filter(|entry| entry.is_owed()) {
        // The ledger gives back what it counts at most: it must know of the creation first.
        settle_apps(ledger, Shard::of(app), vec![entry], DueRecords::default()).await?;
    }
    let now = ledger.now();
    let released = match ledger.owed.resend(number, &owed, now) {
        Resend::Later => return Ok(()),
        Resend::Never => {
            tracing::error!(%app, "a release is too old to be sent safely; its places stay charged until a recount");
            None
        }
        Resend::Now => match ledger.store.release(&owed.give_back, now).await? {
            GivenBack::Released { released, .. } => Some(released),
            GivenBack::Undecided(_) => return Ok(()),
            GivenBack::OtherContent => {
                tracing::warn!(%app, "a kept release bears an id that stands for another request; dropped");
                None
            }
        },
    };
    ledger.owed.release_done(number, released);
    Ok(())
}

/// Sends logins that waited for the ledger; more may come meanwhile, so the passes are bounded.
async fn settle_logins(ledger: &Ledger, refusals: &mut Refusals) -> Result<(), StoreFault> {
    for shard in Shard::all() {
        for _ in 0..LOGIN_PASSES_MAX {
            let logins = ledger.logins.waiting(shard);
            if logins.is_empty() {
                break;
            }
            let answer = ledger
                .store
                .record_active(shard, &logins, ledger.now())
                .await;
            let Some(active) = refusals.pass(answer)? else {
                break;
            };
            ledger.logins.acknowledged(&logins);
            for login in ledger.logins.told(&logins) {
                ledger.note_waiting(login, -1);
            }
            ledger.note_active(&logins, &active);
        }
    }
    Ok(())
}
