//! Gateways: they create and delete, with ids and without, with names and without, ask again, ask twice at once,
//! lose answers, and run out of patience. Some reserve first. Each deletes only what it was allowed to create.

mod create;
mod delete;
mod import;
mod login;
mod reserve;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imquota::admission::{Admission, Patience};
use imquota::quota::{
    Amount, AppId, Charge, Counter, Limits, ObjectId, Part, RESOURCES, RequestId, Resource,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::auditor::{Auditor, Deal, Member};
use crate::scenario::Habits;
use crate::sidecar::{Serving, Sidecar};

/// The longest that a gateway waits before it hangs up.
const HANG_UP_MS_MAX: u64 = 700;

/// Longer than the ledger and all sidecars are away, if somebody sees to it.
const UNANSWERED_MAX: Duration = Duration::from_mins(2);
/// As admission has it: under a limit below this one every sidecar knows an id.
const SMALL_LIMIT: u64 = 1_000;

/// An app, its limits, and how its gateways behave.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub app: AppId,
    pub limits: Limits,
    pub resources: Vec<Resource>,
    /// Whether every sidecar finds again what was asked under an id.
    pub share_ids: bool,
}

impl Tenant {
    /// Whether a sidecar may answer a charge under an id by itself: then another may count it again.
    fn keeps_ids(&self, charge: &Charge) -> bool {
        let is_small = |part: &Part| part.limit.get().is_some_and(|limit| limit < SMALL_LIMIT);
        !self.share_ids && !charge.parts().iter().any(is_small)
    }
}

/// What gateways know of the world.
pub struct Town {
    pub sidecars: Vec<Arc<Sidecar>>,
    pub tenants: Vec<Tenant>,
    pub auditor: Arc<Auditor>,
    pub objects: Mutex<Vec<Object>>,
    pub pause_ms_max: u64,
    /// Whether most is asked of the first sidecar.
    pub skewed: bool,
    pub habits: Habits,
    /// Whether it stays known that a name was deleted.
    pub remembers: bool,
    /// Whether somebody waits for an answer in vain.
    pub is_called_for: AtomicBool,
    /// Held by the operator who is at work.
    pub desk: tokio::sync::Mutex<()>,
}

/// Objects that were created together.
#[derive(Debug, Clone)]
pub struct Object {
    tenant: usize,
    resource: Resource,
    amount: Amount,
    /// Who counted it by itself; none: that cannot be told.
    home: Option<Member>,
    name: Option<String>,
    /// Under which id it was created by name.
    id: Option<String>,
}

/// How a call went for the gateway.
enum Heard<T> {
    Answer(T),
    /// The sidecar does not listen: nothing was asked.
    Nobody,
    /// The sidecar died, or the gateway hung up.
    BrokenOff,
}

impl<T> Heard<T> {
    fn map<U>(self, with: impl FnOnce(T) -> U) -> Heard<U> {
        match self {
            Self::Answer(answer) => Heard::Answer(with(answer)),
            Self::Nobody => Heard::Nobody,
            Self::BrokenOff => Heard::BrokenOff,
        }
    }
}

pub struct Gateway {
    town: Arc<Town>,
    number: usize,
    rng: StdRng,
    /// Chooses what it does beside creating and deleting: without that all else is as it would be.
    whims: StdRng,
    next_id: u32,
}

impl Gateway {
    pub fn new(town: Arc<Town>, number: usize, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self {
            town,
            number,
            rng,
            whims: StdRng::seed_from_u64(!seed),
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
            match self.rng.random_range(0..12) {
                0..7 if self.has_whim(self.town.habits.reserves, 5) => self.reserve().await,
                0..7 => self.create().await,
                7..11 if self.has_whim(self.town.habits.names, 6) => self.import().await,
                7..11 => self.delete().await,
                _ => self.login().await,
            }
        }
    }

