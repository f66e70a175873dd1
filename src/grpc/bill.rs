//! Bills in the contract's words.

use super::proto;
use crate::billing::{Bill, Forecast, Item, Line};
use crate::quota::AppId;

/// Writes a bill; without an app it is an estimate.
#[must_use]
pub fn bill(
    app: Option<AppId>,
    bill: &Bill,
    is_final: bool,
    notes: Vec<String>,
    forecast: Option<&Forecast>,
) -> proto::GetBillResponse {
    proto::GetBillResponse {
        app_id: app.map_or(0, AppId::get),
        month: bill.month.to_string(),
        plan: bill.plan.to_string(),
        currency: bill.currency.to_string(),
        lines: lines(bill),
        total: bill.total.to_string(),
        due_date: bill.due.to_string(),
        r#final: is_final,
        notes,
        forecast: forecast.map(|forecast| proto::Forecast {
            total: forecast.bill.total.to_string(),
            lines: lines(&forecast.bill),
            assumes: forecast.assumes.clone(),
        }),
    }
}

fn lines(bill: &Bill) -> Vec<proto::BillLine> {
    let line = |line: &Line| proto::BillLine {
        item: match line.item {
            Item::Plan => "plan",
            Item::DailyActive => "daily_active",
            Item::Groups => "groups",
        }
        .into(),
        peak: line.peak.count,
        peak_day: match (line.item, line.peak.day) {
            (_, Some(day)) => day.to_string(),
            (Item::Groups, None) if line.peak.count > 0 => bill.month.first_day().to_string(),
            (_, None) => String::new(),
        },
        free: line.free,
        billable: line.billable,
        block: line.block,
        blocks: line.blocks,
        unit_price: line.unit_price.to_string(),
        amount: line.amount.to_string(),
        plan: line.plan.to_string(),
    };
    bill.lines.iter().map(line).collect()
}
