//! `objects import`: objects from before imquota was asked, by their names or as a number.

use std::io::Write;
use std::path::Path;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::time::timeout;

use super::lines::{Batch, batches, open, size};
use super::progress::Progress;
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

/// Sends the names of a file, and draws on `terminal` how far it is. What fails ends it after what is
/// under way.
pub(in crate::cli) async fn import(
    args: &ImportArgs,
    environment: &Environment,
    terminal: Option<&mut dyn Write>,
) -> Result<Answer, NoAnswer> {
    let path = args.file.as_deref().unwrap_or(Path::new("-"));
    let lines = open(path).map_err(NoAnswer::Input)?;
    let connected = timeout(args.common.timeout, connect(&args.common, environment)).await;
    let client = connected.unwrap_or(Err(NoAnswer::TooLate))?;
    let cannot = |problem| NoAnswer::Input(format!("cannot begin: {problem}"));
    let mut batches = batches(lines).map_err(cannot)?;
    let mut calls = FuturesUnordered::new();
    let mut progress = Progress::new(terminal, size(path));
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
                Ok((part, bytes)) => {
                    add(&mut done, part);
                    progress.adds(bytes, &so_far(&done));
                }
                Err(why) => {
                    broken.get_or_insert(why);
                    more = false;
                }
            },
            else => break,
        }
    }
    progress.ends(broken.is_none(), &so_far(&done));
    let done = answer(&done);
    match broken {
        None => Ok(done),
        Some(why) => Err(NoAnswer::HalfDone {
            done: Box::new(done),
            why: Box::new(why),
        }),
    }
}

/// Sends one batch; each is waited for as long as one answer may take. Answers how many bytes of the file it was as well.
async fn send(
    args: &ImportArgs,
    client: &AdminClient,
    names: Batch,
) -> Result<(ImportObjectsResponse, u64), NoAnswer> {
    let bytes = names.iter().map(|name| name.len() as u64 + 1).sum();
    let request = client.request(ImportObjectsRequest {
        app_id: args.app,
        resource: proto::Resource::from(args.resource).into(),
        resource_ids: names,
    });
    let mut service = client.service.clone();
    let answer = timeout(args.common.timeout, service.import_objects(request)).await;
    let answer = answer.map_err(|_| NoAnswer::TooLate)??;
    Ok((answer.into_inner(), bytes))
}

fn add(done: &mut ImportObjectsResponse, part: ImportObjectsResponse) {
    done.named += part.named;
    done.counted += part.counted;
    done.known += part.known;
}

fn so_far(done: &ImportObjectsResponse) -> String {
    let objects = done.named + done.counted + done.known;
    format!("{objects} objects: {}", text(done))
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
