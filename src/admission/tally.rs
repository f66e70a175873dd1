//! What was answered, counted. Each serving thread counts in a place of its own, so that no two of them fight
//! for a line of the cache; whoever asks adds the places up.

use std::array::from_fn;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Check, CheckMode, Outcome, Refusal, Source, Verdict};
use crate::clock::Millis;
use crate::histogram::{Histogram, Times, Writer};
use crate::quota::{AppId, Counter, Limit, RESOURCES, RequestId, Resource};

/// So many threads have a place of their own; the others share one more.
const OWN_PLACES: usize = 32;
const PLACES: usize = OWN_PLACES + 1;
/// The most refusals that a place remembers, the newest.
const REFUSALS_A_PLACE_MAX: usize = 256;

/// The sources of an answer, in the order in which they are counted.
pub const SOURCES: [Source; 3] = [Source::Memory, Source::Ledger, Source::Degraded];
/// No reason, and the reasons of the contract.
const REASONS: [&str; 7] = [
    "",
    "limit_reached",
    "daily_gain_reached",
    "app_unknown",
    "app_disabled",
    "store_unavailable",
    "request_expired",
];
const DECISIONS: [&str; 3] = ["allow", "deny", "shadow"];
const ANSWERS: usize = DECISIONS.len() * REASONS.len();

/// What was answered since the start.
#[derive(Debug)]
pub struct Tally(Box<[Place; PLACES]>);

/// What one thread has answered. Two cache lines apart from the next, since they are fetched in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place {
    checks: [[[AtomicU64; SOURCES.len()]; ANSWERS]; RESOURCES.len()],
    took: [Histogram; SOURCES.len()],
    replayed: AtomicU64,
    already_counted: AtomicU64,
    dry_runs: [AtomicU64; DECISIONS.len()],
    released: [AtomicU64; RESOURCES.len()],
    newly_active: [AtomicU64; SOURCES.len()],
    refusals: Mutex<VecDeque<Refused>>,
}

/// A check that was refused, or would have been if its app were not only watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// When.
    pub at: Millis,
    /// Who asked.
    pub app: AppId,
    /// For what.
    pub resource: Resource,
    /// Under which id.
    pub request_id: Option<RequestId>,
    /// Why it was refused.
    pub reason: &'static str,
    /// The limit that was hit.
    pub limit: Option<Limit>,
    /// The count that it was held against.
    pub used: u64,
    /// Where the answer came from.
    pub source: Source,
    /// Whether it was let through all the same.
    pub shadowed: bool,
}

/// How many checks were answered in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// What was asked for.
    pub resource: Resource,
    /// `allow`, `deny`, or `shadow`: let through although it would have been refused.
    pub decision: &'static str,
    /// The contract's reason in small letters; empty: none. With `allow`: what a creation exceeds that
    /// happened anyway.
    pub reason: &'static str,
    /// Where the answers came from.
    pub source: Source,
    /// How many.
    pub count: u64,
}

