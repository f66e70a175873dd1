//! Bills as they are written for good: JSON, which people and finance systems can read without this program.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::Report;
use crate::billing::{Bill, Item, Line, Peak};
use crate::clock::{Day, Month};
use crate::quota::{AppId, Currency, PlanName};

/// The names of a line's item.
pub const ITEMS: [(Item, &str); 3] = [
    (Item::Plan, "plan"),
    (Item::DailyActive, "daily_active"),
    (Item::Groups, "groups"),
];

/// A report as text.
pub(super) fn write(report: &Report) -> String {
    let Bill {
        month,
        plan,
        currency,
        lines,
        total,
        due,
    } = &report.bill;
    json!({
        "month": month.to_string(),
        "plan": plan.as_str(),
        "currency": currency.code(),
        "lines": lines.iter().map(write_line).collect::<Vec<_>>(),
        "total": total.to_string(),
        "due_date": due.to_string(),
        "notes": report.notes,
        "revision": report.revision,
    })
    .to_string()
}

fn write_line(line: &Line) -> Value {
    let item = ITEMS.iter().find(|(item, _)| *item == line.item);
    json!({
        "item": item.map(|(_, name)| *name),
        "plan": line.plan.as_str(),
        "peak": line.peak.count,
        "peak_day": line.peak.day.map(|day| day.to_string()),
        "free": line.free,
        "billable": line.billable,
        "block": line.block,
        "blocks": line.blocks,
        "unit_price": line.unit_price.to_string(),
        "amount": line.amount.to_string(),
    })
}

/// Reads what [`write()`] wrote; `None` for anything else.
pub(super) fn read(app: AppId, text: &str) -> Option<Report> {
    let value: Value = serde_json::from_str(text).ok()?;
    let lines = value.get("lines")?.as_array()?.iter().map(read_line);
    let notes = value.get("notes")?.as_array()?.iter();
    Some(Report {
        app,
        bill: Bill {
            month: Month::parse(word(&value, "month")?)?,
            plan: PlanName::parse(word(&value, "plan")?)?,
            currency: Currency::parse(word(&value, "currency")?)?,
            lines: lines.collect::<Option<_>>()?,
            total: money(&value, "total")?,
            due: Day::parse(word(&value, "due_date")?)?,
        },
        is_final: true,
        written: true,
        // A bill of before days could be corrected has none.
        revision: number(&value, "revision").unwrap_or(0),
        notes: notes
            .map(|note| note.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
        forecast: None,
    })
}

fn read_line(value: &Value) -> Option<Line> {
    let item = word(value, "item")?;
    let (item, _) = ITEMS.iter().find(|(_, name)| *name == item)?;
    let day = match value.get("peak_day")? {
        Value::Null => None,
        day => Some(Day::parse(day.as_str()?)?),
    };
    Some(Line {
        item: *item,
        plan: PlanName::parse(word(value, "plan")?)?,
        peak: Peak {
            count: number(value, "peak")?,
            day,
        },
        free: number(value, "free")?,
        billable: number(value, "billable")?,
        block: number(value, "block")?,
        blocks: number(value, "blocks")?,
        unit_price: money(value, "unit_price")?,
        amount: money(value, "amount")?,
    })
}

fn word<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name)?.as_u64()
}

fn money(value: &Value, name: &str) -> Option<Decimal> {
    Decimal::from_str(word(value, name)?).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::billing::{Editions, MonthUsage, bill};
    use crate::quota::built_in;

    #[test]
    fn a_written_bill_reads_back_as_it_was() {
        let month = Month::parse("2026-11").expect("it is a month");
        let peak = |count, day| Peak {
            count,
            day: month.day(day),
        };
        let usage = MonthUsage {
            month,
            daily_active: peak(22_000, 14),
            groups: Peak {
                count: u64::from(u32::MAX),
                day: None,
            },
            groups_at_end: 7,
            as_of: month.last_day(),
        };
        let [_, pro, _] = built_in();
        let editions = Editions::always(Arc::new(pro));
        let report = Report {
            app: AppId::new(7).expect("not 0"),
            bill: bill(&usage, &editions, Currency::USD, true).expect("it fits"),
            is_final: true,
            written: true,
            revision: 3,
            notes: vec!["one \"note\"".into()],
            forecast: None,
        };
        let text = write(&report);
        assert!(text.len() < crate::store::BILL_BYTES_MAX, "{text}");
        assert_eq!(read(report.app, &text), Some(report));
        assert_eq!(read(AppId::new(7).expect("not 0"), "{}"), None);
    }
}
