//! A creation: from memory where no limit stands in its way, else by one step in the ledger.

use std::hash::Hasher;
use std::sync::Arc;

use super::outage::Wordless;
use super::{
    Admission, Budget, Check, CheckMode, Fault, Outcome, Patience, RETRY_AFTER, Refusal, Silence,
    Source, Verdict, shown,
};
use crate::clock::{Day, Millis};
use crate::ledger::{Counted, Despite, Entry, NotTaken, Once, Spent, Wanted};
use crate::quota::{Amount, Charge, Counter, Limit, Part, Resource};
use crate::store::{Fingerprint, Intent, Taken, Undecided};
use siphasher::sip::SipHasher24;

/// Under a limit below this one an id is known to all sidecars: few creations come, and each place matters.
const SMALL_LIMIT: u64 = 1_000;
/// How often the ledger is asked again at most, where only units that were lent stood in the way: reports
/// of other calls are under way meanwhile.
const ASKED_AGAIN_MAX: usize = 3;

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
        if let Some(entry) = self.ledger.met_entry(check.app) {
            return self.of_entry(check, &entry);
        }
        match self.entry(check.app)? {
            Some(entry) => self.of_entry(check, &entry),
            None => Ok(Ok(refused(Refusal::AppUnknown, None, 0, Source::Memory))),
        }
    }

    fn of_entry(&self, check: &Check, entry: &Arc<Entry>) -> Result<Result<Verdict, Hard>, Fault> {
        let rules = &entry.rules;
        if rules.disabled && check.mode != CheckMode::Record {
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
        let now = self.ledger.now();
        if check.mode.counts()
            && let Some(id) = &check.request_id
            && self.ledger.is_expired(id)
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
            CheckMode::DryRun | CheckMode::Reserve(_) => (known(), false),
        };
        Ok(Ok(Verdict {
            replayed,
            ..allowed(part.limit, net, self.memory())
        }))
    }

    /// The answer from what was lent to this sidecar; `None`: the ledger must be asked.
    fn out_of_spare(
        &self,
        check: &Check,
        entry: &Arc<Entry>,
        charge: &Charge,
        now: Millis,
    ) -> Result<Option<Verdict>, Fault> {
        let spends = check.mode.counts() && !self.ledger.store().is_local();
        if !spends || self.shares(check, entry, charge) {
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
        let matters = entry.rules.share_ids || charge.parts().iter().any(is_small);
        named && matters && !self.ledger.store().is_local()
    }

    /// The other part of [`Admission::check`]: asks the ledger.
    ///
    /// # Errors
    /// [`Fault`]; nothing is counted then.
    pub async fn with_ledger(
        &self,
        check: Check,
        hard: Hard,
        patience: Patience,
    ) -> Result<Verdict, Fault> {
        let budget = self.budget(patience);
        let verdict = match self.wordless(check.mode, &hard.entry) {
            Some(why) => self.without_ledger(&check, &hard, why)?,
            None if check.mode.counts() => self.decide(&check, &hard, budget).await?,
            None => self.judge(&check, &hard, budget).await?,
        };
        match check.mode {
            CheckMode::Record => self.exists(&check, &hard, verdict),
            CheckMode::Count | CheckMode::DryRun | CheckMode::Reserve(_) => Ok(verdict),
        }
    }

    /// Decides a creation by the ledger, and counts it if it is allowed.
    async fn decide(&self, check: &Check, hard: &Hard, budget: Budget) -> Result<Verdict, Fault> {
        let (mut refusal, mut lent_here) = match self.take(check, hard, budget).await? {
            Decided::ByLedger(verdict) => return Ok(verdict),
            Decided::ByWhatIsLent { refusal, lent_here } => (refusal, lent_here),
        };
        for _ in 0..ASKED_AGAIN_MAX {
            // What stood in the way may have been lent to this very sidecar a moment ago.
            let (entry, charge) = (&hard.entry, &hard.charge);
            if let Some(verdict) = self.out_of_spare(check, entry, charge, hard.now)? {
                return Ok(verdict);
            }
            // What was lent here may be all that is left, and of no use for this creation (it is larger,
            // or has an id): it is returned and the ledger asked once more, all in the time of one call.
            if !self.returns_lent(entry, lent_here, budget).await {
                break;
            }
            match self.take(check, hard, budget).await? {
                Decided::ByLedger(verdict) => return Ok(verdict),
                Decided::ByWhatIsLent {
                    refusal: again,
                    lent_here: still,
                } => (refusal, lent_here) = (again, still),
            }
        }
        self.ledger.wants_recall(&hard.entry, hard.now);
        Ok(refusal)
    }

    /// Returns all that this sidecar was lent of an app. Whether there was anything, and the ledger has it
    /// back. `lent_here`: the ledger knew of something when it refused.
    async fn returns_lent(&self, entry: &Arc<Entry>, lent_here: bool, budget: Budget) -> bool {
        // Perhaps it was returned at the ledger's own word, and is on its way, or there by now.
        self.ledger.return_spare(entry);
        if !lent_here && !entry.has_returned() {
            return false;
        }
        let settled = Box::pin(self.ledger.settle_app(entry));
        self.ask(settled, budget).await.is_ok()
    }

    /// The record path: journaled before it is sent, and before its answer goes out. Dropped anywhere
    /// in between (the caller went away), it is withdrawn.
    async fn take(&self, check: &Check, hard: &Hard, budget: Budget) -> Result<Decided, Fault> {
        let day = hard.day(self);
        let wanted = Wanted {
            app: check.app,
            fingerprint: fingerprint(b'c', check.resource, check.amount),
            request_id: check.request_id.clone(),
            charge: hard.charge,
            day,
            object: None,
            intent: Intent::Count,
        };
        let by_client = wanted.request_id.is_some();
        let once = check.once();
        if let Some(once) = once
            && let Some(decided) = self.repeated(check, hard, once, budget).await?
        {
            return Ok(Decided::ByLedger(decided));
        }
        let open = self.ledger.open_take(wanted)?;
        let heard = self.ledger.composing();
        let taken = self
            .ask(self.ledger.store().take(open.take(), hard.now), budget)
            .await;
        let verdict = match taken {
            Ok(Taken::Allowed {
                view,
                replayed,
                mine,
                ..
            }) => {
                match self
                    .ledger
                    .take_allowed(&hard.entry, open, &view, mine, heard)
                {
                    Ok(()) => {}
                    Err(NotTaken::Full(full)) => return Err(full.into()),
                    Err(NotTaken::Late) => {
                        let why = Wordless::Withheld;
                        let verdict = self.without_ledger(check, hard, why)?;
                        return Ok(Decided::ByLedger(verdict));
                    }
                }
                self.ledger.outlook().decided(check.app);
                if let Some(once) = once {
                    self.ledger.was_allowed(once);
                }
                let part = hard.charge.parts()[0];
                let net = self.ledger.net_in(&hard.entry, &view, part.counter, day);
                Verdict {
                    replayed,
                    ..allowed(part.limit, net, self.shared())
                }
            }
            Ok(Taken::Denied {
                counter,
                view,
                replayed,
                recallable,
            }) => {
                self.ledger.outlook().decided(check.app);
                // A refusal under an id of our own is remembered nowhere, nor is one that others can
                // lift: nothing is to be kept.
                if by_client && !recallable {
                    open.refused(counter)?;
                } else {
                    open.forget();
                }
                self.ledger.learn(&hard.entry, &view, day, heard);
                let limit = hard.entry.rules.limits.of(counter);
                let used = shown(self.ledger.net_in(&hard.entry, &view, counter, day));
                let refusal = limit_reached(counter);
                let verdict = Verdict {
                    replayed,
                    ..refused(refusal, Some(limit), used, self.shared())
                };
                if recallable {
                    return Ok(Decided::ByWhatIsLent {
                        refusal: verdict,
                        lent_here: view.escrow.iter().any(|own| own.spare() > 0),
                    });
                }
                verdict
            }
            Ok(Taken::OtherContent) => {
                open.forget();
                return Err(Fault::OtherContent);
            }
            Err(Silence::Caller) => {
                drop(open);
                self.unavailable(hard, &hard.charge.parts()[0])
            }
            Ok(Taken::Undecided(Undecided::Incomplete)) | Err(Silence::Store) => {
                drop(open);
                self.without_ledger(check, hard, Wordless::Away)?
            }
            Ok(
                Taken::Withdrawn
                | Taken::NoHold
                | Taken::Ended
                | Taken::Undecided(Undecided::Frozen | Undecided::Outlived | Undecided::Confirming),
            ) => {
                drop(open);
                self.without_ledger(check, hard, Wordless::Withheld)?
            }
        };
        Ok(Decided::ByLedger(verdict))
    }

    /// The answer to a creation that was counted from memory, and is asked for again; `None`: the ledger is
    /// to be asked.
    async fn repeated(
        &self,
        check: &Check,
        hard: &Hard,
        once: Once,
        budget: Budget,
    ) -> Result<Option<Verdict>, Fault> {
        let Hard { entry, charge, now } = hard;
        let asks = || self.ledger.asks(entry, Some(charge), once, hard.day(self));
        let mut known = asks()?;
        if matches!(known, Counted::Before(_)) && !self.ledger.may_repeat(entry) {
            // Perhaps only because the ledger was not heard since.
            let settled = Box::pin(self.ledger.settle_app(entry));
            let heard = self.ask(settled, budget).await.is_ok();
            if !heard || !self.ledger.may_repeat(entry) {
                return Ok(Some(self.without_ledger(
                    check,
                    hard,
                    Wordless::Withheld,
                )?));
            }
            known = asks()?;
        }
        match known {
            Counted::Now(_) | Counted::Not | Counted::There => Ok(None),
            Counted::Other => Err(Fault::OtherContent),
            Counted::Before(_) => {
                let part = charge.parts()[0];
                let net = self.ledger.net(entry, part.counter, *now);
                Ok(Some(Verdict {
                    replayed: true,
                    ..allowed(part.limit, net, self.memory())
                }))
            }
        }
    }

    /// A dry run: the ledger's counts, judged here.
    async fn judge(&self, check: &Check, hard: &Hard, budget: Budget) -> Result<Verdict, Fault> {
        let day = hard.day(self);
        let usage = self.ledger.store().usage(hard.entry.app, day, hard.now);
        let usage = match self.ask(usage, budget).await {
            Ok(usage) => usage,
            Err(Silence::Caller) => return Ok(self.unavailable(hard, &hard.charge.parts()[0])),
            Err(Silence::Store) => {
                return self.without_ledger(check, hard, Wordless::Away);
            }
        };
        hard.entry.learn(&usage.view, day);
        let net = |part: &Part| self.ledger.net(&hard.entry, part.counter, hard.now);
        let amount = i64::from(hard.charge.amount().get());
        let full = hard.charge.parts().iter().find(|part| {
            part.limit
                .get()
                .is_some_and(|limit| i128::from(net(part)) + i128::from(amount) > i128::from(limit))
        });
        if let Some(part) = full {
            let refusal = limit_reached(part.counter);
            return Ok(refused(
                refusal,
                Some(part.limit),
                shown(net(part)),
                self.shared(),
            ));
        }
        let own = &hard.charge.parts()[0];
        Ok(allowed(own.limit, net(own), self.shared()))
    }

    /// The answer where only the ledger could tell.
    fn unavailable(&self, hard: &Hard, part: &Part) -> Verdict {
        let used = shown(self.ledger.net(&hard.entry, part.counter, hard.now));
        let refusal = Refusal::StoreUnavailable {
            retry_after: RETRY_AFTER,
        };
        refused(refusal, Some(part.limit), used, Source::Degraded)
    }

    /// The policy where there is no word of the ledger.
    fn without_ledger(&self, check: &Check, hard: &Hard, why: Wordless) -> Result<Verdict, Fault> {
        let verdict = self.by_policy(check, (&hard.entry, &hard.charge), hard.now, why)?;
        Ok(verdict.unwrap_or_else(|part| self.unavailable(hard, &part)))
    }
}

