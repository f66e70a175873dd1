//! An app whose every object and reservation is known: plain maps, every count added up anew whenever it is
//! asked for. It does not know members: who owns what is for other tests.

use std::collections::{BTreeMap, BTreeSet};

use imquota::quota::{COUNTERS, Counter, Resource};
use imquota::store::{Attempt, Beside, Fingerprint, HoldState, Intent, Undecided};

/// What the oracle answers to a take: of an ALLOW, what is to be said beside it, and whether it was so before.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Allowed(Beside, bool),
    Denied(Counter, bool),
    Undecided(Undecided),
    OtherContent,
    NoHold,
    Ended,
}

/// A take, as far as it matters.
#[derive(Debug, Clone)]
pub struct Call {
    pub attempt: Attempt,
    pub intent: Intent,
    pub resource: Resource,
    pub fingerprint: Fingerprint,
    /// The object that is the record's key.
    pub object: Option<&'static str>,
    /// The client's id.
    pub id: Option<String>,
    /// Whether the time of the reservation is over, where it makes one.
    pub over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Held,
    Reserved,
    Confirming,
    Counted,
    Cancelled,
    Lapsed,
    Gone,
}

#[derive(Debug, Clone)]
struct Hold {
    id: String,
    over: bool,
    confirmed: Option<HoldState>,
}

#[derive(Debug, Clone)]
struct Record {
    resource: Resource,
    fingerprint: Fingerprint,
    state: State,
    claims: BTreeSet<Attempt>,
    hold: Option<Hold>,
}

impl Record {
    fn is_charged(&self) -> bool {
        use State::{Confirming, Counted, Held, Reserved};
        matches!(self.state, Held | Reserved | Confirming | Counted)
    }

    fn is_open(&self) -> bool {
        self.hold.is_some() && matches!(self.state, State::Held | State::Reserved)
    }
}

/// What an id is at the object of its note.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Noted {
    /// It created the object, or reserved it.
    First,
    /// The object was there already, and was to be created.
    There,
    /// It was there already, and was to be reserved.
    ThereToReserve,
}

/// What is known under a client's id.
#[derive(Debug, Clone)]
enum Known {
    Record(Record),
    Note(&'static str, Fingerprint, Noted),
    Denied(Counter, Fingerprint),
    Released(Fingerprint, u32, Resource),
}

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Object(&'static str),
    Id(String),
    Nameless(Attempt),
}

/// An app.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Records of objects; one that is counted for good and was no reservation has none.
    objects: BTreeMap<&'static str, Record>,
    /// Every object that is counted for good, and what it is.
    counted: BTreeMap<&'static str, Resource>,
    ids: BTreeMap<String, Known>,
    /// Ids under which somebody was told that an object is created, or is there.
    told: BTreeSet<String>,
    nameless: BTreeMap<Attempt, Record>,
    /// What was counted without a name and is no record's, less what releases took of it.
    rest: [i64; 4],
    /// Objects that were known not to be there, whatever they are now.
    deleted: BTreeSet<&'static str>,
    /// Objects of which a release took one without a name.
    gone: BTreeSet<&'static str>,
}

fn parts(resource: Resource) -> &'static [Counter] {
    match resource {
        Resource::Account => &[Counter::Accounts],
        Resource::Group => &[Counter::Groups, Counter::GroupsGained],
        Resource::AvRoom => &[Counter::AvRooms, Counter::Groups, Counter::GroupsGained],
    }
}

/// The limits that every call states.
pub const LIMITS: [i64; 4] = [4, 5, 3, i64::MAX];

fn allowed(replayed: bool) -> Said {
    Said::Allowed(Beside::default(), replayed)
}

fn already(replayed: bool) -> Said {
    let beside = Beside {
        already_counted: true,
        ..Beside::default()
    };
    Said::Allowed(beside, replayed)
}