    /// Whether it does something now that it has the habit of: once in so many times.
    fn has_whim(&mut self, habit: bool, once_in: u32) -> bool {
        habit && self.whims.random_ratio(1, once_in)
    }

    /// A text that no gateway said before.
    fn fresh(&mut self, what: &str) -> String {
        self.next_id += 1;
        format!("{what}-{}-{}", self.number, self.next_id)
    }

    fn anywhere(&mut self) -> usize {
        if self.town.skewed && self.rng.random_ratio(3, 4) {
            0
        } else {
            self.rng.random_range(0..self.town.sidecars.len())
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

    /// For a replay: what it did, and what it heard.
    fn log(&self, does: &str, ask: &Ask, serving: &Serving, heard: &str) {
        self.town.auditor.say(|| {
            format!(
                "{} gateway {}: {does} {:?} {} of app {} id {:?} name {:?} at {:?}: {heard}",
                self.town.sidecars[0].dial.truth().0,
                self.number,
                ask.resource,
                ask.amount.get(),
                ask.app,
                ask.id,
                ask.name,
                serving.member
            )
        });
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
        let life = sidecar.life();
        let Some(serving) = sidecar.serving() else {
            return Heard::Nobody;
        };
        let hang_up = async {
            match plan.hang_up_ms {
                Some(ms) => sleep(Duration::from_millis(ms)).await,
                None => std::future::pending().await,
            }
        };
        // What a halted process has not begun is not known to it.
        let begun = AtomicBool::new(false);
        let work = async {
            begun.store(true, Ordering::Relaxed);
            sidecar.answers();
            work(serving.admission).await
        };
        let heard = tokio::select! {
            biased;
            () = sidecar.killed(life) => Heard::BrokenOff,
            answer = sidecar.running(work) => Heard::Answer(answer),
            () = hang_up => Heard::BrokenOff,
        };
        if begun.into_inner() {
            heard
        } else {
            Heard::Nobody
        }
    }
}

/// What it is told, for the log.
fn words<T: std::fmt::Debug>(heard: &Heard<T>) -> String {
    match heard {
        Heard::Answer(answer) => format!("{answer:?}"),
        Heard::Nobody => "nobody".into(),
        Heard::BrokenOff => "broken off".into(),
    }
}

fn request_id(id: &str) -> RequestId {
    RequestId::parse(id).expect("a plain id")
}

fn object_id(name: &str) -> ObjectId {
    ObjectId::parse(name).expect("a plain name")
}

/// Whether the ledger alone counts it: its sidecars never admit it by themselves.
fn hard(charge: &Charge) -> bool {
    let parts = charge.parts().iter();
    let mut sure = parts.filter(|part| part.counter != Counter::GroupsGained);
    sure.any(|part| part.limit.get().is_some())
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    hang_up_ms: Option<u64>,
    deadline_ms: Option<u64>,
    lost: bool,
}

impl Plan {
    /// It waits, and hears what it is told.
    const PATIENT: Self = Self {
        hang_up_ms: None,
        deadline_ms: None,
        lost: false,
    };

    fn patience(&self) -> Patience {
        let end = self
            .deadline_ms
            .map(|ms| Instant::now() + Duration::from_millis(ms));
        Patience(end.map(Instant::into_std))
    }
}

#[derive(Debug, Clone)]
struct Ask {
    sidecar: usize,
    app: AppId,
    resource: Resource,
    amount: Amount,
    charge: Charge,
    id: Option<String>,
    name: Option<String>,
    keeps_ids: bool,
    /// As in [`Deal`].
    is_shared: bool,
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
            id: self.name.clone().or(self.id.clone()),
            request: self.id.clone(),
            is_named: self.name.is_some(),
            keeps_ids: self.keeps_ids && self.name.is_none(),
            is_shared: self.is_shared,
        }
    }
}

/// Every resource, for tenants without favourites.
pub fn all_resources() -> Vec<Resource> {
    RESOURCES.to_vec()
}
