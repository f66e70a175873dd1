//! What reports say of takes: which were answered, and which are withdrawn.
//!
//! Each answer may be stated again, by a member that was killed, to a ledger that lost it or has it. A record
//! goes one way only, from which it can be told; but one of an object may be over, and another begun. So each
//! attempt at such a record leaves a mark with it, which stays as long as a journal may state it: what has a
//! mark was done here, and only its own claim is still to be answered.

use super::app::{Parts, Standing};
use super::hold::{Confirmed, Reservation};
use super::holds::{asked, is_counted, reservation_of};
use super::record::{Claim, Heard, Minute, Record, RecordId, State};
use super::shard::{Caller, LedgerShard};
use super::spot::{Spot, created_under, note_of};
use super::steps::WITHDRAWN_MAX;
use crate::clock::{Day, Millis};
use crate::quota::{Counter, ObjectNumber};
use crate::store::{Abort, Answered, Intent, RecordKey, StoreFault, Take};

/// A confirmation by whoever reserved.
const CONFIRM: Intent = Intent::Confirm { lapsed: false };

impl LedgerShard {
    /// Keeps a take whose answer went out. One that is not there was forgotten in a crash.
    pub(super) fn keep(
        &mut self,
        by: Caller<'_>,
        answered: &Answered,
        today: Day,
        now: Millis,
    ) -> Result<(), StoreFault> {
        let take = &answered.take;
        if let Some(counter) = answered.refused {
            return self.keep_refusal(by, take, counter, now);
        }
        match (&take.key, take.intent) {
            (RecordKey::Object(object), _) => {
                let spot = self.spot_of_object(by, take.app, *object)?;
                self.keep_named(by, take, (&spot, *object), (today, now))?;
                let Some(id) = created_under(take) else {
                    return Ok(());
                };
                self.note_heard(by, (take.app, id), |note| {
                    if note.object == *object {
                        Heard::Yes
                    } else {
                        note.heard
                    }
                })
            }
            (_, Intent::Count | Intent::Exists | Intent::Alone) => {
                self.keep_count(by, take, today, now)
            }
            (key, intent) => {
                let spot = self.spot_of_key(by, take.app, key)?;
                self.records.make_room()?;
                let reserves = matches!(intent, Intent::Reserve { .. });
                match spot.object {
                    // It was confirmed under an object meanwhile.
                    Some(_) if reserves => self.keep_met(by, take, &spot, (today, now)),
                    Some(object) => self.keep_named(by, take, (&spot, object), (today, now)),
                    None => {
                        if !reserves {
                            // It may come to be an object's yet.
                            self.mark(by, take, now);
                        }
                        self.keep_hold(by, take, &spot, (today, now))
                    }
                }
            }
        }
    }

    /// A refusal is remembered where a client can ask again.
    fn keep_refusal(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        counter: Counter,
        now: Millis,
    ) -> Result<(), StoreFault> {
        let ((RecordKey::Client(id), _) | (RecordKey::Object(_), Some(id))) =
            (&take.key, &take.note)
        else {
            return Ok(());
        };
        let id = RecordId::of_client(by.secret, take.app, id);
        if self.records.find(by.file, id)?.is_none() {
            self.records.make_room()?;
            let denied = Record::new(take, State::Denied(counter), now);
            self.records.write(id, denied);
        }
        Ok(())
    }

    fn keep_count(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        today: Day,
        now: Millis,
    ) -> Result<(), StoreFault> {
        let id = RecordId::of(by.secret, take.app, &take.key);
        let today = self.open_day(today);
        let app = self.apps.touch(by.file, take.app)?;
        let counted = || Record::new(take, State::Counted, now);
        let Some(record) = self.records.find(by.file, id)? else {
            self.records.make_room()?;
            let record = counted();
            let passes = (Standing::Nowhere, Standing::Counted);
            app.change(self.round)
                .pass((record.parts, record.day), passes, today);
            self.records.write(id, record);
            return Ok(());
        };
        let there = record.get();
        if there.fingerprint != take.fingerprint || there.reservation.is_some() {
            return Ok(());
        }
        match there.state {
            State::Held(_) => {
                // As it was held: a later try may have come on another day, under other rules.
                let passes = (Standing::Held, Standing::Counted);
                app.change(self.round)
                    .pass((there.parts, there.day), passes, today);
                let record = record.change();
                record.state = State::Counted;
                record.minute = Minute::of(now);
            }
            State::Denied(_) => {
                let counted = counted();
                let passes = (Standing::Nowhere, Standing::Counted);
                app.change(self.round)
                    .pass((counted.parts, counted.day), passes, today);
                *record.change() = counted;
            }
            _ => {}
        }
        Ok(())
    }

