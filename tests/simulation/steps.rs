//! The store's own calls, one by one, on the fake with a real server beside it: whatever the scripts of
//! members, recoveries and operators ask of Redis, both must answer the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::BoxFuture;
use imquota::clock::{Clock, Day, Millis, Zone};
use imquota::config::{RedisUrl, Topology};
use imquota::quota::{Amount, AppId, Charge, Limit, Limits, RequestId, Resource};
use imquota::store::redis::{Create, Pace, RedisOptions, RedisStore, Session, Transport};
use imquota::store::{
    Abort, Answered, AppReport, Attempt, Beat, Cell, CellReport, Escrow, Fingerprint, Gave,
    GiveBack, GivenBack, Installation, Member, Operator, RecordKey, Recount, Recounted, Recovery,
    Report, Shard, Statement, Store, Take, Taken, Totals, Wish,
};
use redis::{Cmd, RedisResult, Value};

use crate::fake::{Fake, Identity};
use crate::redis_server::RedisServer;
use crate::twin::Twin;

const NOW: Millis = Millis(0);

/// Both servers, in a time of their own.
struct Pair {
    fake: Fake,
    twin: Twin,
    now_us: AtomicI64,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair")
    }
}

impl Pair {
    fn pass(&self, ms: i64) {
        self.now_us.fetch_add(ms * 1000, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
struct Way(Arc<Pair>);

impl Transport for Way {
    fn connect(&self) -> BoxFuture<'_, RedisResult<Arc<dyn Session>>> {
        Box::pin(async { Ok(Arc::new(self.clone()) as Arc<dyn Session>) })
    }
}

impl Session for Way {
    fn send(&self, commands: Vec<Cmd>) -> BoxFuture<'_, RedisResult<Vec<Value>>> {
        Box::pin(async move {
            let now_us = self.0.now_us.load(Ordering::Relaxed);
            let mut answers = Vec::new();
            for command in commands {
                let answer = self.0.twin.run(&self.0.fake, &command, now_us);
                answers.push(answer.unwrap_or_else(|difference| panic!("{difference}")));
            }
            Ok(answers)
        })
    }
}

/// One member.
struct One {
    store: RedisStore,
    member: Member,
    zone: Zone,
    begins: Millis,
}

impl One {
    async fn meets(pair: &Arc<Pair>, number: u64, boot: u32, known: Option<Installation>) -> Self {
        let zone = Zone::parse("+08:00").expect("a zone");
        let url = RedisUrl::parse("redis://simulated").expect("a URL");
        let (topology, prefix) = (Topology::Single(url), "steps".into());
        let options = RedisOptions {
            pace: Pace {
                lease_ttl: 1000,
                witness_wait: 0,
                patience: 5000,
                silence: 3000,
            },
            ..RedisOptions::new(topology, prefix, zone.clone(), Create::Auto)
        };
        let way = Arc::new(Way(Arc::clone(pair)));
        let store = RedisStore::over(way, options, Arc::new(Clock::default()));
        let one = Self {
            store: store.expect("good options"),
            member: Member {
                name: format!("member {number}").into(),
                incarnation: number,
                boot,
                leaves: false,
            },
            zone,
            begins: Millis(pair.now_us.load(Ordering::Relaxed) / 1000),
        };
        one.store
            .hello(&one.member, known, NOW)
            .await
            .expect("it is met");
        one
    }

    fn today(&self) -> Day {
        self.zone.day(self.begins)
    }

    fn take(&self, id: &str, attempt: u64, limit: u64) -> Take {
        let limits = Limits {
            av_rooms: Limit::AtMost(limit),
            groups_gained_daily: Limit::AtMost(limit),
            ..Limits::UNLIMITED
        };
        let amount = Amount::from_wire(2).expect("an amount");
        Take {
            app: app(),
            key: RecordKey::Client(RequestId::parse(id).expect("an id")),
            fingerprint: Fingerprint(5),
            attempt: Attempt(attempt),
            charge: Charge::new(Resource::AvRoom, amount, &limits),
            day: self.today(),
            intent: imquota::store::Intent::Count,
            note: None,
        }
    }

    async fn settles(&self, report: &Report) {
        let settled = self
            .store
            .settle(Shard::of(app()), report, self.today(), NOW);
        settled.await.expect("it is settled");
    }

    async fn beats(&self, beat: &Beat) -> imquota::store::Beaten {
        self.store.beat(beat).await.expect("it is answered")
    }

