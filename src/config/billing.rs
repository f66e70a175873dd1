//! What a day is, what prices are in, and for how long the past is kept.

use super::finding::Findings;
use super::scalar::{self, Read};
use super::value::Section;
use super::words::shown;
use crate::clock::Zone;
use crate::quota::{Currency, Retention};

/// The zone in which the product bills, unless the settings name another.
const ZONE_DEFAULT: &str = "+08:00";

/// The billing zone, the currency, and for how long the past is kept.
pub(super) fn read(
    file: Option<Section<'_>>,
    findings: &mut Findings,
) -> (Zone, Currency, Retention) {
    let section = file
        .as_ref()
        .and_then(|file| file.given("billing"))
        .and_then(|value| {
            value.section(
                findings,
                &["zone", "currency", "days_kept_months", "months_kept"],
            )
        });
    let mut zone_given = None;
    let mut currency_given = None;
    if let Some(section) = &section {
        zone_given = section
            .given("zone")
            .and_then(|value| value.read(findings, "a zone such as \"+08:00\"", zone));
        currency_given = section
            .given("currency")
            .and_then(|value| value.read(findings, "a currency such as USD", currency));
    }
    let retention =
        section.map_or_else(Retention::default, |section| retention(&section, findings));
    (
        zone_given.unwrap_or_else(default_zone),
        currency_given.unwrap_or(Currency::USD),
        retention,
    )
}

fn retention(section: &Section<'_>, findings: &mut Findings) -> Retention {
    let by_default = Retention::default();
    let mut months = |key, (least, most): (i32, i32), default: i32| {
        let given = section.given(key).and_then(|value| {
            value.read_plain(findings, "a number of months", |text| {
                scalar::whole(
                    text,
                    least.unsigned_abs().into(),
                    most.unsigned_abs().into(),
                )
            })
        });
        given.map_or(default, |given| i32::try_from(given).unwrap_or(default))
    };
    let days = months("days_kept_months", Retention::DAYS, by_default.days());
    let all = months("months_kept", Retention::MONTHS, by_default.months());
    let retention = Retention::of(days, all);
    let keys = ["days_kept_months", "months_kept"];
    let given = keys.into_iter().find_map(|key| section.given(key));
    if let (None, Some(value)) = (retention, given) {
        let text = format!("days ({days} months) must not be kept longer than months ({all})");
        value.fault(findings, text);
    }
    retention.unwrap_or(by_default)
}

fn default_zone() -> Zone {
    Zone::parse(ZONE_DEFAULT).expect("the literal above is an offset")
}

fn zone(text: &str) -> Read<Zone> {
    Zone::parse(text).ok_or_else(|| {
        format!(
            "must be an offset such as \"+08:00\" or a zone such as Asia/Shanghai, not {}",
            shown(text)
        )
    })
}

fn currency(text: &str) -> Read<Currency> {
    Currency::parse(text).ok_or_else(|| {
        format!(
            "must be a currency whose decimal places are known, by its three capital letters such as USD, not {}",
            shown(text)
        )
    })
}
