//! The settings file while the server runs: read again when it changes, or by SIGHUP. All of it or nothing: a file with
//! a fault leaves the last good settings in force.
//!
//! The file is looked at, and not watched: what a watch misses (a folder that is swapped as a whole, a file system that
//! tells nothing) a look finds.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::{self, Environment, Faults, Flags, Host, Settings};
use crate::grpc::Witness;
use crate::invoice::Invoices;
use crate::ledger::Ledger;

/// How often it is looked whether the file is another one.
const LOOK: Duration = Duration::from_secs(1);

/// Where the settings come from, to have them again.
#[derive(Clone)]
pub struct Origin {
    flags: Flags,
    environment: Environment,
    host: Host,
    /// The file as it was before anything of it was read.
    first: Option<Mark>,
}

impl Origin {
    /// The settings of a process with these flags and this environment, on this machine.
    #[must_use]
    pub fn new(flags: Flags, environment: Environment, host: Host) -> Self {
        let file = config::file(&flags, &environment);
        let first = file.map(|path| Mark::of(&path));
        Self {
            flags,
            environment,
            host,
            first,
        }
    }

    fn file(&self) -> Option<PathBuf> {
        config::file(&self.flags, &self.environment)
    }

    /// The settings as they are now.
    ///
    /// # Errors
    /// All faults.
    pub fn load(&self) -> Result<Settings, Faults> {
        config::load(&self.flags, &self.environment, &self.host)
    }
}

/// What lives by the settings, and can change with them.
pub struct Live {
    /// Apps, plans, limits, what is admitted in an outage.
    pub ledger: Arc<Ledger>,
    /// Prices.
    pub invoices: Arc<Invoices>,
    /// Which decisions are logged.
    pub witness: Witness,
}

/// What tells one file from another: links are followed, so that a folder that is swapped shows another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark(Option<(u64, u64, i64, i64, u64)>);

impl Mark {
    fn of(path: &Path) -> Self {
        let found = std::fs::metadata(path).ok();
        Self(found.map(|of| (of.dev(), of.ino(), of.mtime(), of.mtime_nsec(), of.size())))
    }
}

impl Live {
    /// Follows the file for ever; `first` is what the process began with.
    pub async fn follow(self, origin: Origin, mut first: Settings, mut hangup: Signal) {
        let Some(path) = origin.file() else {
            loop {
                hangup.recv().await;
                tracing::info!("SIGHUP: there is no settings file to read");
            }
        };
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut mark = origin.first.unwrap_or(Mark(None));
        let mut about = mark;
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                _ = tick.tick() => false,
            };
            let (file, now) = (path.clone(), mark);
            let seen = spawn_blocking(move || Mark::of(&file)).await.unwrap_or(now);
            // One that is away for a moment is about to be replaced, and one that was other at the last look may be
            // half written still: the half of a file can say something, too.
            let settled = seen.0.is_some() && seen == about;
            about = seen;
            if !asked && (seen == mark || !settled) {
                continue;
            }
            mark = seen;
            let from = origin.clone();
            let read = spawn_blocking(move || from.load()).await;
            let file = path.clone();
            if spawn_blocking(move || Mark::of(&file)).await.ok() != Some(seen) {
                // It was written meanwhile: what was read may be half of each.
                mark = Mark(None);
                continue;
            }
            match read {
                Ok(Ok(settings)) => {
                    self.take(&first, settings.clone());
                    first.rulebook = settings.rulebook;
                    (first.plans, first.outage) = (settings.plans, settings.outage);
                    first.decisions = settings.decisions;
                }
                Ok(Err(faults)) => self.refuse(&path, &faults),
                // A panic in there is a fault of ours; what was in force stays so.
                Err(died) => self.refuse(&path, &died),
            }
        }
    }

    fn take(&self, old: &Settings, new: Settings) {
        for notice in &new.notices {
            tracing::warn!("{notice}");
        }
        for key in old.fixed_changes(&new) {
            tracing::warn!(
                key,
                "has changed in the settings file, and holds from the next start on"
            );
        }
        let generations = self.ledger.rules().generations();
        let same_apps = old.rulebook == new.rulebook && old.outage == new.outage;
        if same_apps && old.decisions == new.decisions {
            generations.same();
            tracing::info!(
                "the settings file was read again: nothing has changed of what can change at run time"
            );
            return;
        }
        self.witness.go_by(new.decisions);
        self.invoices.go_by(new.plans);
        self.ledger.outlook().change(new.outage);
        self.ledger.go_by(new.rulebook);
        let generation = generations.next();
        tracing::info!(
            generation,
            "the settings file was read again, and holds from now on"
        );
    }

    fn refuse(&self, path: &Path, why: &dyn fmt::Display) {
        self.ledger.rules().generations().refused();
        for fault in why.to_string().lines() {
            tracing::error!(file = %path.display(), fault, "the settings file cannot be used; the last good settings stay in force");
        }
    }
}
