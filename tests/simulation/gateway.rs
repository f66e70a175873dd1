//! Gateways: they create and delete, with ids and without, ask again, ask twice at once, lose answers,
//! and run out of patience. Each deletes only what it was allowed to create.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join;
use imquota::admission::{Admission, Check, CheckMode, Fault, Outcome, Patience, Release, Verdict};
use imquota::quota::{Amount, AppId, Charge, Limits, RESOURCES, RequestId, Resource};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::auditor::{Auditor, Deal, Member};
use crate::sidecar::{Serving, Sidecar};

/// How often a gateway asks again under the same id.
const TRIES_MAX: u32 = 4;
/// The longest that a gateway waits before it hangs up.
const HANG_UP_MS_MAX: u64 = 700;

/// An app, its limits, and how its gateways behave.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub app: AppId,
    pub limits: Limits,
    pub resources: Vec<Resource>,
}

/// What gateways know of the world.
pub struct Town {
    pub sidecars: Vec<Arc<Sidecar>>,
    pub tenants: Vec<Tenant>,
    pub auditor: Arc<Auditor>,
    pub objects: Mutex<Vec<Object>>,
    pub pause_ms_max: u64,
}

/// Objects that were created together.
#[derive(Debug, Clone)]
pub struct Object {
    tenant: usize,
    resource: Resource,
    amount: Amount,
    home: Member,
}

/// How a call went for the gateway.
enum Heard<T> {
    Answer(T),
    /// The sidecar does not listen: nothing was asked.
    Nobody,
    /// The sidecar died, or the gateway hung up.
    BrokenOff,
}

pub struct Gateway {
    town: Arc<Town>,
    number: usize,
    rng: StdRng,
    next_id: u32,
}

impl Gateway {
    pub fn new(town: Arc<Town>, number: usize, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self {
            town,
            number,
            rng,
            next_id: 0,
        }
    }

    /// Does so many things, one after the other.
    pub async fn work(mut self, deeds: u32) {
        for _ in 0..deeds {
            let pause = self.rng.random_range(0..=self.town.pause_ms_max);
            sleep(Duration::from_millis(pause)).await;
            if self.town.auditor.has_faults() {
                return;
            }
            if self.rng.random_ratio(6, 10) {
                self.create().await;
            } else {
                self.delete().await;
            }
        }
    }

