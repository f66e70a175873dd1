//! Restating: a ledger that forgot something is told all that this member knows.
//!
//! Everything may be told twice, and in any order but one: what became of an app's takes comes not later
//! than the app's sums.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;

use super::bases::unread;
use crate::ledger::Ledger;
use crate::ledger::entry::Entry;
use crate::ledger::journal::{Saved, Standing, Whose};
use crate::quota::AppId;
use crate::store::{
    AppReport, Base, Cell, CellReport, REPORT_APPS_MAX, REPORT_RECORDS_MAX, STATEMENT_BASES_MAX,
    STATEMENT_GONE_MAX, Shard, Statement, StoreFault,
};

/// The most apps that are read from the journal at a time.
const PAGE_APPS_MAX: usize = 4_096;

/// Tells every shard what is known of it.
///
/// # Errors
/// [`StoreFault`]: the ledger does not have all of it; to be begun anew.
pub async fn restate(ledger: &Ledger, whose: Whose, standing: &Standing) -> Result<(), StoreFault> {
    let heads = Shard::all().map(|shard| head(ledger, shard, whose, standing));
    // Shards of which nothing but apps is known: they hear of the recovery with their apps.
    let heads = all(ledger, heads.collect()).await?;
    let mut unmet: BTreeSet<Shard> = heads.into_iter().flatten().collect();
    // What is not in memory first: an app that is met meanwhile is told again with the others.
    let mut after = None;
    loop {
        let page = ledger.journal.cells_page(whose, after, PAGE_APPS_MAX);
        let page = page.map_err(unread)?;
        let Some((last, _)) = page.last() else {
            break;
        };
        after = Some(*last);
        let kept = page.into_iter().filter(|(app, _)| {
            // An app in memory has newer sums, if it is this member's.
            whose == Whose::Predecessor || ledger.apps.get(*app).is_none()
        });
        let told = kept.map(|(app, cells)| (app, of_journal(app, &cells)));
        let calls = by_shard(told, REPORT_APPS_MAX).into_iter();
        let calls = calls.map(|(shard, apps)| {
            unmet.remove(&shard);
            state(ledger, shard, whose, apps)
        });
        all(ledger, calls.collect()).await?;
    }
    if whose == Whose::Own {
        let met = ledger
            .apps
            .all()
            .into_iter()
            .map(|entry| (entry.app, entry));
        let calls = by_shard(met, REPORT_APPS_MAX).into_iter();
        let calls = calls.map(|(shard, entries)| {
            unmet.remove(&shard);
            state_met(ledger, shard, entries)
        });
        all(ledger, calls.collect()).await?;
    }
    let calls = unmet.into_iter();
    let calls = calls.map(|shard| state(ledger, shard, whose, Vec::new()));
    all(ledger, calls.collect()).await.map(drop)
}

/// Makes the calls, so many at a time. The first that fails ends them all.
pub(super) async fn all<T>(
    ledger: &Ledger,
    calls: Vec<impl Future<Output = Result<T, StoreFault>>>,
) -> Result<Vec<T>, StoreFault> {
    let mut made = Vec::with_capacity(calls.len());
    let mut calls =
        futures_util::stream::iter(calls).buffer_unordered(ledger.membership.together());
    while let Some(answer) = calls.next().await {
        made.push(answer?);
    }
    Ok(made)
}