impl Oracle {
    fn records(&self) -> impl Iterator<Item = &Record> {
        let ids = self.ids.values().filter_map(|known| match known {
            Known::Record(record) => Some(record),
            _ => None,
        });
        ids.chain(self.nameless.values())
    }

    /// How many of `counter` have names.
    fn named(&self, counter: Counter) -> i64 {
        let on_their_way = self.objects.values();
        let on_their_way = on_their_way
            .filter(|of| of.is_charged() && of.state != State::Counted && !of.is_open());
        let all = on_their_way.map(|of| of.resource);
        let all = all.chain(self.counted.values().copied());
        let all = all.filter(|of| parts(*of).contains(&counter));
        i64::try_from(all.count()).unwrap()
    }

    /// How many of `counter` are counted without a name. What is reserved does not exist yet.
    fn nameless(&self, counter: Counter) -> i64 {
        let open = Self::open(self.records().chain(self.objects.values()), counter);
        self.net(counter) - self.named(counter) - open
    }

    /// How many of `counter` are reserved by some records.
    fn open<'a>(of: impl Iterator<Item = &'a Record>, counter: Counter) -> i64 {
        let open = of.filter(|of| of.is_open() && parts(of.resource).contains(&counter));
        i64::try_from(open.count()).unwrap()
    }

    fn net(&self, counter: Counter) -> i64 {
        let records = self.records().filter(|of| of.is_charged());
        let records = records.filter(|of| parts(of.resource).contains(&counter));
        let records = i64::try_from(records.count()).unwrap();
        self.rest[counter.index()]
            + records
            + self.named(counter)
            + Self::open(self.objects.values(), counter)
    }

    pub fn nets(&self) -> [i64; 4] {
        COUNTERS.map(|counter| self.net(counter))
    }

    pub fn reserved(&self) -> [u64; 4] {
        COUNTERS.map(|counter| {
            let all = self.records().chain(self.objects.values());
            let open = all.filter(|of| of.is_open() && parts(of.resource).contains(&counter));
            open.count() as u64
        })
    }

    /// Whether the object is reserved, and nothing more is known of it.
    pub fn is_reserved(&self, object: &str) -> bool {
        self.objects.get(object).is_some_and(Record::is_open)
    }

    /// Whether the object is counted, or about to be. What is only reserved is neither.
    pub fn knows(&self, object: &str) -> bool {
        let record = self.objects.get(object);
        let on_its_way = record.is_some_and(|of| of.is_charged() && !of.is_open());
        on_its_way || self.counted.contains_key(object)
    }

    /// Whether a release of the object took one without a name.
    pub fn has_tombstone(&self, object: &'static str) -> bool {
        self.gone.contains(object) && !self.knows(object) && !self.is_reserved(object)
    }

    /// Whether the object is reserved, and the time is over.
    pub fn has_expired(&self, object: &'static str) -> bool {
        let record = self.objects.get(object).filter(|of| of.is_open());
        record.is_some_and(|of| of.hold.as_ref().is_some_and(|hold| hold.over))
    }

    /// Whether somebody creates the object, and nobody knows yet whether it came to be.
    pub fn is_on_its_way(&self, object: &'static str) -> bool {
        let record = self.objects.get(object);
        record.is_some_and(|of| of.is_charged() && of.state != State::Counted && !of.is_open())
    }

    /// Whether an id is noted beside an object, and was none of its reservations.
    pub fn is_note(&self, id: &str) -> bool {
        matches!(self.ids.get(id), Some(Known::Note(..)))
    }

    /// The reservation that was made under an id.
    fn hold_of(&self, id: &str) -> Option<&Record> {
        let record = match self.ids.get(id)? {
            Known::Record(record) => record,
            Known::Note(object, ..) => self.objects.get(object)?,
            _ => return None,
        };
        let own = record.hold.as_ref().is_some_and(|hold| hold.id == id);
        own.then_some(record)
    }

    pub fn hold(&self, id: &str) -> Option<HoldState> {
        let Some(record) = self.hold_of(id) else {
            let there = matches!(
                self.ids.get(id),
                Some(Known::Note(.., Noted::ThereToReserve))
            );
            return there.then_some(HoldState::AlreadyCounted);
        };
        Some(match record.state {
            State::Held | State::Reserved => HoldState::Open,
            State::Cancelled => HoldState::Cancelled,
            State::Lapsed => HoldState::Lapsed,
            _ => record.hold.as_ref()?.confirmed?,
        })
    }

    /// Whether the reservation under an id is being confirmed.
    pub fn is_confirming(&self, id: &str) -> bool {
        let record = self.hold_of(id);
        record.is_some_and(|of| of.state == State::Confirming)
    }

    /// The record that a call speaks of.
    pub fn place(&self, call: &Call) -> Place {
        match (call.object, &call.id) {
            (Some(object), _) => Place::Object(object),
            (None, Some(id)) => match self.ids.get(id) {
                Some(Known::Note(object, ..)) => Place::Object(object),
                _ => Place::Id(id.clone()),
            },
            (None, None) => Place::Nameless(call.attempt),
        }
    }

    fn at(&mut self, place: &Place) -> Option<&mut Record> {
        match place {
            Place::Object(object) => self.objects.get_mut(object),
            Place::Id(id) => match self.ids.get_mut(id)? {
                Known::Record(record) => Some(record),
                _ => None,
            },
            Place::Nameless(attempt) => self.nameless.get_mut(attempt),
        }
    }

    fn write(&mut self, place: &Place, record: Record) {
        match place {
            Place::Object(object) => {
                self.objects.insert(object, record);
            }
            Place::Id(id) => {
                self.ids.insert(id.clone(), Known::Record(record));
            }
            Place::Nameless(attempt) => {
                self.nameless.insert(*attempt, record);
            }
        }
    }

    fn remove(&mut self, place: &Place) {
        match place {
            Place::Object(object) => drop(self.objects.remove(object)),
            Place::Id(id) => drop(self.ids.remove(id)),
            Place::Nameless(attempt) => drop(self.nameless.remove(attempt)),
        }
    }

    pub fn take(&mut self, call: &Call) -> Said {
        match call.intent {
            Intent::Confirm { lapsed } => self.confirm(call, lapsed),
            Intent::Cancel | Intent::Lapse => self.end(call),
            _ if call.object.is_some() => self.create(call),
            _ => self.by_id(call),
        }
    }

    /// The first counter that has no place left for one more, but for those that have it already.
    fn full(&self, resource: Resource, but: &[Counter]) -> Option<Counter> {
        let mut parts = parts(resource).iter().filter(|of| !but.contains(of));
        let full = parts.find(|of| self.net(**of) >= LIMITS[of.index()]);
        full.copied()
    }

    fn refuse(&mut self, call: &Call, counter: Counter) -> Said {
        if let Some(id) = &call.id {
            let denied = Known::Denied(counter, call.fingerprint);
            self.ids.insert(id.clone(), denied);
        }
        Said::Denied(counter, false)
    }

    /// Judges, and writes what fits.
    fn judge(&mut self, call: &Call, place: &Place) -> Said {
        let full = self.full(call.resource, &[]);
        if let Some(counter) = full.filter(|_| call.intent != Intent::Exists) {
            return self.refuse(call, counter);
        }
        let hold = matches!(call.intent, Intent::Reserve { .. }).then(|| Hold {
            id: call.id.clone().unwrap(),
            over: call.over,
            confirmed: None,
        });
        let record = Record {
            resource: call.resource,
            fingerprint: call.fingerprint,
            state: State::Held,
            claims: BTreeSet::from([call.attempt]),
            hold,
        };
        self.write(place, record);
        let beside = Beside {
            exceeds: full,
            ..Beside::default()
        };
        Said::Allowed(beside, false)
    }

    fn by_id(&mut self, call: &Call) -> Said {
        let place = self.place(call);
        let known = call.id.as_ref().and_then(|id| self.ids.get_mut(id));
        match known {
            None => self.judge(call, &place),
            Some(Known::Denied(_, of))
                if *of == call.fingerprint && call.intent == Intent::Exists =>
            {
                self.judge(call, &place)
            }
            Some(Known::Denied(counter, of)) if *of == call.fingerprint => {
                Said::Denied(*counter, true)
            }
            Some(Known::Note(object, of, noted))
                if *of == call.fingerprint && matches!(call.intent, Intent::Reserve { .. }) =>
            {
                // It was confirmed with a name.
                let (object, noted) = (*object, *noted);
                let id = call.id.as_deref().unwrap();
                let ended = |of: &Record| matches!(of.state, State::Cancelled | State::Lapsed);
                if self.hold_of(id).is_some_and(ended) {
                    return Said::Ended;
                }
                if noted == Noted::First {
                    return allowed(true);
                }
                let counted = self.counted.contains_key(object);
                match self.objects.get_mut(object) {
                    Some(of) if of.state == State::Held && of.hold.is_none() => {
                        of.claims.insert(call.attempt);
                    }
                    Some(of) if of.is_charged() => {}
                    _ if counted => {}
                    _ => return Said::Ended,
                }
                already(true)
            }
            Some(Known::Record(record)) if record.fingerprint == call.fingerprint => {
                match record.state {
                    State::Cancelled | State::Lapsed => return Said::Ended,
                    State::Held => drop(record.claims.insert(call.attempt)),
                    _ => {}
                }
                allowed(true)
            }
            Some(_) => Said::OtherContent,
        }
    }

    fn create(&mut self, call: &Call) -> Said {
        let object = call.object.unwrap();
        let place = Place::Object(object);
        let mut first = None;
        if let Some(known) = call.id.as_ref().and_then(|id| self.ids.get(id)) {
            match known {
                Known::Note(of, fingerprint, noted)
                    if *of == object && *fingerprint == call.fingerprint =>
                {
                    first = Some(*noted == Noted::First);
                }
                Known::Denied(counter, of) if *of == call.fingerprint => {
                    if call.intent != Intent::Exists {
                        return Said::Denied(*counter, true);
                    }
                }
                _ => return Said::OtherContent,
            }
        }
        let reserves = matches!(call.intent, Intent::Reserve { .. });
        let hold = self.objects.get(object).and_then(|of| of.hold.as_ref());
        if reserves && hold.map(|hold| &hold.id) != call.id.as_ref() {
            // What it had reserved is over, and what is there now is another's.
            first = first.filter(|is_first| !is_first);
        }
        let found = match first {
            Some(true) => allowed(true),
            Some(false) => already(true),
            None => already(false),
        };
        let is_counted = self.counted.contains_key(object);
        let was_told = call.id.as_ref().is_some_and(|id| self.told.contains(id));
        let may_meet = self
            .objects
            .get(object)
            .is_some_and(|of| of.is_charged() && !of.is_open());
        if was_told && !reserves && !is_counted && !may_meet {
            // It was deleted since.
            return found;
        }
        let open = self.objects.get(object).filter(|of| of.is_open());
        // It is what its creator says: for what it was reserved as, it has its place.
        let exceeds = open.and_then(|of| self.full(call.resource, parts(of.resource)));
        let exceeds = exceeds.filter(|_| !reserves);
        if let Some(counter) = exceeds.filter(|_| call.intent != Intent::Exists) {
            return self.refuse(call, counter);
        }
        let said = match self.objects.get_mut(object) {
            Some(of) if of.state == State::Gone => {
                return Said::Undecided(Undecided::Confirming);
            }
            Some(of) if of.is_open() && reserves => {
                let own = of
                    .hold
                    .as_ref()
                    .is_some_and(|hold| Some(&hold.id) == call.id.as_ref());
                if own && of.state == State::Held {
                    of.claims.insert(call.attempt);
                }
                if own { allowed(true) } else { found }
            }
            Some(of) if of.is_open() => {
                confirming(of, call.attempt);
                of.resource = call.resource;
                let beside = Beside {
                    exceeds,
                    ..Beside::default()
                };
                Said::Allowed(beside, false)
            }
            Some(of) if of.is_charged() => {
                if of.state != State::Counted {
                    of.claims.insert(call.attempt);
                }
                found
            }
            _ if is_counted => found,
            _ if was_told => return Said::Ended,
            _ => {
                let said = self.judge(call, &place);
                if let (Said::Allowed(..), Some(id)) = (&said, &call.id) {
                    let note = Known::Note(object, call.fingerprint, Noted::First);
                    self.ids.insert(id.clone(), note);
                }
                return said;
            }
        };
        if let (None, Some(id)) = (first, &call.id) {
            let noted = if reserves {
                Noted::ThereToReserve
            } else {
                Noted::There
            };
            let note = Known::Note(object, call.fingerprint, noted);
            self.ids.insert(id.clone(), note);
        }
        said
    }

    fn confirm(&mut self, call: &Call, lapsed: bool) -> Said {
        if let (Some(object), Some(id)) = (call.object, call.id.clone())
            && let Some(Known::Record(own)) = self.ids.get(&id)
            && own.hold.is_some()
        {
            let own = own.clone();
            return self.confirm_under(call, own, object, id);
        }
        let place = self.place(call);
        let known = call.object.is_some_and(|of| self.counted.contains_key(of));
        let Some(record) = self.at(&place).filter(|of| of.hold.is_some()) else {
            return match self.at(&place).map(|of| (of.state, &mut of.claims)) {
                _ if lapsed => Said::NoHold,
                Some((State::Gone, _)) => Said::Undecided(Undecided::Confirming),
                Some((State::Held, claims)) if call.object.is_some() => {
                    claims.insert(call.attempt);
                    already(false)
                }
                _ if known => already(false),
                _ => Said::NoHold,
            };
        };
        let hold = record.hold.as_ref();
        let over = hold.is_some_and(|hold| hold.over);
        let own = hold.map(|hold| &hold.id) == call.id.as_ref();
        match record.state {
            State::Held | State::Reserved if lapsed && !(over && own) => return Said::NoHold,
            State::Held | State::Reserved => {
                confirming(record, call.attempt);
                if let (true, Some(hold)) = (lapsed, &mut record.hold) {
                    hold.confirmed = Some(HoldState::Charged);
                }
                return said_of(record, false);
            }
            _ if lapsed => return Said::NoHold,
            State::Confirming if !own => {
                record.claims.insert(call.attempt);
                return already(false);
            }
            State::Counted if !own => return already(false),
            State::Confirming => drop(record.claims.insert(call.attempt)),
            State::Counted => {
                let hold = record.hold.as_mut().unwrap();
                if hold.confirmed == Some(HoldState::Charged) {
                    hold.confirmed = Some(HoldState::Confirmed { late: true });
                    return said_of(record, false);
                }
            }
            State::Cancelled | State::Lapsed if known => return already(false),
            State::Cancelled if own => return Said::Ended,
            State::Lapsed | State::Cancelled => {
                confirming(record, call.attempt);
                return said_of(record, false);
            }
            State::Gone => return Said::Undecided(Undecided::Confirming),
        }
        said_of(record, true)
    }

    /// Confirms under an object what was reserved without one.
    fn confirm_under(
        &mut self,
        call: &Call,
        mut own: Record,
        object: &'static str,
        id: String,
    ) -> Said {
        match own.state {
            State::Cancelled => return Said::Ended,
            State::Counted => {
                return self.confirm(
                    &Call {
                        object: None,
                        ..call.clone()
                    },
                    false,
                );
            }
            _ => {}
        }
        let there = self.objects.get(object);
        if there.is_some_and(|of| of.state == State::Gone) {
            return Said::Undecided(Undecided::Confirming);
        }
        let on_its_way = there.is_some_and(Record::is_charged);
        let known = on_its_way || self.counted.contains_key(object);
        let noted = if known {
            Noted::ThereToReserve
        } else {
            Noted::First
        };
        self.ids
            .insert(id, Known::Note(object, own.fingerprint, noted));
        if known {
            return already(false);
        }
        let replayed = own.state == State::Confirming;
        if replayed {
            own.claims.insert(call.attempt);
        } else {
            confirming(&mut own, call.attempt);
        }
        let said = said_of(&own, replayed);
        self.write(&Place::Object(object), own);
        said
    }

    fn end(&mut self, call: &Call) -> Said {
        let place = self.place(call);
        let id = call.id.clone();
        let Some(record) = self.at(&place) else {
            return Said::NoHold;
        };
        let Some(hold) = record
            .hold
            .as_ref()
            .filter(|hold| Some(&hold.id) == id.as_ref())
        else {
            return Said::NoHold;
        };
        let cancels = call.intent == Intent::Cancel;
        record.state = match record.state {
            State::Held | State::Reserved if cancels => State::Cancelled,
            State::Held | State::Reserved if hold.over => State::Lapsed,
            _ if !cancels => return Said::NoHold,
            State::Lapsed => State::Cancelled,
            State::Cancelled => return allowed(true),
            State::Confirming => return Said::Undecided(Undecided::Confirming),
            _ => return Said::Ended,
        };
        record.claims.clear();
        if let Place::Object(object) = place {
            self.is_deleted(object);
        }
        allowed(false)
    }

    /// Whether an attempt waits until its answer is known to be out.
    pub fn waits_for(&mut self, call: &Call) -> bool {
        let place = self.place(call);
        let record = self.at(&place);
        record.is_some_and(|of| of.claims.contains(&call.attempt))
    }

    /// The answer to a take that was allowed went out, and the ledger knows that.
    pub fn answered(&mut self, call: &Call) {
        let creates = matches!(
            call.intent,
            Intent::Count | Intent::Exists | Intent::Reserve { .. }
        );
        if let Some(id) = call
            .id
            .as_ref()
            .filter(|_| creates && call.object.is_some())
        {
            self.told.insert(id.clone());
        }
        let place = self.place(call);
        let Some(record) = self
            .at(&place)
            .filter(|of| of.claims.contains(&call.attempt))
        else {
            return;
        };
        let reserves = matches!(call.intent, Intent::Reserve { .. });
        match record.state {
            State::Held if reserves && record.hold.is_some() => {
                record.state = State::Reserved;
                record.claims.clear();
            }
            State::Held if reserves => {
                // Somebody has heard that it is there.
                record.state = State::Counted;
                record.claims.clear();
                let resource = record.resource;
                if let Place::Object(object) = place {
                    self.counted.insert(object, resource);
                    self.objects.remove(object);
                }
            }
            State::Held | State::Confirming
                if matches!(
                    call.intent,
                    Intent::Count | Intent::Exists | Intent::Confirm { .. }
                ) =>
            {
                record.state = State::Counted;
                record.claims.clear();
                if matches!(place, Place::Object(_)) {
                    // Whoever creates it has counted it as what it says that it is.
                    record.resource = call.resource;
                }
                let (resource, had_hold) = (record.resource, record.hold.is_some());
                if let Place::Object(object) = place {
                    self.counted.insert(object, resource);
                    if !had_hold {
                        self.objects.remove(object);
                    }
                }
            }
            State::Gone => self.withdraw(&place, call.attempt),
            _ => {}
        }
    }

    pub fn abort(&mut self, call: &Call) {
        let place = self.place(call);
        self.withdraw(&place, call.attempt);
    }

    fn withdraw(&mut self, place: &Place, attempt: Attempt) {
        let Some(record) = self.at(place) else {
            return;
        };
        if !record.claims.remove(&attempt) || !record.claims.is_empty() {
            return;
        }
        if record.state == State::Confirming {
            record.state = State::Reserved;
            if let Some(hold) = &mut record.hold {
                hold.confirmed = None;
            }
        } else {
            self.remove(place);
        }
    }

    /// How many were given back, as what, and whether it is a repetition; `None`: other content.
    pub fn delete(
        &mut self,
        (called, object): (Resource, &'static str),
        id: Option<&str>,
        fingerprint: Fingerprint,
    ) -> Option<(u32, Resource, bool)> {
        if let Some(known) = id.and_then(|id| self.ids.get(id)) {
            return match known {
                Known::Released(of, released, resource) if *of == fingerprint => {
                    Some((*released, *resource, true))
                }
                _ => None,
            };
        }
        let (released, resource) = self.give_back(called, object);
        if let Some(id) = id {
            let known = Known::Released(fingerprint, released, resource);
            self.ids.insert(id.into(), known);
        }
        Some((released, resource, false))
    }

    fn is_deleted(&mut self, object: &'static str) {
        self.gone.remove(object);
        self.deleted.insert(object);
    }

    fn give_back(&mut self, called: Resource, object: &'static str) -> (u32, Resource) {
        if let Some(record) = self.objects.get_mut(object) {
            if record.is_open() {
                return (0, called);
            }
            if matches!(record.state, State::Held | State::Confirming) {
                record.state = State::Gone;
                let resource = record.resource;
                self.is_deleted(object);
                return (1, resource);
            }
        }
        if let Some(resource) = self.counted.remove(object) {
            if self
                .objects
                .get(object)
                .is_some_and(|of| of.state != State::Gone)
            {
                self.objects.remove(object);
            }
            self.is_deleted(object);
            // It is counted as one without a name for the moment.
            for part in parts(resource) {
                self.rest[part.index()] += 1;
            }
            return (self.fall(resource), resource);
        }
        let own = called.counter();
        if self.deleted.contains(object) || self.gone.contains(object) || self.nameless(own) <= 0 {
            return (0, called);
        }
        let fell = self.fall(called);
        self.gone.insert(object);
        (fell, called)
    }

    /// Takes one that has no name from the counts, where they have one.
    fn fall(&mut self, resource: Resource) -> u32 {
        if self.net(resource.counter()) <= 0 {
            return 0;
        }
        let groups = match resource {
            Resource::Account => false,
            Resource::Group => true,
            Resource::AvRoom => self.net(Counter::Groups) > 0,
        };
        self.rest[resource.counter().index()] -= 1;
        if resource == Resource::AvRoom && groups {
            self.rest[Counter::Groups.index()] -= 1;
        }
        if groups {
            self.rest[Counter::GroupsGained.index()] -= 1;
        }
        1
    }

    /// Gives a name to one that has none. Answers whether it had it before, or has it now.
    pub fn adopt(&mut self, resource: Resource, object: &'static str) -> (bool, bool) {
        if self.knows(object) {
            return (true, false);
        }
        let own = resource.counter();
        if self.nameless(own) <= 0 {
            return (false, false);
        }
        for part in parts(resource) {
            self.rest[part.index()] -= 1;
        }
        self.gone.remove(object);
        self.counted.insert(object, resource);
        (false, true)
    }
}

fn confirming(record: &mut Record, attempt: Attempt) {
    record.state = State::Confirming;
    record.claims = BTreeSet::from([attempt]);
    if let Some(hold) = &mut record.hold {
        hold.confirmed = Some(HoldState::Confirmed { late: hold.over });
    }
}

/// An ALLOW of a confirmation.
fn said_of(record: &Record, replayed: bool) -> Said {
    let confirmed = record.hold.as_ref().and_then(|hold| hold.confirmed);
    let late = confirmed != Some(HoldState::Confirmed { late: false });
    let beside = Beside {
        late,
        ..Beside::default()
    };
    Said::Allowed(beside, replayed)
}
