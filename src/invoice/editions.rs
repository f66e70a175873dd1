//! The plans that an app had in a month, from what the ledger was told of them and the settings of now.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::billing::Editions;
use crate::clock::{Day, Month};
use crate::quota::{AppRules, Plan, PlanName};
use crate::store::MonthHistory;

/// The plans of a month, and what is to be said of them.
pub(super) struct MonthEditions {
    pub(super) plans: Editions,
    /// Changes within the month.
    pub(super) changes: Vec<(Day, PlanName)>,
    /// Plans that the app had, and that the settings do not name any more.
    pub(super) unknown: Vec<PlanName>,
}

/// `None`: nobody knows any plan of the app.
pub(super) fn editions(
    plans: &BTreeMap<PlanName, Arc<Plan>>,
    rules: Option<&AppRules>,
    history: &MonthHistory,
    month: Month,
    today: Day,
) -> Option<MonthEditions> {
    let mut unknown = Vec::new();
    let mut known = Vec::new();
    for (from, name) in &history.plans {
        match plans.get(name) {
            Some(plan) => known.push((*from, plan.clone())),
            None => unknown.push(name.clone()),
        }
    }
    // A change that no report has told yet holds from today on.
    let last = history.plans.last().map(|(_, name)| name);
    if let Some(rules) = rules
        && last != Some(&rules.plan.name)
    {
        let from = if known.is_empty() { Day::EPOCH } else { today };
        known.push((from, rules.plan.clone()));
    }
    let mut all = known.into_iter();
    let (_, first) = all.next()?;
    let mut changes = Vec::new();
    let mut editions = Editions::always(first);
    for (from, plan) in all {
        if from.month() == month {
            changes.push((from, plan.name.clone()));
        }
        editions = editions.then(from, plan);
    }
    Some(MonthEditions {
        plans: editions,
        changes,
        unknown,
    })
}