    /// A reservation under an id alone.
    fn keep_hold(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        spot: &Spot,
        (today, now): (Day, Millis),
    ) -> Result<(), StoreFault> {
        let Some(record) = &spot.record else {
            return match lost(take, None, now)? {
                Some(new) => self.put(by, spot, new, today, now),
                None => Ok(()),
            };
        };
        let reserves = matches!(take.intent, Intent::Reserve { .. });
        let new = match record.state {
            _ if record.fingerprint != take.fingerprint => None,
            State::Denied(_) if reserves => lost(take, None, now)?,
            _ if record.reservation.is_none() => None,
            _ if spot.is_charged() => kept(record, take),
            _ => late(record, take),
        };
        match new {
            Some(new) => self.put(by, spot, new, today, now),
            None => Ok(()),
        }
    }

    /// Whatever was done at an object's record.
    fn keep_named(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        (spot, object): (&Spot, ObjectNumber),
        (today, now): (Day, Millis),
    ) -> Result<(), StoreFault> {
        let mine = Claim::of(by, take);
        if self.is_marked(by, take)? {
            self.mark(by, take, now);
            return self.keep_met(by, take, spot, (today, now));
        }
        let note = self.spot_of_note(by, take)?;
        let known = is_counted(self.place_of(by, take.app, object)?);
        self.records.make_room()?;
        let mut before = None;
        if let Some(note) = &note
            && let Some(own) = &note.record
            && let Some(reservation) = &own.reservation
        {
            let moves = note.is_charged() || own.state == State::Lapsed;
            if !moves || own.state == State::Counted || take.intent != CONFIRM {
                self.mark(by, take, now);
                return self.keep_hold(by, take, note, (today, now));
            }
            // It was made without the object, and is confirmed under it.
            before = Some((own.clone(), reservation.clone()));
        }
        let new = match &spot.record {
            Some(record) if spot.is_charged() || matches!(record.state, State::Gone(_)) => {
                answered(record, take, mine)
            }
            Some(record)
                if is_of(record, take) && matches!(take.intent, Intent::Cancel | Intent::Lapse) =>
            {
                late(record, take)
            }
            _ if known => None,
            Some(record) if is_of(record, take) && !begins(take) => late(record, take),
            _ => match &before {
                Some((own, reservation)) => Some(moved(own, reservation, object)),
                None => lost(take, Some(object), now)?,
            },
        };
        let creates = new.is_some() && spot.standing() == Standing::Nowhere;
        if let (Some(note), Some((own, _))) = (&note, &before) {
            let noted = Record {
                fingerprint: own.fingerprint,
                parts: if creates { Parts::NONE } else { own.parts },
                ..note_of(take, object, creates, now)
            };
            self.put(by, note, noted, today, now)?;
        } else if let Some(note) = &note
            && is_to_be_written(note, (spot, take), creates)
        {
            self.put_note(by, (take, object), creates, now)?;
        }
        if let Some(new) = new {
            self.put(by, spot, new, today, now)?;
        }
        self.mark(by, take, now);
        Ok(())
    }

    /// What waits for this answer at an object's record.
    fn keep_met(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        spot: &Spot,
        (today, now): (Day, Millis),
    ) -> Result<(), StoreFault> {
        let mine = Claim::of(by, take);
        match &spot.record {
            Some(record) if record.waits_for(mine) => {
                let new = answered(record, take, mine).unwrap_or_else(|| record.clone());
                self.put(by, spot, new, today, now)
            }
            _ => Ok(()),
        }
    }

