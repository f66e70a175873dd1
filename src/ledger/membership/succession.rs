//! The end of a leave that was broken off: before this member says hello, the one that had the journal
//! before it leaves (see [`leave`](mod@super::leave) for how far it had come).
//!
//! Until it has left it is a member like any other: a recovery waits for it, and is told its sums.

use std::time::Duration;

use tokio::time::timeout;

use super::beat::hello;
use super::leave::{fold_and_leave, leaving_beat, wait_until_seen};
use super::restate::restate;
use super::{bases::unread, learn};
use crate::ledger::Ledger;
use crate::ledger::journal::{Predecessor, Whose};
use crate::quota::AppId;
use crate::store::{Member, Recovery, StoreFault};

/// The most apps that are read from the journal at a time.
const PAGE_APPS_MAX: usize = 4_096;
/// How long this member waits for a fellow to know what the predecessor left.
const SEEN_WAIT: Duration = Duration::from_secs(3);

/// Has the predecessor leave, if there is one that has not.
///
/// # Errors
/// [`StoreFault`]: to be begun anew; what was done stays done.
pub async fn finish(ledger: &Ledger) -> Result<(), StoreFault> {
    let Some(mut old) = ledger.journal.predecessor().map_err(unread)? else {
        return Ok(());
    };
    let member = Member {
        name: ledger.member.name.clone(),
        incarnation: old.incarnation,
        boot: old.boot,
        leaves: true,
    };
    hello(ledger, &member).await?;
    let news = match known_as(ledger, &mut old).await? {
        KnownAs::Present => {
            let apps = apps_of(ledger)?;
            fold_and_leave(ledger, &apps).await?
        }
        KnownAs::Gone(news) => news,
        // Nobody reads bases now.
        KnownAs::GoneInRecovery => return Ok(()),
    };
    let seen = wait_until_seen(ledger, old.incarnation, news, &mut old.standing);
    if let Ok(seen) = timeout(SEEN_WAIT, seen).await {
        seen?;
    } else {
        return Ok(()); // It is kept until the next hello, in case the ledger forgets.
    }
    // It is gone, and all that it counted is in the bases that a fellow has.
    let journal = ledger.journal.clone();
    let forgotten = ledger
        .saving
        .run(move || journal.forget_predecessor())
        .await;
    forgotten.map_err(unread)?;
    tracing::info!(
        member = %member.name,
        "the leave that the last run of this sidecar began is complete"
    );
    Ok(())
}

/// What the predecessor is for the ledger.
enum KnownAs {
    /// A member: all that it knows was told, and no recovery is open.
    Present,
    /// Gone, by no later news than these.
    Gone(u64),
    /// Gone, while members restate.
    GoneInRecovery,
}

/// Finds out what the predecessor is for the ledger, and tells what it is to be told.
async fn known_as(ledger: &Ledger, old: &mut Predecessor) -> Result<KnownAs, StoreFault> {
    let mut open = false;
    loop {
        let beaten = ledger
            .store
            .beat(&leaving_beat(&old.standing, open))
            .await?;
        if beaten.gone {
            return Ok(match beaten.recovery {
                Recovery::Open => KnownAs::GoneInRecovery,
                _ => KnownAs::Gone(beaten.news),
            });
        }
        let known = old.standing.clone();
        learn(&mut old.standing, &beaten)?;
        open = beaten.recovery == Recovery::Open;
        let told = old.standing.restated != old.standing.epoch;
        if told {
            restate(ledger, Whose::Predecessor, &old.standing).await?;
            old.standing.restated = old.standing.epoch;
        }
        if old.standing != known {
            let (journal, old) = (ledger.journal.clone(), old.clone());
            let kept = ledger
                .saving
                .run(move || journal.keep_predecessor(&old))
                .await;
            kept.map_err(unread)?;
        }
        if told {
            continue; // The ledger is to hear that it was.
        }
        if !open {
            return Ok(KnownAs::Present);
        }
        return Err(StoreFault::Frozen(
            "members tell what they know; the last run's leave goes on after that".into(),
        ));
    }
}

fn apps_of(ledger: &Ledger) -> Result<Vec<AppId>, StoreFault> {
    let mut apps: Vec<AppId> = Vec::new();
    loop {
        let after = apps.last().copied();
        let page = ledger
            .journal
            .cells_page(Whose::Predecessor, after, PAGE_APPS_MAX);
        let page = page.map_err(unread)?;
        if page.is_empty() {
            return Ok(apps);
        }
        apps.extend(page.into_iter().map(|(app, _)| app));
    }
}
