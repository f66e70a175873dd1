//! Apps of one shard that a recount has frozen: no step decides anything for them until it is over.

use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::clock::Clock;
use crate::quota::AppId;
use crate::store::{FREEZE_MS, View};

/// The frozen apps. They are memory alone: whoever has to begin anew after a kill is told so by a
/// token that nobody knows any more.
pub(super) struct Freezes {
    /// Grows with each freeze and with each end of one, and from one process to the next.
    seq: u64,
    apps: FxHashMap<AppId, Frozen>,
}

/// A frozen app.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frozen {
    /// Names the freeze.
    pub(super) token: u64,
    /// What was counted and answered when the truth was counted. What comes later counts beside it.
    pub(super) counted: [i64; 3],
    /// Whether all that was under way when the app was frozen is answered or withdrawn.
    pub(super) quiet: bool,
    /// Whether a recount is on its way to the file: nothing may end the freeze meanwhile.
    pub(super) writing: bool,
    /// When it ends by itself, by a clock that is never set.
    until: Duration,
}

impl Freezes {
    /// None yet.
    pub(super) fn new() -> Self {
        // Milliseconds, so that a token of an earlier process names nothing in this one.
        let seq = u64::try_from(Clock::system().0).unwrap_or(0).max(1);
        Self {
            seq,
            apps: FxHashMap::default(),
        }
    }

    /// How the app is frozen; `None` if it is not.
    pub(super) fn of(&mut self, app: AppId) -> Option<&mut Frozen> {
        if self.apps.is_empty() {
            return None;
        }
        let now = Clock::default().steady();
        let over = |frozen: &Frozen| now >= frozen.until && !frozen.writing;
        if self.apps.get(&app).is_some_and(over) {
            self.end(app);
        }
        self.apps.get_mut(&app)
    }

    /// As [`Freezes::of`], if it is under that token.
    pub(super) fn under(&mut self, app: AppId, token: u64) -> Option<&mut Frozen> {
        self.of(app).filter(|frozen| frozen.token == token)
    }

    /// Freezes the app; one that is frozen already stays as it is.
    pub(super) fn begin(&mut self, app: AppId, counted: [i64; 3]) -> Frozen {
        if let Some(frozen) = self.of(app) {
            return *frozen;
        }
        self.seq += 1;
        let frozen = Frozen {
            token: self.seq,
            counted,
            quiet: false,
            writing: false,
            until: Clock::default().steady() + Duration::from_millis(FREEZE_MS),
        };
        self.apps.insert(app, frozen);
        frozen
    }

    /// Ends the app's freeze.
    pub(super) fn end(&mut self, app: AppId) {
        if self.apps.remove(&app).is_some() {
            self.seq += 1;
        }
    }

    /// What a view of the app says of it.
    pub(super) fn mark(&mut self, app: AppId, mut view: View) -> View {
        view.frozen = self.of(app).map(|frozen| frozen.token);
        view.seq = self.seq;
        view
    }

    /// All of them, with their tokens.
    pub(super) fn tokens(&mut self) -> Vec<(AppId, u64)> {
        let apps: Vec<AppId> = self.apps.keys().copied().collect();
        let tokens = apps
            .into_iter()
            .filter_map(|app| self.of(app).map(|frozen| (app, frozen.token)));
        tokens.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_is_named_by_its_token_and_ends_once() {
        let (app, other) = (AppId::new(1).unwrap(), AppId::new(2).unwrap());
        let mut freezes = Freezes::new();
        assert!(freezes.of(app).is_none());
        let first = freezes.begin(app, [1, 2, 3]);
        let again = freezes.begin(app, [9, 9, 9]);
        assert_eq!((again.token, again.counted), (first.token, [1, 2, 3]));
        assert!(freezes.under(app, first.token + 1).is_none());
        assert!(freezes.under(other, first.token).is_none());
        assert_eq!(freezes.tokens(), [(app, first.token)]);
        let view = freezes.mark(app, View::default());
        assert_eq!(view.frozen, Some(first.token));
        freezes.end(app);
        let view = freezes.mark(app, View::default());
        assert!(view.frozen.is_none() && view.seq > first.token);
        assert!(freezes.begin(app, [0; 3]).token > first.token);
    }

    #[test]
    fn a_freeze_ends_by_itself_but_not_in_the_middle_of_a_write() {
        let app = AppId::new(1).unwrap();
        let mut freezes = Freezes::new();
        freezes.begin(app, [0; 3]);
        let frozen = freezes.of(app).unwrap();
        (frozen.until, frozen.writing) = (Duration::ZERO, true);
        freezes.of(app).unwrap().writing = false;
        assert!(freezes.of(app).is_none());
    }
}
