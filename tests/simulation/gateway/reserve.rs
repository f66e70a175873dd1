//! A reservation: made first, and confirmed or cancelled through any sidecar, again until that is answered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use imquota::admission::{Admission, Cancel, Check, CheckMode, Confirm, Fault, Outcome, Refusal};
use imquota::quota::{Amount, Charge, HoldTime};
use rand::RngExt;
use tokio::time::{Instant, sleep};

use super::{
    Ask, Gateway, Heard, Object, Plan, UNANSWERED_MAX, hard, object_id, request_id, words,
};
use crate::auditor::Deal;
use crate::sidecar::Serving;

/// How long a gateway takes over what it creates: longer than some places are held.
const WORK_MS_MAX: u64 = 2_500;
/// After so long somebody sees to it that the ledger is heard.
const PATIENCE: Duration = Duration::from_secs(20);
const HELD_MS: [u64; 2] = [1_000, 30_000];

/// What a reservation comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Confirm,
    Cancel,
}

impl Gateway {
    /// Reserves a place, and says what it came to.
    pub(super) async fn reserve(&mut self) {
        let tenant = self.whims.random_range(0..self.town.tenants.len());
        let of = self.town.tenants[tenant].clone();
        let resource = of.resources[self.whims.random_range(0..of.resources.len())];
        let charge = Charge::new(resource, Amount::ONE, &of.limits);
        let hard = hard(&charge);
        let has_name = hard && self.has_whim(self.town.habits.names, 3);
        let mut ask = Ask {
            sidecar: self.anywhere(),
            app: of.app,
            resource,
            amount: Amount::ONE,
            charge,
            id: Some(self.fresh("hold")),
            name: has_name.then(|| self.fresh("object")),
            keeps_ids: false,
            is_shared: false,
            days: BTreeSet::new(),
        };
        let time = Duration::from_millis(HELD_MS[self.whims.random_range(0..HELD_MS.len())]);
        let hold = HoldTime::new(time).expect("a short time");
        let known = match self.hold(&mut ask, hold).await {
            Some(false) => return,
            Some(true) => true,
            None => false,
        };
        if known {
            let work = self.whims.random_range(0..WORK_MS_MAX);
            sleep(Duration::from_millis(work)).await;
        }
        if !known || self.has_whim(true, 4) {
            self.end(&mut ask, Ending::Cancel, known).await;
            return;
        }
        if hard && ask.name.is_none() && self.has_whim(self.town.habits.names, 2) {
            ask.name = Some(self.fresh("object"));
        }
        // What no limit stops is given back by who counted it: nobody can tell who that is.
        if let Some(at) = self.end(&mut ask, Ending::Confirm, known).await
            && hard
        {
            let home = Some(self.town.sidecars[at].member());
            let (amount, name) = (Amount::ONE, ask.name);
            self.keep(Object {
                tenant,
                resource,
                amount,
                home,
                name,
                id: None,
            });
        }
    }

    /// Asks for the place. `Some`: the gateway heard whether it has it.
    async fn hold(&mut self, ask: &mut Ask, hold: HoldTime) -> Option<bool> {
        let plan = self.plan();
        let serving = self.town.sidecars[ask.sidecar].serving()?;
        ask.days.insert(serving.today());
        let check = Check {
            app: ask.app,
            resource: ask.resource,
            amount: ask.amount,
            request_id: ask.id.as_deref().map(request_id),
            mode: CheckMode::Reserve(hold),
            resource_id: ask.name.as_deref().map(object_id),
        };
        let patience = plan.patience();
        let work =
            move |admission: Arc<Admission>| async move { admission.check(check, patience).await };
        let heard = self.call(ask.sidecar, &plan, work).await;
        ask.days.insert(serving.today());
        let deal = ask.deal(&serving);
        self.log("reserves", ask, &serving, &words(&heard));
        let auditor = &self.town.auditor;
        match heard {
            Heard::Answer(Ok(verdict)) => {
                auditor.reserved(&deal, &verdict);
                match verdict.outcome {
                    _ if plan.lost => None,
                    Outcome::Allow => Some(true),
                    Outcome::Deny(Refusal::StoreUnavailable { .. }) => None,
                    Outcome::Deny(_) | Outcome::Exceeds(_) | Outcome::Shadowed(_) => Some(false),
                }
            }
            Heard::Nobody => Some(false),
            Heard::Answer(Err(Fault::Away(_) | Fault::Exhausted(_))) | Heard::BrokenOff => {
                auditor.broken_off(&deal);
                None
            }
            Heard::Answer(Err(fault)) => {
                auditor.fault(format!("{deal:?} is reserved: {fault}"));
                None
            }
        }
    }

