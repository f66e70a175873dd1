//! A recorded call.

use super::{SpanId, TraceId};

/// A recorded call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// Itself.
    pub id: SpanId,
    /// The caller's span; `None`: the trace began here.
    pub parent: Option<SpanId>,
    /// The service in the contract.
    pub service: &'static str,
    /// The call's name in it.
    pub method: &'static str,
    /// When it began, in nanoseconds since the Unix epoch.
    pub begun_ns: u64,
    /// When it ended.
    pub ended_ns: u64,
    /// With which status of gRPC.
    pub status: i32,
    /// What else is known of it.
    pub facts: Vec<(&'static str, Fact)>,
}

/// What is known of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A word.
    Word(&'static str),
    /// A text.
    Text(Box<str>),
    /// A number.
    Number(u64),
}
