//! Reservations: how one is made, confirmed, ended, and read.

use super::app::Parts;
use super::hold::{Confirmed, Reservation};
use super::objects::Place;
use super::record::{Claim, Record, RecordId, State};
use super::shard::{Caller, LedgerShard};
use super::spot::{Spot, claim, note_of};
use crate::clock::Millis;
use crate::quota::{Amount, AppId, COUNTERS, Charge, Limit, ObjectNumber, Part, RequestId};
use crate::store::{
    Beside, HOLDS_MAX, Hold, HoldState, Intent, RecordKey, StoreFault, Take, Taken, Undecided,
    Whose,
};

impl LedgerShard {
    /// Makes a reservation a count.
    pub(super) fn confirm(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        lapsed: bool,
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        let spot = match self.find_hold(by, take)? {
            Named::Here(spot) => spot,
            Named::OtherContent => return Ok(Taken::OtherContent),
            Named::Moves(spot, _) if lapsed => spot,
            Named::Moves(from, object) => return self.move_hold(by, take, (from, object), now),
        };
        let known = match spot.object {
            Some(object) => is_counted(self.place_of(by, take.app, object)?),
            None => false,
        };
        let mine = Claim::of(by, take);
        if lapsed && !spot.is_expired(asked(take), now) {
            return Ok(Taken::NoHold);
        }
        let Some(record) = spot.record.clone() else {
            return if known {
                self.already(by, take)
            } else {
                Ok(Taken::NoHold)
            };
        };
        let Some(reservation) = record.reservation.clone() else {
            return match record.state {
                State::Held(_) if spot.object.is_some() => self.join(by, take, &spot, now),
                State::Gone(_) => Ok(Taken::Undecided(Undecided::Confirming)),
                _ if known => self.already(by, take),
                _ => Ok(Taken::NoHold),
            };
        };
        let is_over = now > reservation.until;
        let is_own = asked(take).is_none_or(|id| *id == reservation.id);
        let mut replayed = false;
        let (state, confirmed) = match record.state.clone() {
            State::Held(_) | State::Reserved => {
                let confirmed = match (lapsed, is_over) {
                    (true, _) => Confirmed::Charged,
                    (false, true) => Confirmed::Late,
                    (false, false) => Confirmed::InTime,
                };
                (State::Confirming(vec![mine]), Some(confirmed))
            }
            State::Confirming(_) | State::Counted if !is_own => {
                return self.join(by, take, &spot, now);
            }
            State::Confirming(mut claims) => {
                replayed = true;
                claim(&mut claims, mine)?;
                (State::Confirming(claims), reservation.confirmed)
            }
            State::Counted => {
                replayed = reservation.confirmed != Some(Confirmed::Charged);
                let late = (!replayed).then_some(Confirmed::Late);
                (State::Counted, late.or(reservation.confirmed))
            }
            State::Cancelled | State::Lapsed if known => return self.already(by, take),
            // What was cancelled under one id is confirmed under another: it exists.
            State::Lapsed | State::Cancelled if !is_own => {
                let how = if is_over {
                    Confirmed::Late
                } else {
                    Confirmed::InTime
                };
                (State::Confirming(vec![mine]), Some(how))
            }
            State::Lapsed => (State::Confirming(vec![mine]), Some(Confirmed::Late)),
            State::Cancelled => return Ok(Taken::Ended),
            State::Gone(_) => return Ok(Taken::Undecided(Undecided::Confirming)),
            _ => return Ok(Taken::NoHold),
        };
        let beside = Beside {
            late: confirmed.is_some_and(|how| how != Confirmed::InTime),
            ..Beside::default()
        };
        let reservation = Some(Box::new(Reservation {
            confirmed,
            ..*reservation
        }));
        let new = Record {
            state,
            reservation,
            ..record.clone()
        };
        if new != record {
            self.put(by, &spot, new, record.day, now)?;
        }
        self.allowed(by, take, replayed, beside)
    }

    /// Ends a reservation that came to nothing, or whose time is over.
    pub(super) fn end(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        let spot = match self.find_hold(by, take)? {
            Named::Here(spot) | Named::Moves(spot, _) => spot,
            Named::OtherContent => return Ok(Taken::OtherContent),
        };
        let Some(record) = spot.record.clone() else {
            return Ok(Taken::NoHold);
        };
        let Some(reservation) = record.reservation.as_ref() else {
            return Ok(Taken::NoHold);
        };
        if asked(take).is_some_and(|id| *id != reservation.id) {
            // Its object is reserved, or was, by somebody else since.
            return Ok(Taken::NoHold);
        }
        let cancels = take.intent == Intent::Cancel;
        let state = match &record.state {
            State::Held(_) | State::Reserved if cancels => State::Cancelled,
            State::Held(_) | State::Reserved if now > reservation.until => State::Lapsed,
            _ if !cancels => return Ok(Taken::NoHold),
            State::Lapsed => State::Cancelled,
            State::Cancelled => return self.allowed(by, take, true, Beside::default()),
            State::Confirming(_) => return Ok(Taken::Undecided(Undecided::Confirming)),
            State::Counted | State::Gone(_) => return Ok(Taken::Ended),
            _ => return Ok(Taken::NoHold),
        };
        let day = record.day;
        self.put(by, &spot, Record { state, ..record }, day, now)?;
        self.allowed(by, take, false, Beside::default())
    }

