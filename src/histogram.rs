//! How long things take, counted in buckets. Counting is a few instructions and never waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in nanoseconds, each included: an answer from memory takes one
/// microsecond, one of the ledger some hundred, a bound of the settings ends at two seconds.
pub const BOUNDS_NS: [u64; 19] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    2_000_000_000,
];

/// The buckets, and one for all that is above them.
const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// Who writes to a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// One thread alone: it need not lock the cache line.
    Alone,
    /// Many.
    OfMany,
}

impl Writer {
    /// Adds to a counter.
    #[inline]
    pub fn add(self, counter: &AtomicU64, by: u64) {
        match self {
            Self::Alone => {
                let sum = counter.load(Ordering::Relaxed).wrapping_add(by);
                counter.store(sum, Ordering::Relaxed);
            }
            Self::OfMany => {
                counter.fetch_add(by, Ordering::Relaxed);
            }
        }
    }
}

/// Times that are being counted.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Counts that something took so long.
    #[inline]
    pub fn note(&self, took: Duration, by: Writer) {
        // 584 years fit.
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.iter().position(|bound| ns <= *bound);
        by.add(&self.buckets[bucket.unwrap_or(BUCKETS - 1)], 1);
        by.add(&self.sum_ns, ns);
    }

    /// Adds what is counted here to `times`.
    pub fn add_to(&self, times: &mut Times) {
        for (sum, bucket) in times.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
        times.sum_ns += self.sum_ns.load(Ordering::Relaxed);
    }
}

/// Times that were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    buckets: [u64; BUCKETS],
    sum_ns: u64,
}

impl Times {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long they took together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// Each bucket's upper bound in nanoseconds, none for the last, and how many are in it alone.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let bounds = BOUNDS_NS.into_iter().map(Some).chain([None]);
        bounds.zip(self.buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_it_fits() {
        let histogram = Histogram::default();
        let times_ns = [1, 1_000, 1_001, 2_000_000_000, 2_000_000_001];
        for (at, ns) in times_ns.into_iter().enumerate() {
            let by = if at % 2 == 0 {
                Writer::Alone
            } else {
                Writer::OfMany
            };
            histogram.note(Duration::from_nanos(ns), by);
        }
        let mut times = Times::default();
        histogram.add_to(&mut times);
        let filled: Vec<_> = times.buckets().filter(|(_, count)| *count > 0).collect();
        let last = *BOUNDS_NS.last().expect("there are some");
        assert_eq!(
            filled,
            [
                (Some(1_000), 2),
                (Some(2_500), 1),
                (Some(last), 1),
                (None, 1)
            ]
        );
        assert_eq!(times.count(), 5);
        assert_eq!(times.sum(), Duration::from_nanos(times_ns.iter().sum()));
    }

    #[test]
    fn bounds_grow() {
        assert!(BOUNDS_NS.is_sorted_by(|a, b| a < b));
    }
}
