//! Decisions in the log: a refusal is found by its app, its request and its trace, and no line names a user.

use std::time::Instant;

use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{BatchCheckRequest, CheckMode, CheckRequest, Decision, Resource};
use rustix::process::Signal;
use serde_json::Value;
use tonic::{IntoRequest, Request};

use crate::client::{ACCOUNTS_FULL, creation, verdict};
use crate::sidecar::Sidecar;
use crate::wait::{soon, until};

use Resource::{Account, Group};

const SETTINGS: &str = "
plans:
  small: { limits: { accounts: 1 } }
apps:
  - { app_id: 1, plan: small }
  - { app_id: 2, plan: pro }
  - { app_id: 3, plan: small, shadow: true }
";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A call within a trace.
fn traced<M>(message: impl IntoRequest<M>) -> Request<M> {
    let mut request = message.into_request();
    let context = format!("00-{TRACE}-00f067aa0ba902b7-00");
    let context = context.parse().expect("a header");
    request.metadata_mut().insert("traceparent", context);
    request
}

/// A creation under an id, of an object.
fn named(app: u64, id: &str) -> CheckRequest {
    CheckRequest {
        request_id: id.into(),
        resource_id: format!("bob-of-{id}"),
        ..creation(app, Account)
    }
}

/// The decisions that a sidecar has logged.
fn decisions(sidecar: &Sidecar) -> Vec<Value> {
    let text = sidecar.process().stderr();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let is_decision = |line: &Value| line["target"] == "imquota::decision";
    lines.filter(is_decision).collect()
}

/// The decisions, as soon as there are as many.
async fn decided(sidecar: &Sidecar, count: usize) -> Vec<Value> {
    until("decisions are logged", async || {
        let told = decisions(sidecar);
        if told.len() >= count {
            Ok(told)
        } else {
            Err(told)
        }
    })
    .await
}

#[tokio::test]
async fn a_refusal_is_found_by_app_request_and_trace_and_names_nobody() {
    let sidecar = Sidecar::start("embedded", SETTINGS).await;
    let client = sidecar.client().await;
    client.check(named(1, "create-0")).await;
    let dry = CheckRequest {
        mode: CheckMode::DryRun.into(),
        ..named(1, "create-1")
    };
    assert_eq!(client.check(dry).await.decision(), Decision::Deny);
    let refused = client.check(traced(named(1, "create-2"))).await;
    assert_eq!(verdict(&refused), ACCOUNTS_FULL);
    // The first is the one that was refused: what was allowed has no line, nor what was only asked.
    let line = decided(&sidecar, 1).await.remove(0);
    for (key, worth) in [
        ("level", "INFO"),
        ("message", "DENY"),
        ("resource", "ACCOUNT"),
        ("reason", "LIMIT_REACHED"),
        ("request_id", "create-2"),
        ("trace_id", TRACE),
        ("source", "MEMORY"),
    ] {
        assert_eq!(line[key], worth, "{line}");
    }
    for (key, worth) in [("app", 1), ("amount", 1), ("used", 1), ("limit", 1)] {
        assert_eq!(line[key], worth, "{line}");
    }
    assert!(!sidecar.process().stderr().contains("bob-of"));
}

#[tokio::test]
async fn every_way_in_is_logged() {
    let sidecar = Sidecar::start("embedded", SETTINGS).await;
    let client = sidecar.client().await;
    client.check(named(1, "first")).await;
    let mut quota = QuotaServiceClient::new(client.channel.clone());
    let batch = BatchCheckRequest {
        checks: vec![named(1, "batch-1"), creation(2, Group), named(1, "batch-2")],
    };
    let answered = soon("a batch", quota.batch_check(traced(batch))).await;
    assert_eq!(answered.expect("answered").into_inner().results.len(), 3);
    let checks = tokio_stream::iter(vec![named(1, "stream-1"), named(1, "stream-2")]);
    let mut request = Request::new(checks);
    let context = traced(creation(1, Account)).metadata().clone();
    *request.metadata_mut() = context;
    let answers = soon("a stream", quota.stream_checks(request)).await;
    let mut answers = answers.expect("answered").into_inner();
    while let Some(answer) = soon("an answer", answers.message())
        .await
        .expect("answered")
    {
        assert_eq!(verdict(&answer), ACCOUNTS_FULL);
    }
    // Only watched: let through, and found all the same.
    client.check(named(3, "shadow-0")).await;
    assert!(client.check(traced(named(3, "shadow-1"))).await.shadowed);
    let told = decided(&sidecar, 5).await;
    let ids: Vec<_> = told.iter().map(|line| &line["request_id"]).collect();
    assert_eq!(
        ids,
        ["batch-1", "batch-2", "stream-1", "stream-2", "shadow-1"]
    );
    assert!(told.iter().all(|line| line["trace_id"] == TRACE));
    assert_eq!(
        (&told[4]["message"], &told[4]["shadowed"]),
        (&"ALLOW".into(), &true.into())
    );
}

#[tokio::test]
async fn a_flood_of_refusals_is_cut_and_said_to_be() {
    let settings = format!("{SETTINGS}log_decisions: {{ refusals_a_second: 5 }}\n");
    let sidecar = Sidecar::start("embedded", &settings).await;
    let client = sidecar.client().await;
    client.create(1, Account).await;
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(verdict(&client.create(1, Account).await), ACCOUNTS_FULL);
    }
    let seconds = begun.elapsed().as_secs() + 2;
    let told = decided(&sidecar, 5).await.len() as u64;
    assert!(told <= 5 * seconds, "{told} lines in {seconds} s");
    // A later second's first line says how many were left out.
    until("a line says what was left out", async || {
        client.create(1, Account).await;
        let told = decisions(&sidecar);
        let left_out = told.iter().any(|line| line["left_out"].as_u64() > Some(0));
        left_out.then_some(()).ok_or(told.len())
    })
    .await;
}

#[tokio::test]
async fn what_is_logged_changes_with_the_settings_file() {
    let none = format!("{SETTINGS}log_decisions: {{ refusals_a_second: 0 }}\n");
    let sidecar = Sidecar::start("embedded", &none).await;
    let client = sidecar.client().await;
    client.create(1, Account).await;
    assert_eq!(verdict(&client.create(1, Account).await), ACCOUNTS_FULL);
    let all = format!("{SETTINGS}log_decisions: {{ refusals_a_second: 0, one_in: 1 }}\n");
    sidecar.set(&all);
    sidecar.process().signal(Signal::HUP);
    sidecar
        .process()
        .says("the settings file was read again")
        .await;
    assert_eq!(decisions(&sidecar), Vec::<Value>::new());
    for _ in 0..3 {
        client.create(2, Group).await;
    }
    let told = decided(&sidecar, 3).await;
    assert!(told.iter().all(|line| line["message"] == "ALLOW"));
}
