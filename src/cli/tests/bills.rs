//! The verbs about bills.

use serde_json::json;
use tonic::Status;

use super::stub::{Answers, Stub};
use super::{run, run_at};
use crate::cli::Exit;
use crate::grpc::proto::{BillLine, Forecast, GetBillResponse, RunBill, RunBillsResponse};

fn line() -> BillLine {
    BillLine {
        item: "daily_active".into(),
        peak: 22_000,
        peak_day: "2026-11-14".into(),
        free: 10_000,
        billable: 12_000,
        block: 10_000,
        blocks: 2,
        unit_price: "149.99".into(),
        amount: "299.98".into(),
        plan: "pro".into(),
    }
}

fn bill() -> GetBillResponse {
    GetBillResponse {
        app_id: 7,
        month: "2026-11".into(),
        plan: "pro".into(),
        currency: "USD".into(),
        lines: vec![line()],
        total: "299.98".into(),
        due_date: "2026-12-03".into(),
        notes: vec!["plan pro from 2026-11-02 on".into()],
        ..GetBillResponse::default()
    }
}

#[test]
fn a_bill_is_told_as_one_would_tell_it() {
    let forecast = Forecast {
        total: "1234.50".into(),
        lines: vec![line()],
        assumes: "nothing changes".into(),
    };
    let stub = Stub::on_tcp(Answers {
        bill: Some(Ok(GetBillResponse {
            forecast: Some(forecast),
            ..bill()
        })),
        ..Answers::default()
    });
    let verb = format!("bill --app 7 --month 2026-11 --endpoint {}", stub.endpoint);
    let (exit, out, err) = run(&verb);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(
        out,
        "app 7, 2026-11, plan pro, not final\n\n\
         daily active users  peak 22,000 on 2026-11-14 · 10,000 free · 12,000 over → 2 blocks of 10,000 × 149.99 = 299.98 USD\n\
         total 299.98 USD, due on 2026-12-03\n\
         note: plan pro from 2026-11-02 on\n\n\
         forecast 1,234.50 USD, if nothing changes\n"
    );
    let (_, out, _) = run(&format!("{verb} --csv"));
    assert_eq!(
        out,
        "app_id,month,plan,item,peak,peak_day,free,billable,block,blocks,unit_price,amount,currency,due_date,final\n\
         7,2026-11,pro,daily_active,22000,2026-11-14,10000,12000,10000,2,149.99,299.98,USD,2026-12-03,false\n"
    );
    let (_, out, _) = run(&format!("{verb} --json"));
    let told: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!(told["total"], json!("299.98"));
    assert_eq!(told["lines"][0]["peak"], json!(22_000));
    assert_eq!(told["forecast"]["total"], json!("1234.50"));
    assert_eq!(stub.asked().len(), 3);
}

#[test]
fn a_run_goes_through_all_pages_and_says_what_failed() {
    let folder = tempfile::tempdir().expect("there is room");
    // A socket, over which no token is asked for.
    let socket = folder.path().join("admin.sock").display().to_string();
    let answers = Answers {
        bills: Some(|after| match after {
            0 => Ok(RunBillsResponse {
                bills: vec![RunBill {
                    app_id: 7,
                    bill: Some(bill()),
                    written_now: true,
                    problem: String::new(),
                }],
                next_after_app_id: 7,
            }),
            7 => Ok(RunBillsResponse {
                bills: vec![RunBill {
                    app_id: 8,
                    problem: "the ledger gave no answer".into(),
                    ..RunBill::default()
                }],
                next_after_app_id: 0,
            }),
            _ => Err(Status::internal("no such page")),
        }),
        ..Answers::default()
    };
    let stub = Stub::on_socket(answers, &socket);
    let verb = format!(
        "bill run --month 2026-11 --admin-endpoint {}",
        stub.endpoint
    );
    let (exit, out, _) = run(&verb);
    assert_eq!(exit, Exit::Fault);
    assert_eq!(
        out,
        "2026-11: 1 bills written, 0 were written before\napp 8: the ledger gave no answer\n"
    );
    let (_, out, _) = run(&format!("{verb} --csv"));
    assert_eq!(out.lines().count(), 2, "{out}");
    // How far it is goes beside the bills, and to a terminal alone.
    let (_, out, err) = run_at(&format!("{verb} --csv"), true);
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(
        err.starts_with("bills of 1 apps, up to 7\rbills of 2 apps"),
        "{err:?}"
    );
}

#[test]
fn an_estimate_needs_no_server() {
    let (exit, out, err) =
        run("bill estimate --plan pro --month 2020-05 --daily-active 22000 --groups 202000 --json");
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    let told: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!(told["total"], json!("749.95"));
    assert_eq!(told["due_date"], json!("2020-06-03"));
    let (exit, _, err) = run("bill estimate --plan gold --month 2020-05");
    assert_eq!(exit, Exit::Usage);
    assert!(err.contains("flagship, pro, trial"), "{err}");
    let (exit, ..) = run("bill estimate --plan pro --month 2020-05 --config /nowhere/at/all.yaml");
    assert_eq!(exit, Exit::Usage);
}
