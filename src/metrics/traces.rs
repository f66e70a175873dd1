//! What became of spans.

use std::fmt;

use super::sheet::Sheet;
use crate::trace::SpanCounts;

pub(super) fn write(sheet: &mut Sheet<'_>, spans: SpanCounts) -> fmt::Result {
    let series = [("sent", spans.sent), ("dropped", spans.dropped)];
    let label = |outcome: &str| vec![("outcome", outcome.to_owned())];
    sheet.counters(
        "imquota_spans",
        "Recorded calls that were sent to the receiver of traces, or dropped because it was away or slow",
        series.map(|(outcome, count)| (label(outcome), count)),
    )
}
