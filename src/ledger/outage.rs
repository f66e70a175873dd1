//! Since when the ledger is missed, and what is admitted beyond control meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use rustc_hash::FxBuildHasher;
use tokio::time::MissedTickBehavior;

use super::Ledger;
use super::meeting::TICK;
use super::room::Alarms;
use crate::quota::{AppId, Charge, Counter, OutagePolicy};

/// The counters whose hard limits a policy may lift.
const HARD: [Counter; 3] = [Counter::Accounts, Counter::Groups, Counter::AvRooms];

/// For how long an app that was refused is taken to be refused still, where it does not ask again: as long
/// as the ledger's word is out at most when it answers as a whole.
const LATELY: Duration = Duration::from_secs(5);

/// No outage. A steady clock does not get there in 584 years.
const NEVER: u64 = u64::MAX;

/// Since when the ledger is missed. Checks read it and never wait; times are of the steady clock.
#[derive(Debug)]
pub struct Missed {
    policy: ArcSwap<OutagePolicy>,
    /// Nanoseconds; [`NEVER`]: it is not. Set by the first failure alone, so that none after it moves it.
    since: AtomicU64,
    /// Apps of which a creation was not decided: a ledger that answers may refuse some. As many as there
    /// are apps in memory, and none under the policy by default, which knows no windows.
    apps: DashMap<AppId, Refused, FxBuildHasher>,
    windows: [Window; HARD.len()],
}

/// When an app was refused an answer, the first time and the last.
#[derive(Debug, Clone, Copy)]
struct Refused {
    since: Duration,
    last: Duration,
}

/// Whether creations of one kind are admitted beyond control, and how many were.
#[derive(Debug, Default)]
struct Window {
    open: AtomicBool,
    admitted: AtomicU64,
    /// Since the start, not since it was opened.
    admitted_ever: AtomicU64,
}

impl Default for Missed {
    fn default() -> Self {
        Self::under(OutagePolicy::default())
    }
}

impl Missed {
    /// Nothing is missed yet.
    pub fn under(policy: OutagePolicy) -> Self {
        Self {
            policy: ArcSwap::from_pointee(policy),
            since: AtomicU64::new(NEVER),
            apps: DashMap::default(),
            windows: Default::default(),
        }
    }

    /// What is admitted in an outage.
    pub fn policy(&self) -> OutagePolicy {
        **self.policy.load()
    }

    /// From now on another policy holds, also in an outage that is under way.
    pub fn change(&self, policy: OutagePolicy) {
        self.policy.store(Arc::new(policy));
    }

    /// What an outage means, for the log.
    pub fn words(&self) -> &'static str {
        if self.policy().is_strict() {
            "hard limits are refused, metered resources go on"
        } else {
            "each resource goes by its outage policy"
        }
    }

    /// The ledger failed at `now`. The first failure of an outage opens the windows, where limits may be
    /// lifted.
    pub fn fell(&self, now: Duration, may_lift: bool) {
        let (_, first) = self.begin(now);
        if first && may_lift {
            for (counter, window) in HARD.into_iter().zip(&self.windows) {
                if self.policy().of(counter).admits(now, now) {
                    self.open(counter, window);
                }
            }
        }
    }

    /// The outage that a creation of `app` meets began at what is answered; now, if it is the first to
    /// meet it. `away`: the ledger as a whole is missed, not for this app alone.
    pub fn by(&self, app: AppId, now: Duration, away: bool) -> Duration {
        let since = if away {
            self.begin(now).0
        } else {
            self.since().unwrap_or(now)
        };
        if self.policy() == OutagePolicy::default() {
            return since;
        }
        let own = Refused {
            since: now,
            last: now,
        };
        let mut own = self.apps.entry(app).or_insert(own);
        own.last = now;
        since.min(own.since)
    }

    /// The ledger decides for `app`.
    pub fn decided(&self, app: AppId) {
        // Nearly always there is none, and what is only read is not fought for.
        if !self.apps.is_empty() {
            self.apps.remove(&app);
        }
    }

    /// The outage is over; the next failure begins another.
    pub fn over(&self) {
        if self.since.load(Ordering::Relaxed) != NEVER {
            self.since.store(NEVER, Ordering::Release);
        }
    }

    /// No app is refused any more.
    pub fn forget_apps(&self) {
        self.apps.clear();
    }

    /// `charge` was admitted.
    pub fn went_beyond(&self, charge: &Charge) {
        for part in charge.parts().iter().filter(|part| part.is_hard()) {
            let mut windows = HARD.into_iter().zip(&self.windows);
            if let Some((counter, window)) = windows.find(|(of, _)| *of == part.counter) {
                let amount = u64::from(charge.amount().get());
                window.admitted.fetch_add(amount, Ordering::Relaxed);
                window.admitted_ever.fetch_add(amount, Ordering::Relaxed);
                self.open(counter, window);
            }
        }
    }

    /// Closes the windows that are over at `now`. `away` as in [`Missed::by`].
    pub fn look(&self, now: Duration, away: bool) {
        let since = self.since().unwrap_or(now);
        for (counter, window) in HARD.into_iter().zip(&self.windows) {
            if !window.open.load(Ordering::Relaxed) {
                continue;
            }
            let rule = self.policy().of(counter);
            let admits = if away {
                rule.admits(since, now)
            } else {
                let mut apps = self.apps.iter();
                apps.any(|own| {
                    now.saturating_sub(own.last) < LATELY && rule.admits(since.min(own.since), now)
                })
            };
            if !admits {
                close(counter, window);
            }
        }
    }

    /// Closes all windows.
    pub fn close_all(&self) {
        for (counter, window) in HARD.into_iter().zip(&self.windows) {
            close(counter, window);
        }
    }

    /// Each hard limit's counter, whether it is lifted, and how many were admitted beyond it since the start.
    pub fn lifted(&self) -> [(Counter, bool, u64); HARD.len()] {
        std::array::from_fn(|at| {
            let window = &self.windows[at];
            let ever = window.admitted_ever.load(Ordering::Relaxed);
            (HARD[at], window.open.load(Ordering::Relaxed), ever)
        })
    }

    fn since(&self) -> Option<Duration> {
        let since = self.since.load(Ordering::Acquire);
        (since != NEVER).then(|| Duration::from_nanos(since))
    }

    /// When the outage began: now, unless it had begun before; and whether it had not.
    fn begin(&self, now: Duration) -> (Duration, bool) {
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(NEVER - 1);
        let begun = self
            .since
            .compare_exchange(NEVER, nanos, Ordering::AcqRel, Ordering::Acquire);
        match begun {
            Ok(_) => (now, true),
            Err(since) => (Duration::from_nanos(since), false),
        }
    }

    fn open(&self, counter: Counter, window: &Window) {
        if !window.open.swap(true, Ordering::AcqRel) {
            let rule = self.policy().of(counter);
            tracing::warn!(
                ?counter, %rule,
                "the ledger cannot tell: limits are lifted, and what is admitted may pass them"
            );
        }
    }
}

