//! What is told of decisions beside their answers.
//!
//! Refusals are logged, within a bound, and of all decisions one in so many, where the settings say so. A check of
//! which nothing is told pays some comparisons, and no allocation.

mod line;
mod room;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use http::HeaderMap;

use super::proto::{CheckMode, CheckRequest, CheckResponse, Decision};
use crate::config::DecisionRates;
use crate::trace::Context;
use room::Room;

/// Sees every decision. Its clones share what they have seen.
#[derive(Debug, Clone, Default)]
pub struct Witness(Arc<Log>);

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
    /// One that logs at these rates.
    #[must_use]
    pub fn new(rates: DecisionRates) -> Self {
        let witness = Self::default();
        witness.go_by(rates);
        witness
    }

    /// Other rates hold from now on.
    pub fn go_by(&self, rates: DecisionRates) {
        let Log {
            refusals_a_second,
            one_in,
            ..
        } = &*self.0;
        refusals_a_second.store(rates.refusals_a_second, Ordering::Relaxed);
        one_in.store(rates.one_in, Ordering::Relaxed);
    }

    /// A check was decided, in a call with these headers.
    #[inline]
    pub(super) fn saw(&self, headers: &HeaderMap, check: &CheckRequest, answer: &CheckResponse) {
        if is_refusal(answer) || self.0.one_in.load(Ordering::Relaxed) > 0 {
            self.consider(headers, check, answer);
        }
    }

    #[cold]
    fn consider(&self, headers: &HeaderMap, check: &CheckRequest, answer: &CheckResponse) {
        // What only asks is neither created nor refused; what is no request was not decided.
        if check.mode == i32::from(CheckMode::DryRun) || answer.fault.is_some() {
            return;
        }
        let log = &*self.0;
        let is_refusal = is_refusal(answer);
        let most = log.refusals_a_second.load(Ordering::Relaxed);
        if is_refusal && log.room.take(most) {
            let left_out = log.left_out.swap(0, Ordering::Relaxed);
            line::write(Context::of(headers), check, answer, left_out);
        } else if is_sampled(log.one_in.load(Ordering::Relaxed)) {
            line::write(Context::of(headers), check, answer, 0);
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
    let now = SEEN.get().wrapping_add(1);
    SEEN.set(now);
    one_in > 0 && now.is_multiple_of(one_in)
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
