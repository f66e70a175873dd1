//! `recount --file`: many counts are set, one after the other.

use std::collections::HashMap;
use std::io::{BufRead, Read as _, Write};
use std::path::Path;

use clap::ValueEnum as _;
use serde_json::json;
use tokio::time::timeout;

use super::lines::open;
use super::progress::Progress;
use super::{recount, words};
use crate::cli::Exit;
use crate::cli::admin::connect;
use crate::cli::args::{RecountArgs, Resource};
use crate::cli::client::{Answer, NoAnswer};
use crate::config::Environment;
use crate::grpc::proto::{self, RecountRequest, RecountResponse};
use crate::quota::{AppId, Limit};

/// The most counts in a file: three of each of more apps than an installation has.
const COUNTS_MAX: usize = 1_000_000;
/// The most bytes of a line: an app, a resource and a number are shorter.
const LINE_BYTES_MAX: usize = 64;

/// What a line says, and which line that is.
#[derive(Debug, PartialEq, Eq)]
struct Order {
    line: usize,
    app: u64,
    resource: proto::Resource,
    to: u64,
}

/// Sets the counts of a file, and draws on `terminal` how far it is. The file is read before the first is set; what fails
/// ends it.
pub(in crate::cli) async fn recount_all(
    args: &RecountArgs,
    environment: &Environment,
    terminal: Option<&mut dyn Write>,
) -> Result<Answer, NoAnswer> {
    let path = args.file.as_deref().unwrap_or(Path::new("-"));
    let wrong =
        |problem| NoAnswer::Input(format!("{}: {problem}; nothing was set", path.display()));
    let orders = read(open(path).map_err(NoAnswer::Input)?).map_err(wrong)?;
    let connected = timeout(args.common.timeout, connect(&args.common, environment)).await;
    let mut client = connected.unwrap_or(Err(NoAnswer::TooLate))?;
    let mut progress = Progress::new(terminal, Some(orders.len() as u64));
    let mut done = Vec::new();
    for order in &orders {
        let request = RecountRequest {
            app_id: order.app,
            resource: order.resource.into(),
            to: Some(order.to),
            reason: args.why.reason.clone(),
            ..RecountRequest::default()
        };
        let call = client.request(request.clone());
        let reply = match timeout(args.common.timeout, client.service.recount(call)).await {
            Ok(reply) => reply.map_err(NoAnswer::from),
            Err(_) => Err(NoAnswer::TooLate),
        };
        match reply {
            Ok(reply) => done.push((request, reply.into_inner())),
            Err(why) => {
                progress.ends(false, &so_far(&done));
                return Err(NoAnswer::BrokenOff {
                    done: Box::new(answer(&done)),
                    why: Box::new(why),
                    line: order.line,
                });
            }
        }
        progress.adds(1, &so_far(&done));
    }
    progress.ends(true, &so_far(&done));
    Ok(answer(&done))
}

fn so_far(done: &[(RecountRequest, RecountResponse)]) -> String {
    format!("{} counts set", done.len())
}

fn answer(done: &[(RecountRequest, RecountResponse)]) -> Answer {
    let texts = done
        .iter()
        .map(|(order, reply)| recount::text(order, reply));
    let whole: Vec<_> = texts.chain([so_far(done)]).collect();
    let each = done.iter().map(|(order, reply)| {
        let mut told = recount::json(reply);
        told["app_id"] = json!(order.app_id);
        told["resource"] = words::resource_json(order.resource);
        told
    });
    Answer {
        text: whole.join("\n"),
        json: json!({ "recounts": each.collect::<Vec<_>>() }),
        exit: Exit::Done,
    }
}