impl Check {
    /// The request that it is, if its client named it.
    pub(super) fn once(&self) -> Option<Once> {
        let id = self.request_id.as_ref()?;
        let print = fingerprint(b'c', self.resource, self.amount);
        Some(Once::new(self.app, id, print))
    }
}

/// What became of a creation on the record path.
enum Decided {
    /// It is decided.
    ByLedger(Verdict),
    /// Only units that are lent and not spent stand in its way.
    ByWhatIsLent {
        /// The answer, if nothing comes back.
        refusal: Verdict,
        /// Whether some of it was lent to this sidecar.
        lent_here: bool,
    },
}

/// A creation that a limit may refuse, and that the ledger is to be asked about.
pub struct Hard {
    pub(super) entry: Arc<Entry>,
    pub(super) charge: Charge,
    pub(super) now: Millis,
}

impl Hard {
    fn day(&self, admission: &Admission) -> Day {
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

fn refused(refusal: Refusal, limit: Option<Limit>, used: u64, source: Source) -> Verdict {
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

fn limit_reached(counter: Counter) -> Refusal {
    match counter {
        Counter::GroupsGained => Refusal::DailyGainReached,
        counter => Refusal::LimitReached(counter),
    }
}

/// What one request asks for, as a number: one id cannot stand for two of them.
pub(super) fn fingerprint(verb: u8, resource: Resource, amount: Amount) -> Fingerprint {
    // Written byte by byte, so that every version of this program makes the same: the ledger compares
    // what different sidecars sent.
    let mut hasher = SipHasher24::new();
    hasher.write(&[verb, resource as u8]);
    hasher.write(&amount.get().to_le_bytes());
    Fingerprint(hasher.finish())
}
