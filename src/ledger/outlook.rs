//! Whether the ledger can be asked: known to all checks, found out by one task.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::outage::Missed;
use crate::clock::Clock;
use crate::quota::{AppId, Charge, Counter, Outage, OutagePolicy, Part};
use crate::store::StoreFault;

/// [`State::Away`], and nothing is lifted for it: it is no ledger that this member can use, or takes nothing
/// from it any more.
const UNUSABLE: u8 = 3;

/// How often the log is told again of a ledger that stays away for one and the same reason: what only somebody can mend is
/// not retried in silence.
const REMINDED: Duration = Duration::from_mins(5);

/// Why the ledger does not answer.
#[derive(Debug)]
struct Why {
    cause: String,
    /// Since when, and when the log last said so, by the steady clock.
    since: Duration,
    said: Duration,
}

/// What is to be logged of it.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    News,
    /// For so many minutes.
    Still(u64),
}

impl Why {
    fn of(cause: String, now: Duration) -> Self {
        let (since, said) = (now, now);
        Self { cause, since, said }
    }

    /// Takes note of a failure.
    fn hear(&mut self, news: bool, cause: String, now: Duration) -> Option<Said> {
        if news || self.cause != cause {
            *self = Self::of(cause, now);
            return Some(Said::News);
        }
        if now.saturating_sub(self.said) < REMINDED {
            return None;
        }
        self.said = now;
        let minutes = now.saturating_sub(self.since).as_secs() / 60;
        Some(Said::Still(minutes))
    }
}

/// What is known of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Up,
    /// It does not answer, or has not been met yet.
    Away,
    /// It answers but has forgotten something: hard limits wait until its members have told it.
    Frozen,
}

/// The shared knowledge of the ledger's state. Checks read it and never wait for it.
#[derive(Debug)]
pub struct Outlook {
    state: AtomicU8,
    why: Mutex<Why>,
    doubted: Notify,
    clock: Arc<Clock>,
    missed: Missed,
}

impl Outlook {
    /// Nothing is known yet.
    pub fn new(clock: Arc<Clock>) -> Self {
        let why = "it has not been reached since the start".into();
        let why = Why::of(why, clock.steady());
        Self {
            state: AtomicU8::new(State::Away as u8),
            why: Mutex::new(why),
            doubted: Notify::new(),
            clock,
            missed: Missed::default(),
        }
    }

    /// From now on goes by `policy`.
    pub fn go_by(&mut self, policy: OutagePolicy) {
        self.missed = Missed::under(policy);
    }

    /// What is admitted while the ledger is away.
    pub fn policy(&self) -> OutagePolicy {
        self.missed.policy()
    }

    /// From now on goes by `policy`, while others look.
    pub fn change(&self, policy: OutagePolicy) {
        self.missed.change(policy);
    }

