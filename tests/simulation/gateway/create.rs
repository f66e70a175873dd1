//! A creation: asked for at one sidecar or at two, and again elsewhere under the same id.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use imquota::admission::{Admission, Check, CheckMode, Fault, Outcome, Refusal, Verdict};
use imquota::quota::{Amount, Charge, RequestId};
use rand::RngExt;
use tokio::time::sleep;

use super::{Ask, Gateway, Heard, Object, Plan, Tenant, hard};

/// How often a gateway asks again under the same id.
const TRIES_MAX: u32 = 4;

impl Gateway {
    /// Asks for something, under an id again and again, until there is a word.
    pub(super) async fn create(&mut self) {
        let tenant = self.rng.random_range(0..self.town.tenants.len());
        let Tenant {
            app,
            limits,
            resources,
        } = &self.town.tenants[tenant];
        let (app, limits) = (*app, *limits);
        let resource = resources[self.rng.random_range(0..resources.len())];
        let amount = if self.rng.random_ratio(1, 6) {
            self.rng.random_range(2..=3)
        } else {
            1
        };
        let amount = Amount::from_wire(amount).expect("a small amount");
        let charge = Charge::new(resource, amount, &limits);
        // Ids are remembered on the record path alone; what sidecars admit by themselves is not.
        let mut by_id = hard(&charge) && self.rng.random_ratio(1, 2);
        let id = by_id.then(|| {
            self.next_id += 1;
            format!("gateway-{}-{}", self.number, self.next_id)
        });
        let mut at = self.anywhere();
        let mut allowed = None;
        let mut days = BTreeSet::new();
        for _ in 0..TRIES_MAX {
            let twice = by_id && self.rng.random_ratio(1, 8);
            let other = self.somewhere(at);
            for at in [at, other] {
                let serving = self.town.sidecars[at].serving();
                days.extend(serving.map(|serving| serving.today()));
            }
            let ask = |at: usize| Ask {
                days: days.clone(),
                sidecar: at,
                app,
                resource,
                amount,
                charge,
                id: id.clone(),
            };
            let first = self.plan();
            let heard = if twice {
                let second = self.plan();
                let (a, b) = join(self.check(ask(at), first), self.check(ask(other), second)).await;
                a.map(|v| (at, v)).or(b.map(|v| (other, v)))
            } else {
                self.check(ask(at), first).await.map(|v| (at, v))
            };
            match heard {
                Some((at, true)) => allowed = Some(at),
                Some((_, false)) => return,
                None => {}
            }
            if allowed.is_some() || !by_id {
                break;
            }
            if self.rng.random_ratio(1, 5) {
                by_id = false;
            }
            at = self.somewhere(at);
            let pause = self.rng.random_range(0..400);
            sleep(Duration::from_millis(pause)).await;
        }
        if let Some(at) = allowed {
            let home = self.town.sidecars[at].member();
            let object = Object {
                tenant,
                resource,
                amount,
                home,
            };
            self.town
                .objects
                .lock()
                .expect("never poisoned")
                .push(object);
        }
    }

    /// One creation asked for at one sidecar. `Some`: the gateway heard whether it may create.
    async fn check(&self, ask: Ask, plan: Plan) -> Option<bool> {
        let town = &self.town;
        let serving = town.sidecars[ask.sidecar].serving()?;
        let mut deal = ask.deal(&serving);
        let check = Check {
            app: ask.app,
            resource: ask.resource,
            amount: ask.amount,
            request_id: ask
                .id
                .as_deref()
                .map(|id| RequestId::parse(id).expect("a plain id")),
            mode: CheckMode::Count,
            resource_id: None,
        };
        let patience = plan.patience();
        let work =
            move |admission: Arc<Admission>| async move { admission.check(check, patience).await };
        let heard = self.call(ask.sidecar, &plan, work).await;
        // A process that was stopped is asked when it goes on.
        deal.days.insert(serving.today());
        town.auditor.say(|| {
            let words = match &heard {
                Heard::Answer(answer) => format!("{answer:?}"),
                Heard::Nobody => "nobody".into(),
                Heard::BrokenOff => "broken off".into(),
            };
            format!(
                "{} gateway {}: {:?} {} of app {} id {:?} at {:?}: {words}",
                town.sidecars[0].dial.truth().0,
                self.number,
                ask.resource,
                ask.amount.get(),
                ask.app,
                ask.id,
                deal.member
            )
        });
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
