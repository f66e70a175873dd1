//! Telling the ledger what this sidecar did: sums, outcomes of takes, releases, logins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::Ledger;
use super::apps::APPS_MAX;
use super::entry::{Entry, Telling};
use super::giving::Fell;
use super::journal::OwedRelease;
use super::outlook::State;
use super::owed::{DueRecords, Resend};
use super::tell::tell;
use crate::clock::Millis;
use crate::store::{GivenBack, REPORT_APPS_MAX, Shard, StoreFault};

/// How old a metered total may get before it is settled.
pub const SETTLE_AGE: Duration = Duration::from_secs(5);
/// The most passes over records in one round: as many as a shard can owe.
const RECORD_PASSES_MAX: usize = 128;
/// The most releases sent again in one round.
const RELEASES_MAX: usize = 10_000;
/// The most apps of an earlier run that are taken up in one round, so that nothing waits long for it.
const UNMET_A_ROUND: usize = 2_048;
/// The most apps whose plan is told for the first time in one round: nobody waits for that.
const UNTOLD_A_ROUND: usize = 256;
/// The most passes over logins that wait, in one round.
const LOGIN_PASSES_MAX: usize = 64;

/// What is settled in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// What limits go by and the ledger does not know of: before the first answer.
    Limits,
    /// What has reached its age, and some of what the last run left.
    Due,
    /// Everything: when the ledger is back, and before the end.
    All,
}

/// One round. What a shard refuses stops no other: it stays owed, and the refusal is answered at the
/// end.
pub(super) async fn settle(ledger: &Ledger, scope: Scope) -> Result<(), StoreFault> {
    let mut refusals = Refusals::default();
    match scope {
        Scope::Limits => {}
        Scope::Due => {
            ledger.take_up_unmet(UNMET_A_ROUND);
            ledger.take_up_untold(UNTOLD_A_ROUND);
        }
        Scope::All => ledger.take_up_unmet(APPS_MAX),
    }
    if ledger.store.is_local() && ledger.outlook.state() != State::Up {
        settle_named(ledger, &mut refusals).await?;
    }
    let mut scope = scope;
    for _ in 0..RECORD_PASSES_MAX {
        let more = settle_records_and_totals(ledger, scope, &mut refusals).await?;
        if !more {
            break;
        }
        if scope == Scope::All {
            scope = Scope::Due;
        }
    }
    if scope != Scope::Limits || ledger.store.is_local() {
        settle_releases(ledger, &mut refusals).await?;
    }
    // Of users who wait nobody knows whether the ledger has them: until they are told again each would be
    // shown twice.
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

/// What one shard has to hear in a round.
struct Due {
    records: DueRecords,
    /// How many apps that limits wait for.
    soon: usize,
    /// How many others.
    lazy: usize,
}

impl Due {
    fn of(ledger: &Ledger, shard: Shard, scope: Scope, now: Millis) -> Self {
        if scope == Scope::Limits {
            // What a shared ledger recorded it charges, told or not; one in this process may have lost it.
            let local = ledger.store.is_local();
            let records = local.then(|| ledger.owed.due_records(shard, None, now));
            return Self {
                records: records.unwrap_or_default(),
                soon: ledger.apps.unsettled_soon(shard),
                lazy: 0,
            };
        }
        let mut lazy = ledger.apps.unsettled(shard);
        // Most shards have nothing: for them the time is not asked for.
        if lazy > 0 && scope == Scope::Due {
            let since = ledger.apps.settled_since(shard);
            if since.is_some_and(|since| since < SETTLE_AGE) {
                lazy = 0;
            }
        }
        Self {
            records: ledger.owed.due_records(shard, None, now),
            soon: ledger.apps.unsettled_soon(shard),
            lazy,
        }
    }

    fn is_nothing(&self) -> bool {
        self.records.is_empty() && self.soon == 0 && self.lazy == 0
    }
}

/// One call for each shard that has something due. Answers whether some shard has more than that.
async fn settle_records_and_totals(
    ledger: &Ledger,
    scope: Scope,
    refusals: &mut Refusals,
) -> Result<bool, StoreFault> {
    let mut calls = Vec::new();
    let now = ledger.now();
    for shard in Shard::all() {
        let due = Due::of(ledger, shard, scope, now);
        if !due.is_nothing() {
            let more = due.records.more;
            calls.push(async move { (more, settle_shard(ledger, shard, due).await) });
        }
    }
    let mut calls =
        futures_util::stream::iter(calls).buffer_unordered(ledger.membership.together());
    let mut some_has_more = false;
    while let Some((more, settled)) = calls.next().await {
        // A ledger that is away ends the round: the calls that are left would only wait in vain.
        some_has_more |= refusals.pass(settled)?.is_some() && more;
    }
    Ok(some_has_more)
}

/// Settles records and waiting apps of one shard, in as many calls as that takes.
async fn settle_shard(ledger: &Ledger, shard: Shard, due: Due) -> Result<(), StoreFault> {
    let Due {
        mut records,
        mut soon,
        mut lazy,
    } = due;
    if lazy > 0 {
        ledger.apps.settling(shard);
    }
    loop {
        let told = with_records(ledger, &mut records);
        let room = REPORT_APPS_MAX - told.len();
        let hard = ledger.apps.take_soon(shard, soon.min(room));
        soon = soon.saturating_sub(room);
        let room = room - hard.len();
        let rest = ledger.apps.take_unsettled(shard, lazy.min(room));
        lazy = lazy.saturating_sub(room);
        let mut entries: Vec<_> = told.into_iter().map(|e| (e, Telling::Accounts)).collect();
        for entry in hard.into_iter().chain(rest) {
            if !entries.iter().any(|(other, _)| other.app == entry.app) {
                entries.push((entry, Telling::News));
            }
        }
        tell(ledger, shard, entries, std::mem::take(&mut records)).await?;
        if soon == 0 && lazy == 0 {
            return Ok(());
        }
    }
}

/// The apps whose sums contain some of the records and must be told with them. Records of an app that is
/// in the settings no more stay owed.
fn with_records(ledger: &Ledger, records: &mut DueRecords) -> Vec<Arc<Entry>> {
    let mut entries = Vec::new();
    for app in records.contained() {
        match ledger.entry(app) {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) | Err(_) => records.leave_out(app),
        }
    }
    entries
}