    /// Says what it came to until that was answered. `known`: the gateway heard that it has the place. `Some`:
    /// through which sidecar it was confirmed.
    async fn end(&mut self, ask: &mut Ask, ending: Ending, known: bool) -> Option<usize> {
        let begun = Instant::now();
        // Whether it may have been done without anybody hearing of it.
        let mut unsure = false;
        loop {
            if begun.elapsed() > UNANSWERED_MAX {
                let words = format!("{ask:?}, {ending:?}: is never answered");
                self.town.auditor.gives_up(words);
                return None;
            }
            if begun.elapsed() > PATIENCE {
                self.town.is_called_for.store(true, Ordering::Relaxed);
            }
            ask.sidecar = self.somewhere(ask.sidecar);
            let Some(serving) = self.town.sidecars[ask.sidecar].serving() else {
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let plan = self.plan();
            // The day is the reservation's.
            let deal = ask.deal(&serving);
            if ending == Ending::Confirm {
                self.town.auditor.makes(&deal);
            }
            let heard = match ending {
                Ending::Confirm => self.confirms(ask, &plan, &deal, &serving).await,
                Ending::Cancel => self.cancels(ask, &plan, &serving).await,
            };
            match heard {
                Heard::Answer(Ok(())) if !plan.lost => {
                    return (ending == Ending::Confirm).then_some(ask.sidecar);
                }
                Heard::Answer(Err(Fault::NoHold)) => {
                    if known {
                        self.town.auditor.hold_forgotten(&deal, unsure);
                    }
                    return None;
                }
                Heard::BrokenOff | Heard::Answer(Err(Fault::Away(_) | Fault::Exhausted(_))) => {
                    unsure = ending == Ending::Confirm;
                }
                Heard::Answer(Err(fault)) => {
                    let words = format!("{deal:?}, {ending:?}: {fault}");
                    self.town.auditor.fault(words);
                    return None;
                }
                Heard::Answer(Ok(())) | Heard::Nobody => {}
            }
            let pause = self.whims.random_range(0..400);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn confirms(
        &self,
        ask: &Ask,
        plan: &Plan,
        deal: &Deal,
        serving: &Serving,
    ) -> Heard<Result<(), Fault>> {
        let confirm = Confirm {
            app: ask.app,
            request_id: request_id(ask.id.as_deref().expect("a reservation has one")),
            resource_id: ask.name.as_deref().map(object_id),
        };
        let patience = plan.patience();
        let work = move |admission: Arc<Admission>| async move {
            admission.confirm(confirm, patience).await
        };
        let heard = self.call(ask.sidecar, plan, work).await;
        self.log("confirms", ask, serving, &words(&heard));
        if let Heard::Answer(Ok(confirmed)) = &heard {
            self.town.auditor.confirmed(deal, confirmed, !plan.lost);
        }
        heard.map(|answer| answer.map(|_| ()))
    }

    async fn cancels(&self, ask: &Ask, plan: &Plan, serving: &Serving) -> Heard<Result<(), Fault>> {
        let cancel = Cancel {
            app: ask.app,
            request_id: request_id(ask.id.as_deref().expect("a reservation has one")),
        };
        let patience = plan.patience();
        let work = move |admission: Arc<Admission>| async move {
            admission.cancel(cancel, patience).await
        };
        let heard = self.call(ask.sidecar, plan, work).await;
        self.log("cancels", ask, serving, &words(&heard));
        heard.map(|answer| answer.map(|_| ()))
    }
}
