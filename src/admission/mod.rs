//! One request, one decision. Knows the ledger, and nothing of the wire.
//!
//! A creation without a limit in its way is counted from memory. Any other is one step in the shared
//! ledger. Where the ledger is away, each resource's policy decides: unless the settings say otherwise,
//! hard limits are refused, the daily gain (a guard of the platform's, not of the customer's purse) is
//! admitted and settled later, metered resources never stop.

mod active;
mod check;
mod exists;
mod hold;
mod objects;
mod outage;
mod release;
mod shadow;
mod take;
mod tally;
mod told;
mod usage;
mod verdict;

pub use check::{Hard, Sitting};
pub use tally::{Answers, Refused, SOURCES, Tally, Totals};
pub use verdict::{
    Active, Cancel, Cancelled, Check, CheckMode, Confirm, Confirmed, Fault, Import, Imported,
    Outcome, Record, Refusal, Release, Released, ResourceUsage, Source, UsageReport, Verdict, Who,
};

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::{Crowded, Entry, Full, Ledger, LogFull, State, Unkept};
use crate::quota::{AppId, RequestId};
use crate::store::{Reply, StoreFault};

/// How long a caller can wait: the end of its own deadline, where it gave one.
#[derive(Debug, Clone, Copy)]
pub struct Patience(pub Option<std::time::Instant>);

/// Until when one call may wait for the store, with all that it asks of it together, and what it means if
/// that time ends.
#[derive(Debug, Clone, Copy)]
struct Budget {
    until: Instant,
    end: Silence,
}

impl Budget {
    fn left(self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// What is left when some of it has passed, with another answer of the store's or by waiting here: that it ends is
    /// no reason to doubt the store, which did not have all of it.
    fn shortened(self) -> Self {
        let end = Silence::Caller;
        Self { end, ..self }
    }
}

/// Why the store gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// It is away, or refuses: the policy of the resource decides.
    Store,
    /// The caller's own deadline came first, which says nothing of the store and must lift no limit.
    Caller,
}

/// How much of the bound the store may use up, in twentieths: the rest is for the answer's own way.
const WAIT_TWENTIETHS: u32 = 19;

/// What a refusal for want of the ledger says about asking again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Decides, with the rules of the settings and the ledger behind it.
pub struct Admission {
    ledger: Arc<Ledger>,
    /// The longest that a call waits for the ledger.
    wait: Duration,
    tally: Tally,
}

impl Admission {
    /// Decides over `ledger`; no call that waits for the store behind it is answered later than `wait`.
    pub fn new(ledger: Arc<Ledger>, wait: Duration) -> Self {
        let wait = wait * WAIT_TWENTIETHS / 20;
        Self {
            ledger,
            wait,
            tally: Tally::default(),
        }
    }

    /// What was answered so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn entry(&self, app: AppId) -> Result<Option<Arc<Entry>>, Fault> {
        let entry = self.ledger.entry(app)?;
        Ok(entry.filter(|entry| !entry.is_gone()))
    }

    fn not_expired(&self, id: Option<&RequestId>) -> Result<(), Fault> {
        match id {
            Some(id) if self.ledger.is_expired(id, self.ledger.now()) => Err(Fault::Expired),
            _ => Ok(()),
        }
    }

    /// The time of a call that begins now: it ends with the bound of this service, or with the caller's
    /// deadline if that comes first.
    fn budget(&self, patience: Patience) -> Budget {
        let bound = Instant::now() + self.wait;
        match patience.0.map(Instant::from) {
            Some(until) if until < bound => Budget {
                until,
                end: Silence::Caller,
            },
            _ => Budget {
                until: bound,
                end: Silence::Store,
            },
        }
    }

    /// Waits for the store, but not beyond the call's time.
    async fn ask<T>(&self, reply: Reply<'_, T>, budget: Budget) -> Result<T, Silence> {
        match tokio::time::timeout_at(budget.until, reply).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) => {
                self.ledger.doubt(&fault);
                Err(Silence::Store)
            }
            Err(_) => {
                if budget.end == Silence::Store {
                    let words = format!("it did not answer within {:?}", self.wait);
                    self.ledger.doubt(&StoreFault::Away(words));
                }
                Err(budget.end)
            }
        }
    }

    /// Where an answer from memory stands: alone, while the store is away.
    fn memory(&self) -> Source {
        if self.ledger.store().is_local() || self.ledger.state() == State::Up {
            Source::Memory
        } else {
            Source::Degraded
        }
    }

    /// Where an answer of the store comes from.
    fn shared(&self) -> Source {
        if self.ledger.store().is_local() {
            Source::Memory
        } else {
            Source::Ledger
        }
    }
}

/// A net count as it is shown: a release that settles before its creation may leave it below zero for
/// a moment.
fn shown(net: i64) -> u64 {
    u64::try_from(net).unwrap_or(0)
}

impl From<LogFull> for Fault {
    fn from(full: LogFull) -> Self {
        Self::Away(full.to_string().into())
    }
}

impl From<Unkept> for Fault {
    fn from(unkept: Unkept) -> Self {
        match unkept {
            Unkept::Log(full) => full.into(),
            Unkept::Ids(full) => Self::Exhausted(full.to_string().into()),
        }
    }
}

impl From<Full> for Fault {
    fn from(full: Full) -> Self {
        match full {
            Full::Waiting => Self::Exhausted(full.to_string().into()),
            Full::Journal(full) => full.into(),
        }
    }
}

impl From<Crowded> for Fault {
    fn from(crowded: Crowded) -> Self {
        match crowded {
            Crowded::Apps => Self::Exhausted(crowded.to_string().into()),
            Crowded::Unreadable => Self::Away(crowded.to_string().into()),
        }
    }
}
