//! A deletion: once per object, said again until somebody heard it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use imquota::admission::{Admission, Fault, Release, Released};
use imquota::quota::{Charge, Resource};
use rand::RngExt;
use tokio::time::{Instant, sleep};

use super::{
    Ask, Gateway, Heard, Object, Plan, UNANSWERED_MAX, hard, object_id, request_id, words,
};
use crate::auditor::Deal;
use crate::sidecar::Serving;

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
            name,
            id: created_under,
        } = object;
        let of = &self.town.tenants[tenant];
        let app = of.app;
        let charge = Charge::new(resource, amount, &of.limits);
        let hard = hard(&charge);
        let by_id = (hard || home.is_none()) && self.rng.random_ratio(1, 2);
        let id = by_id.then(|| self.fresh("gateway"));
        // What a sidecar counted by itself it can give back by itself.
        let anywhere = self.rng.random_range(0..self.town.sidecars.len());
        let mut at = home.filter(|_| !hard).map_or(anywhere, |(at, _)| at);
        let mut days = BTreeSet::new();
        let begun = Instant::now();
        // Whether a try that nobody heard of may have done it.
        let mut tried = false;
        loop {
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
            if name.is_some() && begun.elapsed() > UNANSWERED_MAX {
                let words = format!("a deletion of {name:?} is never answered");
                self.town.auditor.gives_up(words);
                return;
            }
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
                name: name.clone(),
                keeps_ids: false,
                is_shared: false,
                days: days.clone(),
            };
            let mut deal = ask.deal(&serving);
            if is_first {
                self.town.auditor.deletes(&deal);
            } else if is_new_day && resource != Resource::Account {
                self.town.auditor.deletes_again(&deal, today);
            }
            let plan = self.plan();
            let heard = self.releases(&ask, &plan, &serving).await;
            // A process that was stopped is asked when it goes on.
            let today = serving.today();
            if days.insert(today) {
                if resource != Resource::Account {
                    self.town.auditor.deletes_again(&deal, today);
                }
                deal.days = days.clone();
            }
            let from_memory = charge.is_metered() && Some(serving.member) == home;
            let lost = plan.lost && (by_id || name.is_some());
            let is_tried = !matches!(heard, Heard::Nobody);
            let told = Said {
                lost,
                from_memory,
                tried,
            };
            if self.is_over(&deal, heard, told) {
                if name.is_some() && self.town.remembers && self.has_whim(true, 3) {
                    self.delete_once_more(&ask).await;
                }
                if self.has_whim(created_under.is_some() && self.town.remembers, 2) {
                    self.create_once_more(&ask, created_under).await;
                }
                return;
            }
            tried |= is_tried;
            if hard {
                at = self.somewhere(at);
            }
            let pause = self.rng.random_range(0..400);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    /// One deletion told to one sidecar.
    async fn releases(
        &self,
        ask: &Ask,
        plan: &Plan,
        serving: &Serving,
    ) -> Heard<Result<Released, Fault>> {
        let release = Release {
            app: ask.app,
            resource: ask.resource,
            amount: ask.amount,
            request_id: ask.id.as_deref().map(request_id),
            resource_id: ask.name.as_deref().map(object_id),
        };
        let patience = plan.patience();
        let work = move |admission: Arc<Admission>| async move {
            admission.release(release, patience).await
        };
        let heard = self.call(ask.sidecar, plan, work).await;
        self.log("deletes", ask, serving, &words(&heard));
        heard
    }

    /// What is gone is deleted once more: nothing is given back for it. A sidecar that cannot ask the ledger does
    /// not know that, and the counts tell.
    async fn delete_once_more(&mut self, deleted: &Ask) {
        let mut ask = deleted.clone();
        ask.sidecar = self.somewhere(ask.sidecar);
        ask.id = self.has_whim(true, 2).then(|| self.fresh("gateway"));
        if let Some(serving) = self.town.sidecars[ask.sidecar].serving() {
            self.releases(&ask, &Plan::PATIENT, &serving).await;
        }
    }

    /// What was created under an id, and is gone, is asked for under that id once more: the answer is the same, and
    /// the counts tell that nothing was counted.
    async fn create_once_more(&mut self, deleted: &Ask, id: Option<String>) {
        let mut ask = deleted.clone();
        ask.sidecar = self.somewhere(ask.sidecar);
        ask.id = id;
        ask.note_days(self, &[ask.sidecar]);
        self.check(&ask, Plan::PATIENT).await;
    }

    /// Whether a deletion needs no more words, and what follows for the counts.
    fn is_over(&self, deal: &Deal, heard: Heard<Result<Released, Fault>>, said: Said) -> bool {
        let auditor = &self.town.auditor;
        let (amount, hard) = (u64::from(deal.charge.amount().get()), hard(&deal.charge));
        match heard {
            Heard::Answer(Ok(released)) if !said.lost => {
                let released = released.released;
                if hard && released != amount {
                    if deal.is_named && released == 0 {
                        auditor.deleted_before(deal, said.tried);
                        return true;
                    }
                    auditor.fault(format!("{deal:?}: only {released} given back"));
                }
                // A ledger that is away is told later, and may find less to give back by then.
                let sure = hard || said.from_memory || released == 0;
                auditor.deleted(deal, sure.then_some(released));
                true
            }
            // Once begun, a release of something hard is done in the end: it is in the journal.
            Heard::BrokenOff if deal.request.is_none() && !deal.is_named => {
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

/// What is known of a deletion beside its answer.
#[derive(Debug, Clone, Copy)]
struct Said {
    /// The gateway did not hear the answer and asks again.
    lost: bool,
    /// The sidecar had counted it by itself.
    from_memory: bool,
    /// An earlier try may have done it.
    tried: bool,
}
