//! The price lists of a plan.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::finding::Findings;
use super::scalar;
use super::value::{Section, Value};
use crate::quota::{Currency, GroupBasis, MeteredFee, PriceList};

/// The most price lists of one plan.
const PRICE_LISTS_MAX: usize = 1_000;

/// The price lists that stand in `value`, each of which must begin after the one before it.
pub(super) fn read(
    value: &Value<'_>,
    currency: Currency,
    findings: &mut Findings,
) -> Vec<PriceList> {
    let mut lists = Vec::new();
    let mut last: Option<Date> = None;
    for (at, item) in value.list(findings).into_iter().flatten().enumerate() {
        if at == PRICE_LISTS_MAX {
            item.fault(
                findings,
                format!("there may be at most {PRICE_LISTS_MAX} price lists"),
            );
            break;
        }
        let known = ["effective_from", "plan", "daily_active", "groups"];
        let Some(section) = item.section(findings, &known) else {
            continue;
        };
        let from = effective_from(&section, last, findings);
        last = from.or(last);
        let plan = section
            .get("plan")
            .and_then(|value| price(&value, currency, findings));
        let daily_active = section
            .get("daily_active")
            .and_then(|value| metered(&value.section(findings, &METERED)?, currency, findings));
        let groups = section.get("groups").and_then(|value| {
            let section =
                value.section(findings, &[METERED[0], METERED[1], METERED[2], "basis"])?;
            let basis = basis(&section, findings);
            Some((metered(&section, currency, findings)?, basis?))
        });
        lists.extend(from.map(|effective_from| PriceList {
            effective_from,
            plan: plan.unwrap_or(Decimal::ZERO),
            daily_active,
            groups,
        }));
    }
    lists
}

fn effective_from(
    section: &Section<'_>,
    last: Option<Date>,
    findings: &mut Findings,
) -> Option<Date> {
    let value = section.required(findings, "effective_from")?;
    let from = value.read(findings, "a day such as 2020-01-01", scalar::date)?;
    match last {
        Some(last) if from == last => {
            value.fault(findings, format!("another price list begins on {last}"));
        }
        Some(last) if from < last => {
            let text = format!("must be later than {last}, the list before it: oldest first");
            value.fault(findings, text);
        }
        _ => {}
    }
    Some(from)
}

const METERED: [&str; 3] = ["free", "block", "price"];

/// A fee by blocks. None of its parts has a default: a slip would be billed.
fn metered(
    section: &Section<'_>,
    currency: Currency,
    findings: &mut Findings,
) -> Option<MeteredFee> {
    let mut units = |key, min| {
        section
            .required(findings, key)?
            .read_plain(findings, "a whole number", |text| {
                scalar::whole(text, min, u64::MAX)
            })
    };
    let free = units("free", 0);
    let block = units("block", 1);
    let value = section.required(findings, "price");
    let price = value.and_then(|value| price(&value, currency, findings));
    Some(MeteredFee {
        free: free?,
        block: block?,
        price: price?,
    })
}

fn price(value: &Value<'_>, currency: Currency, findings: &mut Findings) -> Option<Decimal> {
    value.read(findings, "a decimal string such as \"149.99\"", |text| {
        scalar::money(text, currency)
    })
}

fn basis(section: &Section<'_>, findings: &mut Findings) -> Option<GroupBasis> {
    let Some(value) = section.get("basis") else {
        return Some(GroupBasis::MonthPeak);
    };
    let words = [
        ("month_peak", GroupBasis::MonthPeak),
        ("month_end", GroupBasis::MonthEnd),
    ];
    value.read(findings, "month_peak or month_end", |text| {
        scalar::one_of(text, &words)
    })
}
