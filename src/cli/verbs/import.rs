//! `objects import`: objects from before imquota was asked, by their names or as a number.

use std::io::Write;
use std::path::Path;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::time::timeout;

use super::lines::{Batch, batches, open};
use super::recount::recounted;
use crate::cli::Exit;
use crate::cli::admin::{AdminClient, connect};
use crate::cli::args::ImportArgs;
use crate::cli::client::{Answer, NoAnswer};
use crate::config::Environment;
use crate::grpc::proto::{self, ImportObjectsRequest, ImportObjectsResponse, RecountRequest};

/// The most calls under way.
const CALLS_MAX: usize = 4;
/// What the audit list says of a count that was set without names.
const REASON: &str = "onboarding";

/// Sets a count, where objects have no names.
pub(in crate::cli) async fn at_count(
    args: &ImportArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    let order = RecountRequest {
        app_id: args.app,
        resource: proto::Resource::from(args.resource).into(),
        to: args.at_count,
        reason: REASON.to_owned(),
        ..RecountRequest::default()
    };
    recounted(&args.common, environment, order).await
}

/// Sends the names of a file, and says on `progress` how far it is. What fails ends it after what is
/// under way.
pub(in crate::cli) async fn import(
    args: &ImportArgs,
    environment: &Environment,
    mut progress: Option<&mut dyn Write>,
) -> Result<Answer, NoAnswer> {
    let path = args.file.as_deref().unwrap_or(Path::new("-"));
    let lines = open(path).map_err(NoAnswer::Input)?;
    let connected = timeout(args.common.timeout, connect(&args.common, environment)).await;
    let client = connected.unwrap_or(Err(NoAnswer::TooLate))?;
    let cannot = |problem| NoAnswer::Input(format!("cannot begin: {problem}"));
    let mut batches = batches(lines).map_err(cannot)?;
    let mut calls = FuturesUnordered::new();
    let mut done = ImportObjectsResponse::default();
    let mut broken = None;
    let mut more = true;
    loop {
        tokio::select! {
            batch = batches.recv(), if more && calls.len() < CALLS_MAX => match batch {
                Some(Ok(names)) => calls.push(send(args, &client, names)),
                Some(Err(problem)) => {
                    let problem = format!("{}: {problem}", path.display());
                    broken.get_or_insert(NoAnswer::Input(problem));
                    more = false;
                }
                None => more = false,
            },
            Some(answer) = calls.next() => match answer {
                Ok(part) => {
                    add(&mut done, part);
                    tell(&mut progress, &done, "\r");
                }
                Err(why) => {
                    broken.get_or_insert(why);
                    more = false;
                }
            },
            else => break,
        }
    }
    tell(&mut progress, &done, "\n");
    let done = answer(&done);
    match broken {
        None => Ok(done),
        Some(why) => Err(NoAnswer::HalfDone {
            done: Box::new(done),
            why: Box::new(why),
        }),
    }
}

/// Sends one batch; each is waited for as long as one answer may take.
async fn send(
    args: &ImportArgs,
    client: &AdminClient,
    names: Batch,
) -> Result<ImportObjectsResponse, NoAnswer> {
    let request = client.request(ImportObjectsRequest {
        app_id: args.app,
        resource: proto::Resource::from(args.resource).into(),
        resource_ids: names,
    });
    let mut service = client.service.clone();
    let answer = timeout(args.common.timeout, service.import_objects(request)).await;
    Ok(answer.map_err(|_| NoAnswer::TooLate)??.into_inner())
}

fn add(done: &mut ImportObjectsResponse, part: ImportObjectsResponse) {
    done.named += part.named;
    done.counted += part.counted;
    done.known += part.known;
}

/// One line that is written over and over. Whoever does not look has no part in it.
fn tell(progress: &mut Option<&mut dyn Write>, done: &ImportObjectsResponse, end: &str) {
    if let Some(to) = progress {
        let objects = done.named + done.counted + done.known;
        let written = write!(to, "{objects} objects: {}{end}", text(done));
        let _ = written.and_then(|()| to.flush());
    }
}

fn answer(done: &ImportObjectsResponse) -> Answer {
    let ImportObjectsResponse {
        named,
        counted,
        known,
    } = done;
    Answer {
        text: text(done),
        json: json!({ "named": named, "counted": counted, "known": known }),
        exit: Exit::Done,
    }
}

fn text(done: &ImportObjectsResponse) -> String {
    let ImportObjectsResponse {
        named,
        counted,
        known,
    } = done;
    format!("named {named}, counted {counted}, known {known}")
}
