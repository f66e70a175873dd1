//! The task that tells the ledger what this sidecar did, and finds out whether it can be told.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::apps::Entry;
use super::outlook::State;
use super::owed::{DueRecords, Resend};
use super::{Ledger, stopped};
use crate::store::{
    AppReport, GivenBack, Installation, REPORT_APPS_MAX, REPORT_RECORDS_MAX, Report, Shard,
    StoreFault,
};

/// How often it is looked at what is due; also the age at which records, and the first change after
/// a quiet time, are settled.
pub const TICK: Duration = Duration::from_millis(250);
/// How old a metered total may get before it is settled.
pub const SETTLE_AGE_MS: u64 = 5_000;
/// The most shards that are settled at a time.
const TOGETHER_MAX: usize = 16;
/// The most releases sent again in one round.
const RELEASES_MAX: usize = 1_000;
/// The most passes over logins that wait, in one round.
const LOGIN_PASSES_MAX: usize = 64;
/// The longest wait between two looks at a ledger that is away. With its spread it stays below the time
/// for which a ledger that was away waits for its members to say what they have seen.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(1);

/// What is settled in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// What has reached its age.
    Due,
    /// Everything: before the first answer, and before the end.
    All,
}

/// Runs until `stop` turns true. A ledger that is away is probed with growing waits; the checks never
/// pay for finding out.
pub async fn keep(ledger: &Ledger, mut stop: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wait = TICK;
    let mut probe_at = Instant::now();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return,
            _ = tick.tick() => {}
            () = ledger.outlook.doubted() => probe_at = Instant::now(),
        }
        if ledger.outlook.state() == State::Up {
            match settle(ledger, Scope::Due).await {
                Ok(()) => {}
                // Perhaps a shard, perhaps all of it: the ledger itself says which.
                Err(fault @ StoreFault::Frozen(_)) => match hello(ledger).await {
                    Ok(_) => ledger.outlook.hindered(&fault),
                    Err(fault) => ledger.outlook.fell(&fault),
                },
                Err(fault) => ledger.outlook.fell(&fault),
            }
        } else if Instant::now() >= probe_at {
            match meet(ledger).await {
                Ok(()) => wait = TICK,
                Err(fault) => {
                    ledger.outlook.fell(&fault);
                    // Members spread their probes, so that a server that comes back is not stormed.
                    probe_at = Instant::now() + wait.mul_f64(rand::random_range(0.75..1.25));
                    wait = (wait * 2).min(PROBE_WAIT_MAX);
                }
            }
        }
    }
}

/// Meets the ledger, first or again: makes sure that it is the one this journal belongs to, settles
/// all that is owed, and only then lets checks ask it.
pub async fn meet(ledger: &Ledger) -> Result<(), StoreFault> {
    let installation = hello(ledger).await?;
    ledger.belong_to(installation)?;
    match settle(ledger, Scope::All).await {
        Ok(()) => ledger.outlook.rose(),
        Err(fault @ StoreFault::Frozen(_)) => {
            ledger.outlook.rose();
            ledger.outlook.hindered(&fault);
        }
        Err(fault) => return Err(fault),
    }
    ledger.met.send_replace(true);
    Ok(())
}

async fn hello(ledger: &Ledger) -> Result<Installation, StoreFault> {
    let remembered = ledger.journal.identity().installation;
    let hello = ledger.store.hello(&ledger.member, remembered, ledger.now());
    hello.await
}

/// Settles all that is known; the last thing that a stopping process does with the ledger.
pub async fn settle_all(ledger: &Ledger) -> Result<(), StoreFault> {
    settle(ledger, Scope::All).await
}

/// One round. A shard that is frozen keeps what is owed to it and stops no other; that it is frozen is
/// answered at the end.
async fn settle(ledger: &Ledger, scope: Scope) -> Result<(), StoreFault> {
    let mut frozen = Frozen::default();
    let mut more = frozen.pass(settle_records_and_totals(ledger, scope).await)?;
    // While the ledger is not known to be up no take is opened, so that this ends.
    while scope == Scope::All && more == Some(true) {
        more = frozen.pass(settle_records_and_totals(ledger, Scope::Due).await)?;
    }
    settle_releases(ledger, &mut frozen).await?;
    settle_logins(ledger, &mut frozen).await?;
    frozen.0.map_or(Ok(()), Err)
}

/// What some shards said that others need not wait for.
#[derive(Debug, Default)]
struct Frozen(Option<StoreFault>);

impl Frozen {
    /// Keeps a frozen shard's word and goes on; any other fault ends the round.
    fn pass<T>(&mut self, answer: Result<T, StoreFault>) -> Result<Option<T>, StoreFault> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(fault @ StoreFault::Frozen(_)) => {
                self.0.get_or_insert(fault);
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }
}

