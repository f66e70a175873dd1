//! `cancel`: what was reserved does not exist.

use serde_json::json;

use crate::cli::Exit;
use crate::cli::args::CancelArgs;
use crate::cli::client::{Answer, NoAnswer, connect};
use crate::cli::table::below;
use crate::grpc::proto::CancelRequest;

pub(in crate::cli) async fn cancel(args: &CancelArgs) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common).await?;
    let (id, app) = (&args.reservation.request_id, args.reservation.app);
    let request = client.request(CancelRequest {
        app_id: app,
        request_id: id.clone(),
    });
    let replayed = client.service.cancel(request).await?.into_inner().replayed;
    let note = ("note", "replayed: it was cancelled before".to_owned());
    let facts: Vec<_> = replayed.then_some(note).into_iter().collect();
    Ok(Answer {
        text: below(&format!("CANCELLED: {id} of app {app}"), &facts),
        json: json!({ "replayed": replayed }),
        exit: Exit::Done,
    })
}
