//! `release`: it was deleted.

use serde_json::json;

use super::words;
use crate::cli::Exit;
use crate::cli::args::ReleaseArgs;
use crate::cli::client::{Answer, NoAnswer, connect};
use crate::cli::table::below;
use crate::grpc::proto::{self, ReleaseRequest, ReleaseResponse};

pub(in crate::cli) async fn release(args: &ReleaseArgs) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common).await?;
    let request = client.request(ReleaseRequest {
        app_id: args.objects.app,
        resource: proto::Resource::from(args.objects.resource).into(),
        amount: args.objects.amount,
        request_id: args.objects.request_id.clone(),
        resource_id: args.objects.resource_id.clone(),
    });
    let reply = client.service.release(request).await?.into_inner();
    Ok(Answer {
        text: text(args, &reply),
        json: json(&reply),
        exit: Exit::Done,
    })
}

fn text(args: &ReleaseArgs, reply: &ReleaseResponse) -> String {
    let what = words::resource(proto::Resource::from(args.objects.resource).into());
    let (app, released) = (args.objects.app, reply.released);
    let sentence = match released {
        0 => format!("RELEASED nothing: no {what} of app {app} was counted"),
        _ => format!("RELEASED: {released} {what} of app {app}"),
    };
    let mut facts = vec![
        ("used", reply.used.to_string()),
        ("remaining", words::or_unlimited(reply.remaining)),
    ];
    if reply.replayed {
        facts.push(("note", words::REPLAYED.to_owned()));
    }
    below(&sentence, &facts)
}

fn json(reply: &ReleaseResponse) -> serde_json::Value {
    json!({
        "released": reply.released,
        "used": reply.used,
        "remaining": reply.remaining,
        "replayed": reply.replayed,
    })
}