/// One call for each shard that has something due. Answers whether there may be more records.
async fn settle_records_and_totals(ledger: &Ledger, scope: Scope) -> Result<bool, StoreFault> {
    let now = ledger.now();
    let mut records = ledger.owed.due_records(REPORT_RECORDS_MAX);
    let more = !records.is_empty();
    let mut calls = Vec::new();
    for shard in Shard::all() {
        let records = records.remove(&shard).unwrap_or_default();
        let old = now.since(ledger.apps.settled_at(shard)) >= SETTLE_AGE_MS;
        let has_apps = ledger.apps.unsettled(shard) > 0;
        let has_records = !(records.answered.is_empty() && records.aborts.is_empty());
        if has_records || (has_apps && (old || scope == Scope::All)) {
            let apps = if old || scope == Scope::All {
                usize::MAX
            } else {
                0
            };
            calls.push(settle_shard(ledger, shard, records, apps));
        }
    }
    let mut calls = futures_util::stream::iter(calls).buffer_unordered(TOGETHER_MAX);
    let mut frozen = Frozen::default();
    let mut worst = None;
    while let Some(settled) = calls.next().await {
        worst = frozen.pass(settled).err().or(worst);
    }
    worst.or(frozen.0).map_or(Ok(more), Err)
}

/// Settles records and all waiting apps of one shard, in as many calls as that takes.
async fn settle_shard(
    ledger: &Ledger,
    shard: Shard,
    mut records: DueRecords,
    mut apps: usize,
) -> Result<(), StoreFault> {
    apps = apps.min(ledger.apps.unsettled(shard));
    if apps > 0 {
        ledger.apps.settling(shard, ledger.now());
    }
    loop {
        let entries = ledger.apps.take_unsettled(shard, apps.min(REPORT_APPS_MAX));
        apps = apps.saturating_sub(entries.len());
        settle_apps(ledger, shard, entries, std::mem::take(&mut records)).await?;
        if apps == 0 {
            return Ok(());
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
    });
    let report = Report {
        apps: apps.collect(),
        answered: records.answered.clone(),
        aborts: records.aborts.clone(),
    };
    if report == Report::default() {
        return Ok(());
    }
    let settled = ledger.store.settle(shard, &report, today, now).await;
    let views = match settled {
        Ok(views) => views,
        Err(fault) => {
            for (entry, told) in entries.iter().zip(&report.apps) {
                entry.report_failed(&told.cells);
                ledger.apps.touched(entry);
            }
            return Err(fault);
        }
    };
    ledger.owed.settled(&records);
    for ((entry, told), view) in entries.iter().zip(&report.apps).zip(&views) {
        entry.settled(&told.cells, view, today);
        ledger.note_acked(entry, &told.cells);
    }
    Ok(())
}

/// Sends releases whose outcome is unknown, until the ledger has them.
async fn settle_releases(ledger: &Ledger, frozen: &mut Frozen) -> Result<(), StoreFault> {
    for (number, owed) in ledger.owed.due_releases(RELEASES_MAX) {
        let now = ledger.now();
        match ledger.owed.resend(number, &owed, now) {
            Resend::Now => {}
            Resend::Later => continue,
            Resend::Never => {
                let app = owed.give_back.app;
                tracing::error!(%app, "a release is too old to be sent safely; its places stay charged until a recount");
                ledger.owed.release_done(number, None);
                continue;
            }
        }
        let answer = ledger.store.release(&owed.give_back, now).await;
        let released = match frozen.pass(answer)? {
            None => continue,
            Some(GivenBack::Released { released, .. }) => Some(released),
            Some(GivenBack::OtherContent) => {
                let app = owed.give_back.app;
                tracing::warn!(%app, "a kept release bears an id that stands for another request; dropped");
                None
            }
        };
        ledger.owed.release_done(number, released);
    }
    Ok(())
}

/// Sends logins that waited for the ledger; more may come meanwhile, so the passes are bounded.
async fn settle_logins(ledger: &Ledger, frozen: &mut Frozen) -> Result<(), StoreFault> {
    for _ in 0..LOGIN_PASSES_MAX {
        let mut told = false;
        for (shard, logins) in ledger.logins.waiting() {
            let answer = ledger
                .store
                .record_active(shard, &logins, ledger.now())
                .await;
            if let Some(active) = frozen.pass(answer)? {
                ledger.logins.acknowledged(&logins);
                ledger.logins.waited(&logins);
                ledger.note_waited(&logins);
                ledger.note_active(&logins, &active);
                told = true;
            }
        }
        if !told {
            break;
        }
    }
    Ok(())
}
