//! `record-active`: users logged in.

use serde_json::json;

use super::words;
use crate::cli::Exit;
use crate::cli::args::RecordActiveArgs;
use crate::cli::client::{Answer, NoAnswer, connect};
use crate::cli::table::below;
use crate::grpc::proto::{RecordActiveRequest, RecordActiveResponse};

pub(in crate::cli) async fn record_active(args: &RecordActiveArgs) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common).await?;
    let request = client.request(request(args));
    let reply = client.service.record_active(request).await?.into_inner();
    Ok(Answer {
        text: text(args, &reply),
        json: json(&reply),
        exit: Exit::Done,
    })
}

fn request(args: &RecordActiveArgs) -> RecordActiveRequest {
    RecordActiveRequest {
        app_id: args.app,
        user_ids: args.user.clone(),
        at: args.at.map(|at| {
            // The protocol counts nanoseconds forwards, also before 1970.
            let nanos = i32::try_from(at.as_nanosecond().rem_euclid(1_000_000_000));
            let seconds = at.as_nanosecond().div_euclid(1_000_000_000);
            prost_types::Timestamp {
                seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
                nanos: nanos.unwrap_or(0),
            }
        }),
        increment: args.increment.unwrap_or(0),
        request_id: args.request_id.clone(),
    }
}

fn text(args: &RecordActiveArgs, reply: &RecordActiveResponse) -> String {
    let sentence = format!(
        "RECORDED: {} newly active for app {} on {}",
        reply.newly_active, args.app, reply.day
    );
    let mut facts = vec![
        ("daily active", reply.daily_active.to_string()),
        ("source", words::source(reply.source).to_owned()),
    ];
    if reply.replayed {
        facts.push(("note", words::REPLAYED.to_owned()));
    }
    below(&sentence, &facts)
}

fn json(reply: &RecordActiveResponse) -> serde_json::Value {
    json!({
        "newly_active": reply.newly_active,
        "daily_active": reply.daily_active,
        "day": reply.day,
        "source": words::source_json(reply.source),
        "replayed": reply.replayed,
    })
}