    /// Confirms under an object a reservation that was made without one: it goes to the object's record, and
    /// its id is a note from then on.
    fn move_hold(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        (from, object): (Spot, ObjectNumber),
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        let to = self.spot_of_object(by, take.app, object)?;
        let place = self.place_of(by, take.app, object)?;
        let Some(held) = from.record.clone() else {
            return Ok(Taken::NoHold);
        };
        let Some(reservation) = held.reservation.clone() else {
            return Ok(Taken::NoHold);
        };
        if let Some(State::Gone(_)) = to.record.as_ref().map(|of| &of.state) {
            return Ok(Taken::Undecided(Undecided::Confirming));
        }
        let known = is_counted(place) || to.is_charged();
        let note = Record {
            fingerprint: held.fingerprint,
            parts: if known { held.parts } else { Parts::NONE },
            ..note_of(take, object, !known, now)
        };
        if known {
            self.put(by, &from, note, held.day, now)?;
            return self.join(by, take, &to, now);
        }
        let mine = Claim::of(by, take);
        let (claims, confirmed) = match held.state.clone() {
            State::Confirming(mut claims) => {
                claim(&mut claims, mine)?;
                (claims, reservation.confirmed)
            }
            State::Lapsed => (vec![mine], Some(Confirmed::Late)),
            _ if now > reservation.until => (vec![mine], Some(Confirmed::Late)),
            _ => (vec![mine], Some(Confirmed::InTime)),
        };
        let new = Record {
            state: State::Confirming(claims),
            reservation: Some(Box::new(Reservation {
                object: Some(object),
                confirmed,
                ..*reservation
            })),
            ..held.clone()
        };
        self.put(by, &from, note, held.day, now)?;
        self.put(by, &to, new, held.day, now)?;
        let beside = Beside {
            late: confirmed.is_some_and(|how| how != Confirmed::InTime),
            ..Beside::default()
        };
        let replayed = matches!(held.state, State::Confirming(_));
        self.allowed(by, take, replayed, beside)
    }

    /// The object is there already, or on its way: whoever says so waits for it with the others, and confirms
    /// it if it was reserved.
    fn join(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        spot: &Spot,
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        let mine = Claim::of(by, take);
        if let Some(record) = spot.record.as_ref().filter(|_| spot.is_charged()) {
            let mut new = record.clone();
            if record.is_open() {
                new = record.confirming(mine, now);
            } else if let Some(claims) = new.state.claims() {
                claim(claims, mine)?;
            }
            self.put(by, spot, new, take.day, now)?;
        }
        self.already(by, take)
    }

    /// The reservation that a take speaks of.
    pub(super) fn find_hold(&mut self, by: Caller<'_>, take: &Take) -> Result<Named, StoreFault> {
        let RecordKey::Object(object) = take.key else {
            let spot = self.spot_of_key(by, take.app, &take.key)?;
            let other = spot.record.as_ref().is_some_and(|record| {
                record.reservation.is_some() && record.fingerprint != take.fingerprint
            });
            return Ok(if other {
                Named::OtherContent
            } else {
                Named::Here(spot)
            });
        };
        let Some(note) = self.spot_of_note(by, take)? else {
            return Ok(Named::Here(self.spot_of_object(by, take.app, object)?));
        };
        if let Some(record) = &note.record {
            let same = record.fingerprint == take.fingerprint;
            match &record.state {
                State::Note(of) if same && of.object == object => {}
                State::Denied(_) if same => {}
                _ if record.reservation.is_none() => return Ok(Named::OtherContent),
                State::Held(_) | State::Reserved | State::Confirming(_) | State::Lapsed => {
                    return Ok(Named::Moves(note, object));
                }
                _ => return Ok(Named::Here(note)),
            }
        }
        Ok(Named::Here(self.spot_of_object(by, take.app, object)?))
    }

