//! `log-filter`: which log lines a running server writes.

use serde_json::json;

use super::words;
use crate::cli::Exit;
use crate::cli::admin::connect;
use crate::cli::args::LogFilterArgs;
use crate::cli::client::{Answer, NoAnswer};
use crate::config::Environment;
use crate::grpc::proto::SetLogFilterRequest;

pub(in crate::cli) async fn log_filter(
    args: &LogFilterArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common, environment).await?;
    let request = client.request(SetLogFilterRequest {
        filter: args.filter.clone(),
        // At most a day, by its parser.
        lasts: args.lasts.try_into().ok(),
    });
    let reply = client.service.set_log_filter(request).await?.into_inner();
    let until = reply.until.as_ref().and_then(words::time);
    let text = match &until {
        Some(until) => format!("SET: {} until {until}", reply.filter),
        None => format!("SET: {}, as the server began", reply.filter),
    };
    Ok(Answer {
        text,
        json: json!({ "filter": reply.filter, "until": until }),
        exit: Exit::Done,
    })
}
