//! Creations that happened anyway: a gateway that got no answer let them through. They are counted as if
//! they were asked for; what is refused then is counted here, above the limit, and settled later.

use super::check::{Hard, allowed};
use super::{Admission, Check, Fault, Outcome, Refusal, Verdict};
use crate::ledger::Counted;
use crate::quota::Counter;

impl Admission {
    /// Counts a creation that exists, unless `verdict` says that it is counted.
    pub(super) fn exists(
        &self,
        check: &Check,
        hard: &Hard,
        verdict: Verdict,
    ) -> Result<Verdict, Fault> {
        let Outcome::Deny(refusal) = verdict.outcome else {
            return Ok(verdict);
        };
        let Hard { entry, charge, now } = hard;
        if entry.frozen().is_some() || matches!(refusal, Refusal::RequestExpired) {
            // While a truth is being counted nobody knows whether it contains this one.
            return Ok(verdict);
        }
        let replayed = match self.count_alone(check, (entry, charge), *now)? {
            Counted::Now(_) => {
                tracing::debug!(app = %entry.app, "a creation that exists is counted beyond its limit");
                false
            }
            Counted::Before(_) | Counted::There | Counted::Not => true,
            Counted::Other => return Err(Fault::OtherContent),
        };
        let own = charge.parts()[0];
        let net = |counter| self.ledger.net(entry, counter, *now);
        let beyond = charge.parts().iter().find(|part| {
            let limit = part.limit.get();
            limit.is_some_and(|limit| i128::from(net(part.counter)) > i128::from(limit))
        });
        let outcome = match (refusal, beyond.map(|part| part.counter)) {
            (Refusal::StoreUnavailable { .. }, None) => Outcome::Allow,
            (Refusal::StoreUnavailable { .. }, Some(Counter::GroupsGained)) => {
                Outcome::Exceeds(Refusal::DailyGainReached)
            }
            (Refusal::StoreUnavailable { .. }, Some(counter)) => {
                Outcome::Exceeds(Refusal::LimitReached(counter))
            }
            (refusal, _) => Outcome::Exceeds(refusal),
        };
        Ok(Verdict {
            outcome,
            replayed,
            ..allowed(own.limit, net(own.counter), verdict.source)
        })
    }
}
