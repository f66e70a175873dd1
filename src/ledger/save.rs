//! The task that keeps the journal short: a log segment in reserve, and a checkpoint from time to time.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::Ledger;
use super::apps::Apps;
use super::days::DAYS_KEPT;
use super::entry::Entry;
use super::ids::SavedTo;
use super::journal::{Sealed, Snapshot};
use super::keeping::stopped;
use crate::clock::{Day, Millis};

/// How often it is looked at whether a reserve or a checkpoint is needed.
const TICK: Duration = Duration::from_millis(100);
/// How old a change may get before a checkpoint holds it.
const SAVE_AGE: Duration = Duration::from_secs(30);

/// The shortest and the longest wait before what failed is tried again.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Where the journal's files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Saving {
    /// Beside the runtime, which goes on meanwhile.
    #[default]
    Beside,
    /// Within the runtime, at one moment of this time that it takes: a simulation whose time is not
    /// the machine's.
    Within(Duration),
}

impl Saving {
    /// Runs what waits for a disk.
    pub(super) async fn run(
        self,
        work: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
        match self {
            Self::Beside => {
                let done = tokio::task::spawn_blocking(work).await;
                done.unwrap_or_else(|died| Err(format!("its task died: {died}")))
            }
            Self::Within(time) => {
                tokio::time::sleep(time / 2).await;
                let done = work();
                tokio::time::sleep(time / 2).await;
                done
            }
        }
    }
}

/// Runs until `stop` turns true. What fails is tried again, less and less often.
pub async fn keep(ledger: &Ledger, mut stop: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trouble = Trouble::default();
    let mut saved_at = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            _ = tick.tick() => {}
        }
        if !trouble.is_over() {
            continue;
        }
        let mut outcome = reserve(ledger).await;
        let old = saved_at.elapsed() >= SAVE_AGE && ledger.journal.has_records();
        if old || ledger.journal.wants_checkpoint() {
            let (saved, reserved) = with_reserve(ledger, Box::pin(save(ledger))).await;
            if saved.is_ok() {
                saved_at = Instant::now();
            }
            outcome = outcome.and(saved).and(reserved);
        }
        trouble.note(outcome);
    }
}

/// Keeps a segment in reserve.
async fn reserve(ledger: &Ledger) -> Result<(), String> {
    if !ledger.journal.wants_reserve() {
        return Ok(());
    }
    let journal = ledger.journal.clone();
    let reserve = move || journal.reserve().map_err(|error| error.to_string());
    ledger.saving.run(reserve).await
}

/// Waits for a checkpoint, and keeps a segment in reserve meanwhile: it begins by taking the one that there is, and on a slow
/// disk what is counted until its end is more than one holds. What came of both.
pub(super) async fn with_reserve<T>(
    ledger: &Ledger,
    checkpoint: impl Future<Output = T>,
) -> (T, Result<(), String>) {
    let mut checkpoint = pin!(checkpoint);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reserved = Ok(());
    loop {
        tokio::select! {
            biased;
            done = &mut checkpoint => return (done, reserved),
            _ = tick.tick(), if reserved.is_ok() => {}
        }
        reserved = reserve(ledger).await;
    }
}

/// What keeps the journal from being saved, and when it is worth trying again.
#[derive(Debug, Default)]
struct Trouble {
    why: Option<String>,
    wait: Duration,
    until: Option<Instant>,
}

impl Trouble {
    fn is_over(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() >= until)
    }

    /// Logged when it is news.
    fn note(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                if self.why.is_some() {
                    tracing::info!("the journal is saved again");
                }
                *self = Self::default();
            }
            Err(why) => {
                if self.why.as_ref() != Some(&why) {
                    tracing::error!(%why, "the journal cannot be saved and grows until it can");
                }
                self.why = Some(why);
                self.wait = (self.wait * 2).clamp(RETRY_MIN, RETRY_MAX);
                self.until = Some(Instant::now() + self.wait);
            }
        }
    }
}

/// One checkpoint.
pub async fn save(ledger: &Ledger) -> Result<(), String> {
    let begun = Begun::new(ledger)?;
    begun.store(ledger).await?;
    begun.cut(ledger).await
}

/// A checkpoint under way. The order matters: what is acknowledged before the copy is taken is durable
/// in the store before the log that says so is cut; and the store forgets no record that a log which
/// is not cut yet may state again.
pub(super) struct Begun {
    sealed: Arc<Sealed>,
    snapshot: Arc<Snapshot>,
    drop_before: Day,
    /// When the oldest record was made that is left to state once this checkpoint is done.
    states_from: Millis,
    /// Where the ids end that it has.
    ids: SavedTo,
    unsaved: Unsaved,
}

/// Apps on their way into a checkpoint. Dropped before it is done, they are to be saved again.
struct Unsaved {
    apps: Arc<Apps>,
    entries: Vec<Arc<Entry>>,
}

impl Drop for Unsaved {
    fn drop(&mut self) {
        for entry in &self.entries {
            self.apps.to_save(entry);
        }
    }
}

impl Begun {
    /// Seals the log and copies what is to be saved.
    pub(super) fn new(ledger: &Ledger) -> Result<Self, String> {
        let now = ledger.now();
        let sealed = ledger.journal.seal(now);
        let sealed = sealed.ok_or("there is no segment to go on with")?;
        let entries = ledger.apps.take_unsaved();
        let today = ledger.zone.day(now);
        let drop_before = Day::from_number(today.number() - DAYS_KEPT).unwrap_or(today);
        let mut snapshot = Snapshot::default();
        for entry in &entries {
            for (cell, saved) in ledger.journal.between_appends(|| entry.saved()) {
                snapshot.cells.insert((entry.app, cell), saved);
            }
            entry.books().forget_before(drop_before);
            entry.rest();
        }
        let owed = ledger.owed.copy();
        let oldest = owed.oldest().unwrap_or(sealed.log_from);
        let states_from = oldest.min(sealed.log_from);
        (snapshot.takes, snapshot.releases) = (owed.takes, owed.releases);
        snapshot.logins = ledger.logins.copy();
        let ids;
        (snapshot.ids, ids) = ledger.ids.unsaved();
        let unsaved = Unsaved {
            apps: ledger.apps.clone(),
            entries,
        };
        let (sealed, snapshot) = (Arc::new(sealed), Arc::new(snapshot));
        Ok(Self {
            sealed,
            snapshot,
            drop_before,
            states_from,
            ids,
            unsaved,
        })
    }

    /// Makes the store durable. It may forget records that no restart would state again: those older
    /// than what the last checkpoint that was done has left to state.
    pub(super) async fn store(&self, ledger: &Ledger) -> Result<(), String> {
        let states_from = Millis(ledger.states_from.load(Ordering::Acquire));
        let stored = ledger.store.checkpoint(states_from).await;
        stored.map_err(|fault| fault.to_string())
    }

    /// Writes the snapshot and cuts the log.
    pub(super) async fn cut(mut self, ledger: &Ledger) -> Result<(), String> {
        let (sealed, snapshot) = (self.sealed.clone(), self.snapshot.clone());
        let (journal, drop_before) = (ledger.journal.clone(), self.drop_before);
        let save = move || journal.save(&sealed, &snapshot, drop_before);
        ledger.saving.run(save).await?;
        ledger.ids.saved(&self.ids);
        ledger
            .states_from
            .store(self.states_from.0, Ordering::Release);
        self.unsaved.entries.clear();
        Ok(())
    }
}
