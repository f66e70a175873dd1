//! Members at once: whatever they spend, take, return and release, the limit is never passed, and met at last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use imquota::quota::Resource;
use imquota::store::{
    Ack, Answered, Attempt, Cell, CellReport, Escrow, Gave, GivenBack, RecordKey, Report, Taken,
    Totals, Whose, Wish,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Barrier;

use crate::fixture::{
    Sidecar, app, app_report, cell_report, client, give_back, limits, take, today,
};
use crate::redis_server::RedisServer;

const LIMIT: u64 = 150;
const MEMBERS: u64 = 6;
const ROUNDS: u64 = 150;

/// What exists: created when a gateway was told so, gone when it has deleted it.
#[derive(Default)]
struct World {
    exist: AtomicI64,
    over: AtomicBool,
}

impl World {
    fn create(&self, number: i64) {
        let now = self.exist.fetch_add(number, Ordering::SeqCst) + number;
        if now > LIMIT.cast_signed() {
            self.over.store(true, Ordering::SeqCst);
        }
    }

    fn delete(&self, number: i64) {
        self.exist.fetch_sub(number, Ordering::SeqCst);
    }
}

struct One {
    sidecar: Sidecar,
    totals: Totals,
    sums: Escrow,
    /// What its gateway has.
    has: u64,
    answered: Vec<Answered>,
    gave: Vec<Gave>,
    attempt: u64,
}

impl One {
    async fn settle(&mut self, wish: Option<u64>) {
        let cell = CellReport {
            escrow: Some(self.sums),
            wish: wish.map(|units| Wish {
                edition: 0,
                units,
                limit: LIMIT,
            }),
            ..cell_report(
                Cell::Live(Resource::Account),
                self.totals.consumed,
                self.totals.released,
            )
        };
        let report = Report {
            apps: vec![app_report(app(1), vec![cell])],
            answered: self.answered.clone(),
            gave: self.gave.clone(),
            ..Report::default()
        };
        let settled = self.sidecar.settle(&report, today()).await.unwrap();
        assert!(settled.acks.iter().all(|ack| *ack == Ack::Counted));
        self.answered.clear();
        self.gave.clear();
        let view = settled.views[0];
        self.sums.granted = view.escrow[0].granted;
        if view.recalled {
            self.sums.done = self.sums.granted;
        }
        let charged = view.net[0] + view.outstanding[0].cast_signed();
        assert!(charged <= LIMIT.cast_signed(), "{view:?}");
    }

    /// Whether a creation that the ledger was asked for was allowed.
    async fn creates_by_record(&mut self, world: &World) -> bool {
        self.attempt += 1;
        let attempt = self.attempt;
        let key = RecordKey::Own {
            incarnation: self.sidecar.member.incarnation,
            attempt: Attempt(attempt),
        };
        let ask = take(&key, attempt, Resource::Account, 1, &limits(LIMIT, 0, 0));
        let Taken::Allowed { whose, .. } = self.sidecar.take(&ask).await.unwrap() else {
            return false;
        };
        assert_eq!(whose, Whose::Asker);
        self.sums.taken += 1;
        self.has += 1;
        world.create(1);
        self.answered.push(Answered {
            take: ask,
            refused: None,
            contained: Some(0),
        });
        true
    }

    /// Returns all that was lent; when all have, creates for as long as there is a place.
    async fn fills_up(&mut self, world: &World, all: &Barrier) {
        self.sums.done = self.sums.granted;
        self.settle(None).await;
        all.wait().await;
        while self.creates_by_record(world).await {}
        all.wait().await;
    }

    async fn round(&mut self, world: &World, mut rng: StdRng) {
        match rng.random_range(0..6) {
            0 | 1 => {
                let units = rng.random_range(1..=self.sums.spare().max(1));
                if self.sums.spare() >= units {
                    self.sums.done += units;
                    self.totals.consumed += units;
                    self.has += units;
                    world.create(units.cast_signed());
                }
            }
            2 => {
                self.creates_by_record(world).await;
            }
            3 if self.has > 0 => {
                let number = u32::try_from(rng.random_range(1..=self.has.min(4))).unwrap();
                world.delete(i64::from(number));
                self.has -= u64::from(number);
                if rng.random_bool(0.5) {
                    self.totals.released += u64::from(number);
                    return;
                }
                self.attempt += 1;
                let id = format!("{}-{}", self.sidecar.member.incarnation, self.attempt);
                let back = give_back(&client(&id), Resource::Account, number);
                let GivenBack::Released {
                    released,
                    mine: true,
                    ..
                } = self.sidecar.release(&back).await.unwrap()
                else {
                    panic!("it is ours");
                };
                assert_eq!(released, number, "it exists, so that it is charged");
                self.sums.given += u64::from(released);
                self.gave.push(Gave {
                    app: app(1),
                    key: back.key,
                });
            }
            4 => self.sums.done = self.sums.granted,
            _ => {
                let wish = rng.random_range(0..60);
                self.settle(Some(wish)).await;
            }
        }
    }
}

#[tokio::test]
async fn members_at_once_never_pass_the_limit() {
    let server = RedisServer::start();
    let world = Arc::new(World::default());
    let all = Arc::new(Barrier::new(usize::try_from(MEMBERS).unwrap()));
    let mut members = tokio::task::JoinSet::new();
    for number in 1..=MEMBERS {
        let sidecar = Sidecar::new(number, &server);
        sidecar.hello(None).await.unwrap();
        let (world, all) = (Arc::clone(&world), Arc::clone(&all));
        members.spawn(async move {
            let mut one = One {
                sidecar,
                totals: Totals::default(),
                sums: Escrow::default(),
                has: 0,
                answered: Vec::new(),
                gave: Vec::new(),
                attempt: 0,
            };
            one.fills_up(&world, &all).await;
            for round in 0..ROUNDS {
                let rng = StdRng::seed_from_u64(number << 32 | round);
                one.round(&world, rng).await;
            }
            one.fills_up(&world, &all).await;
            one.settle(None).await;
            one
        });
    }
    let members = members.join_all().await;
    assert!(!world.over.load(Ordering::SeqCst), "over the limit");
    // No place was refused that was free.
    let exist = world.exist.load(Ordering::SeqCst);
    assert_eq!(exist, LIMIT.cast_signed());
    let view = members[0].sidecar.usage(app(1)).await.view;
    assert_eq!((view.net[0], view.outstanding[0]), (exist, 0));
}
