//! `check`: may it be created?

use serde_json::json;

use super::words;
use crate::cli::Exit;
use crate::cli::args::CheckArgs;
use crate::cli::client::{Answer, NoAnswer, connect};
use crate::cli::table::below;
use crate::grpc::proto::{self, CheckMode, CheckRequest, CheckResponse, Decision};

pub(in crate::cli) async fn check(args: &CheckArgs) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common).await?;
    let request = client.request(request(args));
    let reply = client.service.check(request).await?.into_inner();
    Ok(answer(args, &reply))
}

fn request(args: &CheckArgs) -> CheckRequest {
    // The flags keep each other out.
    let mode = match (args.dry_run, args.exists, args.reserve) {
        (true, _, _) => CheckMode::DryRun,
        (false, true, _) => CheckMode::Record,
        (false, false, true) => CheckMode::Reserve,
        (false, false, false) => CheckMode::Count,
    };
    CheckRequest {
        app_id: args.objects.app,
        resource: proto::Resource::from(args.objects.resource).into(),
        amount: args.objects.amount,
        request_id: args.objects.request_id.clone(),
        resource_id: args.objects.resource_id.clone(),
        mode: mode.into(),
        // At most 10 minutes, so that it fits.
        hold: args.hold.and_then(|hold| hold.try_into().ok()),
    }
}

fn answer(args: &CheckArgs, reply: &CheckResponse) -> Answer {
    let exit = match reply.decision() {
        Decision::Allow => Exit::Done,
        Decision::Deny => Exit::Denied,
        Decision::Unspecified => Exit::Fault,
    };
    Answer {
        text: text(args, reply),
        json: json(reply),
        exit,
    }
}

fn text(args: &CheckArgs, reply: &CheckResponse) -> String {
    let what = words::resource(proto::Resource::from(args.objects.resource).into());
    let (app, amount) = (args.objects.app, args.objects.amount);
    let allowed = reply.decision() == Decision::Allow;
    let decision = if allowed { "ALLOW" } else { "DENY" };
    let mut sentence = format!("{decision}: {amount} {what} for app {app}");
    if args.dry_run {
        sentence += " (dry run: nothing is counted)";
    }
    if args.exists && allowed {
        sentence += " (it exists: it is counted in any case)";
    }
    if args.reserve && allowed {
        sentence += " (reserved: it counts when it is confirmed)";
    }
    if reply.reason != 0 {
        sentence += ": ";
        sentence += words::reason(reply.reason);
    }
    // On a refusal an absent limit may also be one that is not known: nothing is said of it then.
    let limits = [("limit", reply.limit), ("remaining", reply.remaining)];
    let mut facts = Vec::new();
    if reply.im_error_code != 0 {
        facts.push(("IM code", reply.im_error_code.to_string()));
    }
    if allowed || reply.limit.is_some() {
        facts.push(("used", reply.used.to_string()));
        facts.extend(limits.map(|(name, limit)| (name, words::or_unlimited(limit))));
    }
    if let Some(after) = &reply.retry_after {
        facts.push(("retry after", words::duration(after)));
    }
    facts.push(("source", words::source(reply.source).to_owned()));
    for (said, note) in [
        (reply.replayed, words::REPLAYED),
        (reply.already_counted, words::ALREADY_COUNTED),
        (reply.shadowed, "shadow mode: it would have been refused"),
    ] {
        if said {
            facts.push(("note", note.to_owned()));
        }
    }
    below(&sentence, &facts)
}

fn json(reply: &CheckResponse) -> serde_json::Value {
    let fault = reply
        .fault
        .as_ref()
        .map(|fault| json!({ "code": fault.code, "field": fault.field, "message": fault.message }));
    json!({
        "decision": words::decision_json(reply.decision),
        "reason": words::reason_json(reply.reason),
        "im_error_code": reply.im_error_code,
        "limit": reply.limit,
        "used": reply.used,
        "remaining": reply.remaining,
        "source": words::source_json(reply.source),
        "replayed": reply.replayed,
        "already_counted": reply.already_counted,
        "shadowed": reply.shadowed,
        "retry_after": reply.retry_after.as_ref().map(words::duration),
        "fault": fault,
    })
}