    /// Whether an attempt at an object's record has its mark.
    fn is_marked(&mut self, by: Caller<'_>, take: &Take) -> Result<bool, StoreFault> {
        let mark = RecordId::of_mark(by.secret, take.app, Claim::of(by, take));
        Ok(self.records.find(by.file, mark)?.is_some())
    }

    /// Marks an attempt at an object's record, from now on.
    pub(super) fn mark(&mut self, by: Caller<'_>, take: &Take, now: Millis) {
        let mark = RecordId::of_mark(by.secret, take.app, Claim::of(by, take));
        let done = Record {
            parts: Parts::NONE,
            ..Record::new(take, State::Done, now)
        };
        self.records.write(mark, done);
    }

    /// Withdraws one attempt: what it alone waited for is freed, or reserved again.
    pub(super) fn abort(
        &mut self,
        by: Caller<'_>,
        abort: &Abort,
        now: Millis,
    ) -> Result<(), StoreFault> {
        let attempt = (by.member, abort.attempt);
        if self.withdrawn.len() >= WITHDRAWN_MAX && !self.withdrawn.contains_key(&attempt) {
            return Err(StoreFault::Away(format!(
                "{WITHDRAWN_MAX} attempts were withdrawn since the last checkpoint, the most there can be"
            )));
        }
        let spot = self.spot_of_key(by, abort.app, &abort.key)?;
        let (member, of) = attempt;
        let claim = Claim {
            member,
            attempt: of,
        };
        if let Some(id) = &abort.note {
            self.note_heard(by, (abort.app, id), |note| {
                if note.heard == Heard::Met(claim) {
                    Heard::No
                } else {
                    note.heard
                }
            })?;
        }
        if let Some(record) = &spot.record {
            let new = without(record.clone(), claim);
            if new != *record {
                let day = record.day;
                self.put(by, &spot, new, day, now)?;
            }
        }
        self.withdrawn.insert(attempt, Minute::of(now));
        Ok(())
    }
}

/// A record that one attempt waits for no more.
fn without(mut record: Record, claim: Claim) -> Record {
    let Some(claims) = record.state.claims() else {
        return record;
    };
    claims.retain(|of| *of != claim);
    if claims.is_empty() {
        record.state = match record.state {
            State::Confirming(_) => State::Reserved,
            // It is known for a while that its object was deleted.
            State::Gone(_) => State::Done,
            _ => State::Freed,
        };
        if record.state == State::Done {
            record.reservation = None;
        }
        if let (State::Reserved, Some(reservation)) = (&record.state, &mut record.reservation) {
            reservation.confirmed = None;
        }
    }
    record
}

/// A record that counts or did, when the answer of an attempt at it is known to be out; `None`: as it is.
fn answered(record: &Record, take: &Take, mine: Claim) -> Option<Record> {
    if matches!(record.state, State::Gone(_)) {
        return Some(without(record.clone(), mine));
    }
    let met = matches!(record.state, State::Held(_))
        && matches!(take.intent, Intent::Reserve { .. })
        && record.reservation.is_none();
    if met {
        // Somebody has heard that it is there: no withdrawal frees it.
        return Some(Record {
            state: State::Counted,
            ..record.clone()
        });
    }
    let is_owner = record.is_open()
        || match &record.state {
            State::Held(claims) | State::Confirming(claims) => claims.first() == Some(&mine),
            _ => false,
        };
    let kept = kept(record, take)?;
    Some(if is_owner && kept.state == State::Counted {
        kept.called_by(take)
    } else {
        kept
    })
}

