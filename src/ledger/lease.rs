//! The lease: until when this member may admit without asking.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::store::LEASE_TTL_MS;

/// How much earlier than the ledger this member takes its lease for ended: clocks of two machines do not
/// run equally fast, and an answer takes its time from the last look at the lease to the gateway.
pub const LEASE_MARGIN_MS: u64 = 500;

/// Never ends: a ledger in this process has one member, and nobody to wait for its end.
const FOR_EVER: u64 = u64::MAX;

/// Read by every check, written by the one task that beats. Times are of [`Clock::steady`], which goes on
/// while the machine is suspended.
///
/// [`Clock::steady`]: crate::clock::Clock::steady
#[derive(Debug, Default)]
pub struct Lease {
    /// Nanoseconds; 0: no lease.
    until: AtomicU64,
    gap: AtomicU32,
}

impl Lease {
    /// The lease of a ledger that nobody shares.
    pub fn for_ever() -> Self {
        Self {
            until: FOR_EVER.into(),
            gap: AtomicU32::new(0),
        }
    }

    /// A beat that was sent at `sent_at` was answered with a lease, now at `now`. It counts from the
    /// sending: the ledger knows no later moment at which this member was told anything.
    pub fn renewed(&self, sent_at: Duration, now: Duration) {
        let ttl = Duration::from_millis(LEASE_TTL_MS.saturating_sub(LEASE_MARGIN_MS));
        let until = nanos(sent_at.saturating_add(ttl));
        if until <= nanos(now) {
            return; // It ended on its way.
        }
        if !self.holds(now) {
            // Whoever sees the new end sees the gap as well: an app that was not heard since may have
            // been recounted in it.
            self.gap.fetch_add(1, Ordering::AcqRel);
        }
        self.until.fetch_max(until, Ordering::AcqRel);
    }

    /// There is no lease any more: the member stops, or leaves.
    pub fn ended(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Whether it holds at `now`. To be asked after the units are spent, never before.
    pub fn holds(&self, now: Duration) -> bool {
        nanos(now) < self.until.load(Ordering::Acquire)
    }

    /// How often a lease began after none was valid. What an app's shard told before the last of these is
    /// not enough to admit from memory.
    pub fn gap(&self) -> u32 {
        self.gap.load(Ordering::Acquire)
    }
}

fn nanos(time: Duration) -> u64 {
    // 584 years of nanoseconds fit; a clock beyond them ends every lease.
    u64::try_from(time.as_nanos()).unwrap_or(FOR_EVER - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_counts_from_the_sending_and_ends_a_margin_early() {
        let lease = Lease::default();
        assert!(!lease.holds(ms(0)));
        lease.renewed(ms(1_000), ms(1_200));
        assert!(lease.holds(ms(5_499)));
        assert!(!lease.holds(ms(5_500)));
    }

    #[test]
    fn one_that_never_lapsed_has_no_gap() {
        let lease = Lease::default();
        lease.renewed(ms(1_000), ms(1_100));
        assert_eq!(lease.gap(), 1);
        lease.renewed(ms(2_000), ms(2_100));
        assert_eq!(lease.gap(), 1);
        // Sent while the old one held, answered when it did not: anything may have been between.
        lease.renewed(ms(6_000), ms(6_600));
        assert_eq!(lease.gap(), 2);
    }

    #[test]
    fn an_answer_that_comes_too_late_begins_nothing() {
        let lease = Lease::default();
        lease.renewed(ms(0), ms(4_500));
        assert!(!lease.holds(ms(4_500)));
        assert_eq!(lease.gap(), 0);
    }

    #[test]
    fn answers_in_another_order_shorten_nothing() {
        let lease = Lease::default();
        lease.renewed(ms(2_000), ms(2_100));
        lease.renewed(ms(1_000), ms(2_200));
        assert!(lease.holds(ms(6_499)));
    }

    #[test]
    fn one_that_was_ended_begins_with_a_gap() {
        let lease = Lease::default();
        lease.renewed(ms(1_000), ms(1_100));
        lease.ended();
        assert!(!lease.holds(ms(1_200)));
        lease.renewed(ms(1_300), ms(1_400));
        assert_eq!(lease.gap(), 2);
    }

    #[test]
    fn nobody_waits_for_the_end_of_one_that_is_not_shared() {
        let lease = Lease::for_ever();
        assert!(lease.holds(Duration::MAX));
        assert_eq!(lease.gap(), 0);
    }
}
