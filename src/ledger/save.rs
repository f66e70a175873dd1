//! The task that keeps the journal short: a log segment in reserve, and a checkpoint from time to time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::days::DAYS_KEPT;
use super::journal::Snapshot;
use super::{Ledger, stopped};
use crate::clock::{Day, Millis};

/// How often it is looked at whether a reserve or a checkpoint is needed.
const TICK: Duration = Duration::from_millis(100);
/// How old a change may get before a checkpoint holds it.
const SAVE_AGE: Duration = Duration::from_secs(30);

/// Runs until `stop` turns true.
pub async fn keep(ledger: &Ledger, mut stop: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut saved_at = Instant::now();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return,
            _ = tick.tick() => {}
        }
        if ledger.journal.wants_reserve() {
            let journal = ledger.journal.clone();
            let reserved = move || journal.reserve().map_err(|error| error.to_string());
            if let Err(why) = blocking(reserved).await {
                tracing::error!(%why, "no log segment can be kept in reserve");
            }
        }
        let old = saved_at.elapsed() >= SAVE_AGE && ledger.apps.has_unsaved();
        if old || ledger.journal.wants_checkpoint() {
            saved_at = Instant::now();
            if let Err(why) = save(ledger).await {
                tracing::error!(%why, "the checkpoint failed; the journal keeps growing until one succeeds");
            }
        }
    }
}

/// One checkpoint. The order matters: what is acknowledged before the copy is taken is durable in the
/// store before the log that says so is cut.
pub async fn save(ledger: &Ledger) -> Result<(), String> {
    let now = ledger.now();
    let Some(sealed) = ledger.journal.seal(now) else {
        return Err("there is no segment to go on with".into());
    };
    let entries = ledger.apps.take_unsaved();
    let today = ledger.zone.day(now);
    let drop_before = Day::from_number(today.number() - DAYS_KEPT).unwrap_or(today);
    let mut snapshot = Snapshot::default();
    for entry in &entries {
        for (cell, saved) in entry.saved() {
            snapshot.cells.insert((entry.app, cell), saved);
        }
        entry.days().forget_before(drop_before);
    }
    let (takes, releases, old) = ledger.owed.copy();
    (snapshot.takes, snapshot.releases) = (takes, releases);
    snapshot.logins = ledger.logins.copy();
    // While an earlier run's records are still to be stated, the store must find each where it was.
    let log_from = if old { Millis(0) } else { sealed.log_from };
    let journal = ledger.journal.clone();
    let saved = match ledger.store.checkpoint(log_from).await {
        Ok(()) => blocking(move || journal.save(&sealed, &snapshot, drop_before)).await,
        Err(fault) => Err(fault.to_string()),
    };
    if saved.is_err() {
        for entry in &entries {
            ledger.apps.to_save(entry);
        }
    }
    saved
}

/// Runs what waits for a disk beside the runtime.
async fn blocking(
    work: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Result<(), String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|died| Err(format!("its task died: {died}")))
}