/// Settles what is to be settled at once: a lent part that ran low, or is missing.
pub(super) async fn settle_at_once(ledger: &Ledger) -> Result<(), StoreFault> {
    let mut by_shard: BTreeMap<Shard, Vec<Arc<Entry>>> = BTreeMap::new();
    for entry in ledger.apps.take_at_once() {
        by_shard
            .entry(Shard::of(entry.app))
            .or_default()
            .push(entry);
    }
    let mut calls = Vec::new();
    for (shard, entries) in by_shard {
        for part in entries.chunks(REPORT_APPS_MAX) {
            calls.push(settle_apps(ledger, shard, part.to_vec()));
        }
    }
    let mut calls =
        futures_util::stream::iter(calls).buffer_unordered(ledger.membership.together());
    while let Some(settled) = calls.next().await {
        settled?;
    }
    Ok(())
}

/// Tells the ledger of some apps, and of their records.
pub(super) async fn settle_apps(
    ledger: &Ledger,
    shard: Shard,
    entries: Vec<Arc<Entry>>,
) -> Result<(), StoreFault> {
    let apps: Vec<_> = entries.iter().map(|entry| entry.app).collect();
    let records = ledger.owed.due_records(shard, Some(&apps), ledger.now());
    let contained = records.contained();
    let entries = entries.into_iter().map(|entry| {
        let whole = contained.contains(&entry.app);
        let telling = if whole {
            Telling::Accounts
        } else {
            Telling::News
        };
        (entry, telling)
    });
    tell(ledger, shard, entries.collect(), records).await
}

/// Tells a ledger in this process, which may have lost all of it, of the objects that were deleted: each after
/// whatever was begun before it, since one of that name may have been created before and after.
async fn settle_named(ledger: &Ledger, refusals: &mut Refusals) -> Result<(), StoreFault> {
    let due = ledger.owed.due_releases(RELEASES_MAX);
    let named = due.into_iter();
    for (number, owed) in named.filter(|(_, owed)| owed.give_back.object.is_some()) {
        let app = owed.give_back.app;
        for _ in 0..RECORD_PASSES_MAX {
            let records = ledger.owed.due_before(app, number, ledger.now());
            let more = records.more;
            if !records.is_empty() {
                let told = tell(ledger, Shard::of(app), Vec::new(), records).await;
                refusals.pass(told)?;
            }
            if !more {
                break;
            }
        }
        refusals.pass(settle_release(ledger, number, owed).await)?;
    }
    Ok(())
}

/// Sends releases whose outcome is unknown, until the ledger has them.
async fn settle_releases(ledger: &Ledger, refusals: &mut Refusals) -> Result<(), StoreFault> {
    let due = ledger.owed.due_releases(RELEASES_MAX);
    let calls = due
        .into_iter()
        .map(|(number, owed)| settle_release(ledger, number, owed));
    let mut calls =
        futures_util::stream::iter(calls).buffer_unordered(ledger.membership.together());
    while let Some(settled) = calls.next().await {
        refusals.pass(settled)?;
    }
    Ok(())
}

async fn settle_release(ledger: &Ledger, number: u64, owed: OwedRelease) -> Result<(), StoreFault> {
    let app = owed.give_back.app;
    let entry = ledger.entry(app).ok().flatten();
    if let Some(entry) = &entry
        && !ledger.store.is_local()
    {
        // The ledger gives back what it counts at most: it must know of the creation first. And this
        // member must know of a recount: what was deleted before it is not to be given back after it.
        entry.books().guard_mut();
        if entry.is_owed() || !entry.is_heard(&ledger.lease) {
            settle_apps(ledger, Shard::of(app), vec![entry.clone()]).await?;
        }
        if !ledger.owed.is_open(number) || !entry.may_admit(&ledger.lease, ledger.clock.steady()) {
            return Ok(());
        }
    } else if let Some(entry) = entry.as_ref().filter(|entry| entry.is_owed()) {
        settle_apps(ledger, Shard::of(app), vec![entry.clone()]).await?;
    }
    let now = ledger.now();
    let heard = ledger.composing();
    match ledger.owed.resend(number, &owed, now) {
        Resend::Later => return Ok(()),
        Resend::Never => {
            tracing::error!(%app, "a release is too old to be sent safely; its places stay charged until a recount");
        }
        Resend::Now => match ledger.store.release(&owed.give_back, now).await? {
            GivenBack::Released {
                released,
                groups,
                view,
                mine,
                resource,
                ..
            } => {
                let fell = Fell {
                    resource,
                    released,
                    groups,
                    mine,
                };
                if let Some(entry) = entry {
                    ledger.release_settled(&entry, number, &owed.give_back, fell, &view, heard);
                } else {
                    ledger.owed.release_done(number, Some(fell));
                }
                return Ok(());
            }
            GivenBack::Undecided(_) => {
                ledger.owed.not_sent(number, owed.sent);
                return Ok(());
            }
            GivenBack::OtherContent => {
                tracing::warn!(%app, "a kept release bears an id that stands for another request; dropped");
            }
        },
    }
    ledger.owed.release_done(number, None);
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
