//! Random histories of objects and reservations: every answer of a store is compared with the oracle's.
//!
//! The answers at one record are reported in the order of their attempts, so that its owner is the first:
//! what becomes of answers in another order depends on whether the ledger is shared.

use std::sync::atomic::{AtomicU64, Ordering};

use imquota::quota::{AppId, Counter, Limit, Limits, RESOURCES, Resource};
use imquota::store::{
    Adopted, GiveBack, GivenBack, Hold, HoldState, Intent, RecordKey, Take, Taken, Whose,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::holds::{before, later};
use super::oracle::{Call, LIMITS, Oracle, Place, Said};
use super::{LedgerUnderTest, Seat, now, request, reserving};

/// Members that take part.
pub const MEMBERS: usize = 2;
const CONFIRM: Intent = Intent::Confirm { lapsed: false };
/// The objects of a history: accounts, and groups that may be called rooms.
const OBJECTS: [(&str, bool); 5] = [
    ("a1", true),
    ("a2", true),
    ("g1", false),
    ("g2", false),
    ("g3", false),
];

/// What a creation does with its record.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    Count,
    Exists,
    Reserve { over: bool },
}

/// One step of a history. Numbers pick from what is there, modulo its length.
#[derive(Debug, Clone)]
pub enum Step {
    /// A creation; without an object if there is none of that number.
    Create {
        member: usize,
        id: Option<u8>,
        object: usize,
        as_room: bool,
        way: Way,
    },
    /// What becomes of the reservation under an id, maybe under an object.
    Settle {
        member: usize,
        id: u8,
        object: usize,
        intent: Intent,
    },
    /// The answers at one record went out.
    Answer(usize),
    Abort(usize),
    Delete {
        member: usize,
        id: Option<u8>,
        object: usize,
        as_room: bool,
    },
    Adopt {
        object: usize,
        as_room: bool,
    },
    Checkpoint,
}

/// A random step.
pub fn step() -> impl Strategy<Value = Step> {
    let member = || 0..MEMBERS;
    let object = || 0..OBJECTS.len() + 3;
    let id = || proptest::option::of(0_u8..6);
    let way = prop_oneof![
        3 => Just(Way::Count),
        2 => Just(Way::Exists),
        4 => any::<bool>().prop_map(|over| Way::Reserve { over }),
    ];
    let intent = prop_oneof![
        4 => Just(CONFIRM),
        1 => Just(Intent::Confirm { lapsed: true }),
        2 => Just(Intent::Cancel),
        2 => Just(Intent::Lapse),
    ];
    prop_oneof![
        8 => (member(), id(), object(), any::<bool>(), way).prop_map(
            |(member, id, object, as_room, way)| Step::Create { member, id, object, as_room, way }
        ),
        7 => (member(), 0_u8..6, object(), intent).prop_map(
            |(member, id, object, intent)| Step::Settle { member, id, object, intent }
        ),
        5 => any::<usize>().prop_map(Step::Answer),
        3 => any::<usize>().prop_map(Step::Abort),
        5 => (member(), id(), 0..OBJECTS.len(), any::<bool>()).prop_map(
            |(member, id, object, as_room)| Step::Delete { member, id, object, as_room }
        ),
        1 => (0..OBJECTS.len(), any::<bool>()).prop_map(
            |(object, as_room)| Step::Adopt { object, as_room }
        ),
        1 => Just(Step::Checkpoint),
    ]
}

/// One app's history as it is being played: against a store, and against the oracle.
pub struct Play {
    app: AppId,
    oracle: Oracle,
    /// Takes that wait for their answer to be reported, in the order of their attempts.
    open: Vec<(usize, Take, Call)>,
    /// When the next reservation ends, so that no two end at once.
    ends: i64,
    /// Whether the ledger may be told again what it lost: it is not told when something was confirmed.
    is_told_again: bool,
}

impl Play {
    pub fn new(app: AppId, is_told_again: bool) -> Self {
        Self {
            app,
            is_told_again,
            oracle: Oracle::default(),
            open: Vec::new(),
            ends: 0,
        }
    }