    async fn create(&mut self) {
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
        let mut by_id = hard(&charge) && self.rng.random_ratio(7, 10);
        let id = by_id.then(|| {
            self.next_id += 1;
            format!("gateway-{}-{}", self.number, self.next_id)
        });
        let mut at = self.rng.random_range(0..self.town.sidecars.len());
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

    fn somewhere(&mut self, not: usize) -> usize {
        let all = self.town.sidecars.len();
        if all == 1 {
            not
        } else {
            (not + self.rng.random_range(1..all)) % all
        }
    }

    /// How patient the next call is, and whether its answer is lost on the way.
    fn plan(&mut self) -> Plan {
        let impatient = self.rng.random_ratio(1, 8);
        let hurried = self.rng.random_ratio(1, 8);
        Plan {
            hang_up_ms: impatient.then(|| self.rng.random_range(0..HANG_UP_MS_MAX)),
            deadline_ms: hurried.then(|| self.rng.random_range(1..400)),
            lost: self.rng.random_ratio(1, 16),
        }
    }

    /// One creation asked for at one sidecar. `Some`: the gateway heard whether it may create.
    async fn check(&self, ask: Ask, plan: Plan) -> Option<bool> {
        let town = &self.town;
        let serving = town.sidecars[ask.sidecar].serving()?;
        let deal = ask.deal(&serving);
        let check = Check {
            app: ask.app,
            resource: ask.resource,
            amount: ask.amount,
            request_id: ask
                .id
                .as_deref()
                .map(|id| RequestId::parse(id).expect("a plain id")),
            mode: CheckMode::Count,
        };
        let patience = plan.patience();
        let work =
            move |admission: Arc<Admission>| async move { admission.check(check, patience).await };
        let heard = self.call(ask.sidecar, &plan, work).await;
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
                        outcome: Outcome::Deny(imquota::admission::Refusal::StoreUnavailable { .. }),
                        ..
                    } => None,
                    _ => Some(false),
                }
            }
            Heard::Answer(Err(Fault::Away(_) | Fault::Exhausted(_))) => {
                town.auditor.broken_off(&deal);
                None
            }
            Heard::Answer(Err(fault)) => {
                town.auditor.fault(format!("{deal:?}: {fault}"));
                None
            }
            Heard::Nobody => None,
            Heard::BrokenOff => {
                town.auditor.broken_off(&deal);
                None
            }
        }
    }

    async fn delete(&mut self) {
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
        for _ in 0.. {
            let Some(serving) = self.town.sidecars[at].serving() else {
                sleep(Duration::from_millis(100)).await;
                if hard {
                    at = self.somewhere(at);
                }
                continue;
            };
            let today = serving.today();
            let is_first = days.is_empty();
            let is_new_day = days.insert(today);
            let days = days.clone();
            let ask = Ask {
                sidecar: at,
                app,
                resource,
                amount,
                charge,
                id: id.clone(),
                days,
            };
            let deal = ask.deal(&serving);
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
            match heard {
                Heard::Answer(Ok(released)) if !plan.lost || !by_id => {
                    if hard && released.released != u64::from(amount.get()) {
                        self.town
                            .auditor
                            .fault(format!("{deal:?}: only {} given back", released.released));
                    }
                    // A ledger that is away is told later, and may find less to give back by then.
                    let from_memory = charge.is_metered() && serving.member == home;
                    let sure = hard || from_memory || released.released == 0;
                    let given = sure.then_some(released.released);
                    return self.town.auditor.deleted(&deal, given);
                }
                // Once begun, a release of something hard is done in the end: it is in the journal.
                Heard::BrokenOff if !by_id => {
                    let given = hard.then(|| u64::from(amount.get()));
                    return self.town.auditor.deleted(&deal, given);
                }
                Heard::Answer(Err(fault))
                    if !matches!(fault, Fault::Away(_) | Fault::Exhausted(_)) =>
                {
                    return self.town.auditor.fault(format!("{deal:?}: {fault}"));
                }
                _ => {}
            }
            if hard {
                at = self.somewhere(at);
            }
            let pause = self.rng.random_range(0..400);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn call<T, F>(
        &self,
        sidecar: usize,
        plan: &Plan,
        work: impl FnOnce(Arc<Admission>) -> F,
    ) -> Heard<T>
    where
        F: Future<Output = T>,
    {
        let sidecar = &self.town.sidecars[sidecar];
        let mut life = sidecar.life();
        let Some(serving) = sidecar.serving() else {
            return Heard::Nobody;
        };
        let hang_up = async {
            match plan.hang_up_ms {
                Some(ms) => sleep(Duration::from_millis(ms)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = life.changed() => Heard::BrokenOff,
            answer = work(serving.admission) => Heard::Answer(answer),
            () = hang_up => Heard::BrokenOff,
        }
    }
}

/// Whether the ledger alone counts it: its sidecars never admit it by themselves.
fn hard(charge: &Charge) -> bool {
    let parts = charge.parts().iter();
    let mut sure = parts.filter(|part| part.counter != imquota::quota::Counter::GroupsGained);
    sure.any(|part| part.limit.get().is_some())
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    hang_up_ms: Option<u64>,
    deadline_ms: Option<u64>,
    lost: bool,
}

impl Plan {
    fn patience(&self) -> Patience {
        let end = self
            .deadline_ms
            .map(|ms| Instant::now() + Duration::from_millis(ms));
        Patience(end.map(Instant::into_std))
    }
}

struct Ask {
    sidecar: usize,
    app: AppId,
    resource: Resource,
    amount: Amount,
    charge: Charge,
    id: Option<String>,
    days: BTreeSet<i32>,
}

impl Ask {
    fn deal(&self, serving: &Serving) -> Deal {
        Deal {
            member: serving.member,
            app: self.app,
            charge: self.charge,
            resource: self.resource,
            days: self.days.clone(),
            id: self.id.clone(),
        }
    }
}

/// Every resource, for tenants without favourites.
pub fn all_resources() -> Vec<Resource> {
    RESOURCES.to_vec()
}
