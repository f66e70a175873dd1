//! How near apps are to their limits. None is named, unless the settings say so.

use std::collections::BTreeMap;
use std::fmt;

use super::counter_name;
use super::sheet::Sheet;
use crate::ledger::Ledger;
use crate::quota::{AppId, AppSeries, COUNTERS, Counter};

/// The figures of apps that have series of their own.
#[derive(Debug, Default)]
pub(super) struct AppFigures {
    /// Count and limit.
    counts: BTreeMap<(AppId, u8), (Counter, u64, Option<u64>)>,
    /// Today's active users.
    active: BTreeMap<AppId, u64>,
}

/// Of each counter the greatest part of a limit that some app uses.
pub(super) fn nearest(ledger: &Ledger) -> Vec<(Counter, f64)> {
    let all = ledger.nearest(usize::MAX);
    let of = |counter| {
        let first = all.iter().find(|near| near.counter == counter);
        let part = first.map_or(0, crate::ledger::Near::millionths);
        // Millionths of a limit: far below what a float tells apart.
        f64::from(u32::try_from(part).unwrap_or(u32::MAX)) / 1_000_000.0
    };
    COUNTERS.map(|counter| (counter, of(counter))).into()
}

pub(super) fn read(ledger: &Ledger, series: &AppSeries) -> AppFigures {
    let mut figures = AppFigures::default();
    for near in ledger.nearest(series.top) {
        let worth = (near.counter, near.count, Some(near.limit));
        figures.counts.insert((near.app, near.counter as u8), worth);
    }
    for app in &series.named {
        let Some(counts) = ledger.counts_of(*app) else {
            continue; // Nobody has asked for it here yet.
        };
        for (counter, count, limit) in counts.counts {
            let worth = (counter, count, limit.get());
            figures.counts.insert((*app, counter as u8), worth);
        }
        figures.active.insert(*app, counts.active);
    }
    figures
}

pub(super) fn write(
    sheet: &mut Sheet<'_>,
    nearest: &[(Counter, f64)],
    apps: &AppFigures,
) -> fmt::Result {
    sheet.gauges(
        "imquota_limit_nearest_ratio",
        "The greatest part of its hard limit that any app uses, as far as this sidecar has looked; 1: reached",
        nearest
            .iter()
            .map(|(of, part)| (vec![("of", counter_name(*of).to_owned())], *part)),
    )?;
    let labels = |app: AppId, counter| {
        let of = counter_name(counter).to_owned();
        vec![("app_id", app.to_string()), ("of", of)]
    };
    let counts = apps.counts.iter();
    sheet.gauges(
        "imquota_app_objects",
        "What an app has, of those that metrics.top_apps and metrics.apps name",
        counts.map(|((app, _), (of, count, _))| (labels(*app, *of), whole(*count))),
    )?;
    let limits = apps.counts.iter();
    sheet.gauges(
        "imquota_app_limit",
        "The hard limit of that; absent where there is none",
        limits.filter_map(|((app, _), (of, _, limit))| Some((labels(*app, *of), whole((*limit)?)))),
    )?;
    sheet.gauges(
        "imquota_app_active_users",
        "Today's active users of the apps that metrics.apps names",
        apps.active
            .iter()
            .map(|(app, users)| (vec![("app_id", app.to_string())], whole(*users))),
    )
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a gauge is a float for whoever scrapes it; counts stay far below 2^53"
)]
fn whole(number: u64) -> f64 {
    number as f64
}
