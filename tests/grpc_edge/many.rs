//! Many checks at once: how many, in which order, and what one that is bad does to the others.

use imquota::grpc::CHECKS_MAX;
use imquota::grpc::proto::{
    BatchCheckRequest, CheckRequest, CheckResponse, Decision, DenyReason, Resource,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Streaming};
use tonic_types::StatusExt as _;

use crate::common::{Server, bounds, soon};

/// App 1 is known, and may create what it likes.
fn creation(app_id: u64) -> CheckRequest {
    CheckRequest {
        app_id,
        resource: Resource::Account.into(),
        ..Default::default()
    }
}

/// Good ones and bad ones, and what each hears: its count, its refusal or its fault.
fn mixed() -> Vec<(CheckRequest, Expected)> {
    let no_amount = CheckRequest {
        amount: 101,
        ..creation(1)
    };
    let nothing = CheckRequest::default();
    vec![
        (creation(1), Expected::Count(1)),
        (no_amount, Expected::Fault("amount")),
        (creation(2), Expected::Unknown),
        (creation(1), Expected::Count(2)),
        (nothing, Expected::Fault("")),
        (creation(1), Expected::Count(3)),
    ]
}

#[derive(Debug)]
enum Expected {
    Count(u64),
    Unknown,
    Fault(&'static str),
}

impl Expected {
    fn meets(&self, answer: &CheckResponse) {
        let fault = answer.fault.as_ref();
        let fault = fault.map(|fault| (fault.code, fault.field.as_str()));
        let heard = (answer.decision(), answer.reason(), answer.used, fault);
        let unspecified = DenyReason::Unspecified;
        let meant = match *self {
            Self::Count(used) => (Decision::Allow, unspecified, used, None),
            Self::Unknown => (Decision::Deny, DenyReason::AppUnknown, 0, None),
            Self::Fault(field) => (Decision::Unspecified, unspecified, 0, Some((3, field))),
        };
        assert_eq!(heard, meant, "{answer:?}");
        if let Some(fault) = &answer.fault {
            assert!(!fault.message.is_empty() && fault.message.len() <= 1024);
        }
    }
}

#[tokio::test]
async fn each_item_of_a_batch_is_judged_by_itself() {
    let server = Server::start_met().await;
    let mut client = server.quota().await;
    let (checks, expected): (Vec<_>, Vec<_>) = mixed().into_iter().unzip();
    let answer = soon(client.batch_check(BatchCheckRequest { checks })).await;
    let results = answer.expect("it is answered").into_inner().results;
    assert_eq!(results.len(), expected.len());
    for (expected, answer) in expected.iter().zip(&results) {
        expected.meets(answer);
    }
}

#[tokio::test]
async fn a_batch_has_one_to_a_thousand_checks() {
    let server = Server::start();
    let mut client = server.quota().await;
    let mut batch = async |size| {
        let checks = vec![creation(1); size];
        soon(client.batch_check(BatchCheckRequest { checks })).await
    };
    for size in [0, CHECKS_MAX + 1] {
        let status = batch(size).await.expect_err("it is bad");
        assert_eq!(status.code(), Code::InvalidArgument, "{size}");
        let details = status.get_error_details();
        let bad = details.bad_request().expect("the field is named");
        assert_eq!(bad.field_violations[0].field, "checks");
    }
    // Nothing of them was counted.
    let answer = batch(CHECKS_MAX).await.expect("it is answered");
    let used: Vec<_> = answer.into_inner().results.iter().map(|r| r.used).collect();
    let in_order: Vec<_> = (1..=1000).collect();
    assert_eq!(used, in_order);
}

/// The largest legal items, with ids as long as they may be.
#[tokio::test]
async fn the_largest_batch_is_read() {
    let server = Server::start();
    let mut client = server.quota().await;
    let largest = CheckRequest {
        app_id: u64::MAX,
        amount: 100,
        request_id: "r".repeat(64),
        resource_id: "o".repeat(48),
        mode: 1,
        hold: Some(prost_types::Duration {
            seconds: 600,
            nanos: 999_999_999,
        }),
        ..creation(1)
    };
    let checks = vec![largest; CHECKS_MAX];
    let answer = soon(client.batch_check(BatchCheckRequest { checks })).await;
    let results = answer.expect("it is read").into_inner().results;
    assert_eq!(results.len(), CHECKS_MAX);
}

/// A stream of checks that is open for as long as the sender lives.
async fn stream(server: &Server) -> (mpsc::Sender<CheckRequest>, Streaming<CheckResponse>) {
    let (send, checks) = mpsc::channel(16);
    let mut client = server.quota().await;
    let answers = soon(client.stream_checks(ReceiverStream::new(checks))).await;
    (send, answers.expect("it is served").into_inner())
}

#[tokio::test]
async fn a_stream_answers_in_order_and_goes_on_behind_a_bad_check() {
    let server = Server::start_met().await;
    let (send, mut answers) = stream(&server).await;
    // One by one: each is answered without another behind it.
    for (check, expected) in mixed() {
        soon(send.send(check)).await.expect("the stream is open");
        let answer = soon(answers.message()).await.expect("it goes on");
        expected.meets(&answer.expect("it has not ended"));
    }
    // And all of them, before anybody listens.
    for _ in 4..=20 {
        soon(send.send(creation(1)))
            .await
            .expect("the stream is open");
    }
    drop(send);
    let used: Vec<_> = soon(
        answers
            .map(|answer| answer.expect("it goes on").used)
            .collect(),
    )
    .await;
    let in_order: Vec<_> = (4..=20).collect();
    assert_eq!(used, in_order);
}

#[tokio::test]
async fn a_stream_ends_with_its_caller_s_time() {
    let server = Server::start();
    let (_send, checks) = mpsc::channel(1);
    let mut client = server.quota().await;
    let mut call = Request::new(ReceiverStream::new(checks));
    call.metadata_mut()
        .insert("grpc-timeout", "50m".parse().expect("it is a value"));
    let mut answers = soon(client.stream_checks(call))
        .await
        .expect("it is served")
        .into_inner();
    let status = soon(answers.message()).await.expect_err("it is over");
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_end() {
    let mut server = Server::start();
    let (send, mut answers) = stream(&server).await;
    soon(send.send(creation(1))).await.expect("it is open");
    let answer = soon(answers.message()).await.expect("it goes on");
    Expected::Count(1).meets(&answer.expect("it has not ended"));
    let began = std::time::Instant::now();
    server.stop();
    let status = soon(answers.message()).await.expect_err("it ends");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("was not decided"), "{status:?}");
    server.ended().await;
    assert!(began.elapsed() < bounds().drain_max);
}