    async fn states(&self, statement: &Statement) {
        for shard in Shard::all() {
            let nothing = Statement::default();
            let part = if shard == Shard::of(app()) {
                statement
            } else {
                &nothing
            };
            let stated = self.store.restate(shard, part, self.today());
            stated.await.expect("it is stated");
        }
    }
}

fn app() -> AppId {
    AppId::new(1_400_000_001).expect("an app")
}

/// Sums of AV rooms, groups and the day's gain.
fn sums(day: Day, escrow: Escrow, wish: bool) -> Vec<AppReport> {
    let cells = [
        Cell::Live(Resource::AvRoom),
        Cell::Live(Resource::Group),
        Cell::Gained(day),
    ];
    let cells = cells.map(|cell| CellReport {
        cell,
        totals: Totals {
            consumed: escrow.done,
            released: 0,
        },
        high: 0,
        escrow: Some(escrow),
        wish: wish.then_some(Wish {
            edition: 0,
            units: 9,
            limit: 50,
        }),
    });
    vec![AppReport {
        app: app(),
        cells: cells.into(),
        acks_freeze: None,
        plan: None,
    }]
}

async fn records(one: &One, two: &One) {
    let (first, second) = (one.take("a", 1, 50), two.take("a", 2, 50));
    for (who, take) in [(one, &first), (two, &second), (one, &one.take("b", 3, 1))] {
        who.store.take(take, NOW).await.expect("it is answered");
    }
    let back = GiveBack {
        app: app(),
        key: RecordKey::Client(RequestId::parse("back").expect("an id")),
        fingerprint: Fingerprint(6),
        resource: Resource::AvRoom,
        amount: Amount::ONE,
        given: None,
        groups_follow: true,
        day: one.today(),
        object: None,
        rooms_are_groups: true,
    };
    let given = one.store.release(&back, NOW).await;
    assert!(matches!(given, Ok(GivenBack::Released { mine: true, .. })));
    let said = |take: &Take, contained| Answered {
        take: take.clone(),
        refused: None,
        contained,
    };
    two.settles(&Report {
        answered: vec![said(&second, None)],
        ..Report::default()
    })
    .await;
    let escrow = Escrow {
        taken: 2,
        given: 1,
        ..Escrow::default()
    };
    one.settles(&Report {
        apps: sums(one.today(), escrow, true),
        answered: vec![said(&first, Some(0))],
        gave: vec![Gave {
            app: app(),
            key: back.key.clone(),
        }],
        ..Report::default()
    })
    .await;
    two.settles(&Report {
        aborts: vec![Abort::of(&second)],
        apps: sums(two.today(), Escrow::default(), true),
        ..Report::default()
    })
    .await;
    one.store.recall(app()).await.expect("it is noted");
}

async fn recount(one: &One) {
    let frozen = one.store.freeze(app(), Resource::Group).await;
    let token = frozen.expect("it is frozen").token;
    let refused = one.store.take(&one.take("f", 9, 50), NOW).await;
    assert!(matches!(refused, Ok(Taken::Undecided(_))), "{refused:?}");
    one.beats(&Beat::default()).await;
    let awaited = one.store.awaited(app(), token).await;
    assert_eq!(awaited, Ok(vec![1, 2]));
    let mut acknowledged = sums(one.today(), Escrow::default(), false);
    acknowledged[0].acks_freeze = Some(token);
    one.settles(&Report {
        apps: acknowledged,
        ..Report::default()
    })
    .await;
    let done = one
        .store
        .recount(&Recount {
            app: app(),
            resource: Resource::Group,
            to: 7,
            token,
            who: "ann".into(),
            why: "why".into(),
        })
        .await;
    assert!(matches!(done, Ok(Recounted::Done { .. })), "{done:?}");
    assert_eq!(
        one.store.audit(Some(app()), 5).await.map(|a| a.len()),
        Ok(1)
    );
}

/// A recovery with `statement`, from its first beat to its last.
async fn recovers(pair: &Pair, one: &One, statement: &Statement, roll: imquota::store::Roll) {
    let begun = one.beats(&Beat::default()).await;
    assert_eq!(begun.recovery, Recovery::Open);
    one.states(statement).await;
    let beat = Beat {
        restated: begun.epoch,
        news: roll.news,
        roll: Some(roll),
        ..Beat::default()
    };
    for _ in 0..40 {
        if one.beats(&beat).await.recovery != Recovery::Open {
            return;
        }
        pair.pass(250);
    }
    panic!("it never closes");
}

#[tokio::test]
async fn the_fake_and_a_real_server_answer_each_call_alike() {
    let server = RedisServer::start();
    let identity = Identity {
        run_id: "a".repeat(40),
        replid: "b".repeat(40),
    };
    let pair = Arc::new(Pair {
        fake: Fake::new(identity, None),
        twin: Twin::new(server.connect()),
        // Near the real one, by which the real server lets days go.
        now_us: AtomicI64::new(Clock::system().0 * 1000),
    });
    let one = One::meets(&pair, 1, 1, None).await;
    let known = one.store.hello(&one.member, None, NOW).await.expect("met");
    let two = One::meets(&pair, 2, 1, Some(known)).await;
    for member in [&one, &two] {
        member.beats(&Beat::default()).await;
        pair.pass(100);
    }
    records(&one, &two).await;
    recount(&one).await;
    // The second falls silent, and is noted.
    pair.pass(6000);
    one.beats(&Beat::default()).await;
    pair.pass(100);
    let roll = one.beats(&Beat::default()).await.roll.expect("a roll");
    assert_eq!(roll.silent.len(), 1);
    let shard = Shard::of(app());
    let bases = one.store.bases(shard, 0).await.expect("bases").changed;
    let snapshot = pair.fake.look(Clone::clone);
    // Another run, with the same data.
    pair.fake.succeed(
        Identity {
            run_id: "c".repeat(40),
            replid: "b".repeat(40),
        },
        Some(snapshot),
    );
    let one = One::meets(&pair, 1, 2, Some(known)).await;
    let statement = Statement {
        apps: sums(one.today(), Escrow::default(), false),
        bases,
        aborts: vec![Abort {
            app: app(),
            key: one.take("a", 1, 50).key,
            attempt: Attempt(77),
            note: None,
        }],
        ..Statement::default()
    };
    recovers(&pair, &one, &statement, roll.clone()).await;
    pair.pass(100);
    let two = One::meets(&pair, 2, 2, Some(known)).await;
    two.beats(&Beat::default()).await;
    two.store.fold(shard, &[app()]).await.expect("folded");
    two.store.leave().await.expect("left");
    let roll = one.beats(&Beat::default()).await.roll.expect("a roll");
    assert_eq!(roll.gone.len(), 1);
    one.store.retire(2, "ann", "why").await.expect("repeated");
    one.store.members().await.expect("members");
    let usage = one.store.usage(app(), one.today(), NOW).await;
    usage.expect("it is read");
    assert_eq!(pair.twin.difference(&pair.fake), None);
}
