//! Apps that are only watched: all is counted and judged as it would be, and nothing refused.

use super::check::{Hard, limit_reached};
use super::{Admission, Check, CheckMode, Outcome, Refusal, Verdict};
use crate::ledger::Entry;
use crate::quota::{AppRules, Charge, Limits};

/// How a check of such an app is decided: what its gateway creates will exist, whatever it exceeds.
pub(super) fn asked(check: &Check) -> Check {
    let mode = match check.mode {
        CheckMode::Count => CheckMode::Record,
        mode => mode,
    };
    Check {
        mode,
        ..check.clone()
    }
}

/// What the gateway is answered to `check`.
pub(super) fn shown(check: &Check, rules: &AppRules, verdict: Verdict) -> Verdict {
    if check.mode == CheckMode::Record {
        // Such a one is never refused; it says itself what it exceeds.
        return verdict;
    }
    let refusal = match verdict.outcome {
        _ if rules.disabled => Refusal::AppDisabled,
        Outcome::Exceeds(refusal) | Outcome::Deny(refusal) => refusal,
        Outcome::Allow | Outcome::Shadowed(_) => return verdict,
    };
    watched(verdict, refusal)
}

/// An answer that lets something through which would be refused.
pub(super) fn watched(verdict: Verdict, refusal: Refusal) -> Verdict {
    Verdict {
        outcome: Outcome::Shadowed(refusal),
        ..verdict
    }
}

/// What the ledger is asked for: a reservation that no limit stands in the way of, since what is reserved will
/// be confirmed whatever it exceeds.
pub(super) fn lifted(check: &Check, rules: &AppRules, hard: Hard) -> Hard {
    if !matches!(check.mode, CheckMode::Reserve(_)) {
        return hard;
    }
    let limits = Limits {
        av_rooms_are_groups: rules.limits.av_rooms_are_groups,
        ..Limits::UNLIMITED
    };
    let charge = Charge::new(check.resource, check.amount, &limits);
    Hard { charge, ..hard }
}

impl Admission {
    /// What a reservation of an app that is only watched exceeds.
    pub(super) fn held_beyond(
        &self,
        check: &Check,
        rules: &AppRules,
        entry: &Entry,
        verdict: Verdict,
    ) -> Verdict {
        if !matches!(check.mode, CheckMode::Reserve(_)) {
            return verdict;
        }
        let charge = Charge::new(check.resource, check.amount, &rules.limits);
        let now = self.ledger.now();
        let own = charge.parts()[0];
        let beyond = charge.parts().iter().find(|part| {
            let held = if part.counter == own.counter {
                verdict.held
            } else {
                // It is held of all of them alike.
                check.amount.get().into()
            };
            let charged = i128::from(self.ledger.net(entry, part.counter, now)) + i128::from(held);
            let limit = part.limit.get();
            limit.is_some_and(|limit| charged > i128::from(limit))
        });
        let outcome = match (verdict.outcome, beyond) {
            (Outcome::Allow, Some(part)) => Outcome::Exceeds(limit_reached(part.counter)),
            (outcome, _) => outcome,
        };
        Verdict {
            outcome,
            limit: Some(own.limit),
            ..verdict
        }
    }
}
