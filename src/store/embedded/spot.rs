//! One record as a step found it, and its way to what it will be: its own state, and all counts, lists and
//! names that go by it.

use super::app::{Parts, Standing};
use super::objects::Place;
use super::record::{CLAIMS_MAX, Claim, Heard, Minute, Note, Record, RecordId, State};
use super::shard::{Caller, LedgerShard};
use crate::clock::{Day, Millis};
use crate::quota::{AppId, ObjectNumber, RequestId};
use crate::store::{Intent, RecordKey, StoreFault, Take};

/// A record, and where it lies.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) id: RecordId,
    /// The object that it is the record of.
    pub(super) object: Option<ObjectNumber>,
    /// `None`: there is none.
    pub(super) record: Option<Record>,
}

impl Spot {
    /// Whether its charge counts, for whatever reason.
    pub(super) fn is_charged(&self) -> bool {
        self.standing() != Standing::Nowhere
    }

    /// Where it is in the counts.
    pub(super) fn standing(&self) -> Standing {
        let record = self.record.as_ref();
        record.map_or(Standing::Nowhere, Record::standing)
    }

    /// Whether it is reserved under the id, if one is asked for, and its time is over.
    pub(super) fn is_expired(&self, asked: Option<&RequestId>, now: Millis) -> bool {
        let open = self.record.as_ref().filter(|of| of.is_open());
        let reservation = open.and_then(|of| of.reservation.as_ref());
        reservation.is_some_and(|of| now > of.until && asked.is_none_or(|id| *id == of.id))
    }

    /// The client's id under which it was reserved.
    pub(super) fn reserved_by(&self) -> Option<&RequestId> {
        let reservation = self.record.as_ref()?.reservation.as_ref()?;
        Some(&reservation.id)
    }
}

impl LedgerShard {
    /// The record under a name.
    pub(super) fn spot(
        &mut self,
        by: Caller<'_>,
        id: RecordId,
        object: Option<ObjectNumber>,
    ) -> Result<Spot, StoreFault> {
        let found = self.records.find(by.file, id)?;
        let record = found.map(|resident| resident.get().clone());
        Ok(Spot { id, object, record })
    }

    /// An object's record.
    pub(super) fn spot_of_object(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        object: ObjectNumber,
    ) -> Result<Spot, StoreFault> {
        let id = RecordId::of_object(by.secret, app, object);
        let spot = self.spot(by, id, Some(object))?;
        if let Some(reserved) = spot.reserved_by() {
            // Its note changes with it, and is read before anything changes.
            let note = RecordId::of_client(by.secret, app, reserved);
            self.records.find(by.file, note)?;
        }
        Ok(spot)
    }

    /// The record that a call's key leads to: where a client's id is a note, its object's.
    pub(super) fn spot_of_key(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        key: &RecordKey,
    ) -> Result<Spot, StoreFault> {
        if let RecordKey::Object(object) = key {
            return self.spot_of_object(by, app, *object);
        }
        let spot = self.spot(by, RecordId::of(by.secret, app, key), None)?;
        match &spot.record {
            Some(Record {
                state: State::Note(note),
                ..
            }) => self.spot_of_object(by, app, note.object),
            _ => Ok(spot),
        }
    }

    /// What is known under the client's id of a take whose key is the object.
    pub(super) fn spot_of_note(
        &mut self,
        by: Caller<'_>,
        take: &Take,
    ) -> Result<Option<Spot>, StoreFault> {
        let Some(id) = &take.note else {
            return Ok(None);
        };
        let id = RecordId::of_client(by.secret, take.app, id);
        self.spot(by, id, None).map(Some)
    }

    /// What is known of an object's name.
    pub(super) fn place_of(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        object: ObjectNumber,
    ) -> Result<Place, StoreFault> {
        let tombs = self.apps.touch(by.file, app)?.get().tombs();
        self.objects.find(by.file, (app, object), tombs)
    }