/// The orders of a file: no count is set twice by one.
fn read(mut lines: impl BufRead) -> Result<Vec<Order>, String> {
    let mut orders = Vec::new();
    let mut seen = HashMap::new();
    for line in 1.. {
        let mut text = Vec::with_capacity(LINE_BYTES_MAX);
        let mut bounded = (&mut lines).take(LINE_BYTES_MAX as u64);
        let read = bounded.read_until(b'\n', &mut text);
        if read.map_err(|problem| format!("line {line}: {problem}"))? == 0 {
            break;
        }
        if text.len() == LINE_BYTES_MAX && !text.ends_with(b"\n") {
            return Err(format!(
                "line {line}: is too long: at most {LINE_BYTES_MAX} bytes"
            ));
        }
        let order = str::from_utf8(&text)
            .map_err(|_| "holds bytes that are no text".to_owned())
            .and_then(|text| parse(text.trim(), line))
            .map_err(|problem| format!("line {line}: {problem}"))?;
        let Some(order) = order else { continue };
        if let Some(first) = seen.insert((order.app, order.resource), line) {
            return Err(format!("line {line}: line {first} sets the same count"));
        }
        if orders.len() == COUNTS_MAX {
            return Err(format!(
                "line {line}: a file has at most {COUNTS_MAX} counts"
            ));
        }
        orders.push(order);
    }
    Ok(orders)
}

/// One line; `None`: it is empty.
fn parse(text: &str, line: usize) -> Result<Option<Order>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    let [app, resource, to] = parts[..] else {
        return Err(
            "is to be an app, a resource and a number, as 1400000001,account,42".to_owned(),
        );
    };
    let number = app.parse().ok().and_then(AppId::new);
    let app =
        number.ok_or_else(|| format!("{app:?} is no app: an SDKAppID is a number from 1 on"))?;
    let resource = Resource::from_str(resource, false)
        .map_err(|_| format!("{resource:?} is no resource: account, group or av-room"))?;
    let to = to.parse().ok().filter(|to| *to <= Limit::MAX);
    let to = to.ok_or_else(|| format!("the number is to be one from 0 to {}", Limit::MAX))?;
    Ok(Some(Order {
        line,
        app: app.get(),
        resource: resource.into(),
        to,
    }))
}

#[cfg(test)]
mod tests {
    use proto::Resource::{Account, AvRoom, Group};

    use super::*;

    #[test]
    fn a_line_is_an_app_a_resource_and_a_number() {
        let text = b"7,account,42\n\n 8 , av-room , 0 \r\n7,group,1";
        let orders = read(&text[..]).expect("it is good");
        let told = |order: &Order| (order.line, order.app, order.resource, order.to);
        let told: Vec<_> = orders.iter().map(told).collect();
        assert_eq!(
            told,
            [(1, 7, Account, 42), (3, 8, AvRoom, 0), (4, 7, Group, 1)]
        );
        assert_eq!(read(&b""[..]), Ok(vec![]));
    }

    #[test]
    fn a_bad_line_is_named() {
        let form = "is to be an app, a resource and a number, as 1400000001,account,42";
        let most = format!("the number is to be one from 0 to {}", Limit::MAX);
        for (bad, words) in [
            ("7,account", form),
            ("7,account,1,2", form),
            (
                "app,resource,number",
                "\"app\" is no app: an SDKAppID is a number from 1 on",
            ),
            (
                "0,account,1",
                "\"0\" is no app: an SDKAppID is a number from 1 on",
            ),
            (
                "7,room,1",
                "\"room\" is no resource: account, group or av-room",
            ),
            ("7,account,-1", &most),
            ("7,account,9007199254740993", &most),
            ("7,account,1", "line 1 sets the same count"),
            (
                &format!("8,account,1{}8,group,1", " ".repeat(60)),
                "is too long: at most 64 bytes",
            ),
        ] {
            let text = format!("7,account,2\n{bad}\n8,group,3\n");
            let wrong = read(text.as_bytes()).expect_err(bad);
            assert_eq!(wrong, format!("line 2: {words}"));
        }
        let wrong = read(&b"\xff\n"[..]).expect_err("it is no text");
        assert_eq!(wrong, "line 1: holds bytes that are no text");
    }
}
