//! What a day is, and what prices are in.

use super::finding::Findings;
use super::scalar::Read;
use super::value::Section;
use super::words::shown;
use crate::clock::Zone;
use crate::quota::Currency;

/// The zone in which the product bills, unless the settings name another.
const ZONE_DEFAULT: &str = "+08:00";

/// The billing zone and the currency.
pub(super) fn read(file: Option<Section<'_>>, findings: &mut Findings) -> (Zone, Currency) {
    let section = file
        .as_ref()
        .and_then(|file| file.given("billing"))
        .and_then(|value| value.section(findings, &["zone", "currency"]));
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
    (
        zone_given.unwrap_or_else(default_zone),
        currency_given.unwrap_or(Currency::USD),
    )
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
