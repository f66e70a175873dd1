//! Creations that get no word from the ledger: each resource's policy decides.

use std::sync::Arc;

use super::check::allowed;
use super::{Admission, Check, CheckMode, Fault, Source, Verdict};
use crate::clock::Millis;
use crate::ledger::{Counted, Despite, Entry, State, Unkept, Wanted};
use crate::quota::{Charge, OutageRule, Part};
use crate::store::Intent;

/// Why there is no word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wordless {
    /// The ledger is away, or does not know itself what it once acknowledged.
    Away,
    /// It is there and decides this one creation not now: a recount is under way or has overtaken it, or
    /// this member has no lease yet. No policy lifts a limit for that: nobody is away, it is soon over, and
    /// a truth that is being counted might lack what is created meanwhile.
    Withheld,
}

impl Admission {
    /// What stops a creation without limits. Nothing does while the ledger answers; this is asked on the way
    /// of every such creation, and is one look at what is known.
    pub(super) fn stops_metered(&self, entry: &Entry, charge: &Charge) -> Option<Part> {
        let outlook = self.ledger.outlook();
        if outlook.policy().metered == OutageRule::Admit || outlook.state() == State::Up {
            return None;
        }
        outlook.refuses(entry.app, charge, true)
    }

    /// Why the ledger is not even asked about a creation under limits; `None`: it is.
    pub(super) fn wordless(&self, mode: CheckMode, entry: &Entry) -> Option<Wordless> {
        let counts = mode.counts();
        if counts && entry.frozen().is_some() {
            Some(Wordless::Withheld)
        } else if self.ledger.state() != State::Up {
            Some(Wordless::Away)
        } else {
            (counts && !self.ledger.has_lease()).then_some(Wordless::Withheld)
        }
    }

    /// Counts a creation here, without the ledger's word. Where all are to know its id the ledger is told of that as well.
    pub(super) fn count_alone(
        &self,
        check: &Check,
        (entry, charge): (&Arc<Entry>, &Charge),
        now: Millis,
    ) -> Result<Counted, Unkept> {
        let once = check.once();
        let is_named = check.resource_id.is_some() && entry.rules().track_objects;
        // A truth that is being counted has it or has not: there is no telling which.
        let is_shared = self.shares(check, entry, charge) && !is_named && entry.frozen().is_none();
        let (Some(once), true) = (once, is_shared) else {
            return self.ledger.consume(
                entry,
                charge,
                (now, self.ledger.now()),
                once,
                Despite::Asked,
            );
        };
        let wanted = Wanted {
            app: check.app,
            request_id: check.request_id.clone(),
            fingerprint: check.fingerprint(),
            charge: *charge,
            day: self.ledger.zone().day(now),
            object: None,
            intent: Intent::Alone,
        };
        self.ledger.consume_alone(entry, wanted, now, once)
    }

    /// Decides by the policy alone; counted here if it is admitted, and settled later.
    pub(super) fn by_policy(
        &self,
        check: &Check,
        (entry, charge): (&Arc<Entry>, &Charge),
        now: Millis,
        why: Wordless,
    ) -> Result<Result<Verdict, Part>, Fault> {
        let outlook = self.ledger.outlook();
        if let Some(part) = outlook.refuses(entry.app, charge, why == Wordless::Away) {
            return Ok(Err(part));
        }
        let own = charge.parts()[0];
        let known = || self.ledger.net(entry, own.counter, now);
        let (net, replayed) = match check.mode {
            CheckMode::Count | CheckMode::Record => {
                match self.count_alone(check, (entry, charge), now)? {
                    Counted::Now(net) => {
                        outlook.went_beyond(charge);
                        (net, false)
                    }
                    Counted::Before(_) | Counted::There | Counted::Not => (known(), true),
                    Counted::Other => return Err(Fault::OtherContent),
                }
            }
            CheckMode::DryRun | CheckMode::Reserve(_) => (known(), false),
        };
        Ok(Ok(Verdict {
            replayed,
            ..allowed(own.limit, net, Source::Degraded)
        }))
    }
}
