//! Short words for what is asked of reservations and objects, and for what is answered.

use imquota::clock::{Clock, Millis};
use imquota::quota::{Amount, Charge, Counter, Limits, ObjectNumber, RequestId, Resource};
use imquota::store::{
    Ack, Answered, Attempt, Beat, CellReport, Escrow, Fingerprint, GiveBack, GivenBack, Hold,
    HoldState, Intent, RecordKey, Recovery, Statement, Store, Take, Taken, View, Whose,
};

use crate::fixture::{
    NOW, Sidecar, app, app_report, cell_of, cell_report, client, give_back, limits, take,
};
use crate::redis_server::RedisServer;

pub const WIDE: u64 = 1000;

pub fn rules() -> Limits {
    limits(WIDE, WIDE, WIDE)
}

/// A time of the ledger's clock, which is this machine's.
pub fn in_ms(ms: i64) -> Millis {
    Clock::system().plus(ms)
}

/// An object's number: all 128 bits differ, as a keyed hash's do.
pub fn object(number: u64) -> ObjectNumber {
    let mut state = u128::from(number) + 1;
    for _ in 0..3 {
        state = state.wrapping_mul(0x2d99_787a_8b2f_4a5d_9e37_79b9_7f4a_7c15);
        state ^= state >> 61;
    }
    ObjectNumber(state)
}

/// Counts one account under a client's id.
pub fn count(id: &str, attempt: u64) -> Take {
    take(&client(id), attempt, Resource::Account, 1, &rules())
}

/// The same take with another intent, and so of other content.
pub fn with(intent: Intent, take: &Take) -> Take {
    let other = match intent {
        Intent::Reserve { .. } => 1 << 50,
        _ => 0,
    };
    Take {
        intent,
        fingerprint: Fingerprint(take.fingerprint.0 | other),
        ..take.clone()
    }
}

pub fn attempt(number: u64, take: &Take) -> Take {
    Take {
        attempt: Attempt(number),
        ..take.clone()
    }
}

pub fn of(resource: Resource, amount: u32, limits: &Limits, take: &Take) -> Take {
    Take {
        charge: Charge::new(resource, Amount::from_wire(amount).unwrap(), limits),
        ..take.clone()
    }
}

/// A reservation of one account that lasts so long.
pub fn reserve(id: &str, attempt: u64, ms: i64) -> Take {
    with(Intent::Reserve { until: in_ms(ms) }, &count(id, attempt))
}

/// What a reservation came to, by another attempt.
pub fn then(intent: Intent, number: u64, take: &Take) -> Take {
    Take {
        intent,
        ..attempt(number, take)
    }
}

pub const CONFIRM: Intent = Intent::Confirm { lapsed: false };
pub const CHARGE: Intent = Intent::Confirm { lapsed: true };

/// The same take of a named object; its client's id, if it has one, is noted beside it.
pub fn named(number: u64, take: &Take) -> Take {
    let note = match &take.key {
        RecordKey::Client(id) => Some(id.clone()),
        _ => None,
    };
    Take {
        key: RecordKey::Object(object(number)),
        note,
        fingerprint: Fingerprint(take.fingerprint.0 | 1 << 51),
        ..take.clone()
    }
}

/// Counts one account by its name.
pub fn create(id: &str, attempt: u64, number: u64) -> Take {
    named(number, &count(id, attempt))
}

/// Counts one by its name, without an id of the client's.
pub fn create_unnoted(attempt: u64, number: u64) -> Take {
    Take {
        note: None,
        ..create("-", attempt, number)
    }
}

pub fn delete(id: &str, resource: Resource, number: u64) -> GiveBack {
    GiveBack {
        object: Some(object(number)),
        ..give_back(&client(id), resource, 1)
    }
}

/// What is said beside the counts.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are what the answer says"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    pub replayed: bool,
    pub mine: bool,
    pub already: bool,
    pub late: bool,
    pub exceeds: Option<Counter>,
}

pub const PLAIN: Said = Said {
    replayed: false,
    mine: false,
    already: false,
    late: false,
    exceeds: None,
};
pub const MINE: Said = Said {
    mine: true,
    ..PLAIN
};
pub const REPLAYED: Said = Said {
    replayed: true,
    ..PLAIN
};
pub const ALREADY: Said = Said {
    already: true,
    ..PLAIN
};