    /// Puts `new` in the place of what was found, and moves the counts by the difference. `on` is the day
    /// whose month may get a peak by it.
    pub(super) fn put(
        &mut self,
        by: Caller<'_>,
        spot: &Spot,
        mut new: Record,
        on: Day,
        now: Millis,
    ) -> Result<(), StoreFault> {
        if let Some(old) = spot.record.as_ref().filter(|old| old.parts != new.parts)
            && spot.is_charged()
            && new.standing() != Standing::Nowhere
        {
            // It turns out to be another kind of thing: it goes, and comes as that.
            let freed = Record {
                state: State::Freed,
                ..old.clone()
            };
            self.put(by, spot, freed.clone(), on, now)?;
            let spot = Spot {
                record: Some(freed),
                ..spot.clone()
            };
            return self.put(by, &spot, new, on, now);
        }
        let (from, to) = (spot.standing(), new.standing());
        let place = match spot.object {
            Some(object) => Some((object, self.place_of(by, new.app, object)?)),
            None => None,
        };
        new.minute = Minute::of(now);
        self.keep_note(by, &new)?;
        let charged = spot.record.as_ref().filter(|_| spot.is_charged());
        let moved = charged.map_or((new.parts, new.day), |old| (old.parts, old.day));
        let on = self.open_day(on);
        let app = self.apps.touch(by.file, new.app)?;
        if from != to {
            app.change(self.round).pass(moved, (from, to), on);
        }
        if let Some((object, place)) = place {
            let name = (new.app, object);
            let kind = moved.0.kind();
            // What is reserved does not exist yet.
            let is_named = |at| matches!(at, Standing::Held | Standing::Counted);
            let by = i64::from(is_named(to)) - i64::from(is_named(from));
            if by != 0 {
                app.change(self.round).name(kind, by);
            }
            match (to, place) {
                _ if from == to => {}
                (Standing::Counted, Place::Counted(other)) => {
                    // The name was given to another unit meanwhile.
                    app.change(self.round).name(other, -1);
                    self.objects.set(name, Place::Counted(kind));
                }
                (Standing::Counted, _) => self.objects.set(name, Place::Counted(kind)),
                (Standing::Held | Standing::Reserved, Place::Tomb(_)) => {
                    self.objects.set(name, Place::Nowhere);
                }
                _ => {}
            }
            if to == Standing::Counted && new.reservation.is_none() {
                // The object's row says all that there is to say.
                new.state = State::Freed;
            }
        }
        self.holds.note(spot.id, spot.record.as_ref(), &new);
        self.records.write(spot.id, new);
        Ok(())
    }

    /// The note of the id that reserved an object stays as long as the reservation holds its place.
    fn keep_note(&mut self, by: Caller<'_>, record: &Record) -> Result<(), StoreFault> {
        let Some(reservation) = record.reservation.as_ref() else {
            return Ok(());
        };
        if reservation.object.is_none() {
            return Ok(());
        }
        let id = RecordId::of_client(by.secret, record.app, &reservation.id);
        let stays = matches!(record.standing(), Standing::Held | Standing::Reserved);
        let Some(found) = self.records.find(by.file, id)? else {
            return Ok(());
        };
        if let State::Note(note) = found.get().state
            && note.stays != stays
        {
            let changed = found.change();
            changed.state = State::Note(Note { stays, ..note });
            changed.minute = record.minute;
        }
        Ok(())
    }

    /// Takes down what is known of an answer to who creates an object under an id. Known to be out, it stays so.
    pub(super) fn note_heard(
        &mut self,
        by: Caller<'_>,
        (app, id): (AppId, &RequestId),
        change: impl FnOnce(Note) -> Heard,
    ) -> Result<(), StoreFault> {
        let id = RecordId::of_client(by.secret, app, id);
        if let Some(found) = self.records.find(by.file, id)?
            && let State::Note(note) = found.get().state
            && note.heard != Heard::Yes
        {
            let heard = change(note);
            if heard != note.heard {
                found.change().state = State::Note(Note { heard, ..note });
            }
        }
        Ok(())
    }

    /// Notes the id of a take whose key is the object.
    pub(super) fn put_note(
        &mut self,
        by: Caller<'_>,
        (take, object): (&Take, ObjectNumber),
        first: bool,
        now: Millis,
    ) -> Result<(), StoreFault> {
        let Some(spot) = self.spot_of_note(by, take)? else {
            return Ok(());
        };
        let reserves = matches!(take.intent, Intent::Reserve { .. });
        let mut note = note_of(take, object, first, now);
        if reserves && !first {
            note.parts = Parts::of(&take.charge);
        }
        self.put(by, &spot, note, take.day, now)
    }
}

/// The client's id under which a take creates its object, or reserves it.
pub(super) fn created_under(take: &Take) -> Option<&RequestId> {
    let creates = matches!(
        take.intent,
        Intent::Count | Intent::Exists | Intent::Reserve { .. }
    );
    take.note.as_ref().filter(|_| creates)
}

/// The note of a take.
pub(super) fn note_of(take: &Take, object: ObjectNumber, first: bool, now: Millis) -> Record {
    let note = Note {
        object,
        first,
        stays: false,
        heard: Heard::No,
    };
    Record {
        parts: Parts::NONE,
        ..Record::new(take, State::Note(note), now)
    }
}

/// Adds a claim, if there is room for it.
pub(super) fn claim(claims: &mut Vec<Claim>, claim: Claim) -> Result<(), StoreFault> {
    if claims.contains(&claim) {
        return Ok(());
    }
    if claims.len() >= CLAIMS_MAX {
        return Err(StoreFault::Away(format!(
            "{CLAIMS_MAX} attempts at one request id wait for their answer, the most there can be"
        )));
    }
    claims.push(claim);
    Ok(())
}
