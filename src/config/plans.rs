//! The plans: the built-in ones, each replaced by the file's plan of the same name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::finding::Findings;
use super::value::{Section, Value};
use super::words::{did_you_mean, shown};
use super::{PLANS_MAX, fees, limits};
use crate::quota::{Currency, Limits, Plan, PlanName, built_in};

/// Plans by name.
pub(super) type Plans = BTreeMap<PlanName, Arc<Plan>>;

/// All plans there are. One that has faults is among them, so that its apps are not blamed for it.
pub(super) fn read(
    file: Option<Section<'_>>,
    currency: Currency,
    findings: &mut Findings,
) -> Plans {
    let mut plans: Plans = built_in()
        .into_iter()
        .map(|plan| (plan.name.clone(), Arc::new(plan)))
        .collect();
    let value = file.as_ref().and_then(|file| file.given("plans"));
    if let Some(section) = value.and_then(|value| value.mapping(findings)) {
        of_file(&section, currency, &mut plans, findings);
    }
    if currency != Currency::USD {
        say_whose_prices_are_dollars(file, &plans, findings);
    }
    plans
}

fn of_file(section: &Section<'_>, currency: Currency, plans: &mut Plans, findings: &mut Findings) {
    for (at, (name, value)) in section.each().enumerate() {
        if at == PLANS_MAX {
            value.fault(findings, format!("there may be at most {PLANS_MAX} plans"));
            break;
        }
        let Some(name) = PlanName::parse(name) else {
            value.fault(
                findings,
                "a plan's name is 1 to 32 letters a-z, digits, dashes or underscores",
            );
            continue;
        };
        let plan = plan(name.clone(), &value, currency, findings);
        plans.insert(name, Arc::new(plan));
    }
}

/// The built-in prices are no one's prices in another currency; a bill would show them as if they were.
fn say_whose_prices_are_dollars(file: Option<Section<'_>>, plans: &Plans, findings: &mut Findings) {
    let billing = file.as_ref().and_then(|file| file.given("billing"));
    let billing = billing.and_then(|value| value.mapping(findings));
    let Some(value) = billing
        .as_ref()
        .and_then(|billing| billing.given("currency"))
    else {
        return;
    };
    for plan in built_in() {
        if !plan.fees.is_empty() && plans.get(&plan.name).is_some_and(|there| **there == plan) {
            let text = format!(
                "the built-in prices of {} are in {}; give the plan prices of its own",
                plan.name,
                Currency::USD
            );
            findings.notice(value.place(), value.key(), text);
        }
    }
}

fn plan(name: PlanName, value: &Value<'_>, currency: Currency, findings: &mut Findings) -> Plan {
    let mut plan = Plan {
        name,
        limits: Limits::UNLIMITED,
        fees: Vec::new(),
    };
    let Some(section) = value.section(findings, &["limits", "fees"]) else {
        return plan;
    };
    if let Some(value) = section.get("limits") {
        plan.limits = limits::read(&value, Limits::UNLIMITED, findings);
    }
    if let Some(value) = section.get("fees") {
        plan.fees = fees::read(&value, currency, findings);
    }
    plan
}

/// The plan that `value` names.
pub(super) fn named(
    value: &Value<'_>,
    plans: &Plans,
    findings: &mut Findings,
) -> Option<Arc<Plan>> {
    value.read(findings, "a plan's name", |text| {
        let plan = PlanName::parse(text).and_then(|name| plans.get(&name));
        plan.cloned().ok_or_else(|| {
            let meant = did_you_mean(text, plans.keys().map(PlanName::as_str));
            format!("no plan is called {}{meant}", shown(text))
        })
    })
}
