//! A creation: from memory where no limit stands in its way, else by one step in the ledger.

use std::hash::Hasher;
use std::sync::Arc;
use std::time::Instant;

use super::shadow::{self, watched};
use super::{
    Admission, Check, CheckMode, Fault, Outcome, Patience, RETRY_AFTER, Refusal, Source, Verdict,
    shown,
};
use crate::clock::{Day, Millis};
use crate::ledger::{Counted, Despite, Entry, Once, Spent};
use crate::quota::{
    Amount, AppId, AppRules, Charge, Counter, HoldTime, Limit, ObjectId, Part, Resource,
};
use crate::store::Fingerprint;
use siphasher::sip::SipHasher24;

/// Under a limit below this one an id is known to all sidecars: few creations come, and each place matters.
const SMALL_LIMIT: u64 = 1_000;

impl Admission {
    /// Decides one creation; if it is allowed, it is counted.
    ///
    /// # Errors
    /// [`Fault`]; nothing is counted then.
    pub async fn check(&self, check: Check, patience: Patience) -> Result<Verdict, Fault> {
        match self.without_waiting(&check)? {
            Ok(verdict) => Ok(verdict),
            // Boxed, so that the future of a check from memory stays small.
            Err(hard) => Box::pin(self.with_ledger(check, hard, patience)).await,
        }
    }

    /// The synchronous part of [`Admission::check`]: decides it if that can be done without the ledger;
    /// if not, [`Admission::with_ledger`] goes on with what it gives.
    ///
    /// # Errors
    /// [`Fault`]; nothing is counted then.
    pub fn without_waiting(&self, check: &Check) -> Result<Result<Verdict, Hard>, Fault> {
        let begun = Instant::now();
        let decided = self.without_asking(check)?;
        if let Ok(verdict) = &decided {
            self.tally
                .decided(check, verdict, begun.elapsed(), || self.ledger.now());
        }
        Ok(decided)
    }

    fn without_asking(&self, check: &Check) -> Result<Result<Verdict, Hard>, Fault> {
        if let Some(entry) = self.ledger.met_entry(check.app)
            && !entry.is_gone()
        {
            return self.of_entry(check, &entry);
        }
        match self.entry(check.app)? {
            Some(entry) => self.of_entry(check, &entry),
            None => Ok(Ok(self.of_unknown(check.app))),
        }
    }

    /// The answer for an app that nobody names, as far as is known here.
    fn of_unknown(&self, app: AppId) -> Verdict {
        let rules = self.ledger.rules();
        let refusal = if rules.is_heard() || rules.registered(app).is_some() {
            Refusal::AppUnknown
        } else {
            // It may be in the ledger, which this sidecar has never read.
            Refusal::StoreUnavailable {
                retry_after: RETRY_AFTER,
            }
        };
        let verdict = refused(refusal, None, 0, Source::Memory);
        if rules.file().shadow {
            watched(verdict, refusal)
        } else {
            verdict
        }
    }

    fn of_entry(&self, check: &Check, entry: &Arc<Entry>) -> Result<Result<Verdict, Hard>, Fault> {
        let rules = entry.rules();
        if !rules.shadow {
            return self.judged(check, entry, &rules);
        }
        let decided = self.judged(&shadow::asked(check), entry, &rules)?;
        Ok(decided.map(|verdict| shadow::shown(check, &rules, verdict)))
    }

    fn judged(
        &self,
        check: &Check,
        entry: &Arc<Entry>,
        rules: &AppRules,
    ) -> Result<Result<Verdict, Hard>, Fault> {
        if rules.disabled && !rules.shadow && check.mode != CheckMode::Record {
            let limit = rules.limits.of(check.resource.counter());
            let used = shown(entry.net(check.resource));
            return Ok(Ok(refused(
                Refusal::AppDisabled,
                Some(limit),
                used,
                Source::Memory,
            )));
        }
        let charge = Charge::new(check.resource, check.amount, &rules.limits);
        let charge = charge.of_edition(rules.edition);
        let now = self.ledger.now();
        if check.mode.counts()
            && let Some(id) = &check.request_id
            && self.ledger.is_expired(id, now)
        {
            let part = charge.parts()[0];
            let used = shown(self.ledger.net(entry, part.counter, now));
            let refusal = Refusal::RequestExpired;
            return Ok(Ok(refused(refusal, Some(part.limit), used, self.memory())));
        }
        let hard = || Hard {
            entry: entry.clone(),
            charge,
            now,
        };
        if check.is_the_ledgers(entry) {
            return Ok(Err(hard()));
        }
        if !charge.is_metered() {
            return Ok(self
                .out_of_spare(check, entry, &charge, now)?
                .ok_or_else(hard));
        }
        if self.shares(check, entry, &charge) {
            return Ok(Err(hard()));
        }
        if check.mode != CheckMode::Record
            && let Some(part) = self.stops_metered(entry, &charge)
        {
            return Ok(Ok(self.unavailable(&hard(), &part)));
        }
        let part = charge.parts()[0];
        let known = || self.ledger.net(entry, part.counter, now);
        let (net, replayed) = match check.mode {
            CheckMode::Count | CheckMode::Record => {
                let (once, despite) = (check.once(), Despite::Nothing);
                match self.ledger.consume(entry, &charge, now, once, despite)? {
                    Counted::Now(net) => (net, false),
                    Counted::Before(_) => (known(), true),
                    Counted::Not | Counted::There => return Ok(Err(hard())),
                    Counted::Other => return Err(Fault::OtherContent),
                }
            }
            // A reservation is the ledger's.
            CheckMode::DryRun | CheckMode::Reserve(_) => (known(), false),
        };
        Ok(Ok(Verdict {
            replayed,
            ..allowed(part.limit, net, self.memory())
        }))
    }

