//! `recount`: a count is set to what really exists.

use serde_json::json;

use super::words;
use crate::cli::Exit;
use crate::cli::admin::connect;
use crate::cli::args::{AdminCommon, RecountArgs};
use crate::cli::client::{Answer, NoAnswer};
use crate::cli::table::below;
use crate::config::Environment;
use crate::grpc::proto::{self, RecountRequest, RecountResponse};

pub(in crate::cli) async fn recount(
    args: &RecountArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    // Both are there: without them, and without a file, the arguments are refused.
    let resource = args.resource.map(proto::Resource::from);
    let order = RecountRequest {
        app_id: args.app.unwrap_or_default(),
        resource: resource.unwrap_or_default().into(),
        to: args.to,
        dry_run: args.dry_run,
        token: args.token.unwrap_or(0),
        reason: args.why.reason.clone(),
        cancel: args.cancel,
    };
    recounted(&args.common, environment, order).await
}

/// Has a count set, and says what it was and is.
pub(super) async fn recounted(
    common: &AdminCommon,
    environment: &Environment,
    order: RecountRequest,
) -> Result<Answer, NoAnswer> {
    let mut client = connect(common, environment).await?;
    let request = client.request(order.clone());
    let reply = client.service.recount(request).await?.into_inner();
    Ok(Answer {
        text: text(&order, &reply),
        json: json(&reply),
        exit: Exit::Done,
    })
}

pub(super) fn text(order: &RecountRequest, reply: &RecountResponse) -> String {
    let what = words::resource(order.resource);
    let (app, token) = (order.app_id, reply.token);
    if order.cancel {
        return format!("CALLED OFF: app {app} is not frozen under token {token} any more");
    }
    let mut facts = vec![("was", reply.from.to_string())];
    let sentence = if let Some(to) = reply.to {
        facts.push(("is", to.to_string()));
        if reply.held > 0 {
            let held = format!("{} beside it, whose answers are on their way", reply.held);
            facts.push(("held", held));
        }
        format!("RECOUNTED: {what} of app {app}")
    } else {
        let name = format!("imquota recount --app {app} --resource {what}");
        if let Some(to) = order.to {
            let by = i128::from(to) - i128::from(reply.from);
            facts.push(("would be", format!("{to} ({by:+})")));
        }
        facts.push(("token", token.to_string()));
        facts.push(("count now", format!("{name} --to N --token {token}")));
        facts.push(("call off", format!("{name} --cancel --token {token}")));
        let until = reply.frozen_until.as_ref().and_then(words::time);
        let until = until.unwrap_or_default();
        format!("FROZEN until {until}: {what} of app {app}; nothing was changed")
    };
    if !reply.all_told {
        facts.push((
            "note",
            "not every sidecar had told what it counted; `imquota members list` shows who is silent"
                .to_owned(),
        ));
    }
    below(&sentence, &facts)
}

pub(super) fn json(reply: &RecountResponse) -> serde_json::Value {
    json!({
        "token": reply.token,
        "from": reply.from,
        "to": reply.to,
        "held": reply.held,
        "all_told": reply.all_told,
        "frozen_until": reply.frozen_until.as_ref().and_then(words::time),
    })
}
