//! The task that beats.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Membership, alarm, learn, lock, succession};
use crate::chance;
use crate::ledger::Ledger;
use crate::ledger::journal::Standing;
use crate::ledger::outlook::State;
use crate::store::{BEAT_MS, Beaten, Installation, Member, Recovery, StoreFault};

/// How often a beat is sent while all goes well.
const BEAT: Duration = Duration::from_millis(BEAT_MS);
/// The shortest time between two beats, however often one is asked for.
const HURRY: Duration = Duration::from_millis(20);
/// How often the member says hello although all goes well: it finds out, too, that another process has
/// taken over its journal.
const HELLO_AGE: Duration = Duration::from_secs(10);
/// The shortest and the longest wait after a beat that failed. With its spread the longest stays below
/// the time for which a recovery is open at least.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// When the member last said hello over the connection that is in use.
#[derive(Debug, Default)]
pub struct Greeted(Option<Instant>);

/// Beats until it is dropped, which loses nothing. A ledger that is away is asked with growing waits, by
/// this task alone: the checks never pay for finding out.
pub async fn keep(ledger: &Ledger) {
    let membership = &ledger.membership;
    let mut greeted = Greeted::default();
    let mut wait = RETRY_MIN;
    while !membership.word().gone {
        if let Err(fault) = round(ledger, &mut greeted).await {
            ledger.outlook.fell(&fault);
            // Members spread their probes, so that a server that comes back is not stormed.
            tokio::time::sleep(wait.mul_f64(chance::within(0.75..1.25))).await;
            wait = (wait * 2).min(RETRY_MAX);
            continue;
        }
        wait = RETRY_MIN;
        tokio::time::sleep(HURRY).await;
        let pause = BEAT.saturating_sub(HURRY);
        let pause = membership
            .witnesses_in()
            .map_or(pause, |soon| pause.min(soon));
        tokio::select! {
            biased;
            () = membership.hurry.notified() => {}
            // Whatever failed may have been the connection.
            () = ledger.outlook.doubted() => greeted = Greeted::default(),
            () = tokio::time::sleep(pause) => {}
        }
    }
    // For good: nothing is done any more, and the task is not to be taken for one that died.
    std::future::pending::<()>().await;
}

/// One beat, after a hello where one is due.
///
/// # Errors
/// [`StoreFault`]; the ledger is to be asked again later.
pub async fn round(ledger: &Ledger, greeted: &mut Greeted) -> Result<(), StoreFault> {
    let done = greet_and_beat(ledger, greeted).await;
    if let Err(fault) = &done {
        if matches!(fault, StoreFault::Fenced(_)) {
            ledger.fence(fault);
        }
        ledger.membership.unheard();
        *greeted = Greeted::default();
    }
    done
}

async fn greet_and_beat(ledger: &Ledger, greeted: &mut Greeted) -> Result<(), StoreFault> {
    if greeted.0.is_none_or(|at| at.elapsed() >= HELLO_AGE) {
        // Whoever says hello is the one by whom all that follows is told: none of this member's own may be under
        // way then, as it may be while the ledger is only doubted.
        if greeted.0.is_none() && !ledger.membership.word().heard {
            succession::finish(ledger).await?;
        }
        let installation = match hello(ledger, &ledger.member).await {
            Ok(installation) => installation,
            // Perhaps it has forgotten itself: the beat of a member that knows it brings it back.
            Err(forgetful @ StoreFault::Frozen(_)) if ledger.installation.get().is_some() => {
                beat(ledger).await.map_err(|_| forgetful)?;
                hello(ledger, &ledger.member).await?
            }
            Err(fault) => return Err(fault),
        };
        ledger.belong_to(installation)?;
        greeted.0 = Some(Instant::now());
    }
    beat(ledger).await
}

/// Says hello as `member`.
pub(super) async fn hello(ledger: &Ledger, member: &Member) -> Result<Installation, StoreFault> {
    let remembered = ledger.journal.identity().installation;
    ledger.store.hello(member, remembered, ledger.now()).await
}

