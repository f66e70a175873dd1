//! What is told of calls and decisions beside their answers.
//!
//! Refusals are logged, within a bound, and of all decisions one in so many, where the settings say so. Calls that
//! belong to a recorded trace become spans. One of which nothing is told pays some comparisons, and no allocation.

mod call;
mod line;
mod room;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use http::HeaderMap;

use super::codec::Asked;
use super::proto::{CheckMode, CheckResponse, Decision};
use crate::config::DecisionRates;
use crate::trace::{Context, Spans, TraceId, is_one_in};
pub(super) use call::{Call, Open};
use room::Room;

/// The service that most calls are of.
const SERVICE: &str = "imquota.v1.QuotaService";
/// The call that is a stream of checks.
pub(super) const STREAM: (&str, &str) = (SERVICE, "StreamChecks");
/// Envoy's service and its call.
const ENVOY: (&str, &str) = (
    "envoy.service.ratelimit.v3.RateLimitService",
    "ShouldRateLimit",
);

/// Sees every call and every decision. Its clones share what they have seen.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    log: Arc<Log>,
    /// Who takes spans, if anybody does.
    spans: Option<Spans>,
}

/// What of the decisions goes to the log.
#[derive(Debug, Default)]
struct Log {
    refusals_a_second: AtomicU32,
    one_in: AtomicU32,
    room: Room,
    /// Refusals that had no room, since the last one that had.
    left_out: AtomicU64,
}

impl Witness {
    /// One that logs at these rates, and hands spans to `spans`.
    #[must_use]
    pub fn new(rates: DecisionRates, spans: Option<Spans>) -> Self {
        let log = Arc::default();
        let witness = Self { log, spans };
        witness.go_by(rates);
        witness
    }

    /// Other rates hold from now on.
    pub fn go_by(&self, rates: DecisionRates) {
        let Log {
            refusals_a_second,
            one_in,
            ..
        } = &*self.log;
        refusals_a_second.store(rates.refusals_a_second, Ordering::Relaxed);
        one_in.store(rates.one_in, Ordering::Relaxed);
    }

    /// A call of QuotaService begins.
    #[inline]
    pub(super) fn call<'a>(&'a self, method: &'static str, headers: &'a HeaderMap) -> Call<'a> {
        Call::begin(self, (SERVICE, method), headers)
    }

    /// A call of Envoy's begins.
    pub(super) fn envoys_call<'a>(&'a self, headers: &'a HeaderMap) -> Call<'a> {
        Call::begin(self, ENVOY, headers)
    }

    /// The span of a call with these headers, if it is recorded.
    #[inline]
    pub(super) fn open(
        &self,
        call: (&'static str, &'static str),
        headers: &HeaderMap,
    ) -> Option<Box<Open>> {
        let spans = self.spans.as_ref()?;
        let context = spans.sample(Context::of(headers))?;
        Some(Open::begin(spans.clone(), context, call))
    }

    /// A check was decided, in a call with these headers, which may be recorded.
    #[inline]
    pub(super) fn saw(
        &self,
        headers: &HeaderMap,
        open: Option<&Open>,
        check: &Asked<'_>,
        answer: &CheckResponse,
    ) {
        let trace = || {
            let here = open.map(Open::trace);
            here.or_else(|| Some(Context::of(headers)?.trace))
        };
        self.saw_in(trace, check, answer);
    }

    /// A check was decided, in this trace.
    #[inline]
    fn saw_in(
        &self,
        trace: impl FnOnce() -> Option<TraceId>,
        check: &Asked<'_>,
        answer: &CheckResponse,
    ) {
        if is_refusal(answer) || self.log.one_in.load(Ordering::Relaxed) > 0 {
            self.consider(trace, check, answer);
        }
    }

    #[cold]
    fn consider(
        &self,
        trace: impl FnOnce() -> Option<TraceId>,
        check: &Asked<'_>,
        answer: &CheckResponse,
    ) {
        // What only asks is neither created nor refused; what is no request was not decided.
        if check.mode == i32::from(CheckMode::DryRun) || answer.fault.is_some() {
            return;
        }
        let log = &*self.log;
        let is_refusal = is_refusal(answer);
        let most = log.refusals_a_second.load(Ordering::Relaxed);
        if is_refusal && log.room.take(most) {
            let left_out = log.left_out.swap(0, Ordering::Relaxed);
            line::write(trace(), check, answer, left_out);
        } else if is_sampled(log.one_in.load(Ordering::Relaxed)) {
            line::write(trace(), check, answer, 0);
        } else if is_refusal {
            log.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether it was refused, or would have been if its app were not only watched.
fn is_refusal(answer: &CheckResponse) -> bool {
    answer.decision == i32::from(Decision::Deny) || answer.shadowed
}

/// Whether this decision is the one in so many, counted by each thread for itself.
fn is_sampled(one_in: u32) -> bool {
    thread_local! { static SEEN: Cell<u32> = const { Cell::new(0) } }
    is_one_in(one_in, &SEEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_so_many_is_sampled() {
        for (one_in, sampled) in [(10, 10), (0, 0), (1, 100)] {
            assert_eq!((0..100).filter(|_| is_sampled(one_in)).count(), sampled);
        }
    }
}