/// What was said of an allowed take.
pub fn said(taken: &Taken) -> Said {
    let Taken::Allowed {
        replayed,
        whose,
        beside,
        ..
    } = taken
    else {
        panic!("{taken:?}");
    };
    Said {
        replayed: *replayed,
        mine: *whose == Whose::Asker,
        already: beside.already_counted,
        late: beside.late,
        exceeds: beside.exceeds,
    }
}

impl Sidecar {
    pub async fn asks(&self, take: &Take) -> Said {
        said(&self.take(take).await.unwrap())
    }

    /// Net, and what of it is reserved, of app 1's accounts.
    pub async fn accounts(&self) -> (i64, u64) {
        let view = self.view().await;
        (view.net[0], view.reserved[0])
    }

    pub async fn view(&self) -> View {
        self.usage(app(1)).await.view
    }

    pub async fn hold_of(&self, id: &str) -> Option<Hold> {
        let id = RequestId::parse(id).unwrap();
        self.store.hold(app(1), &id, NOW).await.unwrap()
    }

    pub async fn state_of(&self, id: &str) -> Option<HoldState> {
        self.hold_of(id).await.map(|hold| hold.state)
    }

    /// The ids of the open reservations.
    pub async fn listed(&self) -> Vec<String> {
        let holds = self.store.holds(app(1), 100, NOW).await.unwrap();
        holds
            .iter()
            .map(|hold| hold.id.as_str().to_owned())
            .collect()
    }

    pub async fn knows(&self, number: u64) -> bool {
        let known = self.store.knows_object(app(1), object(number));
        known.await.unwrap()
    }

    /// States that a take was answered, in no sums of the member's.
    pub async fn says(&self, take: &Take) -> Ack {
        self.says_answered(take, None, Vec::new()).await
    }

    /// How many a release gave back, as what, and whether it was the caller's to add.
    pub async fn deletes(&self, back: &GiveBack) -> (u32, Resource, bool) {
        match self.release(back).await.unwrap() {
            GivenBack::Released {
                released,
                resource,
                mine,
                ..
            } => (released, resource, mine),
            other => panic!("{other:?}"),
        }
    }
}

/// Sums of the counters of a charge, with so many taken and given by records.
pub fn sums(take: &Take, taken: u64, given: u64) -> Vec<CellReport> {
    let sums = Escrow {
        taken,
        given,
        ..Escrow::default()
    };
    let cells = take.charge.parts().iter().map(|part| CellReport {
        escrow: Some(sums),
        ..cell_report(cell_of(part.counter, take.day), 0, 0)
    });
    cells.collect()
}

/// A statement of app 1's sums with what was answered.
pub fn statement(cells: Vec<CellReport>, answered: Vec<Answered>) -> Statement {
    Statement {
        apps: vec![app_report(app(1), cells)],
        answered,
        ..Statement::default()
    }
}

/// An answer that is in no sums, or in those of the first life.
pub fn answer(take: &Take, contained: bool) -> Answered {
    Answered {
        take: take.clone(),
        refused: None,
        contained: contained.then_some(0),
    }
}

/// Accounts of which so many were taken by records.
pub fn accounts_taken(taken: u64) -> Vec<CellReport> {
    sums(&count("-", 0), taken, 0)
}

/// Two members on a server, which have beaten.
pub async fn two(server: &RedisServer) -> [Sidecar; 2] {
    let one = Sidecar::quick(1, server, None).await;
    let known = one.hello(None).await.unwrap();
    let two = Sidecar::quick(2, server, Some(known)).await;
    one.beats().await;
    two.beats().await;
    [one, two]
}

/// Both members state what they know to a server that forgot, in their order; then it serves again.
pub async fn recover(members: [(&Sidecar, &Statement); 2]) {
    let epoch = members[0].0.beats().await.epoch;
    assert_eq!(members[1].0.beats().await.epoch, epoch);
    for (member, statement) in members {
        member.states(statement).await;
    }
    let beat = Beat {
        restated: epoch,
        ..Beat::default()
    };
    for (member, _) in members {
        member.until(&beat, |_| true).await;
    }
    for (member, _) in members {
        let closed = |beaten: &imquota::store::Beaten| beaten.recovery == Recovery::Closed;
        member.until(&beat, closed).await;
    }
}
