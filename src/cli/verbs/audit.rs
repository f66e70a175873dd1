//! `audit`: what operators did.

use serde_json::json;

use super::words;
use crate::cli::Exit;
use crate::cli::admin::connect;
use crate::cli::args::AuditArgs;
use crate::cli::client::{Answer, NoAnswer};
use crate::cli::table::{Side, aligned};
use crate::config::Environment;
use crate::grpc::proto::{AuditEntry, ListAuditRequest};

pub(in crate::cli) async fn audit(
    args: &AuditArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common, environment).await?;
    let request = client.request(ListAuditRequest {
        app_id: args.app.unwrap_or(0),
        limit: args.limit,
    });
    let reply = client.service.list_audit(request).await?.into_inner();
    let entries: Vec<_> = reply.entries.iter().map(entry_json).collect();
    Ok(Answer {
        text: text(&reply.entries),
        json: json!({ "entries": entries }),
        exit: Exit::Done,
    })
}

fn text(entries: &[AuditEntry]) -> String {
    if entries.is_empty() {
        return "nothing was done yet".to_owned();
    }
    let head = ["at", "what", "app", "of", "from", "to", "who", "why"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let count = |count: Option<i64>| count.map(|count| count.to_string()).unwrap_or_default();
    rows.extend(entries.iter().map(|entry| {
        let app = (entry.app_id != 0).then(|| entry.app_id.to_string());
        vec![
            at(entry).unwrap_or_default(),
            entry.what.clone(),
            app.unwrap_or_default(),
            entry.subject.clone(),
            count(entry.from),
            count(entry.to),
            entry.who.clone(),
            entry.reason.clone(),
        ]
    }));
    let [left, right] = [Side::Left, Side::Right];
    aligned(&rows, &[left, left, right, left, right, right, left, left])
}

fn entry_json(entry: &AuditEntry) -> serde_json::Value {
    json!({
        "at": at(entry),
        "who": entry.who,
        "what": entry.what,
        "app_id": entry.app_id,
        "subject": entry.subject,
        "from": entry.from,
        "to": entry.to,
        "reason": entry.reason,
    })
}

fn at(entry: &AuditEntry) -> Option<String> {
    entry.at.as_ref().and_then(words::time)
}
