//! One decision as a line of the log.
//!
//! It has what is needed to find it again: the app, the request's id, the trace. It names no user and no object.

use super::super::codec::Asked;
use super::super::proto::{CheckResponse, DenyReason, Resource, Source};
use crate::trace::TraceId;

/// Writes the line; `left_out` refusals before it had none.
pub(super) fn write(
    trace: Option<TraceId>,
    check: &Asked<'_>,
    answer: &CheckResponse,
    left_out: u64,
) {
    let id = check.request_id;
    tracing::info!(
        target: "imquota::decision",
        app = check.app_id,
        resource = resource(check),
        amount = check.amount.max(1),
        reason = reason(answer),
        request_id = (!id.is_empty()).then_some(id),
        trace_id = trace.map(tracing::field::display),
        used = answer.used,
        limit = answer.limit,
        source = source(answer),
        shadowed = answer.shadowed.then_some(true),
        replayed = answer.replayed.then_some(true),
        left_out = (left_out > 0).then_some(left_out),
        "{}",
        decision(answer),
    );
}

/// What the contract calls it, without the words that all have.
pub(super) fn decision(answer: &CheckResponse) -> &'static str {
    short(answer.decision().as_str_name(), "DECISION_")
}

/// The same of what was asked for.
pub(super) fn resource(check: &Asked<'_>) -> &'static str {
    let resource = Resource::try_from(check.resource).unwrap_or_default();
    short(resource.as_str_name(), "RESOURCE_")
}

/// The same of where the answer came from.
pub(super) fn source(answer: &CheckResponse) -> &'static str {
    let source = Source::try_from(answer.source).unwrap_or_default();
    short(source.as_str_name(), "SOURCE_")
}

/// The same of why it was refused, if it was.
pub(super) fn reason(answer: &CheckResponse) -> Option<&'static str> {
    match answer.reason() {
        DenyReason::Unspecified => None,
        reason => Some(short(reason.as_str_name(), "DENY_REASON_")),
    }
}

fn short(name: &'static str, prefix: &str) -> &'static str {
    name.strip_prefix(prefix).unwrap_or(name)
}
