//! Traces: which of them a call belongs to, which calls are recorded, and how their spans get to a receiver of
//! OpenTelemetry's protocol (OTLP).
//!
//! A span is handed over without waiting: where the receiver is away or slow, spans are dropped and calls go on.

mod context;
mod export;
mod one_in;
mod otlp;
mod span;
mod spans;

pub use context::{Context, SpanId, TraceId};
pub use export::{Exporter, exporter};
pub(crate) use one_in::is_one_in;
pub use span::{Fact, Span};
pub use spans::{SpanCounts, Spans, WAITING_MAX};

/// Where spans go, and of which calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// The receiver, which speaks OTLP over gRPC: `http://host:port`.
    pub endpoint: String,
    /// Of calls that belong to no trace one in so many begins one; 0: none does.
    pub one_in: u32,
}
