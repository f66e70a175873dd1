//! A creation on the record path: one step in the ledger, journaled before it is sent and before its answer
//! goes out.

use std::sync::Arc;
use std::time::Duration;

use super::check::{Hard, allowed, limit_reached, refused};
use super::outage::Wordless;
use super::shadow;
use super::told::Asked;
use super::{
    Admission, Budget, Check, CheckMode, Fault, Patience, RETRY_AFTER, Refusal, Silence, Source,
    Verdict, shown,
};
use crate::clock::Millis;
use crate::ledger::{Counted, Entry, Once, Wanted};
use crate::quota::{Counter, ObjectNumber, Part};
use crate::store::{Intent, Taken, Undecided};

/// How often the ledger is asked again at most, where only units that were lent stood in the way, or an object
/// that was deleted before its creation was told: reports of other calls are under way meanwhile.
const ASKED_AGAIN_MAX: usize = 3;
/// How long an object's deletion is waited for before it is asked again: creations are told so often.
const DELETED_WAIT: Duration = Duration::from_millis(150);

impl Admission {
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
        let begun = std::time::Instant::now();
        let asked = check.clone();
        let verdict = self.by_ledger_or_watched(check, hard, patience).await?;
        self.tally
            .decided(&asked, &verdict, begun.elapsed(), || self.ledger.now());
        Ok(verdict)
    }

    async fn by_ledger_or_watched(
        &self,
        check: Check,
        hard: Hard,
        patience: Patience,
    ) -> Result<Verdict, Fault> {
        let rules = hard.entry.rules().clone();
        if !rules.shadow {
            return self.by_ledger(check, hard, patience).await;
        }
        let entry = hard.entry.clone();
        let hard = shadow::lifted(&check, &rules, hard);
        let asked = shadow::asked(&check);
        let verdict = Box::pin(self.by_ledger(asked, hard, patience)).await?;
        let verdict = self.held_beyond(&check, &rules, &entry, verdict);
        Ok(shadow::shown(&check, &rules, verdict))
    }

    async fn by_ledger(
        &self,
        check: Check,
        hard: Hard,
        patience: Patience,
    ) -> Result<Verdict, Fault> {
        let budget = self.budget(patience);
        let verdict = match self.wordless(check.mode, &hard.entry) {
            Some(_) if matches!(check.mode, CheckMode::Reserve(_)) => {
                self.unavailable(&hard, &hard.charge.parts()[0])
            }
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
        let mut decided = self.take(check, hard, budget).await?;
        // It has answered, so it is there. In a region far from it one way more may be longer than what is left.
        let budget = budget.shortened();
        for _ in 0..ASKED_AGAIN_MAX {
            let lent_here = match decided {
                Decided::ByLedger(verdict) => return Ok(verdict),
                Decided::Deleting => {
                    if budget.left() < DELETED_WAIT * 2 {
                        break;
                    }
                    tokio::time::sleep(DELETED_WAIT).await;
                    decided = self.take(check, hard, budget).await?;
                    continue;
                }
                Decided::ByWhatIsLent { lent_here, .. } => lent_here,
            };
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
            decided = self.take(check, hard, budget).await?;
        }
        match decided {
            Decided::ByLedger(verdict) => Ok(verdict),
            Decided::Deleting => self.without_ledger(check, hard, Wordless::Withheld),
            Decided::ByWhatIsLent { refusal, .. } => {
                self.ledger.wants_recall(&hard.entry, hard.now);
                Ok(refusal)
            }
        }
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
        let Ok(object) = self.object_of(check, &hard.entry) else {
            let verdict = self.without_ledger(check, hard, Wordless::Away)?;
            return Ok(Decided::ByLedger(verdict));
        };
        let wanted = Wanted {
            app: check.app,
            fingerprint: check.fingerprint(),
            request_id: check.request_id.clone(),
            charge: hard.charge,
            day: hard.day(self),
            object,
            intent: check.intent(object, hard.now),
        };
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
        let asked = Asked {
            check,
            hard,
            open,
            heard,
            once,
        };
        let verdict = match taken {
            Ok(Taken::Allowed {
                view,
                replayed,
                whose,
                beside,
            }) => self.told_allowed(asked, &view, (replayed, whose), beside)?,
            Ok(Taken::Denied {
                counter,
                view,
                replayed,
                recallable,
            }) => {
                let refusal = self.told_denied(asked, &view, counter, (replayed, recallable))?;
                if recallable {
                    let lent_here = view.escrow.iter().any(|own| own.spare() > 0);
                    return Ok(Decided::ByWhatIsLent { refusal, lent_here });
                }
                refusal
            }
            Ok(Taken::OtherContent) => {
                asked.open.forget();
                return Err(Fault::OtherContent);
            }
            Ok(Taken::Ended) => {
                asked.open.forget();
                return Err(Fault::Ended(
                    "this reservation has ended: it was cancelled, or freed when it had expired; take a new id",
                ));
            }
            Ok(Taken::Undecided(Undecided::Confirming)) => {
                asked.open.forget();
                return Ok(Decided::Deleting);
            }
            Err(Silence::Caller) => {
                drop(asked);
                self.unavailable(hard, &hard.charge.parts()[0])
            }
            Ok(Taken::Undecided(Undecided::Incomplete)) | Err(Silence::Store) => {
                drop(asked);
                self.without_ledger(check, hard, Wordless::Away)?
            }
            Ok(
                Taken::Withdrawn
                | Taken::NoHold
                | Taken::Undecided(Undecided::Frozen | Undecided::Outlived),
            ) => {
                drop(asked);
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

    /// The object that a creation is about, if counts belong to objects here. `Err`: the ledger, which has the
    /// key to its number, was never met.
    fn object_of(&self, check: &Check, entry: &Entry) -> Result<Option<ObjectNumber>, ()> {
        let Some(id) = check
            .resource_id
            .as_ref()
            .filter(|_| entry.rules().track_objects)
        else {
            return Ok(None);
        };
        let object = self.ledger.object(check.app, check.resource, id);
        object.map(Some).ok_or(())
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
        let own = &hard.charge.parts()[0];
        let held = |counter: Counter| usage.view.reserved[counter.index()];
        let object = self.object_of(check, &hard.entry).ok().flatten();
        let known = match object {
            Some(object) => {
                let known = self.ledger.store().knows_object(check.app, object);
                self.ask(known, budget).await.unwrap_or(false)
            }
            None => false,
        };
        let net = |part: &Part| self.ledger.net(&hard.entry, part.counter, hard.now);
        let amount = i64::from(hard.charge.amount().get());
        let full = hard.charge.parts().iter().find(|part| {
            let charged = i128::from(net(part)) + i128::from(held(part.counter));
            let limit = part.limit.get();
            limit.is_some_and(|limit| charged + i128::from(amount) > i128::from(limit))
        });
        if let Some(part) = full.filter(|_| !known) {
            let refusal = limit_reached(part.counter);
            return Ok(Verdict {
                held: held(part.counter),
                ..refused(refusal, Some(part.limit), shown(net(part)), self.shared())
            });
        }
        Ok(Verdict {
            held: held(own.counter),
            already_counted: known,
            ..allowed(own.limit, net(own), self.shared())
        })
    }

    /// The answer where only the ledger could tell.
    pub(super) fn unavailable(&self, hard: &Hard, part: &Part) -> Verdict {
        let used = shown(self.ledger.net(&hard.entry, part.counter, hard.now));
        let refusal = Refusal::StoreUnavailable {
            retry_after: RETRY_AFTER,
        };
        refused(refusal, Some(part.limit), used, Source::Degraded)
    }

    /// The policy where there is no word of the ledger.
    pub(super) fn without_ledger(
        &self,
        check: &Check,
        hard: &Hard,
        why: Wordless,
    ) -> Result<Verdict, Fault> {
        if let CheckMode::Reserve(_) = check.mode {
            return Ok(self.unavailable(hard, &hard.charge.parts()[0]));
        }
        let verdict = self.by_policy(check, (&hard.entry, &hard.charge), hard.now, why)?;
        Ok(verdict.unwrap_or_else(|part| self.unavailable(hard, &part)))
    }
}

/// What became of a creation on the record path.
enum Decided {
    /// It is decided.
    ByLedger(Verdict),
    /// Its object was deleted before its creation was told: it is worth asking again.
    Deleting,
    /// Only units that are lent and not spent stand in its way.
    ByWhatIsLent {
        /// The answer, if nothing comes back.
        refusal: Verdict,
        /// Whether some of it was lent to this sidecar.
        lent_here: bool,
    },
}

impl Check {
    /// What the ledger does with it.
    fn intent(&self, object: Option<ObjectNumber>, now: Millis) -> Intent {
        match self.mode {
            CheckMode::Reserve(hold) => Intent::Reserve {
                until: now.plus(hold.ms().into()),
            },
            // Without a name it is asked for as any other, and counted here if it is refused.
            CheckMode::Record if object.is_some() => Intent::Exists,
            CheckMode::Count | CheckMode::Record | CheckMode::DryRun => Intent::Count,
        }
    }
}