/// All counts at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Checks that count, by what was answered. What never was is left out, but for what alerts look for.
    pub checks: Vec<Answers>,
    /// How long checks took, by source.
    pub took: [(Source, Times); SOURCES.len()],
    /// Answers that were given before, under the same id.
    pub replayed: u64,
    /// Objects that were there before.
    pub already_counted: u64,
    /// Dry runs, by decision.
    pub dry_runs: [(&'static str, u64); DECISIONS.len()],
    /// Places that were given back, by resource.
    pub released: [(Resource, u64); RESOURCES.len()],
    /// Users who were not active on their day before, by who says so.
    pub newly_active: [(Source, u64); SOURCES.len()],
}

impl Default for Tally {
    fn default() -> Self {
        // Made on the heap: a place is some kilobytes large.
        let places: Vec<_> = (0..PLACES).map(|_| Place::default()).collect();
        let places = places.into_boxed_slice().try_into();
        Self(places.unwrap_or_else(|_| unreachable!("as many were made")))
    }
}

impl Tally {
    /// Counts a check that was decided after `took`.
    #[inline]
    pub fn decided(
        &self,
        check: &Check,
        verdict: &Verdict,
        took: Duration,
        now: impl FnOnce() -> Millis,
    ) {
        let (place, by) = self.place();
        let (decision, refusal) = match verdict.outcome {
            Outcome::Allow => (0, None),
            Outcome::Exceeds(refusal) => (0, Some(refusal)),
            Outcome::Deny(refusal) => (1, Some(refusal)),
            Outcome::Shadowed(refusal) => (2, Some(refusal)),
        };
        if check.mode == CheckMode::DryRun {
            by.add(&place.dry_runs[decision], 1);
            return;
        }
        let reason = refusal.map_or(0, reason);
        let answer = decision * REASONS.len() + reason;
        let source = verdict.source as usize;
        by.add(&place.checks[check.resource as usize][answer][source], 1);
        place.took[source].note(took, by);
        if verdict.replayed {
            by.add(&place.replayed, 1);
        }
        if verdict.already_counted {
            by.add(&place.already_counted, 1);
        }
        if decision > 0 {
            place.remember(Refused {
                at: now(),
                app: check.app,
                resource: check.resource,
                request_id: check.request_id.clone(),
                reason: REASONS[reason],
                limit: verdict.limit,
                used: verdict.used,
                source: verdict.source,
                shadowed: decision == 2,
            });
        }
    }

    /// Counts places that were given back.
    pub(super) fn released(&self, resource: Resource, released: u64) {
        let (place, by) = self.place();
        by.add(&place.released[resource as usize], released);
    }

    /// Counts users who were not active before.
    pub(super) fn newly_active(&self, source: Source, users: u64) {
        let (place, by) = self.place();
        by.add(&place.newly_active[source as usize], users);
    }

    /// The newest refusals that `wanted` picks, newest first, at most `most`.
    pub fn refusals(&self, most: usize, wanted: impl Fn(&Refused) -> bool) -> Vec<Refused> {
        let mut all = Vec::new();
        for place in self.0.iter() {
            let refusals = place.refusals();
            all.extend(refusals.iter().filter(|one| wanted(one)).cloned());
        }
        all.sort_by_key(|one| std::cmp::Reverse(one.at));
        all.truncate(most);
        all
    }

    /// All that was counted.
    pub fn totals(&self) -> Totals {
        let sum = |of: &dyn Fn(&Place) -> &AtomicU64| {
            let counts = self.0.iter().map(|place| of(place).load(Ordering::Relaxed));
            counts.sum::<u64>()
        };
        let mut checks = Vec::new();
        for resource in RESOURCES {
            for answer in 0..ANSWERS {
                for source in SOURCES {
                    let (decision, reason) = (answer / REASONS.len(), answer % REASONS.len());
                    let (r, s) = (resource as usize, source as usize);
                    let count = sum(&|place| &place.checks[r][answer][s]);
                    if count > 0 || is_always_told(decision, reason, source) {
                        checks.push(Answers {
                            resource,
                            decision: DECISIONS[decision],
                            reason: REASONS[reason],
                            source,
                            count,
                        });
                    }
                }
            }
        }
        Totals {
            checks,
            took: SOURCES.map(|source| {
                let mut times = Times::default();
                for place in self.0.iter() {
                    place.took[source as usize].add_to(&mut times);
                }
                (source, times)
            }),
            replayed: sum(&|place| &place.replayed),
            already_counted: sum(&|place| &place.already_counted),
            dry_runs: from_fn(|at| (DECISIONS[at], sum(&|place| &place.dry_runs[at]))),
            released: RESOURCES.map(|of| (of, sum(&|place| &place.released[of as usize]))),
            newly_active: SOURCES.map(|of| (of, sum(&|place| &place.newly_active[of as usize]))),
        }
    }

    /// The place of the thread that asks, and how it may count there.
    #[inline]
    fn place(&self) -> (&Place, Writer) {
        match own_number() {
            own if own < OWN_PLACES => (&self.0[own], Writer::Alone),
            _ => (&self.0[OWN_PLACES], Writer::OfMany),
        }
    }
}

impl Place {
    fn refusals(&self) -> std::sync::MutexGuard<'_, VecDeque<Refused>> {
        // Nothing panics between the steps of a change.
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, refused: Refused) {
        let mut refusals = self.refusals();
        if refusals.len() >= REFUSALS_A_PLACE_MAX {
            refusals.pop_front();
        }
        refusals.push_back(refused);
    }
}

