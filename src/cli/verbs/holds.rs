//! `holds`: reservations that are neither confirmed nor ended.

use serde_json::json;

use super::words;
use crate::cli::Exit;
use crate::cli::admin::connect;
use crate::cli::args::HoldsArgs;
use crate::cli::client::{Answer, NoAnswer};
use crate::cli::table::{Side, aligned};
use crate::config::Environment;
use crate::grpc::proto::{HoldInfo, ListHoldsRequest};

pub(in crate::cli) async fn holds(
    args: &HoldsArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common, environment).await?;
    let request = client.request(ListHoldsRequest {
        app_id: args.app,
        page_size: args.limit,
    });
    let reply = client.service.list_holds(request).await?.into_inner();
    let holds: Vec<_> = reply.holds.iter().map(hold_json).collect();
    Ok(Answer {
        text: text(args, &reply.holds),
        json: json!({ "holds": holds }),
        exit: Exit::Done,
    })
}

fn text(args: &HoldsArgs, holds: &[HoldInfo]) -> String {
    let app = args.app;
    if holds.is_empty() {
        return format!("app {app} has no reservation that is neither confirmed nor ended");
    }
    let head = ["request id", "resource", "amount", "expires at", "standing"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(holds.iter().map(|hold| {
        let standing = if hold.in_doubt { "in doubt" } else { "held" };
        vec![
            hold.request_id.clone(),
            words::resource(hold.resource).to_owned(),
            hold.amount.to_string(),
            expires_at(hold).unwrap_or_default(),
            standing.to_owned(),
        ]
    }));
    let [left, right] = [Side::Left, Side::Right];
    let mut text = aligned(&rows, &[left, left, right, left, left]);
    if holds.iter().any(|hold| hold.in_doubt) {
        let advice = format!(
            "in doubt: look whether the object exists; if it does: imquota confirm --app {app} \
             --request-id ID, else: imquota cancel --app {app} --request-id ID"
        );
        text = format!("{text}\n\n{advice}");
    }
    text
}

fn hold_json(hold: &HoldInfo) -> serde_json::Value {
    json!({
        "request_id": hold.request_id,
        "resource": words::resource_json(hold.resource),
        "amount": hold.amount,
        "expires_at": expires_at(hold),
        "in_doubt": hold.in_doubt,
    })
}

fn expires_at(hold: &HoldInfo) -> Option<String> {
    hold.expires_at.as_ref().and_then(words::time)
}
