//! `bill correct`: a sealed day is set to what is true of it.

use serde_json::{Value, json};

use crate::cli::Exit;
use crate::cli::admin::connect;
use crate::cli::args::BillCorrectArgs;
use crate::cli::bill;
use crate::cli::client::{Answer, NoAnswer};
use crate::cli::table::below;
use crate::config::Environment;
use crate::grpc::proto::{CorrectDayRequest, CorrectDayResponse, CountChange, GetBillResponse};

pub(in crate::cli) async fn correct(
    args: &BillCorrectArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common, environment).await?;
    let request = client.request(CorrectDayRequest {
        app_id: args.app,
        day: args.day.clone(),
        daily_active: args.daily_active,
        groups: args.groups,
        reason: args.reason.clone(),
    });
    let reply = client.service.correct_day(request).await?.into_inner();
    Ok(Answer {
        text: text(args.app, &reply),
        json: json(&reply),
        exit: Exit::Done,
    })
}

fn text(app: u64, reply: &CorrectDayResponse) -> String {
    let mut facts = Vec::new();
    for (name, change) in [
        ("daily active users", &reply.daily_active),
        ("groups", &reply.groups),
    ] {
        if let Some(CountChange { from, to }) = change {
            facts.push((name, format!("{from} → {to}")));
        }
    }
    let nothing = GetBillResponse::default();
    let bill = reply.bill.as_ref().unwrap_or(&nothing);
    let before = format!("{} {}", reply.total_before, bill.currency);
    facts.push(("total before", before));
    let by = format!("{} {}", reply.difference, bill.currency);
    facts.push(("difference", by));
    let head = below(&format!("CORRECTED: {} of app {app}", reply.day), &facts);
    format!("{head}\n\n{}", bill::text(bill))
}

fn json(reply: &CorrectDayResponse) -> Value {
    let change = |change: &CountChange| json!({ "from": change.from, "to": change.to });
    json!({
        "day": reply.day,
        "daily_active": reply.daily_active.as_ref().map(change),
        "groups": reply.groups.as_ref().map(change),
        "bill": reply.bill.as_ref().map(bill::json),
        "total_before": reply.total_before,
        "difference": reply.difference,
    })
}
