//! Leaving in good order: the ledger takes over all that this member counted, and waits for it no more.
//!
//! 1. What was lent is returned, and all is told. Nothing is admitted any more.
//! 2. The journal is marked as *leaving*. From here on nothing may be added to what was told.
//! 3. The ledger folds the sums into its bases, app by app, and then marks the member as gone.
//! 4. Another member has the new bases in its journal: if the ledger forgets them, it is told.
//! 5. The journal is marked as *left*.
//!
//! Broken off before 2, by a kill or for want of time, the member goes on with its journal as if nothing
//! had been. Broken off after 2, the next start finds the mark, begins a new member and finishes this one's
//! leave (see [`succession`](super::succession)): folding twice does no harm, and of a member that is gone
//! already it hears that it is.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::beat::beat;
use super::learn;
use super::restate::{all, by_shard};
use crate::ledger::Ledger;
use crate::ledger::escrow::SavedAccount;
use crate::ledger::journal::{Parting, Standing, Whose};
use crate::ledger::outlook::State;
use crate::ledger::settle::{Scope, settle};
use crate::quota::AppId;
use crate::store::{Beat, Beaten, REPORT_APPS_MAX, Recovery, StoreFault};

/// How long to wait between two looks at what hinders the leave.
const LOOK: Duration = Duration::from_millis(20);
/// The most apps that are read from the journal at a time.
const PAGE_APPS_MAX: usize = 4_096;

/// Why a member did not leave. It stays registered, and its journal goes on with the next start.
#[derive(Debug, thiserror::Error)]
pub enum NotLeft {
    /// The ledger is away, or refuses.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// It has not been met, or does not answer.
    #[error("the ledger is away")]
    Away,
    /// It waits for members to tell what they know, this one among them.
    #[error("the ledger has not been told yet what it forgot")]
    Recovery,
    /// Something was counted for an app that is not in the settings any more, and cannot be told.
    #[error("app {0} is not in the settings, and something is owed for it")]
    Unsettled(AppId),
    /// The ledger counts it as gone already.
    #[error("the ledger counts it as gone")]
    Gone,
    /// The journal cannot be marked.
    #[error("the journal cannot be written: {0}")]
    Journal(String),
}

/// Leaves. To be given a bound of time from outside; no other task of the ledger may run.
///
/// # Errors
/// [`NotLeft`].
pub async fn leave(ledger: &Ledger) -> Result<(), NotLeft> {
    let membership = &ledger.membership;
    membership.leaving.store(true, Ordering::Release);
    ledger.lease.ended();
    match ledger.outlook.state() {
        State::Up => {}
        State::Away => return Err(NotLeft::Away),
        State::Frozen => return Err(NotLeft::Recovery),
    }
    meet_lent(ledger)?;
    for entry in ledger.apps.all() {
        ledger.return_spare(&entry);
    }
    settle_all(ledger).await?;
    beat(ledger).await?;
    let word = membership.word();
    if word.gone {
        return Err(NotLeft::Gone);
    }
    if word.recovery == Recovery::Open || !membership.is_restated() {
        return Err(NotLeft::Recovery);
    }
    let apps = apps_to_fold(ledger)?;
    mark(ledger, Parting::Leaving).await?;
    let news = fold_and_leave(ledger, &apps).await?;
    let mut standing = Standing::clone(&membership.standing());
    wait_until_seen(ledger, ledger.member.incarnation, news, &mut standing).await?;
    mark(ledger, Parting::Left).await
}

/// Settles until nothing is owed.
async fn settle_all(ledger: &Ledger) -> Result<(), StoreFault> {
    loop {
        settle(ledger, Scope::All).await?;
        if !ledger.owes() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Meets the apps that were lent something before this run and not met since.
fn meet_lent(ledger: &Ledger) -> Result<(), NotLeft> {
    let mut after = None;
    loop {
        let page = ledger.journal.cells_page(Whose::Own, after, PAGE_APPS_MAX);
        let page = page.map_err(NotLeft::Journal)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(*last);
        for (app, cells) in page {
            let lent = |account: &SavedAccount| account.sums.spare() > 0;
            if cells
                .iter()
                .any(|(_, saved)| saved.account.as_deref().is_some_and(lent))
            {
                let met = ledger.entry(app);
                met.map_err(|why| NotLeft::Journal(why.to_string()))?;
            }
        }
    }
}

/// All apps in which this member ever counted something, all of it told.
fn apps_to_fold(ledger: &Ledger) -> Result<Vec<AppId>, NotLeft> {
    let met = ledger.apps.all().into_iter().map(|entry| entry.app);
    let mut apps: BTreeSet<AppId> = met.collect();
    let mut after = None;
    loop {
        let page = ledger.journal.cells_page(Whose::Own, after, PAGE_APPS_MAX);
        let page = page.map_err(NotLeft::Journal)?;
        let Some((last, _)) = page.last() else {
            return Ok(apps.into_iter().collect());
        };
        after = Some(*last);
        for (app, cells) in page {
            if apps.insert(app) && cells.iter().any(|(_, saved)| saved.is_owed()) {
                return Err(NotLeft::Unsettled(app));
            }
        }
    }
}

/// Has the ledger fold the sums of `apps`, and then mark whoever said hello last as gone. Answers the
/// number of the news.
pub(super) async fn fold_and_leave(ledger: &Ledger, apps: &[AppId]) -> Result<u64, StoreFault> {
    let apps = by_shard(apps.iter().map(|app| (*app, *app)), REPORT_APPS_MAX).into_iter();
    let calls = apps.map(|(shard, apps)| async move { ledger.store.fold(shard, &apps).await });
    all(ledger, calls.collect()).await?;
    ledger.store.leave().await
}

/// Beats as a member that has left until another one has the bases of `news`, or nobody else is there.
pub(super) async fn wait_until_seen(
    ledger: &Ledger,
    who: u64,
    news: u64,
    standing: &mut Standing,
) -> Result<(), StoreFault> {
    loop {
        let beat = leaving_beat(standing, false);
        let beaten = ledger.store.beat(&beat).await?;
        if !beaten.gone {
            return Err(StoreFault::Frozen(
                "it has forgotten that this member left".into(),
            ));
        }
        if beaten.news_elsewhere >= news || is_alone(who, standing, &beaten) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The beat of a member that leaves. `open`: whether it is to state its roll.
pub(super) fn leaving_beat(standing: &Standing, open: bool) -> Beat {
    Beat {
        epoch: standing.epoch,
        restated: standing.restated,
        roll_version: standing.seen,
        roll: (open && standing.restated == standing.epoch).then(|| standing.roll.clone()),
        news: standing.news,
        leaving: true,
        fresh: !standing.knows,
    }
}

/// Whether nobody is there who could have a base in its journal. `standing` takes what is told.
fn is_alone(who: u64, standing: &mut Standing, beaten: &Beaten) -> bool {
    // A ledger that forgets is found out by the beat itself, which then is of a member that is not gone.
    drop(learn(standing, beaten));
    let roll = &standing.roll;
    let is_there = |member: &&u64| **member != who && !standing.unread.contains_key(*member);
    let mut others = roll.present.keys().filter(is_there);
    others.all(|member| roll.silent.contains_key(member))
}

async fn mark(ledger: &Ledger, parting: Parting) -> Result<(), NotLeft> {
    let journal = ledger.journal.clone();
    let marked = ledger.saving.run(move || journal.part(parting)).await;
    marked.map_err(NotLeft::Journal)
}
