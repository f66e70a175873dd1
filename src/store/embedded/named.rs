//! Creations and releases that name their object, and objects that get a name later.

use super::app::{Parts, Standing};
use super::holds::{is_counted, reservation_of};
use super::objects::{Kind, Place};
use super::record::{Claim, Fell, Heard, Minute, Record, RecordId, State};
use super::shard::{Caller, LedgerShard};
use super::spot::{Spot, claim, created_under};
use crate::clock::Millis;
use crate::quota::{AppId, Counter, ObjectNumber, Resource};
use crate::store::{Adopted, Beside, GiveBack, Intent, StoreFault, Take, Taken, Undecided, Whose};

impl LedgerShard {
    /// Creates an object, or reserves it: all who do meet at its record.
    pub(super) fn take_object(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        object: ObjectNumber,
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        let spot = self.spot_of_object(by, take.app, object)?;
        let note = self.spot_of_note(by, take)?;
        let place = self.place_of(by, take.app, object)?;
        let (mut first, mut told) = (None, false);
        if let Some(Spot {
            record: Some(noted),
            ..
        }) = &note
        {
            let same = noted.fingerprint == take.fingerprint;
            match noted.state {
                State::Note(note) if same && note.object == object => {
                    (first, told) = (Some(note.first), note.heard != Heard::No);
                }
                State::Denied(_) if same && take.intent == Intent::Exists => {}
                State::Denied(counter) if same => return self.denied(by, take, counter, true),
                _ => return Ok(Taken::OtherContent),
            }
        }
        let reserves = matches!(take.intent, Intent::Reserve { .. });
        let own = take.note.is_some() && spot.reserved_by() == take.note.as_ref();
        if reserves && first == Some(true) && !own {
            // What it had reserved is over, and what is there now is another's.
            first = None;
        }
        let repeats = first.is_some();
        let is_told = told && !reserves;
        let there = Beside {
            already_counted: first != Some(true),
            ..Beside::default()
        };
        let mine = Claim::of(by, take);
        let Some(record) = spot.record.clone().filter(|_| spot.is_charged()) else {
            if is_told && !is_counted(place) {
                return self.repeated(by, take, there);
            }
            if let Some(State::Gone(_)) = spot.record.as_ref().map(|of| &of.state) {
                return Ok(Taken::Undecided(Undecided::Confirming));
            }
            if !is_counted(place) && told {
                // What it had reserved has ended, or became an object that is gone: the id holds nothing again.
                return Ok(Taken::Ended);
            }
            if !is_counted(place) {
                return self.create(by, take, (&spot, object), now);
            }
            if !repeats {
                self.put_note(by, (take, object), false, now)?;
            }
            if let Some(id) = created_under(take) {
                // Reported, it is known; until then it may be deleted.
                self.note_heard(by, (take.app, id), |_| Heard::Met(mine))?;
            }
            return self.allowed(by, take, repeats, there);
        };
        if is_told && record.is_open() {
            // What is reserved now is another's.
            return self.repeated(by, take, there);
        }
        let (state, beside, replayed) = match (record.state.clone(), record.is_open()) {
            (State::Held(mut claims), true) if reserves && own => {
                claim(&mut claims, mine)?;
                (State::Held(claims), Beside::default(), true)
            }
            (state, true) if reserves && own => (state, Beside::default(), true),
            (state, true) if reserves => (state, there, repeats),
            (_, true) => {
                return self.confirm_by_count(by, take, (&spot, object), repeats, now);
            }
            (State::Held(mut claims), false) => {
                claim(&mut claims, mine)?;
                (State::Held(claims), there, repeats)
            }
            (State::Confirming(mut claims), _) if !reserves => {
                claim(&mut claims, mine)?;
                (State::Confirming(claims), there, repeats)
            }
            (state, _) => (state, there, repeats),
        };
        if !repeats {
            self.put_note(by, (take, object), false, now)?;
        }
        if state != record.state {
            let day = record.day;
            self.put(by, &spot, Record { state, ..record }, day, now)?;
        }
        self.allowed(by, take, replayed, beside)
    }