/// A record that counts, when a take's answer is known to be out; `None`: as it is.
fn kept(record: &Record, take: &Take) -> Option<Record> {
    let open = record.is_open() && is_of(record, take);
    let state = match (take.intent, &record.state) {
        (Intent::Reserve { .. }, State::Held(_)) if open => State::Reserved,
        (Intent::Cancel, _) if open => State::Cancelled,
        (Intent::Lapse, _) if open => State::Lapsed,
        (Intent::Reserve { .. } | Intent::Cancel | Intent::Lapse, _) => return None,
        _ => State::Counted,
    };
    let mut new = Record {
        state,
        ..record.clone()
    };
    if let (State::Counted, Some(reservation)) = (&new.state, &mut new.reservation) {
        reservation.confirmed = match (take.intent, reservation.confirmed) {
            (Intent::Confirm { lapsed: true }, None) => Some(Confirmed::Charged),
            (_, None) => Some(Confirmed::InTime),
            (Intent::Confirm { lapsed: false }, Some(Confirmed::Charged))
                if record.state == State::Counted =>
            {
                Some(Confirmed::Late)
            }
            (_, how) => how,
        };
    }
    (new != *record).then_some(new)
}

/// The same of a reservation that is over.
fn late(record: &Record, take: &Take) -> Option<Record> {
    let state = match (take.intent, &record.state) {
        (Intent::Confirm { .. }, State::Lapsed) => State::Counted,
        (Intent::Cancel, State::Lapsed) => State::Cancelled,
        _ => return None,
    };
    let mut new = Record {
        state,
        ..record.clone()
    };
    if let (State::Counted, Some(reservation)) = (&new.state, &mut new.reservation) {
        reservation.confirmed = Some(Confirmed::Late);
    }
    Some(new)
}

/// What an answered take would have left, where nothing is known of it.
fn lost(
    take: &Take,
    object: Option<ObjectNumber>,
    now: Millis,
) -> Result<Option<Record>, StoreFault> {
    let (state, confirmed, until) = match take.intent {
        Intent::Count | Intent::Exists | Intent::Alone => (State::Counted, None, None),
        Intent::Reserve { until } => (State::Reserved, None, Some(until)),
        Intent::Confirm { lapsed } => {
            let how = if lapsed {
                Confirmed::Charged
            } else {
                Confirmed::InTime
            };
            (State::Counted, Some(how), Some(now))
        }
        Intent::Cancel => (State::Cancelled, None, Some(now)),
        Intent::Lapse => (State::Lapsed, None, Some(now)),
    };
    let mut record = Record::new(take, state, now);
    // A confirmation of a nameless call under its object has no id that could be asked for.
    if let Some(until) = until
        && asked(take).is_some()
    {
        let reservation = reservation_of(take, until, object)?;
        record.reservation = Some(Box::new(Reservation {
            confirmed,
            ..reservation
        }));
    } else if record.state != State::Counted {
        return Ok(None);
    }
    Ok(Some(record))
}

/// A reservation that was made without its object, confirmed as that object's.
fn moved(own: &Record, reservation: &Reservation, object: ObjectNumber) -> Record {
    let late = own.state == State::Lapsed;
    let how = if late {
        Confirmed::Late
    } else {
        Confirmed::InTime
    };
    Record {
        state: State::Counted,
        reservation: Some(Box::new(Reservation {
            object: Some(object),
            confirmed: reservation.confirmed.or(Some(how)),
            ..reservation.clone()
        })),
        ..own.clone()
    }
}

/// Whether a take creates or reserves, whatever was there before.
pub(super) fn begins(take: &Take) -> bool {
    matches!(
        take.intent,
        Intent::Count | Intent::Exists | Intent::Reserve { .. }
    )
}

/// Whether a note is missing, or says of a reservation that met another's that it was the first.
fn is_to_be_written(note: &Spot, (spot, take): (&Spot, &Take), creates: bool) -> bool {
    let is_its = |record| is_of(record, take);
    match note.record.as_ref().map(|of| &of.state) {
        None | Some(State::Denied(_)) => true,
        Some(State::Note(note)) => {
            let met_another = !creates && !spot.record.as_ref().is_some_and(is_its);
            note.first && met_another && matches!(take.intent, Intent::Reserve { .. })
        }
        Some(_) => false,
    }
}

/// Whether a record is the reservation that a take names, as far as it names one.
fn is_of(record: &Record, take: &Take) -> bool {
    let reservation = record.reservation.as_ref();
    reservation.is_some_and(|of| asked(take).is_none_or(|id| *id == of.id))
}