    /// Plays one step against both.
    pub async fn step(&mut self, seats: &[Seat], step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Create {
                member,
                id,
                object,
                as_room,
                way,
            } => {
                let id = id.map(|id| format!("id-{id}"));
                let what = what(*object, *as_room);
                let made = self.creation(&seats[*member], id, what, *way);
                if let Some((take, call)) = made {
                    self.take(seats, *member, take, call).await?;
                }
            }
            Step::Settle {
                member,
                id,
                object,
                intent,
            } => {
                let id = format!("id-{id}");
                let made = self.ending(&seats[*member], id, *object, *intent).await?;
                if let Some((take, call)) = made {
                    self.take(seats, *member, take, call).await?;
                }
            }
            Step::Answer(pick) => {
                if let Some(place) = self.pick(*pick) {
                    self.answer(seats, &place).await;
                }
            }
            Step::Abort(pick) => {
                if let Some(at) = pick.checked_rem(self.open.len()) {
                    let (member, take, call) = self.open.remove(at);
                    seats[member].abort(&take).await;
                    self.oracle.abort(&call);
                }
            }
            Step::Delete {
                member,
                id,
                object,
                as_room,
            } => {
                let id = id.map(|id| format!("id-{}", id + 3));
                if let (resource, Some(name)) = what(*object, *as_room) {
                    let seat = &seats[*member];
                    self.delete(seat, id.as_deref(), (resource, name)).await?;
                }
            }
            Step::Adopt { object, as_room } => {
                if let (resource, Some(name)) = what(*object, *as_room) {
                    self.adopt(&seats[0], (resource, name)).await?;
                }
            }
            Step::Checkpoint => {
                let done = seats[0].store.checkpoint(now()).await;
                prop_assert_eq!(done, Ok(()));
            }
        }
        Ok(())
    }

    /// A creation, but for one whose answer would depend on what somebody else's comes to.
    fn creation(
        &mut self,
        seat: &Seat,
        id: Option<String>,
        (resource, object): (Resource, Option<&'static str>),
        way: Way,
    ) -> Option<(Take, Call)> {
        let expired = object.is_some_and(|object| self.oracle.has_expired(object));
        if expired && self.is_told_again && !matches!(way, Way::Reserve { .. }) {
            return None;
        }
        let mut take = match object {
            Some(name) => seat.names(self.app, id.as_deref(), (resource, name), &limits()),
            None => seat.wants(self.app, id.as_deref(), (resource, 1), &limits()),
        };
        let mut over = false;
        match way {
            Way::Count => {}
            Way::Exists => take.intent = Intent::Exists,
            Way::Reserve { over: is_over } => {
                // A reservation has an id.
                id.as_ref()?;
                if object.is_some_and(|object| self.oracle.is_on_its_way(object)) {
                    return None;
                }
                over = is_over;
                self.ends += 1;
                let until = if over { before() } else { later() };
                take = reserving(take, until.plus(self.ends));
            }
        }
        let call = Call {
            attempt: take.attempt,
            intent: take.intent,
            resource,
            fingerprint: take.fingerprint,
            object,
            id,
            over,
        };
        Some((take, call))
    }

    /// What is said of a reservation, as a sidecar says it: by what the ledger knows of it.
    async fn ending(
        &mut self,
        seat: &Seat,
        id: String,
        object: usize,
        intent: Intent,
    ) -> Result<Option<(Take, Call)>, TestCaseError> {
        let hold = seat.hold(self.app, &id).await;
        prop_assert_eq!(hold.as_ref().map(|hold| hold.state), self.oracle.hold(&id));
        let charged = hold
            .as_ref()
            .is_some_and(|of| of.state == HoldState::Charged);
        if charged && self.oracle.is_confirming(&id) || hold.is_none() && self.oracle.is_note(&id) {
            // Which of two answers is news is for the ledger to say; and a note alone is no reservation.
            return Ok(None);
        }
        let expired = |hold: &Hold| hold.state == HoldState::Open && hold.until < now();
        if self.is_told_again && intent == CONFIRM && hold.as_ref().is_some_and(expired) {
            return Ok(None);
        }
        let met = hold
            .as_ref()
            .filter(|hold| hold.state == HoldState::AlreadyCounted);
        let met = met.and_then(|hold| self.name_of(seat, &hold.key));
        let is_gone = |object| {
            let is_there = self.oracle.knows(object) || self.oracle.is_reserved(object);
            self.oracle.has_expired(object) || !is_there
        };
        if self.is_told_again && intent == CONFIRM && met.is_some_and(is_gone) {
            // Whether that confirmation is told again before or after what it met, is not known here.
            return Ok(None);
        }
        let mut take = seat.wants(
            self.app,
            Some(&id),
            (Resource::Group, 1),
            &Limits::UNLIMITED,
        );
        take.intent = intent;
        let mut name = None;
        if let Some(hold) = &hold {
            (take.charge, take.fingerprint, take.day) = (hold.charge, hold.fingerprint, hold.day);
            take.key = hold.key.clone();
            name = self.name_of(seat, &hold.key);
            if name.is_none() && intent == CONFIRM && self.may_get(hold, object) {
                // It was made without its object, and is confirmed under it.
                let (_, other) = what(object, false);
                name = other;
                let number = seat.object(self.app, Resource::Group, other.unwrap());
                take.key = RecordKey::Object(number);
            }
            take.note = name.map(|_| request(&id));
        }
        let own = take.charge.parts()[0].counter;
        let resource = RESOURCES.into_iter().find(|of| of.counter() == own);
        let call = Call {
            attempt: take.attempt,
            intent,
            resource: resource.unwrap(),
            fingerprint: take.fingerprint,
            object: name,
            id: Some(id),
            over: false,
        };
        Ok(Some((take, call)))
    }

    fn name_of(&self, seat: &Seat, key: &RecordKey) -> Option<&'static str> {
        let RecordKey::Object(number) = key else {
            return None;
        };
        let named = (0..OBJECTS.len()).map(|object| what(object, false));
        let mut names = named.filter_map(|(resource, name)| Some((resource, name?)));
        let known = names.find(|what| seat.object(self.app, what.0, what.1) == *number);
        known.map(|(_, name)| name)
    }

    /// Whether a reservation that was made without an object may be confirmed under this one, and the answer
    /// depends on nobody else's.
    fn may_get(&self, hold: &Hold, object: usize) -> bool {
        let (resource, Some(name)) = what(object, false) else {
            return false;
        };
        let is_group = hold.charge.parts()[0].counter != Counter::Accounts;
        is_group
            && resource == Resource::Group
            && hold.state != HoldState::Cancelled
            && !self.oracle.is_on_its_way(name)
            && !self.oracle.is_reserved(name)
    }

    async fn take(
        &mut self,
        seats: &[Seat],
        member: usize,
        take: Take,
        call: Call,
    ) -> Result<(), TestCaseError> {
        let expected = self.oracle.take(&call);
        let taken = seats[member].take(&take).await;
        let said = match &taken {
            Taken::Allowed {
                beside,
                replayed,
                view,
                ..
            } => {
                prop_assert_eq!(view.net, self.oracle.nets(), "{:?}", take);
                prop_assert_eq!(view.reserved, self.oracle.reserved(), "{:?}", take);
                Said::Allowed(*beside, *replayed)
            }
            Taken::Denied {
                counter, replayed, ..
            } => Said::Denied(*counter, *replayed),
            Taken::Undecided(why) => Said::Undecided(*why),
            Taken::OtherContent => Said::OtherContent,
            Taken::NoHold => Said::NoHold,
            Taken::Ended => Said::Ended,
            Taken::Withdrawn => panic!("{take:?}"),
        };
        prop_assert_eq!(&said, &expected, "{:?}", take);
        match said {
            Said::Allowed(..) if self.oracle.waits_for(&call) => {
                self.open.push((member, take, call));
            }
            Said::Allowed(..) => {
                if !matches!(
                    taken,
                    Taken::Allowed {
                        whose: Whose::Nobody,
                        ..
                    }
                ) {
                    seats[member].answered(&take, None).await;
                }
                self.oracle.answered(&call);
            }
            Said::Denied(counter, _) => {
                seats[member].answered(&take, Some(counter)).await;
            }
            _ => seats[member].abort(&take).await,
        }
        Ok(())
    }

    /// The record of some take that waits.
    fn pick(&self, pick: usize) -> Option<Place> {
        let at = pick.checked_rem(self.open.len())?;
        self.open.get(at).map(|(.., call)| self.oracle.place(call))
    }

    async fn answer(&mut self, seats: &[Seat], place: &Place) {
        let (told, kept) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|(.., call)| self.oracle.place(call) == *place);
        self.open = kept;
        let told: Vec<(usize, Take, Call)> = told;
        for (member, take, call) in told {
            seats[member].answered(&take, None).await;
            self.oracle.answered(&call);
        }
    }

    /// What the clients were told is journaled before they are told: nothing is left open.
    pub async fn answer_all(&mut self, seats: &[Seat]) {
        while let Some(place) = self.pick(0) {
            self.answer(seats, &place).await;
        }
    }

    async fn delete(
        &mut self,
        seat: &Seat,
        id: Option<&str>,
        what: (Resource, &'static str),
    ) -> Result<(), TestCaseError> {
        if self.oracle.has_tombstone(what.1) {
            // For how long it is remembered depends on the ledger.
            return Ok(());
        }
        let back: GiveBack = seat.deletes(self.app, id, what);
        let expected = self.oracle.delete(what, id, back.fingerprint);
        let given = match seat.give_back(&back).await {
            GivenBack::Released {
                released,
                resource,
                replayed,
                view,
                ..
            } => {
                prop_assert_eq!(view.net, self.oracle.nets(), "{:?}", back);
                Some((released, resource, replayed))
            }
            GivenBack::OtherContent => None,
            GivenBack::Undecided(why) => panic!("{why:?}"),
        };
        prop_assert_eq!(given, expected, "{:?}", back);
        Ok(())
    }

    async fn adopt(
        &mut self,
        seat: &Seat,
        (resource, name): (Resource, &'static str),
    ) -> Result<(), TestCaseError> {
        if self.oracle.is_reserved(name) {
            // It is reserved: whether it counts without a name as well is not for us to say.
            return Ok(());
        }
        let number = seat.object(self.app, resource, name);
        let told = seat.store.adopt(self.app, resource, &[number], now()).await;
        let expected = match self.oracle.adopt(resource, name) {
            (true, _) => Adopted::Known,
            (_, true) => Adopted::Named,
            _ => Adopted::Missing,
        };
        prop_assert_eq!(told, Ok(vec![expected]), "{}", name);
        Ok(())
    }

    /// Compares all that each member can read.
    pub async fn compare(&self, seats: &[Seat]) -> Result<(), TestCaseError> {
        for seat in seats {
            let usage = seat.usage(self.app).await;
            prop_assert_eq!(usage.view.net, self.oracle.nets());
            let reserved = seat.reserved(self.app).await;
            prop_assert_eq!(reserved, self.oracle.reserved());
            for (name, is_account) in OBJECTS {
                let resource = if is_account {
                    Resource::Account
                } else {
                    Resource::AvRoom
                };
                let told = seat.knows(self.app, (resource, name)).await;
                prop_assert_eq!(told, self.oracle.knows(name), "{}", name);
            }
            let mut open = 0;
            for id in 0..6 {
                let id = format!("id-{id}");
                let hold = seat.hold_state(self.app, &id).await;
                prop_assert_eq!(hold, self.oracle.hold(&id), "{}", id);
                open += usize::from(hold == Some(HoldState::Open));
            }
            let holds = seat.store.holds(self.app, 99, now()).await.unwrap();
            prop_assert_eq!(holds.len(), open);
            prop_assert!(holds.is_sorted_by_key(|hold| hold.until));
        }
        Ok(())
    }
}

/// What is created, and its name; above the last object, things without a name.
fn what(object: usize, as_room: bool) -> (Resource, Option<&'static str>) {
    match OBJECTS.get(object) {
        Some((name, true)) => (Resource::Account, Some(name)),
        Some((name, false)) if as_room => (Resource::AvRoom, Some(name)),
        Some((name, false)) => (Resource::Group, Some(name)),
        None => (RESOURCES[object % 3], None),
    }
}

/// The rules of all calls: those that the oracle judges by.
fn limits() -> Limits {
    let at_most = |limit: i64| Limit::AtMost(limit.cast_unsigned());
    Limits {
        accounts: at_most(LIMITS[0]),
        groups: at_most(LIMITS[1]),
        av_rooms: at_most(LIMITS[2]),
        ..Limits::UNLIMITED
    }
}

/// All members of a history.
pub async fn seats(ledger: &impl LedgerUnderTest) -> Vec<Seat> {
    let mut seats = Vec::new();
    for number in 0..MEMBERS {
        let seat = Seat::at(ledger, u64::try_from(number).unwrap()).await;
        seats.push(seat);
    }
    seats
}

/// Plays random histories, each of an app of its own, on one ledger.
pub fn agrees_with_the_oracle<L: LedgerUnderTest>() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ledger = runtime.block_on(L::fresh());
    let seats = runtime.block_on(seats(&ledger));
    let apps = AtomicU64::new(1);
    // PROPTEST_CASES asks for more of them.
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&vec(step(), 1..60), |steps| {
        let app = super::app(apps.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(async {
            let mut play = Play::new(app, false);
            for step in &steps {
                play.step(&seats, step).await?;
            }
            play.compare(&seats).await?;
            play.answer_all(&seats).await;
            play.compare(&seats).await
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
