//! Which rules each app lives under.

use std::collections::HashMap;
use std::sync::Arc;

use super::{AppId, AppRules};

/// The apps that the settings name, and what holds for the others.
#[derive(Debug, Clone, Default)]
pub struct Rulebook {
    /// The apps named, each with its rules.
    pub apps: HashMap<AppId, Arc<AppRules>>,
    /// The rules of every app that is not named; `None`: such an app is unknown.
    pub unknown: Option<Arc<AppRules>>,
}

impl Rulebook {
    /// The rules of `app`, or `None` if it is unknown.
    #[must_use]
    pub fn of(&self, app: AppId) -> Option<&Arc<AppRules>> {
        self.apps.get(&app).or(self.unknown.as_ref())
    }
}
