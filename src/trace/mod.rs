//! Traces: which of them a call belongs to.

mod context;

pub use context::{Context, SpanId, TraceId};