/// The number of the thread that asks, in the order in which threads first ask.
#[inline]
fn own_number() -> usize {
    const NONE: usize = usize::MAX;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! { static OWN: Cell<usize> = const { Cell::new(NONE) } }
    OWN.with(|own| {
        if own.get() == NONE {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        own.get()
    })
}

/// A reason's place in [`REASONS`].
fn reason(refusal: Refusal) -> usize {
    match refusal {
        Refusal::LimitReached(Counter::GroupsGained) | Refusal::DailyGainReached => 2,
        Refusal::LimitReached(Counter::Accounts | Counter::Groups | Counter::AvRooms) => 1,
        Refusal::AppUnknown => 3,
        Refusal::AppDisabled => 4,
        Refusal::StoreUnavailable { .. } => 5,
        Refusal::RequestExpired => 6,
    }
}

impl Refusal {
    /// The contract's reason in small letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        REASONS[reason(self)]
    }
}

impl Source {
    /// The contract's word in small letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Ledger => "ledger",
            Self::Degraded => "degraded",
        }
    }
}

/// Whether a count is told though it is nothing: a rate needs a beginning.
fn is_always_told(decision: usize, reason: usize, source: Source) -> bool {
    match (decision, reason) {
        (0, 0) => true,
        (1, 1) => source == Source::Ledger,
        (1, 5) => source == Source::Degraded,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Amount;

    fn check(mode: CheckMode) -> Check {
        Check {
            app: AppId::new(7).expect("not 0"),
            resource: Resource::Group,
            amount: Amount::from_wire(1).expect("1 is allowed"),
            request_id: RequestId::parse("r-1").ok(),
            resource_id: None,
            mode,
        }
    }

    fn verdict(outcome: Outcome, source: Source) -> Verdict {
        Verdict {
            outcome,
            limit: Some(Limit::AtMost(3)),
            used: 3,
            source,
            held: 0,
            replayed: true,
            already_counted: false,
        }
    }

    fn count(totals: &Totals, decision: &str, why: &str, source: Source) -> u64 {
        let mut of = totals.checks.iter();
        let found = of.find(|one| {
            let same = (one.resource, one.source) == (Resource::Group, source);
            same && one.decision == decision && one.reason == why
        });
        found.map_or(0, |one| one.count)
    }

    #[test]
    fn threads_count_apart_and_are_added_up() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * PLACES {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let verdict = verdict(Outcome::Allow, Source::Memory);
                        let took = Duration::from_micros(3);
                        tally.decided(&check(CheckMode::Count), &verdict, took, || Millis(1));
                    }
                });
            }
        });
        let totals = tally.totals();
        let all = 200 * PLACES as u64;
        assert_eq!(count(&totals, "allow", "", Source::Memory), all);
        assert_eq!((totals.replayed, totals.already_counted), (all, 0));
        let [(_, memory), (_, ledger), _] = totals.took;
        assert_eq!((memory.count(), ledger.count()), (all, 0));
        assert_eq!(tally.refusals(10, |_| true), []);
    }

    #[test]
    fn refusals_are_counted_by_reason_and_remembered() {
        let tally = Tally::default();
        let limit = Refusal::LimitReached(Counter::Groups);
        for at in 0..1_000 {
            let verdict = verdict(Outcome::Deny(limit), Source::Ledger);
            tally.decided(&check(CheckMode::Count), &verdict, Duration::ZERO, || {
                Millis(at)
            });
        }
        let exceeds = verdict(
            Outcome::Exceeds(Refusal::DailyGainReached),
            Source::Degraded,
        );
        tally.decided(&check(CheckMode::Record), &exceeds, Duration::ZERO, || {
            Millis(0)
        });
        let dry = verdict(Outcome::Deny(Refusal::AppDisabled), Source::Memory);
        tally.decided(&check(CheckMode::DryRun), &dry, Duration::ZERO, || {
            Millis(0)
        });
        let totals = tally.totals();
        assert_eq!(
            count(&totals, "deny", "limit_reached", Source::Ledger),
            1_000
        );
        assert_eq!(
            count(&totals, "allow", "daily_gain_reached", Source::Degraded),
            1
        );
        assert_eq!(totals.dry_runs, [("allow", 0), ("deny", 1), ("shadow", 0)]);
        let newest = tally.refusals(2, |one| one.app.get() == 7);
        let at: Vec<_> = newest.iter().map(|one| one.at.0).collect();
        assert_eq!(at, [999, 998]);
        assert_eq!(tally.refusals(9_999, |_| true).len(), REFUSALS_A_PLACE_MAX);
        assert_eq!(tally.refusals(9, |one| one.app.get() == 8), []);
    }
}