/// The first parts for a shard: takes, releases, withdrawals, bases, who is gone. Where there are none, nothing was
/// told, and the shard is answered.
async fn head(
    ledger: &Ledger,
    shard: Shard,
    whose: Whose,
    standing: &Standing,
) -> Result<Option<Shard>, StoreFault> {
    let ((kept, answered, aborts), released) = match whose {
        Whose::Own => (
            ledger.records_to_restate(shard),
            ledger.owed.releases_to_restate(shard, ledger.now()),
        ),
        // It settled all before it began to leave.
        Whose::Predecessor => Default::default(),
    };
    let mut kept = kept.chunks(REPORT_RECORDS_MAX);
    let mut answered = answered.chunks(REPORT_RECORDS_MAX);
    let mut released = released.chunks(REPORT_RECORDS_MAX);
    let mut aborts = aborts.chunks(REPORT_RECORDS_MAX);
    let gone: Vec<u64> = standing.roll.gone.iter().copied().collect();
    let mut gone = gone.chunks(STATEMENT_GONE_MAX);
    let mut last: Option<Base> = None;
    let mut more_bases = true;
    let mut is_unmet = Some(shard);
    loop {
        let mut bases = Vec::new();
        if more_bases {
            let page = ledger
                .journal
                .bases_page(shard, last.as_ref(), STATEMENT_BASES_MAX);
            bases = page.map_err(unread)?;
            more_bases = bases.len() == STATEMENT_BASES_MAX;
            last = bases.last().copied();
        }
        let left = kept.len() + answered.len() + released.len() + aborts.len() + gone.len();
        if left == 0 && bases.is_empty() && !more_bases {
            return Ok(is_unmet);
        }
        let statement = Statement {
            apps: Vec::new(),
            bases,
            kept: kept.next().unwrap_or_default().to_vec(),
            answered: answered.next().unwrap_or_default().to_vec(),
            released: released.next().unwrap_or_default().to_vec(),
            aborts: aborts.next().unwrap_or_default().to_vec(),
            gone: gone.next().unwrap_or_default().iter().copied().collect(),
        };
        tell(ledger, shard, whose, &statement).await?;
        is_unmet = None;
    }
}

/// States apps in memory, as they are when their turn comes.
async fn state_met(
    ledger: &Ledger,
    shard: Shard,
    entries: Vec<Arc<Entry>>,
) -> Result<(), StoreFault> {
    let apps = entries.iter().map(|entry| {
        let (app, cells) = (entry.app, entry.cells_to_restate());
        entry.rest();
        AppReport {
            app,
            cells,
            acks_freeze: None,
            plan: Some(entry.rules().plan.name.clone()),
        }
    });
    state(ledger, shard, Whose::Own, apps.collect()).await
}

async fn state(
    ledger: &Ledger,
    shard: Shard,
    whose: Whose,
    apps: Vec<AppReport>,
) -> Result<(), StoreFault> {
    let statement = Statement {
        apps,
        ..Statement::default()
    };
    tell(ledger, shard, whose, &statement).await
}

/// Tells one part. After a beat that failed the next hello may be the predecessor's: what is told then is its own.
async fn tell(
    ledger: &Ledger,
    shard: Shard,
    whose: Whose,
    statement: &Statement,
) -> Result<(), StoreFault> {
    if whose == Whose::Own && !ledger.membership.word().heard {
        return Err(StoreFault::Away("a beat was not answered".into()));
    }
    let day = ledger.zone.day(ledger.now());
    ledger.store.restate(shard, statement, day).await
}

/// An app as the journal has it.
fn of_journal(app: AppId, cells: &[(Cell, Saved)]) -> AppReport {
    AppReport {
        app,
        cells: cells
            .iter()
            .map(|(cell, saved)| told(*cell, saved))
            .collect(),
        acks_freeze: None,
        plan: None,
    }
}

fn told(cell: Cell, saved: &Saved) -> CellReport {
    CellReport {
        cell,
        totals: saved.totals,
        high: saved.high.max(saved.totals.net()),
        escrow: saved.account.as_ref().map(|account| account.sums),
        wish: None,
    }
}

/// Puts things of apps together by the app's shard, at most `most` of one shard.
pub(super) fn by_shard<T>(
    of_apps: impl Iterator<Item = (AppId, T)>,
    most: usize,
) -> Vec<(Shard, Vec<T>)> {
    let mut full = Vec::new();
    let mut filling: BTreeMap<Shard, Vec<T>> = BTreeMap::new();
    for (app, thing) in of_apps {
        let shard = Shard::of(app);
        let things = filling.entry(shard).or_default();
        things.push(thing);
        if things.len() >= most {
            full.push((shard, std::mem::take(things)));
        }
    }
    full.extend(filling.into_iter().filter(|(_, things)| !things.is_empty()));
    full
}
