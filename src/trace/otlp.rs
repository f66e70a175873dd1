//! Spans as OpenTelemetry's protocol writes them.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Written, Status};
use tonic::Code;

use super::{Fact, Span};

/// Flags of a span: its trace is recorded, and it is known whether its parent is of another process: it is.
const FLAGS: u32 = 0x001 | 0x100 | 0x200;

/// One call to the receiver, with spans of the sidecar that is called `member`.
pub(super) fn request(member: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let version = env!("CARGO_PKG_VERSION");
    let resource = Resource {
        attributes: vec![
            text("service.name", "imquota"),
            text("service.version", version),
            text("service.instance.id", member),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "imquota".into(),
        version: version.into(),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: spans.into_iter().map(written).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn written(span: Span) -> Written {
    let rpc = [
        text("rpc.system", "grpc"),
        text("rpc.service", span.service),
        text("rpc.method", span.method),
        attribute("rpc.grpc.status_code", Value::IntValue(span.status.into())),
    ];
    let facts = span.facts.into_iter().map(|(name, fact)| match fact {
        Fact::Word(word) => text(name, word),
        Fact::Text(word) => text(name, &word),
        Fact::Number(number) => {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            attribute(name, Value::IntValue(number))
        }
    });
    let parent = span.parent.map(|parent| parent.bytes().to_vec());
    let status = is_fault_of_ours(span.status).then(|| Status {
        code: StatusCode::Error.into(),
        ..Status::default()
    });
    Written {
        trace_id: span.trace.bytes().to_vec(),
        span_id: span.id.bytes().to_vec(),
        flags: if parent.is_some() { FLAGS } else { 0x001 },
        parent_span_id: parent.unwrap_or_default(),
        name: [span.service, "/", span.method].concat(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: span.begun_ns,
        end_time_unix_nano: span.ended_ns,
        attributes: rpc.into_iter().chain(facts).collect(),
        status,
        ..Written::default()
    }
}

/// Whether a status of gRPC is an error of the server's, as OpenTelemetry's conventions for gRPC have it.
fn is_fault_of_ours(status: i32) -> bool {
    matches!(
        Code::from(status),
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn text(name: &str, worth: &str) -> KeyValue {
    attribute(name, Value::StringValue(worth.to_owned()))
}

fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
