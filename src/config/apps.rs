//! The apps: who lives under which rules.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use rustc_hash::FxHashMap;

use super::finding::Findings;
use super::plans::{Plans, named};
use super::value::{Section, Value};
use super::{APPS_MAX, limits, scalar};
use crate::quota::{AppId, AppRules, ExpiredHolds, Limits, Plan, PlanName, Rulebook};

const KEYS: [&str; 9] = [
    "app_id",
    "plan",
    "limits",
    "shadow",
    "disabled",
    "share_ids",
    "track_objects",
    "expired_holds",
    "activated",
];
/// What may become of places whose reservation has expired.
const EXPIRED_HOLDS: [(&str, ExpiredHolds); 3] = [
    ("ask", ExpiredHolds::Ask),
    ("free", ExpiredHolds::Free),
    ("charge", ExpiredHolds::Charge),
];

/// The apps of the file, and the rules of all others.
pub(super) fn read(file: Option<Section<'_>>, plans: &Plans, findings: &mut Findings) -> Rulebook {
    let mut rulebook = Rulebook {
        plans: plans.clone(),
        ..Rulebook::default()
    };
    let Some(file) = file else {
        return rulebook;
    };
    rulebook.shadow = flag(&file, "shadow", findings).is_some_and(|(_, set)| set);
    let mut shared = Shared {
        shadow: rulebook.shadow,
        ..Shared::default()
    };
    if let Some(value) = file.given("unknown_app_plan")
        && let Some(plan) = named(&value, plans, findings)
    {
        rulebook.unknown = Some(shared.rules(
            &plan,
            Flags {
                shadow: shared.shadow,
                ..Flags::default()
            },
        ));
    }
    let Some(apps) = file.given("apps") else {
        return rulebook;
    };
    let Some(listed) = apps.list(findings) else {
        return rulebook;
    };
    // Walked twice, so that the book is made as large as it gets and no larger.
    let number = apps.list(findings).map_or(0, Iterator::count);
    if number > APPS_MAX {
        apps.fault(
            findings,
            format!("has {number} apps; there may be at most {APPS_MAX}"),
        );
        return rulebook;
    }
    rulebook.apps.reserve(number);
    let mut lines = FxHashMap::default();
    for value in listed {
        if let Some((app, rules)) = app(&value, plans, &mut lines, &mut shared, findings) {
            rulebook.apps.insert(app, rules);
        }
    }
    rulebook
}

/// The rules of apps that have none of their own: one for a plan, however many apps there are.
#[derive(Default)]
struct Shared {
    rules: HashMap<(PlanName, Flags), Arc<AppRules>>,
    /// Whether every app is only watched.
    shadow: bool,
}

/// What an app's rules say beside its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the settings, and none excludes another"
)]
struct Flags {
    disabled: bool,
    shadow: bool,
    share_ids: bool,
    track_objects: bool,
    expired_holds: ExpiredHolds,
    activated: Option<Date>,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            disabled: false,
            shadow: false,
            share_ids: false,
            track_objects: true,
            expired_holds: ExpiredHolds::default(),
            activated: None,
        }
    }
}

impl Shared {
    fn rules(&mut self, plan: &Arc<Plan>, flags: Flags) -> Arc<AppRules> {
        let key = (plan.name.clone(), flags);
        let rules = self
            .rules
            .entry(key)
            .or_insert_with(|| Arc::new(flags.rules(plan, plan.limits)));
        rules.clone()
    }
}

impl Flags {
    fn rules(self, plan: &Arc<Plan>, limits: Limits) -> AppRules {
        AppRules {
            plan: plan.clone(),
            limits,
            disabled: self.disabled,
            shadow: self.shadow,
            share_ids: self.share_ids,
            track_objects: self.track_objects,
            expired_holds: self.expired_holds,
            activated: self.activated,
            edition: 0,
        }
    }
}

fn app(
    value: &Value<'_>,
    plans: &Plans,
    lines: &mut FxHashMap<AppId, u32>,
    shared: &mut Shared,
    findings: &mut Findings,
) -> Option<(AppId, Arc<AppRules>)> {
    let section = value.section(findings, &KEYS)?;
    let id = section
        .required(findings, "app_id")
        .and_then(|value| app_id(&value, lines, findings));
    let plan = section
        .required(findings, "plan")
        .and_then(|value| named(&value, plans, findings));
    let disabled = flag(&section, "disabled", findings).is_some_and(|(_, set)| set);
    let shadow = flag(&section, "shadow", findings).is_some_and(|(_, set)| set);
    let flags = Flags {
        disabled,
        shadow: shadow || shared.shadow,
        share_ids: flag(&section, "share_ids", findings).is_some_and(|(_, set)| set),
        track_objects: flag(&section, "track_objects", findings).is_none_or(|(_, set)| set),
        expired_holds: expired_holds(&section, findings).unwrap_or_default(),
        activated: activated(&section, findings),
    };
    // Checked even where the plan is unknown, so that the fault in them is reported too.
    let base = plan.as_ref().map(|plan| plan.limits);
    let limits = section.get("limits").map(|value| {
        let base = base.unwrap_or(Limits::UNLIMITED);
        limits::read(&value, base, findings)
    });
    let (id, plan) = (id?, plan?);
    let rules = match limits {
        Some(limits) => Arc::new(flags.rules(&plan, limits)),
        None => shared.rules(&plan, flags),
    };
    Some((id, rules))
}

fn app_id(
    value: &Value<'_>,
    lines: &mut FxHashMap<AppId, u32>,
    findings: &mut Findings,
) -> Option<AppId> {
    let what = "a whole number";
    let id = value.read_plain(findings, what, |text| scalar::whole(text, 1, u64::MAX))?;
    let id = AppId::new(id)?;
    if let Some(first) = lines.insert(id, value.line()) {
        value.fault(
            findings,
            format!("{id} is listed twice, first on line {first}"),
        );
    }
    Some(id)
}

fn expired_holds(section: &Section<'_>, findings: &mut Findings) -> Option<ExpiredHolds> {
    let value = section.get("expired_holds")?;
    value.read(findings, "ask, free or charge", |text| {
        scalar::one_of(text, &EXPIRED_HOLDS)
    })
}

fn activated(section: &Section<'_>, findings: &mut Findings) -> Option<Date> {
    let value = section.get("activated")?;
    value.read(findings, "a day such as 2026-11-03", scalar::date)
}

fn flag<'s>(
    section: &'s Section<'_>,
    key: &'static str,
    findings: &mut Findings,
) -> Option<(Value<'s>, bool)> {
    let value = section.get(key)?;
    let set = value.truth(findings)?;
    Some((value, set))
}
