//! What settings say beside their apps, as lines that can be compared.

use super::{Limit, Limits, MeteredFee, OutagePolicy, Plan, Rulebook};

/// One thing that settings say: its key as in the settings file, and its worth.
pub type Line = (String, String);

/// Plans with their limits and prices, what holds for apps that nobody names, and what is admitted in an outage.
#[must_use]
pub fn outline(book: &Rulebook, outage: &OutagePolicy) -> Vec<Line> {
    let unknown = book.unknown.as_ref();
    let unknown = unknown.map_or("null".into(), |rules| rules.plan.name.to_string());
    let mut lines = vec![
        ("unknown_app_plan".into(), unknown),
        ("shadow".into(), book.shadow.to_string()),
    ];
    for (name, rule) in [
        ("accounts", outage.accounts),
        ("groups", outage.groups),
        ("av_rooms", outage.av_rooms),
        ("groups_gained_daily", outage.groups_gained_daily),
        ("metered", outage.metered),
    ] {
        lines.push((format!("outage.{name}"), rule.to_string()));
    }
    for plan in book.plans.values() {
        of_plan(plan, &mut lines);
    }
    lines
}

fn of_plan(plan: &Plan, lines: &mut Vec<Line>) {
    let name = &plan.name;
    let Limits {
        accounts,
        groups,
        av_rooms,
        groups_gained_daily,
        av_rooms_are_groups,
    } = plan.limits;
    for (key, limit) in [
        ("accounts", accounts),
        ("groups", groups),
        ("av_rooms", av_rooms),
        ("groups_gained_daily", groups_gained_daily),
    ] {
        let limit = match limit {
            Limit::Unlimited => "unlimited".into(),
            Limit::AtMost(most) => most.to_string(),
        };
        lines.push((format!("plans.{name}.limits.{key}"), limit));
    }
    let rooms = av_rooms_are_groups.to_string();
    lines.push((format!("plans.{name}.limits.av_rooms_are_groups"), rooms));
    let metered =
        |fee: &MeteredFee| format!("{} free, {} for each {}", fee.free, fee.price, fee.block);
    for list in &plan.fees {
        let from = format!("plans.{name}.fees.{}", list.effective_from);
        lines.push((format!("{from}.plan"), list.plan.to_string()));
        if let Some(fee) = &list.daily_active {
            lines.push((format!("{from}.daily_active"), metered(fee)));
        }
        if let Some((fee, basis)) = &list.groups {
            let basis = match basis {
                super::GroupBasis::MonthPeak => "month_peak",
                super::GroupBasis::MonthEnd => "month_end",
            };
            lines.push((
                format!("{from}.groups"),
                format!("{}, {basis}", metered(fee)),
            ));
        }
    }
}