/// One beat, and all that follows from its answer.
pub(super) async fn beat(ledger: &Ledger) -> Result<(), StoreFault> {
    let membership = &ledger.membership;
    keep_standing(ledger, membership.progress()).await?;
    let beat = membership.beat();
    let sent_at = ledger.clock.steady();
    let beaten = ledger.store.beat(&beat).await?;
    if beaten.gone {
        gone(ledger);
        return Ok(());
    }
    let mut standing = membership.progress();
    learn(&mut standing, &beaten)?;
    heed(ledger, &beaten, &standing, sent_at);
    let news = standing.seen != beat.roll_version;
    let members = standing.roll.present.len();
    if keep_standing(ledger, standing).await? && news {
        // Somebody may wait for this member to have the new roll in its journal.
        membership.witness_soon(members);
    }
    Ok(())
}

/// What an answer means, but for the journal: nothing here waits, so that no check comes in between.
fn heed(ledger: &Ledger, beaten: &Beaten, standing: &Standing, sent_at: Duration) {
    let membership = &ledger.membership;
    let known = membership.standing().epoch;
    if standing.epoch > known {
        if known > 0 {
            ledger.events.new_epoch();
        }
        // What is on its way may be decided by a ledger that forgets it again.
        membership.troubles.fetch_add(1, Ordering::AcqRel);
        ledger.owed.abort_open();
    }
    restated_at_once(membership, standing);
    let open = beaten.recovery == Recovery::Open;
    if open || !membership.has_restated(standing.epoch) {
        ledger.outlook.fell(&StoreFault::Frozen(format!(
            "it was restarted, restored or emptied; all sidecars tell it what they know (recovery {})",
            standing.epoch
        )));
    }
    let news = {
        let mut word = lock(&membership.word);
        let old = *word;
        word.heard = true;
        word.epoch = standing.epoch;
        word.recovery = beaten.recovery;
        word.news = beaten.news;
        word.news_elsewhere = beaten.news_elsewhere;
        word.leased = beaten.leased && !open;
        *word != old
    };
    // A beat that was on its way when the process was fenced says nothing of the time since.
    let fenced_at = *lock(&membership.fenced_at);
    let after_fence = fenced_at.is_none_or(|at| sent_at > at);
    if beaten.leased && !open && !membership.is_leaving() && after_fence {
        ledger.lease.renewed(sent_at, ledger.clock.steady());
    }
    membership.notices.heed(ledger, beaten);
    alarm::look(
        &mut lock(&membership.alarms),
        &standing.roll,
        ledger.clock.steady(),
    );
    if news && beaten.recovery == Recovery::Incomplete {
        ledger.outlook.hindered(&StoreFault::Frozen(format!(
            "somebody did not tell what the ledger forgot (recovery {}): start the sidecars that are \
             missing, or retire them and recount the apps that are refused",
            standing.epoch
        )));
    }
    if news || ledger.outlook.state() != State::Up {
        membership.work_now();
    }
}

/// A member that never told anything has restated without a call.
fn restated_at_once(membership: &Membership, standing: &Standing) {
    if standing.restated == standing.epoch {
        let restated = &membership.restated;
        restated.fetch_max(standing.epoch, Ordering::AcqRel);
    }
}

/// Keeps the standing in the journal, if it is another than the one there. Answers whether it was.
pub(super) async fn keep_standing(ledger: &Ledger, standing: Standing) -> Result<bool, StoreFault> {
    if standing == *ledger.membership.standing() {
        return Ok(false);
    }
    let (journal, kept) = (ledger.journal.clone(), standing.clone());
    ledger
        .saving
        .run(move || journal.keep_standing(&kept))
        .await
        .map_err(|why| StoreFault::Away(format!("the roll cannot be kept: {why}")))?;
    *lock(&ledger.membership.standing) = standing.into();
    Ok(true)
}

/// The ledger counts this member as gone: what it would do is nobody's any more.
fn gone(ledger: &Ledger) {
    let membership = &ledger.membership;
    {
        let mut word = lock(&membership.word);
        if word.gone {
            return;
        }
        word.gone = true;
        word.leased = false;
    }
    membership.unheard();
    ledger.lease.ended();
    ledger.outlook.fell(&StoreFault::Unusable(
        "this member was retired, or its folder is a copy of one that left".into(),
    ));
    tracing::error!(
        member = %ledger.member.name,
        data_dir = %ledger.journal.folder().display(),
        "this sidecar's journal was retired: it refuses all hard limits until it is started with another data folder"
    );
}
