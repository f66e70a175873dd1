//! The task that meets the ledger: finds out whether it answers, and has what is owed to it settled.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::Ledger;
use super::outlook::State;
use super::settle::{Scope, settle};
use crate::chance;
use crate::store::{Installation, StoreFault};

/// How often it is looked at what is due; also the age at which records, and the first change after
/// a quiet time, are settled.
pub const TICK: Duration = Duration::from_millis(250);
/// How often a shared ledger is looked over although all goes well: an idle sidecar finds out, too,
/// that the ledger has forgotten, or that another process has taken over its journal.
const HELLO_AGE: Duration = Duration::from_secs(10);
/// The longest wait between two looks at a ledger that is away. With its spread it stays below the time
/// for which a ledger that was away waits for its members to say what they have seen.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(1);

/// Runs until it is dropped, which loses nothing. A ledger that is away is probed with growing waits; the checks never
/// pay for finding out.
pub async fn keep(ledger: &Ledger) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wait = TICK;
    let mut probe_at = Instant::now();
    let mut seen_at = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = ledger.outlook.doubted() => probe_at = Instant::now(),
            _ = tick.tick() => {}
        }
        if ledger.outlook.state() == State::Up {
            let mut settled = settle(ledger, Scope::Due).await;
            if seen_at.elapsed() >= HELLO_AGE && settled.is_ok() && !ledger.store.is_local() {
                settled = hello(ledger).await.map(drop);
                seen_at = Instant::now();
            }
            match settled {
                Ok(()) => ledger.outlook.settled(),
                // Perhaps a shard, perhaps all of it: the ledger itself says which.
                Err(fault @ (StoreFault::Frozen(_) | StoreFault::Unusable(_))) => {
                    match hello(ledger).await {
                        Ok(_) => ledger.outlook.hindered(&fault),
                        Err(fault) => ledger.outlook.fell(&fault),
                    }
                }
                Err(fault) => ledger.outlook.fell(&fault),
            }
        } else if Instant::now() >= probe_at {
            match meet(ledger).await {
                Ok(()) => wait = TICK,
                Err(fault) => {
                    ledger.outlook.fell(&fault);
                    // Members spread their probes, so that a server that comes back is not stormed.
                    probe_at = Instant::now() + wait.mul_f64(chance::within(0.75..1.25));
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
        Ok(()) => {
            ledger.outlook.rose();
            ledger.outlook.settled_whole();
        }
        Err(fault @ (StoreFault::Frozen(_) | StoreFault::Unusable(_))) => {
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
