//! What gateways were answered.

use std::fmt;

use super::resource_name;
use super::sheet::Sheet;
use crate::admission::Totals;

pub(super) fn write(sheet: &mut Sheet<'_>, totals: &Totals) -> fmt::Result {
    let Totals {
        checks,
        took,
        replayed,
        already_counted,
        dry_runs,
        released,
        newly_active,
    } = totals;
    sheet.counters(
        "imquota_checks",
        "Checks that were decided and count; an allow with a reason was counted because it had happened",
        checks.iter().map(|one| {
            let labels = vec![
                ("resource", resource_name(one.resource).to_owned()),
                ("decision", one.decision.to_owned()),
                ("reason", one.reason.to_owned()),
                ("source", one.source.name().to_owned()),
            ];
            (labels, one.count)
        }),
    )?;
    let source = |of: crate::admission::Source| vec![("source", of.name().to_owned())];
    sheet.times(
        "imquota_check_duration_seconds",
        "How long decisions took, from the parsed request to the verdict",
        took.iter().map(|(of, times)| (source(*of), *times)),
    )?;
    sheet.counter(
        "imquota_check_replays",
        "Checks that were answered as before, since their request id was known",
        *replayed,
    )?;
    sheet.counter(
        "imquota_check_objects_known",
        "Checks that added nothing, since their object was counted",
        *already_counted,
    )?;
    sheet.counters(
        "imquota_dry_runs",
        "Checks that were judged and count nothing",
        dry_runs
            .iter()
            .map(|(decision, count)| (vec![("decision", (*decision).to_owned())], *count)),
    )?;
    sheet.counters(
        "imquota_released_objects",
        "Objects that were given back after their deletion",
        released
            .iter()
            .map(|(of, count)| (vec![("resource", resource_name(*of).to_owned())], *count)),
    )?;
    sheet.counters(
        "imquota_active_users_inserted",
        "Users who were recorded and had not been active on that day; by increments as told",
        newly_active.iter().map(|(of, count)| (source(*of), *count)),
    )
}
