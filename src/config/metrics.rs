//! Which apps have series of their own.

use super::finding::Findings;
use super::scalar;
use super::value::Section;
use crate::quota::{AppId, AppSeries, NAMED_SERIES_MAX, TOP_SERIES_MAX};

/// What the `metrics` section says; what it leaves out is as by default.
pub(super) fn read(file: Option<Section<'_>>, findings: &mut Findings) -> AppSeries {
    let mut series = AppSeries::default();
    let value = file.as_ref().and_then(|file| file.given("metrics"));
    let known = ["top_apps", "apps"];
    let Some(section) = value.and_then(|value| value.section(findings, &known)) else {
        return series;
    };
    if let Some(value) = section.given("top_apps") {
        let read = value.read(findings, "a whole number such as 10", |text| {
            scalar::whole(text, 0, TOP_SERIES_MAX as u64)
        });
        // Bounded above far below what fits.
        series.top = read.and_then(|top| usize::try_from(top).ok()).unwrap_or(0);
    }
    if let Some(value) = section.given("apps") {
        let apps: Vec<_> = value.list(findings).into_iter().flatten().collect();
        if apps.len() > NAMED_SERIES_MAX {
            let text = format!("at most {NAMED_SERIES_MAX} apps may have series of their own");
            value.fault(findings, text);
            return series;
        }
        let read = |value: super::Value<'_>| {
            value.read(findings, "an app's id", |text| {
                scalar::whole(text, 1, u64::MAX)
            })
        };
        let named = apps.into_iter().filter_map(read);
        series.named = named.filter_map(AppId::new).collect();
        series.named.sort_unstable();
        series.named.dedup();
    }
    series
}
