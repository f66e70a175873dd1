//! Which calls are recorded, and where their spans wait to be sent.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::{Context, Span, is_one_in};

/// The most spans that wait to be sent; what comes then is dropped.
pub const WAITING_MAX: usize = 4_096;

thread_local! {
    /// Calls that belong to no trace.
    static SEEN: Cell<u32> = const { Cell::new(0) };
}

/// Takes spans. Its clones share the way to the receiver.
#[derive(Debug, Clone)]
pub struct Spans {
    waiting: mpsc::Sender<Span>,
    counts: Arc<Counts>,
    one_in: u32,
}

/// What became of spans.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// How many spans there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// The receiver has taken them.
    pub sent: u64,
    /// They had no room, or the receiver did not take them.
    pub dropped: u64,
}

impl Spans {
    /// A way for spans, with the end of who sends them. Of calls that belong to no trace one in `one_in` is recorded.
    pub(super) fn new(one_in: u32) -> (Self, mpsc::Receiver<Span>, Arc<Counts>) {
        let (waiting, sent) = mpsc::channel(WAITING_MAX);
        let counts = Arc::<Counts>::default();
        let spans = Self {
            waiting,
            counts: counts.clone(),
            one_in,
        };
        (spans, sent, counts)
    }

    /// The trace in which a call is recorded, if it is: its caller's, if that is recorded there; of calls without a
    /// trace one in so many begins one.
    #[must_use]
    pub fn sample(&self, caller: Option<Context>) -> Option<Context> {
        match caller {
            Some(caller) => caller.sampled.then_some(caller),
            None => is_one_in(self.one_in, &SEEN).then(Context::begin),
        }
    }

    /// Hands a span over, or drops it: it never waits.
    pub fn take(&self, span: Span) {
        if self.waiting.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of spans until now.
    #[must_use]
    pub fn counts(&self) -> SpanCounts {
        SpanCounts {
            sent: self.counts.sent.load(Ordering::Relaxed),
            dropped: self.counts.dropped.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SpanId;
    use super::*;

    #[test]
    fn the_caller_decides_and_of_others_a_part_is_recorded() {
        let (spans, _sent, _) = Spans::new(10);
        let sampled = Context::begin();
        assert_eq!(spans.sample(Some(sampled)), Some(sampled));
        let not = Context {
            sampled: false,
            ..sampled
        };
        assert_eq!(spans.sample(Some(not)), None);
        let taken = (0..100).filter(|_| spans.sample(None).is_some()).count();
        assert_eq!(taken, 10);
    }

    #[test]
    fn what_has_no_room_is_dropped_and_counted() {
        let (spans, _sent, _) = Spans::new(1);
        let context = Context::begin();
        let span = Span {
            trace: context.trace,
            id: SpanId::draw(),
            parent: None,
            service: "Service",
            method: "Check",
            begun_ns: 1,
            ended_ns: 2,
            status: 0,
            facts: Vec::new(),
        };
        for _ in 0..WAITING_MAX + 2 {
            spans.take(span.clone());
        }
        assert_eq!(spans.counts().dropped, 2);
    }
}