fn close(counter: Counter, window: &Window) {
    if window.open.swap(false, Ordering::AcqRel) {
        let admitted = window.admitted.swap(0, Ordering::Relaxed);
        tracing::warn!(?counter, admitted, "limits hold again");
    }
}

/// Looks after windows that are over, and after what is kept for a ledger that is away, until it is dropped,
/// which loses nothing.
pub async fn keep(ledger: &Ledger) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alarms = Alarms::default();
    loop {
        tick.tick().await;
        ledger.outlook.look();
        alarms.look(ledger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::OutageRule;

    fn app(id: u64) -> AppId {
        AppId::new(id).expect("not zero")
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn timed() -> Missed {
        Missed::under(OutagePolicy {
            accounts: OutageRule::AdmitFor(secs(30)),
            ..OutagePolicy::default()
        })
    }

    #[test]
    fn the_first_failure_alone_begins_an_outage() {
        for missed in [Missed::default(), timed()] {
            missed.fell(secs(10), true);
            missed.fell(secs(20), true);
            assert_eq!(missed.by(app(1), secs(25), true), secs(10));
            missed.over();
            missed.forget_apps();
            missed.fell(secs(40), true);
            assert_eq!(missed.by(app(1), secs(41), true), secs(40));
        }
    }

    #[test]
    fn who_asks_before_anything_failed_begins_it() {
        let missed = timed();
        assert_eq!(missed.by(app(1), secs(5), true), secs(5));
        missed.fell(secs(6), true);
        assert_eq!(missed.by(app(2), secs(7), true), secs(5));
    }

    #[test]
    fn an_app_that_is_still_refused_gets_no_second_window() {
        let missed = timed();
        missed.fell(secs(10), true);
        assert_eq!(missed.by(app(1), secs(11), true), secs(10));
        // The ledger is back, but not for this app.
        missed.over();
        assert_eq!(missed.by(app(1), secs(60), false), secs(11));
        assert_eq!(missed.by(app(2), secs(60), false), secs(60));
        // It goes away once more.
        missed.fell(secs(70), true);
        assert_eq!(missed.by(app(1), secs(71), true), secs(11));
        missed.over();
        missed.decided(app(1));
        assert_eq!(missed.by(app(1), secs(80), false), secs(80));
    }

    #[test]
    fn a_window_is_open_from_the_first_failure_to_its_time() {
        let missed = timed();
        let open = |missed: &Missed| {
            let open = |window: &Window| window.open.load(Ordering::Relaxed);
            missed.windows.each_ref().map(open)
        };
        missed.fell(secs(10), false);
        assert_eq!(open(&missed), [false; 3]);
        missed.over();
        missed.fell(secs(10), true);
        missed.look(secs(39), true);
        assert_eq!(open(&missed), [true, false, false]);
        missed.fell(secs(39), true);
        missed.look(secs(40), true);
        missed.fell(secs(41), true);
        assert_eq!(open(&missed), [false; 3]);
    }
}
