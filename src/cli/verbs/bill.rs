//! `bill` and `bill run`: what a month costs.

use std::io::Write;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::progress::Progress;
use crate::cli::Exit;
use crate::cli::admin::connect;
use crate::cli::args::{BillRunArgs, BillShowArgs};
use crate::cli::bill;
use crate::cli::client::{self, Answer, NoAnswer};
use crate::config::Environment;
use crate::grpc::proto::billing_service_client::BillingServiceClient;
use crate::grpc::proto::{GetBillRequest, RunBill, RunBillsRequest};

/// How many bills are asked for at a time.
const PAGE: u32 = 200;

pub(in crate::cli) async fn show(args: &BillShowArgs) -> Result<Answer, NoAnswer> {
    let channel = client::channel(&args.common).await?;
    let mut request = tonic::Request::new(GetBillRequest {
        // Both are there: without them the arguments are refused.
        app_id: args.app.unwrap_or_default(),
        month: args.month.clone().unwrap_or_default(),
    });
    request.set_timeout(args.common.timeout);
    client::shown(&mut request, client::bearer(&args.common)?.as_ref());
    let mut service = BillingServiceClient::new(channel);
    let reply = service.get_bill(request).await?.into_inner();
    let text = if args.csv {
        format!("{}\n{}", bill::CSV_HEAD, bill::csv(&reply))
    } else {
        bill::text(&reply)
    };
    Ok(Answer {
        text,
        json: bill::json(&reply),
        exit: Exit::Done,
    })
}

/// Has the bills of a month written, page by page, and says on `terminal` how far it is.
pub(in crate::cli) async fn run(
    args: &BillRunArgs,
    environment: &Environment,
    terminal: Option<&mut dyn Write>,
) -> Result<Answer, NoAnswer> {
    let connected = timeout(args.common.timeout, connect(&args.common, environment)).await;
    let mut client = connected.unwrap_or(Err(NoAnswer::TooLate))?;
    // How many apps there are is known to nobody before the last page.
    let mut progress = Progress::new(terminal, None);
    let mut bills: Vec<RunBill> = Vec::new();
    let mut after = 0;
    loop {
        let request = client.request(RunBillsRequest {
            month: args.month.clone(),
            after_app_id: after,
            page_size: PAGE,
        });
        let page = timeout(args.common.timeout, client.service.run_bills(request)).await;
        let page = match page {
            Ok(page) => page.map_err(NoAnswer::from),
            Err(_) => Err(NoAnswer::TooLate),
        };
        match page {
            Ok(page) => {
                let page = page.into_inner();
                bills.extend(page.bills);
                after = page.next_after_app_id;
                let so_far = format!("bills of {} apps, up to {after}", bills.len());
                if after != 0 {
                    progress.adds(0, &so_far);
                }
            }
            Err(why) if bills.is_empty() => return Err(why),
            Err(why) => {
                progress.ends(false, "broken off");
                return Err(NoAnswer::HalfDone {
                    done: Box::new(answer(args, &bills)),
                    why: Box::new(why),
                });
            }
        }
        if after == 0 {
            break;
        }
    }
    progress.ends(true, &format!("bills of {} apps", bills.len()));
    let done = answer(args, &bills);
    // A file of bills has no place for what is missing in it.
    if args.csv && done.exit != Exit::Done {
        let told = problems(&bills).collect::<Vec<_>>().join("\n");
        return Err(NoAnswer::Problems {
            done: Box::new(done),
            told,
        });
    }
    Ok(done)
}

fn answer(args: &BillRunArgs, bills: &[RunBill]) -> Answer {
    let failed = bills.iter().any(|run| run.bill.is_none());
    Answer {
        text: if args.csv {
            csv(bills)
        } else {
            text(args, bills)
        },
        json: json!({ "bills": bills.iter().map(run_json).collect::<Vec<_>>() }),
        exit: if failed { Exit::Fault } else { Exit::Done },
    }
}

fn problems(bills: &[RunBill]) -> impl Iterator<Item = String> {
    let problems = bills.iter().filter(|run| run.bill.is_none());
    problems.map(|run| format!("app {}: {}", run.app_id, run.problem))
}

fn csv(bills: &[RunBill]) -> String {
    let lines = bills.iter().filter_map(|run| run.bill.as_ref());
    let lines = lines.map(bill::csv);
    let mut all = vec![bill::CSV_HEAD.to_owned()];
    all.extend(lines);
    all.join("\n")
}

fn text(args: &BillRunArgs, bills: &[RunBill]) -> String {
    let written = bills.iter().filter(|run| run.written_now).count();
    let problems: Vec<_> = problems(bills).collect();
    let before = bills.len() - written - problems.len();
    let head = format!(
        "{}: {written} bills written, {before} were written before",
        args.month
    );
    std::iter::once(head)
        .chain(problems)
        .collect::<Vec<_>>()
        .join("\n")
}

fn run_json(run: &RunBill) -> Value {
    json!({
        "app_id": run.app_id,
        "bill": run.bill.as_ref().map(bill::json),
        "written_now": run.written_now,
        "problem": run.problem,
    })
}
