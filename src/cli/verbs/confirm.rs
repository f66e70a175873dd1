//! `confirm`: what was reserved exists now.

use serde_json::json;

use super::words;
use crate::cli::Exit;
use crate::cli::args::ConfirmArgs;
use crate::cli::client::{Answer, NoAnswer, connect};
use crate::cli::table::below;
use crate::grpc::proto::{ConfirmRequest, ConfirmResponse};

pub(in crate::cli) async fn confirm(args: &ConfirmArgs) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common).await?;
    let request = client.request(ConfirmRequest {
        app_id: args.reservation.app,
        request_id: args.reservation.request_id.clone(),
        resource_id: args.resource_id.clone(),
    });
    let reply = client.service.confirm(request).await?.into_inner();
    Ok(Answer {
        text: text(args, &reply),
        json: json(&reply),
        exit: Exit::Done,
    })
}

fn text(args: &ConfirmArgs, reply: &ConfirmResponse) -> String {
    let reservation = &args.reservation;
    let (id, app) = (&reservation.request_id, reservation.app);
    let mut facts = vec![("used", reply.used.to_string())];
    for (said, note) in [
        (reply.replayed, "replayed: it was confirmed before"),
        (
            reply.late,
            "late: it had expired, and is counted all the same",
        ),
        (reply.already_counted, words::ALREADY_COUNTED),
    ] {
        if said {
            facts.push(("note", note.to_owned()));
        }
    }
    below(&format!("CONFIRMED: {id} of app {app}"), &facts)
}

fn json(reply: &ConfirmResponse) -> serde_json::Value {
    json!({
        "used": reply.used,
        "late": reply.late,
        "already_counted": reply.already_counted,
        "replayed": reply.replayed,
    })
}
