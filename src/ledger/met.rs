//! Apps that are met: by a check, because the last run left something of them, or because their rules changed.

use std::sync::Arc;

use super::Ledger;
use super::apps::APPS_MAX;
use super::entry::{Change, Entry};
use super::rules::Standing;
use crate::quota::{AppId, Rulebook};

impl Ledger {
    /// What `then` makes of the app's entry, if it was met before. This is the way of every check.
    #[inline]
    pub fn with_met<R>(&self, app: AppId, then: impl FnOnce(&Arc<Entry>) -> R) -> Option<R> {
        self.apps.with(app, then)
    }

    /// The app's entry if it was met before.
    pub fn met_entry(&self, app: AppId) -> Option<Arc<Entry>> {
        self.apps.get(app)
    }

    /// Checks of these apps follow in a moment.
    pub fn foresee(&self, apps: impl Iterator<Item = AppId>) {
        self.apps.foresee(apps);
    }

    /// The app's entry, made on the first touch; `None` if nobody knows the app. One that was deleted still has
    /// one: what it owes is settled.
    ///
    /// # Errors
    /// [`Crowded`].
    pub fn entry(&self, app: AppId) -> Result<Option<Arc<Entry>>, Crowded> {
        if let Some(entry) = self.apps.get(app) {
            return Ok(Some(entry));
        }
        let (rules, gone) = match self.rules.of(app) {
            Standing::Known(rules) => (rules, false),
            Standing::Deleted(rules) => (rules, true),
            Standing::Unknown => return Ok(None),
        };
        if !self.apps.has_room() {
            return Err(Crowded::Apps);
        }
        let cells = self.journal.cells_of(app).map_err(|why| {
            tracing::error!(%app, %why, "the journal could not be read");
            Crowded::Unreadable
        })?;
        let entry = Entry::restored(app, rules, &cells);
        if gone {
            entry.end();
        }
        let today = self.zone.day(self.now());
        if let Some(view) = self.store.glance(app, today) {
            entry.learn(&view, today);
            self.note_held(&entry, &view);
        }
        let entry = self.apps.keep(entry);
        // They may have changed meanwhile.
        self.heed(&entry);
        // The ledger is to know its plan, whether anything is counted or not.
        self.apps.to_settle(&entry);
        Ok(Some(entry))
    }

    /// Goes by another settings file from now on, with all that was met.
    pub fn go_by(&self, file: Rulebook) {
        let known = self.rules.file();
        let new = file.apps.keys().filter(|app| !known.apps.contains_key(app));
        let new: Vec<_> = new.copied().collect();
        self.rules.go_by(file);
        for entry in self.apps.all() {
            self.heed(&entry);
        }
        self.apps.to_tell(new.into_iter());
    }

    /// Has an app that was met live under the rules that hold now. What it was lent under others goes back: the
    /// ledger lends anew under these.
    pub(super) fn heed(&self, entry: &Arc<Entry>) {
        let change = match self.rules.of(entry.app) {
            Standing::Known(rules) => entry.live_by(&rules),
            Standing::Deleted(_) | Standing::Unknown => entry.end(),
        };
        if change == Change::None {
            return;
        }
        if !self.store.is_local() {
            self.return_spare(entry);
        }
        // It may be a plan that the ledger is to know.
        self.apps.to_settle(entry);
    }

    /// Takes up to `most` apps on of which the last run left something that nobody waits for.
    pub(super) fn take_up_unmet(&self, most: usize) {
        for app in self.apps.take_unmet(most) {
            self.take_up(app, |entry| {
                self.apps.to_settle(entry);
                entry.rest();
            });
        }
    }

    /// Takes up to `most` apps on of those whose plan the ledger has yet to be told.
    pub(super) fn take_up_untold(&self, most: usize) {
        for app in self.apps.take_untold(most) {
            // One for which there is no room is told when it is met.
            if let Ok(Some(entry)) = self.entry(app) {
                entry.rest();
            }
        }
    }

    /// Does something with an app of which the last run left something.
    pub(super) fn take_up(&self, app: AppId, with: impl FnOnce(&Arc<Entry>)) {
        match self.entry(app) {
            Ok(Some(entry)) => with(&entry),
            Ok(None) => tracing::warn!(%app, "is not in the settings; what is owed for it is kept"),
            Err(why) => tracing::warn!(%app, %why, "what is owed for it is kept"),
        }
    }
}

/// Why an app cannot be taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// [`APPS_MAX`] is reached.
    #[error("this sidecar keeps {APPS_MAX} apps already")]
    Apps,
    /// The journal cannot be read.
    #[error("the journal cannot be read; see the log")]
    Unreadable,
}
