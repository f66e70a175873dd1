//! `usage`: an app's counts and limits.

use serde_json::json;

use super::words;
use crate::cli::Exit;
use crate::cli::args::UsageArgs;
use crate::cli::client::{Answer, NoAnswer, connect};
use crate::cli::table::{Side, aligned};
use crate::grpc::proto::{GetUsageRequest, GetUsageResponse};

pub(in crate::cli) async fn usage(args: &UsageArgs) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common).await?;
    let request = client.request(GetUsageRequest { app_id: args.app });
    let reply = client.service.get_usage(request).await?.into_inner();
    Ok(Answer {
        text: text(&reply),
        json: json(&reply),
        exit: Exit::Done,
    })
}

fn text(reply: &GetUsageResponse) -> String {
    let as_of = reply
        .as_of
        .as_ref()
        .and_then(words::time)
        .unwrap_or_default();
    let mut text = format!(
        "app {}, plan {}, as of {as_of}\n\n",
        reply.app_id, reply.plan
    );
    let head = ["resource", "used", "held", "limit", "remaining"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(reply.resources.iter().map(|one| {
        vec![
            words::resource(one.resource).to_owned(),
            one.used.to_string(),
            one.held.to_string(),
            words::or_unlimited(one.limit),
            words::or_unlimited(one.remaining),
        ]
    }));
    let sides = [
        Side::Left,
        Side::Right,
        Side::Right,
        Side::Right,
        Side::Right,
    ];
    text.push_str(&aligned(&rows, &sides));
    text.push_str("\n\n");
    let totals = [
        ("daily active users", reply.daily_active.to_string()),
        (
            "  this month's peak",
            reply.month_peak_daily_active.to_string(),
        ),
        ("groups gained today", reply.groups_gained_today.to_string()),
        ("  at most", words::or_unlimited(reply.groups_gained_limit)),
        (
            "groups, this month's peak",
            reply.month_peak_groups.to_string(),
        ),
    ];
    let rows: Vec<_> = totals
        .into_iter()
        .map(|(name, worth)| vec![name.to_owned(), worth])
        .collect();
    text.push_str(&aligned(&rows, &[Side::Left, Side::Right]));
    if reply.degraded {
        text.push_str("\n\nThe ledger could not be asked: these are this sidecar's own numbers.");
    }
    text
}

fn json(reply: &GetUsageResponse) -> serde_json::Value {
    let resources: Vec<_> = reply
        .resources
        .iter()
        .map(|one| {
            json!({
                "resource": words::resource_json(one.resource),
                "used": one.used,
                "held": one.held,
                "limit": one.limit,
                "remaining": one.remaining,
            })
        })
        .collect();
    json!({
        "app_id": reply.app_id,
        "plan": reply.plan,
        "resources": resources,
        "daily_active": reply.daily_active,
        "month_peak_daily_active": reply.month_peak_daily_active,
        "month_peak_groups": reply.month_peak_groups,
        "as_of": reply.as_of.as_ref().and_then(words::time),
        "degraded": reply.degraded,
        "groups_gained_today": reply.groups_gained_today,
        "groups_gained_limit": reply.groups_gained_limit,
    })
}
