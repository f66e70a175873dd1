//! A creation: asked for at one sidecar or at two, and again elsewhere under the same id or name.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use imquota::admission::{Admission, Check, CheckMode, Fault, Outcome, Refusal, Verdict};
use imquota::quota::{Amount, Charge};
use rand::RngExt;
use tokio::time::sleep;

use super::{Ask, Gateway, Heard, Object, Plan, hard, object_id, request_id, words};

/// How often a gateway asks again under the same id.
const TRIES_MAX: u32 = 4;

impl Gateway {
    /// Asks for something, under an id again and again, until there is a word.
    pub(super) async fn create(&mut self) {
        let tenant = self.rng.random_range(0..self.town.tenants.len());
        let resources = &self.town.tenants[tenant].resources;
        let resource = resources[self.rng.random_range(0..resources.len())];
        let amount = if self.rng.random_ratio(1, 6) {
            self.rng.random_range(2..=3)
        } else {
            1
        };
        let amount = self.amount(tenant, amount);
        let of = self.town.tenants[tenant].clone();
        let charge = Charge::new(resource, amount, &of.limits);
        let hard = hard(&charge);
        let keeps_ids = of.keeps_ids(&charge);
        // Ids are remembered on the record path, and by sidecars where they are not shared.
        let by_id = (hard || keeps_ids) && self.rng.random_ratio(1, 2);
        let shares = self.town.habits.shares && of.share_ids && !hard;
        let is_shared = self.has_whim(shares, 2);
        let id = (by_id || is_shared).then(|| self.fresh("gateway"));
        let is_one = amount == Amount::ONE && hard;
        let is_named = is_one && self.has_whim(self.town.habits.names, 2);
        let name = is_named.then(|| self.fresh("object"));
        let mut ask = Ask {
            sidecar: self.anywhere(),
            app: of.app,
            resource,
            amount,
            charge,
            id,
            name,
            keeps_ids,
            is_shared,
            days: BTreeSet::new(),
        };
        if let Some(at) = self.is_allowed(&mut ask).await {
            let object = Object {
                tenant,
                resource,
                amount,
                home: (!is_shared).then(|| self.town.sidecars[at].member()),
                name: ask.name.clone(),
                id: ask.id.clone().filter(|_| ask.name.is_some()),
            };
            if self.has_whim(self.town.habits.repeats && ask.is_known_again(), 5) {
                self.ask_again(&mut ask, at).await;
            }
            // What is given back of such a one may be counted elsewhere, and come to nothing while the ledger is away:
            // where none are deleted, it is known to the last one how many are counted.
            if !is_shared || self.has_whim(self.town.habits.names, 8) {
                self.keep(object);
            }
        }
    }

    /// Where ids are not shared limits are large: they are reached by larger amounts.
    fn amount(&mut self, tenant: usize, amount: u32) -> Amount {
        let is_large = !self.town.tenants[tenant].share_ids;
        let amount = if self.has_whim(is_large, 4) {
            self.whims.random_range(30..=90)
        } else {
            amount
        };
        Amount::from_wire(amount).expect("a small amount")
    }

    pub(super) fn keep(&self, object: Object) {
        let mut objects = self.town.objects.lock().expect("never poisoned");
        objects.push(object);
    }

    /// Asks until there is a word. `Some`: which sidecar allowed it.
    pub(super) async fn is_allowed(&mut self, ask: &mut Ask) -> Option<usize> {
        let mut again = ask.is_known_again();
        for _ in 0..TRIES_MAX {
            let at = ask.sidecar;
            let twice = again && self.rng.random_ratio(1, 8);
            let other = self.somewhere(at);
            ask.note_days(self, &[at, other]);
            let first = self.plan();
            let heard = if twice {
                let second = self.plan();
                let elsewhere = ask.at(other);
                let both = join(self.check(&*ask, first), self.check(&elsewhere, second));
                let (a, b) = both.await;
                a.map(|v| (at, v)).or(b.map(|v| (other, v)))
            } else {
                self.check(&*ask, first).await.map(|v| (at, v))
            };
            match heard {
                Some((at, true)) => return Some(at),
                Some((_, false)) => return None,
                None => {}
            }
            if !again {
                return None;
            }
            if self.rng.random_ratio(1, 5) {
                again = false;
            }
            ask.sidecar = self.somewhere(at);
            let pause = self.rng.random_range(0..400);
            sleep(Duration::from_millis(pause)).await;
        }
        None
    }

    /// Asks once more for what was allowed at `home`: there, or at another one.
    async fn ask_again(&mut self, ask: &mut Ask, home: usize) {
        let other = self.whims.random_range(0..self.town.sidecars.len());
        ask.sidecar = if self.has_whim(true, 2) { home } else { other };
        let pause = self.whims.random_range(0..2_000);
        sleep(Duration::from_millis(pause)).await;
        ask.note_days(self, &[ask.sidecar]);
        self.check(&*ask, Plan::PATIENT).await;
    }

    /// One creation asked for at one sidecar. `Some`: the gateway heard whether it may create.
    pub(super) async fn check(&self, ask: &Ask, plan: Plan) -> Option<bool> {
        let town = &self.town;
        let serving = town.sidecars[ask.sidecar].serving()?;
        let mut deal = ask.deal(&serving);
        let check = Check {
            app: ask.app,
            resource: ask.resource,
            amount: ask.amount,
            request_id: ask.id.as_deref().map(request_id),
            mode: CheckMode::Count,
            resource_id: ask.name.as_deref().map(object_id),
        };
        let patience = plan.patience();
        let work =
            move |admission: Arc<Admission>| async move { admission.check(check, patience).await };
        let heard = self.call(ask.sidecar, &plan, work).await;
        // A process that was stopped is asked when it goes on.
        deal.days.insert(serving.today());
        self.log("creates", ask, &serving, &words(&heard));
        match heard {
            Heard::Answer(Ok(verdict)) => {
                town.auditor.created(&deal, &verdict, !plan.lost);
                (!plan.lost).then_some(())?;
                match verdict {
                    Verdict {
                        outcome: Outcome::Allow,
                        ..
                    } => Some(true),
                    Verdict {
                        outcome: Outcome::Deny(Refusal::StoreUnavailable { .. }),
                        ..
                    } => None,
                    _ => Some(false),
                }
            }
            Heard::Nobody => None,
            Heard::Answer(Err(Fault::Away(_) | Fault::Exhausted(_))) | Heard::BrokenOff => {
                town.auditor.broken_off(&deal);
                None
            }
            Heard::Answer(Err(fault)) => {
                town.auditor.fault(format!("{deal:?}: {fault}"));
                None
            }
        }
    }
}

impl Ask {
    /// Whether it can be asked again without being another.
    fn is_known_again(&self) -> bool {
        self.id.is_some() || self.name.is_some()
    }

    pub(super) fn note_days(&mut self, gateway: &Gateway, sidecars: &[usize]) {
        for at in sidecars {
            let serving = gateway.town.sidecars[*at].serving();
            self.days.extend(serving.map(|serving| serving.today()));
        }
    }

    fn at(&self, sidecar: usize) -> Self {
        Self {
            sidecar,
            ..self.clone()
        }
    }
}
