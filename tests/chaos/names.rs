//! Gateways that know every object: they create under names, reserve first, import, delete, and say each thing again, under
//! the same id and through another sidecar, until it is answered. Some are in a hurry, as real ones are: 20 ms for an
//! answer, three tries, and then the object is let through and told of.

use std::cell::Cell;
use std::time::Duration;

use imquota::grpc::proto::{
    CancelRequest, CheckMode, CheckRequest, CheckResponse, ConfirmRequest, Decision, DenyReason,
    ReleaseRequest, Resource, Source,
};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tonic::{Code, Status};

use crate::book::SIDECARS;
use crate::client::{Client, creation, deletion};
use crate::tally::Progress;

mod known;

pub use known::each_object_is_known;

/// An app whose gateways take their time, and one whose gateways do not.
pub const PATIENT: App = App {
    id: 6,
    resource: Resource::Account,
    limit: 40,
};
pub const HASTY: App = App {
    id: 7,
    resource: Resource::AvRoom,
    limit: 30,
};
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(700);
const HASTE: Duration = Duration::from_millis(20);
/// How often a gateway in a hurry asks.
const TRIES: u32 = 3;
/// Longer than a run lasts.
const HOLD_S: i64 = 600;
/// How long it is waited until something is said again.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy)]
pub struct App {
    id: u64,
    resource: Resource,
    limit: u64,
}

/// How many objects there are in each app that were allowed: no limit is passed by those, whatever was let through.
#[derive(Debug, Default)]
pub struct Allowed([Cell<u64>; 2]);

impl Allowed {
    fn of(&self, app: App) -> &Cell<u64> {
        &self.0[usize::from(app.id == HASTY.id)]
    }

    fn created(&self, app: App) {
        let alive = self.of(app);
        alive.set(alive.get() + 1);
        assert!(alive.get() <= app.limit, "{app:?}: {}", alive.get());
    }

    fn deleted(&self, app: App) {
        let alive = self.of(app);
        alive.set(alive.get() - 1);
    }
}

/// An object that exists.
#[derive(Debug)]
struct Object {
    app: App,
    name: String,
    let_through: bool,
    /// It was told to a sidecar that could not ask the ledger: that counts it without its name, and where an answer to a try was
    /// lost it is counted twice.
    is_nameless: bool,
    /// Something was said of it that was not answered, and may be heard when a stopped process goes on.
    is_late: bool,
}

pub struct Namer<'a> {
    number: usize,
    doors: Vec<Client>,
    rng: SmallRng,
    steps: u64,
    allowed: &'a Allowed,
    progress: &'a Progress,
    living: Vec<Object>,
    deleted: Vec<Object>,
}

fn creates(app: App, id: &str, name: &str, mode: CheckMode) -> CheckRequest {
    let reserves = mode == CheckMode::Reserve;
    CheckRequest {
        request_id: id.into(),
        resource_id: name.into(),
        mode: mode.into(),
        hold: reserves.then_some(prost_types::Duration {
            seconds: HOLD_S,
            nanos: 0,
        }),
        ..creation(app.id, app.resource)
    }
}

fn timed<T>(message: T, time: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(time);
    request
}

/// What was said, if that was a word: not that the ledger is away.
fn word(answer: Result<CheckResponse, Status>) -> Option<CheckResponse> {
    let answer = answer.map_err(|status| not_ours(&status)).ok()?;
    (answer.reason() != DenyReason::StoreUnavailable).then_some(answer)
}

/// A status that says that the call was at fault is none that may come here.
fn not_ours(status: &Status) {
    let ours = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::FailedPrecondition,
        Code::ResourceExhausted,
    ];
    assert!(!ours.contains(&status.code()), "{status:?}");
}

impl<'a> Namer<'a> {
    pub fn new(
        number: usize,
        seed: u64,
        doors: Vec<Client>,
        (allowed, progress): (&'a Allowed, &'a Progress),
    ) -> Self {
        Self {
            number,
            doors,
            rng: SmallRng::seed_from_u64(!seed.wrapping_add(number as u64)),
            steps: 0,
            allowed,
            progress,
            living: Vec::new(),
            deleted: Vec::new(),
        }
    }

    /// One thing at random.
    pub async fn step(&mut self) {
        self.steps += 1;
        match self.rng.random_range(0..10) {
            0..2 => self.create().await,
            2..4 => self.reserve().await,
            4..6 => self.hurry().await,
            6..8 => self.import().await,
            _ => self.delete(false).await,
        }
        self.progress.step();
    }

    fn fresh(&self, what: &str) -> String {
        format!("{what}-{}-{}", self.number, self.steps)
    }

    fn door(&mut self) -> Client {
        let door = self.rng.random_range(0..SIDECARS);
        self.doors[door].clone()
    }

