//! The task that has what is owed to the ledger settled, and the first meeting with it.
//!
//! A shared ledger is found to be there, or away, by the task that beats (see [`membership`]); this one
//! speaks of apps once that one was answered.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::journal::Whose;
use super::membership::Greeted;
use super::outlook::State;
use super::settle::{Scope, settle};
use super::{Ledger, membership, register};
use crate::chance;
use crate::store::{Recovery, StoreFault};

/// How often it is looked at what is due; also the age at which records, and the first change after
/// a quiet time, are settled.
pub const TICK: Duration = Duration::from_millis(250);
/// The longest wait between two tries of what failed.
const RETRY_MAX: Duration = Duration::from_secs(1);
/// How often the first meeting looks whether there is a lease.
const MEETING_LOOK: Duration = Duration::from_millis(50);

/// Runs until it is dropped, which loses nothing.
pub async fn keep(ledger: &Ledger) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let local = ledger.store.is_local();
    let mut wait = TICK;
    let mut again_at = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = ledger.outlook.doubted(), if local => again_at = Instant::now(),
            () = ledger.membership.work_is_due() => {}
            _ = tick.tick() => {}
        }
        if Instant::now() < again_at {
            continue;
        }
        let done = if local {
            settle_local(ledger).await
        } else {
            settle_shared(ledger, Scope::All).await
        };
        if done.is_ok() {
            wait = TICK;
            if ledger.outlook.state() == State::Up {
                ledger.events.in_step(ledger.clock.steady());
            }
        } else {
            again_at = Instant::now() + wait.mul_f64(chance::within(0.75..1.25));
            wait = (wait * 2).min(RETRY_MAX);
        }
    }
}

/// Meets the ledger for the first time: makes sure that it is the one this journal belongs to, and tells
/// it all that limits go by, before checks ask it. The rest that is owed is settled beside the answers. A shared one gives a lease as well, which may take
/// until a fellow knows of this member; whoever does not wait that long drops this.
///
/// # Errors
/// [`StoreFault`].
pub async fn meet(ledger: &Ledger) -> Result<(), StoreFault> {
    if ledger.store.is_local() {
        return meet_local(ledger, Scope::Limits).await;
    }
    let mut greeted = Greeted::default();
    loop {
        membership::round(ledger, &mut greeted).await?;
        settle_shared(ledger, Scope::Limits).await?;
        let word = ledger.membership.word();
        if word.gone || word.leased && ledger.outlook.state() == State::Up {
            return Ok(());
        }
        tokio::time::sleep(MEETING_LOOK).await;
    }
}

/// One round with a ledger in this process.
async fn settle_local(ledger: &Ledger) -> Result<(), StoreFault> {
    let done = if ledger.outlook.state() == State::Up {
        let settled = settle(ledger, Scope::Due).await;
        settled.inspect(|()| ledger.outlook.settled())
    } else {
        meet_local(ledger, Scope::All).await
    };
    done.inspect_err(|fault| ledger.outlook.fell(fault))
}

/// Meets one in this process, and tells it `what` before it is asked anything.
async fn meet_local(ledger: &Ledger, what: Scope) -> Result<(), StoreFault> {
    let remembered = ledger.journal.identity().installation;
    let hello = ledger.store.hello(&ledger.member, remembered, ledger.now());
    ledger.belong_to(hello.await?)?;
    register::read(ledger).await?;
    settle(ledger, what).await?;
    ledger.outlook.rose();
    if what == Scope::All {
        ledger.outlook.settled_whole();
    }
    ledger.met.send_replace(true);
    Ok(())
}

/// One round with a shared ledger, if the last beat was answered: it is told what it forgot, then what is
/// owed to it, and asked for what this member lacks. `what` is told to one that was away before anybody
/// asks it.
async fn settle_shared(ledger: &Ledger, what: Scope) -> Result<(), StoreFault> {
    let membership = &ledger.membership;
    let word = membership.word();
    if !word.heard || word.gone {
        return Ok(());
    }
    let done = if !membership.is_restated() {
        let standing = membership.standing();
        // The beat has journaled the epoch by the time that it is told here, or will have soon.
        let told = membership::restate(ledger, Whose::Own, &standing).await;
        told.map(|()| membership.restated(word.epoch))
    } else if word.recovery == Recovery::Open {
        tell_users(ledger, word.epoch).await
    } else {
        settle_and_learn(ledger, what).await
    };
    match &done {
        Ok(()) => {}
        // No answer: nobody asks before a beat was answered again.
        Err(fault @ StoreFault::Away(_)) => ledger.doubt(fault),
        // Perhaps a shard, perhaps all of it: the next beat says which.
        Err(fault) => {
            ledger.doubt(fault);
            ledger.outlook.hindered(fault);
        }
    }
    done
}

/// All is told: what is owed is settled, and if the ledger was away, checks may ask it again.
async fn settle_and_learn(ledger: &Ledger, what: Scope) -> Result<(), StoreFault> {
    let membership = &ledger.membership;
    let word = membership.word();
    let up = ledger.outlook.state() == State::Up;
    let troubles = membership.troubles();
    if !up {
        // Which apps there are is known before anybody is answered.
        register::read(ledger).await?;
    }
    let scope = if up { Scope::Due } else { what };
    let settled = settle(ledger, scope).await;
    if matches!(settled, Err(StoreFault::Away(_))) {
        return settled;
    }
    // What some apps' shards refuse stops no other app.
    if !up && membership.troubles() == troubles {
        ledger.outlook.rose();
        ledger.met.send_replace(true);
    }
    settled?;
    if up {
        ledger.outlook.settled();
    } else if what == Scope::All {
        ledger.outlook.settled_whole();
    }
    membership::acknowledge(ledger).await?;
    if membership.lacks_bases(&word) {
        membership::pull(ledger, word.epoch).await?;
        membership.pulled(&word);
    }
    tell_users(ledger, word.epoch).await
}

/// Tells the known users again, once for each recovery.
async fn tell_users(ledger: &Ledger, epoch: u64) -> Result<(), StoreFault> {
    if membership::tell_again(ledger, epoch).await? {
        ledger.membership.work_now();
    }
    Ok(())
}
