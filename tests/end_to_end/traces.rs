//! Calls as spans, at a receiver of OTLP that the test runs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{BatchCheckRequest, CheckRequest, Decision, Resource};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::client::{Client, creation, deletion};
use crate::sidecar::Sidecar;
use crate::wait::soon;

use Resource::{Account, AvRoom, Group};

const APPS: &str = "
plans:
  small: { limits: { accounts: 1 } }
apps:
  - { app_id: 1, plan: small }
  - { app_id: 2, plan: pro }
";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A call within a trace: recorded by its caller if the flags are 01.
fn traced<M>(message: M, flags: &str) -> Request<M> {
    let mut request = Request::new(message);
    let context = format!("00-{TRACE}-{PARENT}-{flags}");
    let context = context.parse().expect("a header");
    request.metadata_mut().insert("traceparent", context);
    request
}

/// Where spans are received.
struct Receiver(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).expect("the test listens");
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// What a receiver got.
struct Received(mpsc::UnboundedReceiver<ExportTraceServiceRequest>);

impl Received {
    /// The next `count` spans, and what they are said to come from.
    async fn next(&mut self, count: usize) -> (Vec<Span>, Vec<KeyValue>) {
        let (mut spans, mut from) = (Vec::new(), Vec::new());
        while spans.len() < count {
            let export = soon("spans", self.0.recv()).await.expect("it runs");
            for of in export.resource_spans {
                from = of.resource.expect("who sends").attributes;
                spans.extend(of.scope_spans.into_iter().flat_map(|of| of.spans));
            }
        }
        (spans, from)
    }
}

async fn receiver() -> (SocketAddr, Received) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("it has one");
    let (sender, received) = mpsc::unbounded_channel();
    let serving = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Receiver(sender)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);
    (address, Received(received))
}

/// A sidecar that sends spans there.
async fn sidecar(receiver: SocketAddr, one_in: u32) -> (Sidecar, Client) {
    let settings =
        format!("{APPS}traces: {{ endpoint: \"http://{receiver}\", one_in: {one_in} }}\n");
    let sidecar = Sidecar::start("embedded", &settings).await;
    let client = sidecar.client().await;
    (sidecar, client)
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    digits.collect()
}

fn attribute<'a>(of: &'a [KeyValue], name: &str) -> Option<&'a Value> {
    let found = of.iter().find(|one| one.key == name)?;
    found.value.as_ref()?.value.as_ref()
}

/// That the attributes are so.
fn are(of: &[KeyValue], words: &[(&str, &str)], numbers: &[(&str, i64)]) {
    for (name, word) in words {
        let word = Value::StringValue((*word).into());
        assert_eq!(attribute(of, name), Some(&word), "{name}");
    }
    for (name, number) in numbers {
        assert_eq!(
            attribute(of, name),
            Some(&Value::IntValue(*number)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_callers_record_is_sent_to_a_receiver() {
    let (address, mut received) = receiver().await;
    let (sidecar, client) = sidecar(address, 0).await;
    // Neither this, which belongs to no trace, nor what its caller does not record.
    client.create(2, Group).await;
    client.check(traced(creation(2, Group), "00")).await;
    let check = CheckRequest {
        request_id: "create-9".into(),
        resource_id: "bob".into(),
        ..creation(2, AvRoom)
    };
    client.check(traced(check, "01")).await;
    let (spans, from) = received.next(1).await;
    let [span] = &spans[..] else {
        panic!("{spans:?}")
    };
    let version = env!("CARGO_PKG_VERSION");
    let named = [("service.name", "imquota"), ("service.version", version)];
    are(&from, &named, &[]);
    are(&from, &[("service.instance.id", sidecar.member())], &[]);
    assert_eq!(
        (hex(&span.trace_id), hex(&span.parent_span_id)),
        (TRACE.into(), PARENT.into())
    );
    assert!(span.span_id.len() == 8 && hex(&span.span_id) != PARENT);
    assert_eq!(span.name, "imquota.v1.QuotaService/Check");
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    assert!(span.status.is_none());
    are(
        &span.attributes,
        &[
            ("rpc.method", "Check"),
            ("imquota.resource", "AV_ROOM"),
            ("imquota.decision", "ALLOW"),
            ("imquota.source", "MEMORY"),
            ("imquota.request_id", "create-9"),
        ],
        &[("imquota.app_id", 2), ("rpc.grpc.status_code", 0)],
    );
    assert!(!format!("{span:?}").contains("bob"));
}

#[tokio::test]
async fn every_call_is_a_span_with_its_outcome() {
    let (address, mut received) = receiver().await;
    let (mut sidecar, client) = sidecar(address, 0).await;
    let mut quota = QuotaServiceClient::new(client.channel.clone());
    let checks = vec![
        creation(1, Account),
        creation(1, Account),
        creation(2, Group),
    ];
    let batch = BatchCheckRequest {
        checks: checks.clone(),
    };
    quota
        .batch_check(traced(batch, "01"))
        .await
        .expect("answered");
    let stream = quota.stream_checks(traced(tokio_stream::iter(checks), "01"));
    let mut answers = stream.await.expect("answered").into_inner();
    while answers.message().await.expect("answered").is_some() {}
    client.release(traced(deletion(2, Group, 1), "01")).await;
    let bad = client.try_check(traced(creation(0, Account), "01")).await;
    assert_eq!(
        bad.map_err(|status| status.code()),
        Err(tonic::Code::InvalidArgument)
    );
    // At its end a sidecar sends what it still has.
    let asked = Instant::now();
    sidecar.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(20));
    let (spans, _) = received.next(4).await;
    let of = |method: &str| {
        let name = format!("imquota.v1.QuotaService/{method}");
        let found = spans.iter().find(|span| span.name == name);
        &found
            .unwrap_or_else(|| panic!("{name}: {spans:?}"))
            .attributes
    };
    are(
        of("BatchCheck"),
        &[],
        &[("imquota.checks", 3), ("imquota.refused", 1)],
    );
    are(
        of("StreamChecks"),
        &[],
        &[("imquota.checks", 3), ("imquota.refused", 2)],
    );
    are(
        of("Release"),
        &[],
        &[("imquota.app_id", 2), ("rpc.grpc.status_code", 0)],
    );
    are(of("Check"), &[], &[("rpc.grpc.status_code", 3)]);
}

#[tokio::test]
async fn of_calls_without_a_trace_a_part_begins_one() {
    let (address, mut received) = receiver().await;
    let (_sidecar, client) = sidecar(address, 4).await;
    // Over one connection, and so on one thread.
    for _ in 0..16 {
        client.create(2, Group).await;
    }
    let (spans, _) = received.next(4).await;
    assert_eq!(spans.len(), 4);
    assert!(spans.iter().all(|span| span.parent_span_id.is_empty()));
    let mut traces: Vec<_> = spans.iter().map(|span| hex(&span.trace_id)).collect();
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), 4);
}

#[tokio::test]
async fn a_receiver_that_is_gone_or_silent_slows_no_check() {
    // A port on which nobody listens, and one that listens and never answers.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = gone.local_addr().expect("it has one");
    drop(gone);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    for address in [address, silent.local_addr().expect("it has one")] {
        let (mut sidecar, client) = sidecar(address, 1).await;
        // Each of them that waited for the receiver would wait for a second at least, and all of them for minutes.
        let checks = async {
            for _ in 0..100 {
                let answer = client.create(2, Group).await;
                assert_eq!(answer.decision(), Decision::Allow);
            }
        };
        soon("no check waits", checks).await;
        sidecar.stop().await;
    }
}