    /// It was answered, and its object is gone since: that answer is given again, and nothing is counted.
    fn repeated(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        beside: Beside,
    ) -> Result<Taken, StoreFault> {
        if let Some(id) = created_under(take) {
            // Who was to be answered first may have gone: then this is the first answer.
            self.note_heard(by, (take.app, id), |_| Heard::Met(Claim::of(by, take)))?;
        }
        Ok(Taken::Allowed {
            view: self.view(by, take.app, take.day)?,
            replayed: true,
            whose: Whose::Nobody,
            beside,
        })
    }

    /// A limit stands in the way: that is remembered under the id.
    fn refuse(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        counter: Counter,
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        if let Some(note) = self.spot_of_note(by, take)? {
            let denied = Record::new(take, State::Denied(counter), now);
            self.put(by, &note, denied, take.day, now)?;
        }
        self.denied(by, take, counter, false)
    }

    /// The object of a reservation exists, says somebody who creates it: that confirms it. It is what its
    /// creator says; for what it was reserved as, it has its place.
    fn confirm_by_count(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        (spot, object): (&Spot, ObjectNumber),
        repeats: bool,
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        let Some(record) = spot.record.clone() else {
            return Ok(Taken::NoHold);
        };
        let app = self.apps.touch(by.file, take.app)?;
        let refused = app.get().refuses(&take.charge, take.day, record.parts);
        if let Some(counter) = refused
            && take.intent != Intent::Exists
        {
            return self.refuse(by, take, counter, now);
        }
        let new = record.confirming(Claim::of(by, take), now).called_by(take);
        let day = new.day;
        if !repeats {
            self.put_note(by, (take, object), false, now)?;
        }
        self.put(by, spot, new, day, now)?;
        let beside = Beside {
            exceeds: refused,
            ..Beside::default()
        };
        self.allowed(by, take, false, beside)
    }

    /// The object is new: it is judged by its limits as any take is.
    fn create(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        (spot, object): (&Spot, ObjectNumber),
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        let app = self.apps.touch(by.file, take.app)?;
        let refused = app.get().refuses(&take.charge, take.day, Parts::NONE);
        if let Some(counter) = refused
            && take.intent != Intent::Exists
        {
            return self.refuse(by, take, counter, now);
        }
        let mut record = Record::new(take, State::Held(vec![Claim::of(by, take)]), now);
        if let Intent::Reserve { until } = take.intent {
            let reservation = reservation_of(take, until, Some(object))?;
            record.reservation = Some(Box::new(reservation));
        }
        let place = self.place_of(by, take.app, object)?;
        if matches!(place, Place::Tomb(_)) || spot.record.as_ref().is_some_and(is_over) {
            // If it does not come to be, that is known all the same.
            let mark = RecordId::of_absence(by.secret, take.app, object);
            let absent = Record {
                parts: Parts::NONE,
                ..Record::new(take, State::Done, now)
            };
            self.records.find(by.file, mark)?;
            self.records.write(mark, absent);
        }
        self.put_note(by, (take, object), true, now)?;
        self.put(by, spot, record, take.day, now)?;
        let beside = Beside {
            exceeds: refused,
            ..Beside::default()
        };
        self.allowed(by, take, false, beside)
    }