    /// The reservation that a client made under an id.
    pub(super) fn hold(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        id: &RequestId,
    ) -> Result<Option<Hold>, StoreFault> {
        let mut spot = self.spot(by, RecordId::of_client(by.secret, app, id), None)?;
        let mut noted = None;
        if let Some(State::Note(note)) = spot.record.as_ref().map(|of| &of.state) {
            let object = note.object;
            noted = spot.record.take().map(|of| (of, object));
            spot = self.spot_of_object(by, app, object)?;
        }
        if spot.reserved_by() == Some(id) {
            return Ok(spot.record.as_ref().and_then(hold_of));
        }
        Ok(noted.and_then(|(note, object)| was_there(&note, object, id)))
    }

    /// An app's open reservations, those first whose time ends first.
    pub(super) fn holds(
        &mut self,
        by: Caller<'_>,
        app: AppId,
        most: usize,
    ) -> Result<Vec<Hold>, StoreFault> {
        let mut holds = Vec::new();
        for id in self.holds.first(app, most.min(HOLDS_MAX)) {
            if let Some(record) = self.records.look(by.file, id)? {
                holds.extend(hold_of(&record));
            }
        }
        Ok(holds)
    }

    /// Nothing is added: the object is counted.
    pub(super) fn already(&mut self, by: Caller<'_>, take: &Take) -> Result<Taken, StoreFault> {
        let beside = Beside {
            already_counted: true,
            ..Beside::default()
        };
        self.allowed(by, take, false, beside)
    }

    /// The answer to a take that is allowed.
    pub(super) fn allowed(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        replayed: bool,
        beside: Beside,
    ) -> Result<Taken, StoreFault> {
        Ok(Taken::Allowed {
            view: self.view(by, take.app, take.day)?,
            replayed,
            whose: Whose::Another,
            beside,
        })
    }
}

/// Where the reservation is that a take speaks of.
pub(super) enum Named {
    /// In this record, if it is there at all.
    Here(Spot),
    /// In this one, under its own id, and it is to be confirmed under the object.
    Moves(Spot, ObjectNumber),
    /// The id stands for something else.
    OtherContent,
}

/// The client's id that a take names.
pub(super) fn asked(take: &Take) -> Option<&RequestId> {
    match &take.key {
        RecordKey::Client(id) => Some(id),
        _ => take.note.as_ref(),
    }
}

pub(super) fn is_counted(place: Place) -> bool {
    matches!(place, Place::Counted(_))
}

/// A record as whoever asks for the reservation sees it.
fn hold_of(record: &Record) -> Option<Hold> {
    let reservation = record.reservation.as_ref()?;
    let confirmed = match reservation.confirmed {
        Some(Confirmed::Charged) => HoldState::Charged,
        how => HoldState::Confirmed {
            late: how == Some(Confirmed::Late),
        },
    };
    let state = match record.state {
        State::Held(_) | State::Reserved => HoldState::Open,
        State::Cancelled => HoldState::Cancelled,
        State::Lapsed => HoldState::Lapsed,
        _ => confirmed,
    };
    let id = reservation.id.clone();
    let key = reservation.object.map(RecordKey::Object);
    Some(Hold {
        key: key.unwrap_or_else(|| RecordKey::Client(id.clone())),
        id,
        fingerprint: record.fingerprint,
        charge: charge_of(record)?,
        day: record.day,
        until: reservation.until,
        state,
    })
}

/// What a note says of the reservation that was asked for under its id, if one was.
fn was_there(note: &Record, object: ObjectNumber, id: &RequestId) -> Option<Hold> {
    if note.parts == Parts::NONE {
        return None;
    }
    Some(Hold {
        id: id.clone(),
        key: RecordKey::Object(object),
        fingerprint: note.fingerprint,
        charge: charge_of(note)?,
        day: note.day,
        until: Millis(0),
        state: HoldState::AlreadyCounted,
    })
}

/// What a record was charged, without limits.
fn charge_of(record: &Record) -> Option<Charge> {
    let own = record.parts.kind().resource().counter();
    let others = COUNTERS.into_iter().filter(|counter| *counter != own);
    let counters = std::iter::once(own).chain(others);
    let parts = counters.filter(|counter| record.parts.has(*counter));
    let limit = Limit::Unlimited;
    let parts: Vec<Part> = parts.map(|counter| Part { counter, limit }).collect();
    let amount = Amount::from_wire(record.parts.amount.into())?;
    Charge::from_parts(amount, &parts)
}

/// The reservation that a take makes.
pub(super) fn reservation_of(
    take: &Take,
    until: Millis,
    object: Option<ObjectNumber>,
) -> Result<Reservation, StoreFault> {
    let id = asked(take).cloned().ok_or_else(|| {
        StoreFault::Unusable("a reservation has an id by which it can be confirmed".into())
    })?;
    Ok(Reservation {
        id,
        object,
        until,
        confirmed: None,
    })
}
