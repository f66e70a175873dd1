//! A deletion: once per object, said again until somebody heard it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use imquota::admission::{Admission, Fault, Release, Released};
use imquota::quota::{Charge, RequestId, Resource};
use rand::RngExt;
use tokio::time::{Instant, sleep};

use super::{Ask, Gateway, Heard, Object, Tenant, hard};
use crate::auditor::Deal;

/// Longer than any sidecar is away, unless the ledger was emptied and nobody is left who knew it: then none
/// ever serves again.
const UNSERVED_MAX: Duration = Duration::from_mins(30);

impl Gateway {
    /// Deletes something, and says so until it was heard.
    pub(super) async fn delete(&mut self) {
        let object = {
            let mut objects = self.town.objects.lock().expect("never poisoned");
            if objects.is_empty() {
                return;
            }
            let at = self.rng.random_range(0..objects.len());
            objects.swap_remove(at)
        };
        let Object {
            tenant,
            resource,
            amount,
            home,
        } = object;
        let Tenant { app, limits, .. } = self.town.tenants[tenant];
        let charge = Charge::new(resource, amount, &limits);
        let hard = hard(&charge);
        let by_id = hard && self.rng.random_ratio(1, 2);
        let id = by_id.then(|| {
            self.next_id += 1;
            format!("gateway-{}-{}", self.number, self.next_id)
        });
        // What a sidecar counted by itself it can give back by itself.
        let anywhere = self.rng.random_range(0..self.town.sidecars.len());
        let mut at = if hard { anywhere } else { home.0 };
        let mut days = BTreeSet::new();
        let begun = Instant::now();
        for _ in 0.. {
            let Some(serving) = self.town.sidecars[at].serving() else {
                if begun.elapsed() > UNSERVED_MAX {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
                if hard {
                    at = self.somewhere(at);
                }
                continue;
            };
            let today = serving.today();
            let is_first = days.is_empty();
            let is_new_day = days.insert(today);
            let ask = Ask {
                sidecar: at,
                app,
                resource,
                amount,
                charge,
                id: id.clone(),
                days: days.clone(),
            };
            let mut deal = ask.deal(&serving);
            if is_first {
                self.town.auditor.deletes(&deal);
            } else if is_new_day && resource != Resource::Account {
                self.town.auditor.deletes_again(&deal, today);
            }
            let plan = self.plan();
            let release = Release {
                app,
                resource,
                amount,
                request_id: id
                    .as_deref()
                    .map(|id| RequestId::parse(id).expect("a plain id")),
                resource_id: None,
            };
            let patience = plan.patience();
            let work = move |admission: Arc<Admission>| async move {
                admission.release(release, patience).await
            };
            let heard = self.call(at, &plan, work).await;
            self.town.auditor.say(|| {
                let words = match &heard {
                    Heard::Answer(answer) => format!("{answer:?}"),
                    Heard::Nobody => "nobody".into(),
                    Heard::BrokenOff => "broken off".into(),
                };
                format!(
                    "{} gateway {}: deletes {resource:?} {} of app {app} id {id:?} at {:?}: {words}",
                    self.town.sidecars[0].dial.truth().0, self.number, amount.get(), deal.member
                )
            });
            // A process that was stopped is asked when it goes on.
            let today = serving.today();
            if days.insert(today) {
                if resource != Resource::Account {
                    self.town.auditor.deletes_again(&deal, today);
                }
                deal.days = days.clone();
            }
            let from_memory = charge.is_metered() && serving.member == home;
            let lost = plan.lost && by_id;
            if self.is_over(&deal, heard, lost, from_memory) {
                return;
            }
            if hard {
                at = self.somewhere(at);
            }
            let pause = self.rng.random_range(0..400);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Whether a deletion needs no more words, and what follows for the counts. `lost`: the gateway did
    /// not hear the answer and asks again. `from_memory`: the sidecar had counted it by itself.
    fn is_over(
        &self,
        deal: &Deal,
        heard: Heard<Result<Released, Fault>>,
        lost: bool,
        from_memory: bool,
    ) -> bool {
        let auditor = &self.town.auditor;
        let (amount, hard) = (u64::from(deal.charge.amount().get()), hard(&deal.charge));
        match heard {
            Heard::Answer(Ok(released)) if !lost => {
                let released = released.released;
                if hard && released != amount {
                    auditor.fault(format!("{deal:?}: only {released} given back"));
                }
                // A ledger that is away is told later, and may find less to give back by then.
                let sure = hard || from_memory || released == 0;
                auditor.deleted(deal, sure.then_some(released));
                true
            }
            // Once begun, a release of something hard is done in the end: it is in the journal.
            Heard::BrokenOff if deal.id.is_none() => {
                auditor.deleted(deal, hard.then_some(amount));
                true
            }
            Heard::Answer(Err(fault)) if !matches!(fault, Fault::Away(_) | Fault::Exhausted(_)) => {
                auditor.fault(format!("{deal:?}: {fault}"));
                true
            }
            _ => false,
        }
    }
}