    /// Gives back a named object: that one, if it is known, or one that nobody named.
    pub(super) fn release_object(
        &mut self,
        by: Caller<'_>,
        give_back: &GiveBack,
        object: ObjectNumber,
        now: Millis,
    ) -> Result<Fell, StoreFault> {
        let GiveBack { app: id, day, .. } = *give_back;
        let on = self.open_day(day);
        let spot = self.spot_of_object(by, id, object)?;
        let place = self.place_of(by, id, object)?;
        let nothing = Fell::of(give_back.resource, 0, 0);
        if give_back.given == Some(0) && !is_counted(place) {
            return Ok(nothing);
        }
        match (spot.record.clone(), spot.standing()) {
            (_, Standing::Reserved) => return Ok(nothing),
            (Some(mut record), Standing::Held) => {
                // Its day's gain falls as it rose; nobody was told of it by any sum.
                let fell = Fell::of(record.parts.kind().resource(), 1, record.parts.groups());
                let claims = record.state.claims().map(std::mem::take);
                record.state = State::Gone(claims.unwrap_or_default());
                self.put(by, &spot, record, day, now)?;
                return Ok(fell);
            }
            _ => {}
        }
        let app = self.apps.touch(by.file, id)?;
        if let Place::Counted(kind) = place {
            let resource = kind.resource();
            let groups_follow = match resource {
                Resource::Account => false,
                Resource::Group => true,
                Resource::AvRoom => give_back.rooms_are_groups,
            };
            let app = app.change(self.round);
            // One that was counted may have been more than there was, after a recount.
            let most = give_back.given.unwrap_or(1);
            let fell = app.give_back(resource, most, groups_follow, (day, on));
            app.name(kind, -1);
            self.objects.set((id, object), Place::Nowhere);
            // For a while it is known that it was deleted: one of those without a name is not taken for it.
            let gone = spot.record.as_ref().map(|of| &of.state);
            if !matches!(gone, Some(State::Gone(_))) {
                self.records.write(spot.id, deleted(give_back, now));
            }
            return Ok(fell);
        }
        let none_left = app.get().nameless(give_back.resource) <= 0;
        let known_gone = matches!(place, Place::Tomb(_));
        if give_back.given.is_none()
            && (known_gone || none_left || self.is_absent(by, (id, object), &spot)?)
        {
            return Ok(nothing);
        }
        let app = self.apps.touch(by.file, id)?.change(self.round);
        let fell = app.give_back(give_back.resource, 1, give_back.groups_follow, (day, on));
        if !known_gone {
            app.buried += 1;
            self.objects.set((id, object), Place::Tomb(app.tombs));
        }
        Ok(fell)
    }

    /// Whether an object that is not counted is known not to be there: it was deleted, or its reservation came to
    /// nothing, and whoever was about to create it since has not.
    fn is_absent(
        &mut self,
        by: Caller<'_>,
        (app, object): (AppId, ObjectNumber),
        spot: &Spot,
    ) -> Result<bool, StoreFault> {
        if spot.record.as_ref().is_some_and(is_over) {
            return Ok(true);
        }
        let mark = RecordId::of_absence(by.secret, app, object);
        Ok(self.records.find(by.file, mark)?.is_some())
    }

    /// Whether an object is counted, or about to be.
    pub(super) fn knows_object(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        object: ObjectNumber,
    ) -> Result<bool, StoreFault> {
        let spot = self.spot_of_object(by, app, object)?;
        if matches!(spot.standing(), Standing::Held | Standing::Counted) {
            return Ok(true);
        }
        let counts = self.apps.look(by.file, app)?;
        let tombs = counts.and_then(super::app::App::tombs);
        let place = self.objects.look(by.file, (app, object), tombs)?;
        Ok(is_counted(place))
    }

    /// Names objects that are counted without a name.
    pub(super) fn adopt(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        resource: Resource,
        objects: &[ObjectNumber],
    ) -> Result<Vec<Adopted>, StoreFault> {
        let mut adopted = Vec::with_capacity(objects.len());
        for object in objects {
            if self.knows_object(by, app, *object)? {
                adopted.push(Adopted::Known);
                continue;
            }
            self.place_of(by, app, *object)?;
            let counts = self.apps.touch(by.file, app)?;
            if counts.get().nameless(resource) <= 0 {
                adopted.push(Adopted::Missing);
                continue;
            }
            let kind = Kind::of(resource);
            counts.change(self.round).name(kind, 1);
            self.objects.set((app, *object), Place::Counted(kind));
            adopted.push(Adopted::Named);
        }
        Ok(adopted)
    }
}

/// Whether its object was deleted, or never came to be: its reservation was cancelled or freed.
fn is_over(record: &Record) -> bool {
    use State::{Cancelled, Done, Gone, Lapsed};
    matches!(record.state, Gone(_) | Done | Cancelled | Lapsed)
}

/// What is kept of an object that was deleted.
fn deleted(give_back: &GiveBack, now: Millis) -> Record {
    Record {
        app: give_back.app,
        fingerprint: give_back.fingerprint,
        day: give_back.day,
        minute: Minute::of(now),
        parts: Parts::NONE,
        state: State::Done,
        reservation: None,
    }
}