    /// The answer from what was lent to this sidecar; `None`: the ledger must be asked.
    pub(super) fn out_of_spare(
        &self,
        check: &Check,
        entry: &Arc<Entry>,
        charge: &Charge,
        now: Millis,
    ) -> Result<Option<Verdict>, Fault> {
        let spends = check.mode.counts() && !self.ledger.store().is_local();
        if !spends || check.is_the_ledgers(entry) || self.shares(check, entry, charge) {
            return Ok(None);
        }
        let own = &charge.parts()[0];
        Ok(match self.ledger.spend(entry, charge, now, check.once())? {
            Spent::Counted(net) => Some(allowed(own.limit, net, self.memory())),
            Spent::Before(net) => Some(Verdict {
                replayed: true,
                ..allowed(own.limit, net, self.memory())
            }),
            Spent::Other => return Err(Fault::OtherContent),
            Spent::Late => {
                let (entry, charge) = (entry.clone(), *charge);
                Some(self.unavailable(&Hard { entry, charge, now }, own))
            }
            Spent::Ask => None,
        })
    }

    /// Whether a check's answer is to be found again by every sidecar, so that only the ledger's record can
    /// tell: the app wants it, or a place counted twice would be missed.
    fn shares(&self, check: &Check, entry: &Entry, charge: &Charge) -> bool {
        let named = check.mode.counts() && check.request_id.is_some();
        let is_small = |part: &Part| part.limit.get().is_some_and(|limit| limit < SMALL_LIMIT);
        let matters = entry.rules().share_ids || charge.parts().iter().any(is_small);
        named && matters && !self.ledger.store().is_local()
    }
}

impl Check {
    /// Whether only the ledger may decide it, whatever memory knows: it holds a place, or it is about an object
    /// that a count belongs to.
    pub(super) fn is_the_ledgers(&self, entry: &Entry) -> bool {
        let reserves = matches!(self.mode, CheckMode::Reserve(_));
        reserves || entry.rules().track_objects && self.resource_id.is_some()
    }

    /// What it asks for, as a number.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let verb = match self.mode {
            CheckMode::Reserve(_) => b'h',
            // Of what happened anyway the check may have been answered after all.
            CheckMode::Count | CheckMode::Record | CheckMode::DryRun => b'c',
        };
        let print = Print::new(verb, self.resource, self.amount).naming(self.resource_id.as_ref());
        match self.mode {
            CheckMode::Reserve(hold) => print.holding(hold),
            _ => print,
        }
        .done()
    }

    /// The request that it is, if its client named it.
    pub(super) fn once(&self) -> Option<Once> {
        let id = self.request_id.as_ref()?;
        Some(Once::new(self.app, id, self.fingerprint()))
    }
}

/// A creation that a limit may refuse, and that the ledger is to be asked about.
pub struct Hard {
    pub(super) entry: Arc<Entry>,
    pub(super) charge: Charge,
    pub(super) now: Millis,
}

impl Hard {
    pub(super) fn day(&self, admission: &Admission) -> Day {
        admission.ledger.zone().day(self.now)
    }
}

pub(super) fn allowed(limit: Limit, net: i64, source: Source) -> Verdict {
    let (outcome, limit, used) = (Outcome::Allow, Some(limit), shown(net));
    Verdict {
        outcome,
        limit,
        used,
        source,
        held: 0,
        replayed: false,
        already_counted: false,
    }
}

pub(super) fn refused(
    refusal: Refusal,
    limit: Option<Limit>,
    used: u64,
    source: Source,
) -> Verdict {
    Verdict {
        outcome: Outcome::Deny(refusal),
        limit,
        used,
        source,
        held: 0,
        replayed: false,
        already_counted: false,
    }
}

pub(super) fn limit_reached(counter: Counter) -> Refusal {
    match counter {
        Counter::GroupsGained => Refusal::DailyGainReached,
        counter => Refusal::LimitReached(counter),
    }
}

/// What one request asks for, as a number: one id cannot stand for two of them.
pub(super) struct Print(SipHasher24);

impl Print {
    /// Written byte by byte, so that every version of this program makes the same: the ledger compares
    /// what different sidecars sent.
    pub(super) fn new(verb: u8, resource: Resource, amount: Amount) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(&[verb, resource as u8]);
        hasher.write(&amount.get().to_le_bytes());
        Self(hasher)
    }

    /// The same, of this object.
    pub(super) fn naming(mut self, object: Option<&ObjectId>) -> Self {
        if let Some(object) = object {
            self.0.write(b"o");
            self.0.write(object.as_str().as_bytes());
        }
        self
    }

    fn holding(mut self, hold: HoldTime) -> Self {
        self.0.write(b"t");
        self.0.write(&hold.ms().to_le_bytes());
        self
    }

    pub(super) fn done(self) -> Fingerprint {
        Fingerprint(self.0.finish())
    }
}
