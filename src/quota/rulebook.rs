//! Which rules each app lives under.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{AppId, AppRules, AppSpec, Plan, PlanName};

/// The apps that the settings name, and what holds for the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rulebook {
    /// The apps named, each with its rules.
    pub apps: HashMap<AppId, Arc<AppRules>>,
    /// The rules of every app that nobody names; `None`: such an app is unknown.
    pub unknown: Option<Arc<AppRules>>,
    /// The plans by name, for the apps that operators register in the ledger.
    pub plans: BTreeMap<PlanName, Arc<Plan>>,
    /// Whether every app is only watched, those included that nobody knows.
    pub shadow: bool,
}

impl Rulebook {
    /// The rules of `app`, as far as nobody registered it elsewhere; `None`: it is unknown.
    #[must_use]
    pub fn of(&self, app: AppId) -> Option<&Arc<AppRules>> {
        self.apps.get(&app).or(self.unknown.as_ref())
    }

    /// The rules that a registration makes; `None`: there is no plan of that name here.
    #[must_use]
    pub fn of_spec(&self, spec: &AppSpec, edition: u64) -> Option<AppRules> {
        let mut rules = spec.rules(self.plans.get(&spec.plan)?, edition);
        rules.shadow |= self.shadow;
        Some(rules)
    }
}
