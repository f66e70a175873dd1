//! A bill as a person would put it in a mail, and as a script reads it.

use serde_json::{Value, json};

use super::table::{Side, aligned};
use crate::grpc::proto::{BillLine, Forecast, GetBillResponse};

/// For people.
pub(super) fn text(bill: &GetBillResponse) -> String {
    let currency = &bill.currency;
    let whose = match bill.app_id {
        0 => "estimate".to_owned(),
        app => format!("app {app}"),
    };
    let state = match (bill.app_id, bill.r#final) {
        (0, _) => "",
        (_, true) => ", final",
        (_, false) => ", not final",
    };
    let head = format!("{whose}, {}, plan {}{state}\n", bill.month, bill.plan);
    let total = format!(
        "total {} {currency}, due on {}",
        grouped_decimal(&bill.total),
        bill.due_date
    );
    let mut parts = vec![head, lines(&bill.lines, currency), total];
    parts.extend(bill.notes.iter().map(|note| format!("note: {note}")));
    parts.extend(bill.forecast.as_ref().map(|forecast| {
        let total = grouped_decimal(&forecast.total);
        format!("\nforecast {total} {currency}, if {}", forecast.assumes)
    }));
    parts.join("\n")
}

/// Each line in words: `peak 22,000 on 2026-11-14 · 10,000 free · 12,000 over → 2 blocks of …`.
fn lines(lines: &[BillLine], currency: &str) -> String {
    let rows: Vec<_> = lines
        .iter()
        .map(|line| vec![name(&line.item).to_owned(), words(line, currency)])
        .collect();
    if rows.is_empty() {
        return "nothing is billed in this plan".to_owned();
    }
    aligned(&rows, &[Side::Left, Side::Left])
}

fn name(item: &str) -> &str {
    match item {
        "plan" => "plan",
        "daily_active" => "daily active users",
        other => other,
    }
}

fn words(line: &BillLine, currency: &str) -> String {
    let (price, amount) = (
        grouped_decimal(&line.unit_price),
        grouped_decimal(&line.amount),
    );
    if line.item == "plan" {
        let waived = if line.blocks == 0 {
            format!(" (waived in the month of activation; {price} from the next)")
        } else {
            String::new()
        };
        return format!("{} = {amount} {currency}{waived}", line.plan);
    }
    let day = match &*line.peak_day {
        "" => String::new(),
        day => format!(" on {day}"),
    };
    let peak = format!(
        "peak {}{day} · {} free",
        grouped(line.peak),
        grouped(line.free)
    );
    if line.billable == 0 {
        return format!("{peak} → {amount} {currency}");
    }
    let blocks = if line.blocks == 1 { "block" } else { "blocks" };
    format!(
        "{peak} · {} over → {} {blocks} of {} × {price} = {amount} {currency}",
        grouped(line.billable),
        grouped(line.blocks),
        grouped(line.block)
    )
}

/// `22,000`
fn grouped(number: u64) -> String {
    grouped_decimal(&number.to_string())
}

/// `1,234.50`: the digits before the point in threes.
fn grouped_decimal(text: &str) -> String {
    let (units, places) = text
        .split_once('.')
        .map_or((text, None), |(units, places)| (units, Some(places)));
    let mut out = String::with_capacity(text.len() + text.len() / 3);
    for (at, digit) in units.chars().enumerate() {
        if at > 0 && (units.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(places) = places {
        out.push('.');
        out.push_str(places);
    }
    out
}

/// The names of the fields of [`csv`].
pub(super) const CSV_HEAD: &str = "app_id,month,plan,item,peak,peak_day,free,billable,block,blocks,unit_price,amount,currency,due_date,final";

/// One line for each line of a bill. No field holds a comma or a quote.
pub(super) fn csv(bill: &GetBillResponse) -> String {
    let line = |line: &BillLine| {
        [
            bill.app_id.to_string(),
            bill.month.clone(),
            line.plan.clone(),
            line.item.clone(),
            line.peak.to_string(),
            line.peak_day.clone(),
            line.free.to_string(),
            line.billable.to_string(),
            line.block.to_string(),
            line.blocks.to_string(),
            line.unit_price.clone(),
            line.amount.clone(),
            bill.currency.clone(),
            bill.due_date.clone(),
            bill.r#final.to_string(),
        ]
        .join(",")
    };
    bill.lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// For scripts.
pub(super) fn json(bill: &GetBillResponse) -> Value {
    json!({
        "app_id": bill.app_id,
        "month": bill.month,
        "plan": bill.plan,
        "currency": bill.currency,
        "lines": bill.lines.iter().map(line_json).collect::<Vec<_>>(),
        "total": bill.total,
        "due_date": bill.due_date,
        "final": bill.r#final,
        "notes": bill.notes,
        "forecast": bill.forecast.as_ref().map(forecast_json),
    })
}

fn forecast_json(forecast: &Forecast) -> Value {
    json!({
        "total": forecast.total,
        "lines": forecast.lines.iter().map(line_json).collect::<Vec<_>>(),
        "assumes": forecast.assumes,
    })
}

fn line_json(line: &BillLine) -> Value {
    json!({
        "item": line.item,
        "peak": line.peak,
        "peak_day": line.peak_day,
        "free": line.free,
        "billable": line.billable,
        "block": line.block,
        "blocks": line.blocks,
        "unit_price": line.unit_price,
        "amount": line.amount,
        "plan": line.plan,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> BillLine {
        BillLine {
            item: "daily_active".into(),
            peak: 22_000,
            peak_day: "2026-11-14".into(),
            free: 10_000,
            billable: 12_000,
            block: 10_000,
            blocks: 2,
            unit_price: "149.99".into(),
            amount: "299.98".into(),
            plan: "pro".into(),
        }
    }

    #[test]
    fn a_line_reads_as_a_person_would_write_it() {
        assert_eq!(
            words(&line(), "USD"),
            "peak 22,000 on 2026-11-14 · 10,000 free · 12,000 over → 2 blocks of 10,000 × 149.99 = 299.98 USD"
        );
        let free = BillLine {
            peak: 9_999,
            billable: 0,
            blocks: 0,
            amount: "0.00".into(),
            ..line()
        };
        assert_eq!(
            words(&free, "USD"),
            "peak 9,999 on 2026-11-14 · 10,000 free → 0.00 USD"
        );
    }

    #[test]
    fn numbers_are_grouped_by_threes() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped_decimal("1234.50"), "1,234.50");
        assert_eq!(grouped_decimal("149.99"), "149.99");
    }
}
