//! Random steps on few ids and objects: at rest each object that somebody was told of is counted once, and nothing
//! else is.

use std::collections::{BTreeMap, BTreeSet};

use imquota::quota::{ObjectNumber, Resource};
use imquota::store::{
    Abort, Ack, Answered, Gave, GivenBack, HoldState, Intent, RecordKey, Report, Take, Taken, Whose,
};
use proptest::prelude::*;

use crate::asks::{CHARGE, CONFIRM, count, delete, in_ms, named, object, of, sums, then, with};
use crate::fixture::{Sidecar, app, app_report, limits, today};
use crate::redis_server::RedisServer;

const IDS: u8 = 4;
const OBJECTS: u64 = 3;

#[derive(Debug, Clone)]
enum Step {
    Ask {
        member: usize,
        what: u8,
        id: u8,
        /// [`OBJECTS`]: none is named.
        object: u64,
        heard: bool,
    },
    Delete {
        member: usize,
        object: u64,
    },
    Settle {
        member: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = (
        0..2_usize,
        0_u8..7,
        0..IDS,
        0..=OBJECTS,
        prop::bool::weighted(0.75),
    );
    let step = prop_oneof![
        6 => ask.prop_map(|(member, what, id, object, heard)| Step::Ask { member, what, id, object, heard }),
        2 => (0..2_usize, 0..OBJECTS).prop_map(|(member, object)| Step::Delete { member, object }),
        2 => (0..2_usize).prop_map(|member| Step::Settle { member }),
    ];
    prop::collection::vec(step, 1..60)
}

/// What one member owes the ledger.
#[derive(Debug, Default)]
struct Owed {
    taken: u64,
    given: u64,
    answered: Vec<Answered>,
    aborts: Vec<Abort>,
    gave: Vec<Gave>,
}

struct World {
    members: Vec<Sidecar>,
    owed: [Owed; 2],
    calls: u64,
    /// Objects that a gateway was told to be counted, and has not deleted.
    exist: BTreeSet<u64>,
    /// Ids that count for themselves, without a name.
    plain: BTreeSet<String>,
    /// Ids whose reservation was confirmed.
    confirmed: BTreeSet<String>,
    /// The object that an id was first heard of with.
    notes: BTreeMap<String, u64>,
    /// Deletions of names that nobody knew, which took one of those without.
    unknown: i64,
}

fn number_of(of: ObjectNumber) -> u64 {
    (0..OBJECTS).find(|&number| object(number) == of).unwrap()
}

fn take_of(what: u8, id: &str, number: u64, attempt: u64) -> Take {
    let narrow = limits(3, 0, 0);
    let plain = of(Resource::Account, 1, &narrow, &count(id, attempt));
    let named = |take: Take| match number {
        OBJECTS => take,
        _ => named(number, &take),
    };
    let reserve = || with(Intent::Reserve { until: in_ms(-1) }, &plain);
    match what {
        0 => named(plain),
        1 => named(with(Intent::Exists, &plain)),
        2 => named(reserve()),
        3 => then(CONFIRM, attempt, &named(reserve())),
        4 => then(CHARGE, attempt, &reserve()),
        5 => then(Intent::Cancel, attempt, &reserve()),
        _ => then(Intent::Lapse, attempt, &reserve()),
    }
}

impl World {
    async fn ask(&mut self, member: usize, take: Take, id: String, number: u64, heard: bool) {
        let taken = self.members[member].take(&take).await.unwrap();
        let Taken::Allowed { whose, beside, .. } = taken else {
            assert!(
                !matches!(taken, Taken::Withdrawn),
                "each attempt is one of its own"
            );
            return;
        };
        match take.intent {
            _ if number == OBJECTS => {}
            // That of a confirmation has a note only if it has moved what was reserved.
            Intent::Confirm { .. } => drop(self.notes.entry(id.clone()).or_insert(number)),
            _ => drop(self.notes.insert(id.clone(), number)),
        }
        let owed = &mut self.owed[member];
        if !heard {
            owed.aborts.push(Abort::of(&take));
            return;
        }
        if whose == Whose::Nobody {
            return; // What it once created is deleted, and stays so.
        }
        let mine = whose == Whose::Asker;
        owed.taken += u64::from(mine);
        if whose != Whose::Told {
            owed.answered.push(Answered {
                take: take.clone(),
                refused: None,
                contained: mine.then_some(0),
            });
        }
        match take.intent {
            Intent::Count | Intent::Exists if number < OBJECTS => drop(self.exist.insert(number)),
            Intent::Count | Intent::Exists => drop(self.plain.insert(id)),
            Intent::Reserve { .. } if beside.already_counted => {
                let number = if number == OBJECTS {
                    self.notes[&id]
                } else {
                    number
                };
                // Where it is reserved, or that is just being confirmed, it may still come to nothing.
                if !self.is_reserved(number).await {
                    self.exist.insert(number);
                }
            }
            Intent::Confirm { .. } => {
                let hold = self.members[0].hold_of(&id).await;
                match hold.map(|hold| hold.key) {
                    Some(RecordKey::Client(_)) if !beside.already_counted => {
                        self.confirmed.insert(id);
                    }
                    Some(RecordKey::Object(of)) if number == OBJECTS => {
                        self.exist.insert(number_of(of));
                    }
                    _ if number < OBJECTS => drop(self.exist.insert(number)),
                    _ => drop(self.exist.insert(self.notes[&id])),
                }
            }
            _ => {}
        }
        self.learn().await;
    }