    /// Says something until it is answered; and whether something of it was not.
    async fn insist(&mut self, check: &CheckRequest) -> (CheckResponse, bool) {
        let mut is_late = false;
        loop {
            let door = self.door();
            if let Some(answer) = word(door.try_check(timed(check.clone(), PATIENCE)).await) {
                return (answer, is_late);
            }
            is_late = true;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Told once more, through whichever sidecar, it is told the same.
    async fn once_more(&mut self, check: &CheckRequest, first: &CheckResponse) -> bool {
        if !self.rng.random_ratio(1, 3) {
            return false;
        }
        let (again, is_late) = self.insist(check).await;
        let told = |answer: &CheckResponse| (answer.decision(), answer.already_counted);
        assert_eq!(told(&again), told(first), "{check:?}: {first:?}, {again:?}");
        assert!(again.replayed, "{check:?}: {first:?}, {again:?}");
        is_late
    }

    async fn create(&mut self) {
        let (app, name) = (PATIENT, self.fresh("object"));
        let check = creates(app, &self.fresh("id"), &name, CheckMode::Count);
        let (answer, mut is_late) = self.insist(&check).await;
        if answer.decision() == Decision::Allow {
            assert!(!answer.already_counted, "{check:?}: {answer:?}");
            self.allowed.created(app);
            is_late |= self.once_more(&check, &answer).await;
            self.living.push(Object {
                app,
                name,
                let_through: false,
                is_nameless: false,
                is_late,
            });
        } else {
            assert_eq!(answer.reason(), DenyReason::LimitReached, "{answer:?}");
        }
    }

    /// Reserves, and says what came of it; the object has its name from the start, or from its confirmation on.
    async fn reserve(&mut self) {
        let (app, name, id) = (PATIENT, self.fresh("object"), self.fresh("hold"));
        let named_late = self.rng.random_ratio(1, 2);
        let first = if named_late { "" } else { &name };
        let check = creates(app, &id, first, CheckMode::Reserve);
        let (answer, is_late) = self.insist(&check).await;
        if answer.decision() != Decision::Allow {
            return;
        }
        if self.rng.random_ratio(1, 3) {
            return self.cancel(app, &id).await;
        }
        self.allowed.created(app);
        let confirm = ConfirmRequest {
            app_id: app.id,
            request_id: id,
            resource_id: name.clone(),
        };
        let mut tried = false;
        let times = self.rng.random_range(1..=2);
        for time in 0..times {
            loop {
                let door = self.door();
                match door.try_confirm(confirm.clone()).await {
                    Ok(answer) => {
                        assert!(answer.replayed || time == 0, "{confirm:?}: {answer:?}");
                        assert!(!answer.already_counted, "{confirm:?}: {answer:?}");
                        break;
                    }
                    Err(status) => not_ours(&status),
                }
                tried = true;
                tokio::time::sleep(PAUSE).await;
            }
        }
        self.living.push(Object {
            app,
            name,
            let_through: false,
            is_nameless: false,
            is_late: is_late || tried,
        });
    }

    async fn cancel(&mut self, app: App, id: &str) {
        let cancel = CancelRequest {
            app_id: app.id,
            request_id: id.into(),
        };
        loop {
            let door = self.door();
            match door.try_cancel(cancel.clone()).await {
                Ok(_) => return,
                Err(status) => not_ours(&status),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// As a real gateway does: what is not answered in time is let through, and told of.
    async fn hurry(&mut self) {
        let (app, id) = (HASTY, self.fresh("id"));
        let name = self.fresh("room");
        let check = creates(app, &id, &name, CheckMode::Count);
        for _ in 0..TRIES {
            let door = self.door();
            let Some(answer) = word(door.try_check(timed(check.clone(), HASTE)).await) else {
                continue;
            };
            if answer.decision() == Decision::Allow {
                self.allowed.created(app);
                self.living.push(Object {
                    app,
                    name,
                    let_through: false,
                    is_nameless: false,
                    is_late: true,
                });
            }
            return;
        }
        let exists = creates(app, &id, &name, CheckMode::Record);
        let (answer, _) = self.insist(&exists).await;
        assert_eq!(answer.decision(), Decision::Allow, "{exists:?}: {answer:?}");
        self.living.push(Object {
            app,
            name,
            let_through: true,
            is_nameless: answer.source() == Source::Degraded,
            is_late: true,
        });
    }

    /// Somebody takes in what exists: it is there.
    async fn import(&mut self) {
        if self.living.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.living.len());
        if self.living[at].is_nameless {
            return;
        }
        let (app, name) = (self.living[at].app, self.living[at].name.clone());
        let id = if self.rng.random_ratio(1, 2) {
            self.fresh("import")
        } else {
            String::new()
        };
        let check = creates(app, &id, &name, CheckMode::Count);
        let (answer, is_late) = self.insist(&check).await;
        self.living[at].is_late |= is_late;
        assert_eq!(answer.decision(), Decision::Allow, "{name}: {answer:?}");
        assert!(answer.already_counted, "{name}: {answer:?}");
    }

    /// Deletes an object, and says so until that is answered. `late`: also one of which something may come late.
    async fn delete(&mut self, late: bool) {
        let can = |object: &Object| late || !object.is_late;
        let some: Vec<_> = (0..self.living.len())
            .filter(|at| can(&self.living[*at]))
            .collect();
        if some.is_empty() {
            return;
        }
        let at = some[self.rng.random_range(0..some.len())];
        let object = self.living.swap_remove(at);
        if !object.let_through {
            self.allowed.deleted(object.app);
        }
        let id = if self.rng.random_ratio(1, 2) {
            self.fresh("delete")
        } else {
            String::new()
        };
        let release = ReleaseRequest {
            request_id: id,
            resource_id: object.name.clone(),
            ..deletion(object.app.id, object.app.resource, 1)
        };
        let mut tried = false;
        let released = loop {
            let door = self.door();
            match door.try_release(timed(release.clone(), PATIENCE)).await {
                Ok(answer) => break answer.released,
                Err(status) => not_ours(&status),
            }
            tried = true;
            tokio::time::sleep(PAUSE).await;
        };
        let is_its = released == 1 || tried && release.request_id.is_empty();
        assert!(is_its, "{release:?} gives back {released}");
        self.deleted.push(object);
    }

    /// All is healed: half of what is left goes.
    pub async fn finish(&mut self) {
        for _ in 0..self.living.len() / 2 {
            self.steps += 1;
            self.delete(true).await;
        }
    }
}