    /// The state, as last found out.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Up,
            1 | UNUSABLE => State::Away,
            _ => State::Frozen,
        }
    }

    /// A call failed: the owner of this knowledge looks at once, and until then nobody asks.
    pub fn doubt(&self, fault: &StoreFault) {
        if self.state() == State::Up {
            self.fell(fault);
            self.doubted.notify_one();
        }
    }

    /// The ledger was found to be away or frozen. Logged when that is news.
    pub fn fell(&self, fault: &StoreFault) {
        let state = match fault {
            StoreFault::Frozen(_) => State::Frozen as u8,
            StoreFault::Away(_) => State::Away as u8,
            StoreFault::Fenced(_) | StoreFault::Unusable(_) => UNUSABLE,
        };
        let news = self.state.swap(state, Ordering::AcqRel) != state;
        let now = self.clock.steady();
        self.explain(news, fault, now);
        self.missed.fell(now, state != UNUSABLE);
    }

    /// Logs why it does not answer: when that is news, and now and then again.
    fn explain(&self, news: bool, fault: &StoreFault, now: Duration) {
        let cause = fault.to_string();
        let said = self.known().hear(news, cause.clone(), now);
        let what = self.missed.words();
        match said {
            Some(Said::News) => tracing::warn!(%cause, "{what}"),
            Some(Said::Still(minutes)) => tracing::warn!(%cause, minutes, "still: {what}"),
            None => {}
        }
    }

    fn known(&self) -> MutexGuard<'_, Why> {
        // Its parts are set together, and none of that can panic.
        self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger answers, but part of it is frozen. Logged when that is news.
    pub fn hindered(&self, fault: &StoreFault) {
        let (cause, mut known) = (fault.to_string(), self.known());
        if known.cause != cause {
            tracing::warn!(%cause, "hard limits of some apps are refused");
            *known = Why::of(cause, self.clock.steady());
        }
    }

    /// The ledger was found to answer. Logged when that is news.
    pub fn rose(&self) {
        if self.state.swap(State::Up as u8, Ordering::AcqRel) != State::Up as u8 {
            tracing::info!("the ledger answers");
        }
    }

    /// The ledger answers, and was told all that was owed: the outage is over. What some of it still
    /// refuses is an outage of those apps alone.
    pub fn settled(&self) {
        if self.state() == State::Up {
            self.missed.over();
        }
    }

    /// As [`Outlook::settled`], where nothing of the ledger refused anything.
    pub fn settled_whole(&self) {
        self.settled();
        self.missed.forget_apps();
    }

    /// The part of `charge` that stops a creation of `app` which got no word from the ledger, or asks for
    /// none since it is away; `None`: it is admitted. `may_lift` as in [`Outage`].
    pub fn refuses(&self, app: AppId, charge: &Charge, may_lift: bool) -> Option<Part> {
        let (now, state) = (self.clock.steady(), self.state.load(Ordering::Acquire));
        let outage = Outage {
            since: self.missed.by(app, now, state != State::Up as u8),
            may_lift: may_lift && state != UNUSABLE,
        };
        self.policy().refuses(charge, outage, now)
    }

    /// The ledger decided a creation of `app`: nothing keeps it from doing so any more.
    pub fn decided(&self, app: AppId) {
        self.missed.decided(app);
    }

    /// A creation was admitted without the ledger.
    pub fn went_beyond(&self, charge: &Charge) {
        self.missed.went_beyond(charge);
    }

    /// Each hard limit's counter, whether it is lifted, and how many were admitted beyond it since the start.
    pub fn lifted(&self) -> [(Counter, bool, u64); 3] {
        self.missed.lifted()
    }

    /// Why it does not answer, in the words of the log; of one that does, why it did not last.
    pub fn cause(&self) -> String {
        self.known().cause.clone()
    }

    /// Looks which windows are over. Logged when one is.
    pub fn look(&self) {
        let lifts = match self.state.load(Ordering::Acquire) {
            UNUSABLE => return self.missed.close_all(),
            state => state != State::Up as u8,
        };
        self.missed.look(self.clock.steady(), lifts);
    }

    /// Ends when somebody doubts the ledger.
    pub async fn doubted(&self) {
        self.doubted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{Amount, Limit, Limits, OutageRule, Resource};

    fn outlook() -> Outlook {
        let mut outlook = Outlook::new(Arc::default());
        outlook.go_by(OutagePolicy {
            accounts: OutageRule::Admit,
            ..OutagePolicy::default()
        });
        outlook
    }

    fn admits(outlook: &Outlook, may_lift: bool) -> bool {
        let limits = Limits {
            accounts: Limit::AtMost(1),
            ..Limits::UNLIMITED
        };
        let (app, one) = (AppId::new(1), Amount::from_wire(1));
        let charge = Charge::new(Resource::Account, one.expect("1 is allowed"), &limits);
        let part = outlook.refuses(app.expect("not zero"), &charge, may_lift);
        part.is_none()
    }

    #[test]
    fn what_stays_is_said_again_and_what_is_new_at_once() {
        let at = Duration::from_secs;
        let mut why = Why::of("not met".into(), at(0));
        let mut hear = |news, cause: &str, now| why.hear(news, cause.into(), at(now));
        assert_eq!(hear(false, "a wrong password", 1), Some(Said::News));
        assert_eq!(hear(false, "a wrong password", 2), None);
        assert_eq!(hear(false, "a wrong password", 300), None);
        assert_eq!(hear(false, "a wrong password", 301), Some(Said::Still(5)));
        assert_eq!(hear(false, "a wrong password", 302), None);
        assert_eq!(hear(false, "a wrong password", 661), Some(Said::Still(11)));
        assert_eq!(hear(true, "a wrong password", 662), Some(Said::News));
        assert_eq!(hear(false, "no answer", 663), Some(Said::News));
    }

    #[test]
    fn limits_are_lifted_where_what_is_admitted_can_be_told_later() {
        let outlook = outlook();
        assert!(admits(&outlook, true), "not met yet");
        outlook.fell(&StoreFault::Away("it is gone".into()));
        assert!(admits(&outlook, true), "away");
        outlook.fell(&StoreFault::Frozen("it has forgotten".into()));
        assert!(admits(&outlook, true), "recovering");
        outlook.rose();
        outlook.hindered(&StoreFault::Frozen("this app waits".into()));
        assert!(admits(&outlook, true), "the app is not decided");
    }

    #[test]
    fn limits_are_kept_where_the_ledger_withholds_its_word_or_is_none_for_good() {
        let outlook = outlook();
        outlook.rose();
        assert!(!admits(&outlook, false), "a recount is under way");
        for fault in [
            StoreFault::Unusable("this member was retired".into()),
            StoreFault::Fenced("a later process has the journal".into()),
        ] {
            outlook.fell(&fault);
            assert_eq!(outlook.state(), State::Away);
            assert!(!admits(&outlook, true), "it is never told: {fault}");
        }
        outlook.fell(&StoreFault::Away("it is gone".into()));
        assert!(
            admits(&outlook, true),
            "perhaps it is another when it is back"
        );
    }
}