    /// Whether an object was reserved, and that did not end.
    async fn is_reserved(&self, number: u64) -> bool {
        let key = RecordKey::Object(object(number));
        for id in 0..IDS {
            let hold = self.members[0].hold_of(&format!("id-{id}")).await;
            if hold.is_some_and(|of| of.key == key && of.state != HoldState::AlreadyCounted) {
                return true;
            }
        }
        false
    }

    /// The records of the open reservations.
    async fn open(&self) -> Vec<RecordKey> {
        use imquota::store::Store;
        let holds = self.members[0]
            .store
            .holds(app(1), 100, crate::fixture::NOW)
            .await
            .unwrap();
        holds.into_iter().map(|hold| hold.key).collect()
    }

    /// Confirmed ids whose reservation has a name by now are that object's.
    async fn learn(&mut self) {
        for id in self.confirmed.clone() {
            let Some(hold) = self.members[0].hold_of(&id).await else {
                continue;
            };
            if let RecordKey::Object(of) = hold.key {
                self.confirmed.remove(&id);
                self.exist.insert(number_of(of));
            }
        }
    }

    async fn delete(&mut self, member: usize, number: u64) {
        self.learn().await;
        self.calls += 1;
        let back = delete(&format!("delete-{}", self.calls), Resource::Account, number);
        let was_known = self.members[member].knows(number).await;
        let released = self.members[member].release(&back).await.unwrap();
        let GivenBack::Released { released, mine, .. } = released else {
            panic!("{released:?}");
        };
        if released == 0
            && self.exist.contains(&number)
            && !self.members[member].knows(number).await
        {
            // Its place had been given back for a name that nobody knew.
            self.exist.remove(&number);
            self.unknown -= 1;
        }
        if released > 0 {
            self.exist.remove(&number);
            self.unknown += i64::from(!was_known);
        }
        let owed = &mut self.owed[member];
        if mine {
            owed.given += u64::from(released);
            owed.gave.push(Gave {
                app: back.app,
                key: back.key,
            });
        }
    }

    async fn settle(&mut self, member: usize) {
        let owed = &mut self.owed[member];
        let report = Report {
            apps: vec![app_report(
                app(1),
                sums(&count("-", 0), owed.taken, owed.given),
            )],
            answered: owed.answered.clone(),
            aborts: std::mem::take(&mut owed.aborts),
            gave: std::mem::take(&mut owed.gave),
        };
        let settled = self.members[member].settle(&report, today()).await.unwrap();
        owed.answered.clear();
        for (mut answered, ack) in report.answered.into_iter().zip(settled.acks) {
            match ack {
                Ack::Counted => {}
                Ack::Again => owed.answered.push(answered),
                Ack::Yours => {
                    owed.taken += 1;
                    answered.contained = Some(0);
                    owed.answered.push(answered);
                }
                Ack::Gone => owed.given += u64::from(answered.contained.is_some()),
            }
        }
    }

    async fn rests(&mut self) {
        for _ in 0..6 {
            for member in 0..2 {
                self.settle(member).await;
            }
        }
        for owed in &self.owed {
            assert!(owed.answered.is_empty(), "{:?}", owed.answered);
        }
        self.learn().await;
        let open = self.open().await;
        let mut known = 0;
        for number in 0..OBJECTS {
            let is_known = self.members[0].knows(number).await;
            let is_open = open.contains(&RecordKey::Object(object(number)));
            assert_eq!(is_known, self.exist.contains(&number), "object {number}");
            known += i64::from(is_known || is_open);
        }
        let ids = self.plain.len() + self.confirmed.len();
        let own = open
            .iter()
            .filter(|key| matches!(key, RecordKey::Client(_)));
        let unnamed = i64::try_from(ids + own.count()).unwrap();
        let (net, reserved) = self.members[0].accounts().await;
        assert_eq!(reserved, u64::try_from(open.len()).unwrap());
        assert_eq!(
            net,
            known + unnamed - self.unknown,
            "{:?} {:?}",
            self.plain,
            self.confirmed
        );
    }
}

async fn walk(steps: Vec<Step>) {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    let mut world = World {
        members: vec![one, two],
        owed: Default::default(),
        calls: 0,
        exist: BTreeSet::new(),
        plain: BTreeSet::new(),
        confirmed: BTreeSet::new(),
        notes: BTreeMap::new(),
        unknown: 0,
    };
    for step in steps {
        match step {
            Step::Ask {
                member,
                what,
                id,
                object,
                heard,
            } => {
                world.calls += 1;
                let id = format!("id-{id}");
                // The rest is said of an id alone, and what was confirmed without a name has none.
                let is_nameless = what > 3 || what == 3 && world.confirmed.contains(&id);
                let object = if is_nameless { OBJECTS } else { object };
                let take = take_of(what, &id, object, world.calls);
                world.ask(member, take, id, object, heard).await;
            }
            Step::Delete { member, object } => world.delete(member, object).await,
            Step::Settle { member } => world.settle(member).await,
        }
    }
    world.rests().await;
    let tracked: Vec<String> = server.command(&["KEYS", "*:t:1"]);
    if let Some(key) = tracked.first() {
        let tracked: Option<i64> = server.command(&["HGET", key, "t0"]);
        let known = i64::try_from(world.exist.len()).unwrap();
        assert_eq!(tracked.unwrap_or(0), known, "tracked");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_rest_each_object_is_counted_once(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(walk(steps));
    }
}
