//! The steps of the record path, and the merging of reports. Each is atomic: its caller holds the
//! shard's lock, and all that is needed from the file is read before the first count moves.

use super::app::{Parts, Standing};
use super::holds::{asked, is_counted, reservation_of};
use super::keep::begins;
use super::record::{Claim, Fell, Minute, Note, Record, RecordId, State};
use super::shard::{Caller, LedgerShard};
use super::spot::claim;
use crate::clock::{Day, Millis};
use crate::quota::{Counter, Limit};
use crate::store::past;
use crate::store::{
    Ack, AppReport, Beside, Cell, GiveBack, GivenBack, Intent, RecordKey, Report, Settled,
    StoreFault, Take, Taken, TooLate, Undecided,
};

/// The most withdrawn attempts that one shard remembers between two checkpoints.
pub(super) const WITHDRAWN_MAX: usize = 1 << 16;

impl LedgerShard {
    /// Writes a record if its charge fits, or finds the one that is there.
    pub(super) fn take(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        if self.withdrawn.contains_key(&(by.member, take.attempt)) {
            return Ok(Taken::Withdrawn);
        }
        if self.freezes.of(take.app).is_some() {
            return Ok(Taken::Undecided(Undecided::Frozen));
        }
        let begins = begins(take);
        if begins && !matches!(take.key, RecordKey::Object(_)) {
            return self.take_by_id(by, take, now);
        }
        self.records.make_room()?;
        let taken = match (take.intent, &take.key) {
            (Intent::Confirm { lapsed }, _) => self.confirm(by, take, lapsed, now)?,
            (_, RecordKey::Object(object)) if begins => self.take_object(by, take, *object, now)?,
            _ => self.end(by, take, now)?,
        };
        if matches!(taken, Taken::Allowed { .. }) {
            self.mark(by, take, now);
        }
        Ok(taken)
    }

    fn take_by_id(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        let id = RecordId::of(by.secret, take.app, &take.key);
        let app = self.apps.touch(by.file, take.app)?;
        let Some(found) = self.records.find(by.file, id)? else {
            self.records.make_room()?;
            return match app.get().refuses(&take.charge, take.day, Parts::NONE) {
                Some(counter) if take.intent != Intent::Exists => {
                    if matches!(take.key, RecordKey::Client(_)) {
                        let denied = Record::new(take, State::Denied(counter), now);
                        self.records.write(id, denied);
                    }
                    self.denied(by, take, counter, false)
                }
                exceeds => self.write_held(by, take, id, exceeds, now),
            };
        };
        let record = found.get();
        let reserves = matches!(take.intent, Intent::Reserve { .. });
        if let State::Note(note) = record.state
            && reserves
            && record.fingerprint == take.fingerprint
        {
            return self.take_again(by, take, note, now);
        }
        let is_hold = record.reservation.is_some();
        let is_denied = matches!(record.state, State::Denied(_));
        if record.fingerprint != take.fingerprint || reserves != is_hold && !is_denied {
            return Ok(Taken::OtherContent);
        }
        match record.state.clone() {
            State::Held(mut claims) => {
                let known = claims.len();
                claim(&mut claims, Claim::of(by, take))?;
                if claims.len() > known {
                    found.change().state = State::Held(claims);
                }
            }
            State::Reserved | State::Confirming(_) | State::Counted => {}
            State::Denied(_) if take.intent == Intent::Exists => {
                let exceeds = app.get().refuses(&take.charge, take.day, Parts::NONE);
                return self.write_held(by, take, id, exceeds, now);
            }
            State::Denied(counter) => return self.denied(by, take, counter, true),
            State::Cancelled | State::Lapsed => return Ok(Taken::Ended),
            State::Released(_) | State::Gone(_) | State::Note(_) | State::Done | State::Freed => {
                return Ok(Taken::OtherContent);
            }
        }
        self.allowed(by, take, true, Beside::default())
    }

    /// What was reserved without a name was confirmed with one, and is asked for once more.
    fn take_again(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        note: Note,
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        let spot = self.spot_of_object(by, take.app, note.object)?;
        let state = spot.record.as_ref().map(|of| &of.state);
        let is_over = spot.reserved_by() == asked(take)
            && matches!(state, Some(State::Cancelled | State::Lapsed));
        let is_there = spot.is_charged() || is_counted(self.place_of(by, take.app, note.object)?);
        if is_over || !note.first && !is_there {
            return Ok(Taken::Ended);
        }
        if let Some(record) = &spot.record
            && let State::Held(mut claims) = record.state.clone()
            && !note.first
            && !record.is_open()
        {
            // Whoever is told that it is there meets those who create it.
            claim(&mut claims, Claim::of(by, take))?;
            let state = State::Held(claims);
            let new = Record {
                state,
                ..record.clone()
            };
            self.put(by, &spot, new, take.day, now)?;
        }
        let beside = Beside {
            already_counted: !note.first,
            ..Beside::default()
        };
        self.allowed(by, take, true, beside)
    }

    /// Counts a new record under an id, until it is known to be answered.
    fn write_held(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        id: RecordId,
        exceeds: Option<Counter>,
        now: Millis,
    ) -> Result<Taken, StoreFault> {
        let mut record = Record::new(take, State::Held(vec![Claim::of(by, take)]), now);
        if let Intent::Reserve { until } = take.intent {
            let reservation = reservation_of(take, until, None)?;
            record.reservation = Some(Box::new(reservation));
        }
        let passes = (Standing::Nowhere, record.standing());
        let app = self.apps.touch(by.file, take.app)?.change(self.round);
        app.pass((record.parts, record.day), passes, take.day);
        self.holds.note(id, None, &record);
        self.records.write(id, record);
        let beside = Beside {
            exceeds,
            ..Beside::default()
        };
        self.allowed(by, take, false, beside)
    }

    /// The answer to a take that is refused.
    pub(super) fn denied(
        &mut self,
        by: Caller<'_>,
        take: &Take,
        counter: Counter,
        replayed: bool,
    ) -> Result<Taken, StoreFault> {
        Ok(Taken::Denied {
            counter,
            view: self.view(by, take.app, take.day)?,
            replayed,
            recallable: false,
        })
    }

    /// Gives back what was counted, at most as much as was, or finds that it was done.
    pub(super) fn release(
        &mut self,
        by: Caller<'_>,
        give_back: &GiveBack,
        now: Millis,
    ) -> Result<GivenBack, StoreFault> {
        if self.freezes.of(give_back.app).is_some() {
            return Ok(GivenBack::Undecided(Undecided::Frozen));
        }
        let id = RecordId::of(by.secret, give_back.app, &give_back.key);
        if let Some(record) = self.records.find(by.file, id)? {
            return match record.get().state {
                State::Released(fell) if record.get().fingerprint == give_back.fingerprint => {
                    self.released(by, give_back, fell, true)
                }
                _ => Ok(GivenBack::OtherContent),
            };
        }
        self.records.make_room()?;
        let fell = if let Some(object) = give_back.object {
            self.release_object(by, give_back, object, now)?
        } else {
            let on = self.open_day(give_back.day);
            let app = self.apps.touch(by.file, give_back.app)?;
            app.change(self.round).give_back(
                give_back.resource,
                give_back.given.unwrap_or(give_back.amount.get()),
                give_back.groups_follow,
                (give_back.day, on),
            )
        };
        let record = Record {
            app: give_back.app,
            fingerprint: give_back.fingerprint,
            day: give_back.day,
            minute: Minute::of(now),
            parts: Parts::NONE,
            state: State::Released(fell),
            reservation: None,
        };
        self.records.write(id, record);
        self.released(by, give_back, fell, false)
    }

    /// The answer to a release that is done.
    fn released(
        &mut self,
        by: Caller<'_>,
        give_back: &GiveBack,
        fell: Fell,
        replayed: bool,
    ) -> Result<GivenBack, StoreFault> {
        Ok(GivenBack::Released {
            released: fell.own.into(),
            resource: fell.resource,
            groups: fell.groups.into(),
            view: self.view(by, give_back.app, give_back.day)?,
            replayed,
            mine: false,
        })
    }

    /// Merges a report: totals, then answered takes, then aborts.
    pub(super) fn settle(
        &mut self,
        by: Caller<'_>,
        report: &Report,
        today: Day,
        now: Millis,
    ) -> Result<Settled, StoreFault> {
        report.apps.iter().try_for_each(check_totals)?;
        let mut too_late = Vec::new();
        for told in &report.apps {
            self.merge(by, told, today, &mut too_late)?;
        }
        for answered in &report.answered {
            self.keep(by, answered, today, now)?;
        }
        for abort in &report.aborts {
            self.abort(by, abort, now)?;
        }
        for told in &report.apps {
            if let Some(token) = told.acks_freeze {
                self.acknowledge(by, told.app, token)?;
            }
        }
        let apps = report.apps.iter();
        let views = apps.map(|told| self.glance(by, told.app, today));
        Ok(Settled {
            views: views.collect::<Result<_, _>>()?,
            // A record is its own count here: nothing waits for anybody's totals.
            acks: vec![Ack::Counted; report.answered.len()],
            too_late,
        })
    }

    fn merge(
        &mut self,
        by: Caller<'_>,
        told: &AppReport,
        today: Day,
        too_late: &mut Vec<TooLate>,
    ) -> Result<(), StoreFault> {
        let today = self.open_day(today);
        let app = self.apps.touch(by.file, told.app)?;
        for cell in &told.cells {
            match cell.cell {
                Cell::Increment(day) if day < self.open_from => too_late.push(TooLate {
                    app: told.app,
                    day,
                    users: cell.totals.consumed,
                }),
                Cell::Gained(day) if day < self.open_from => {}
                _ if app.get().knows(by.member, cell) => {}
                _ => app.change(self.round).settle(by.member, cell, today),
            }
        }
        for late in too_late.iter().filter(|late| late.app == told.app) {
            self.beside.note(late.app, late.day, late.users);
        }
        if let Some(plan) = &told.plan
            && app.get().plans.last().is_none_or(|(_, last)| last != plan)
        {
            past::note_plan(&mut app.change(self.round).plans, today, plan);
        }
        Ok(())
    }
}

/// A total that a ledger counting in doubles could not keep is a fault of the caller.
fn check_totals(told: &AppReport) -> Result<(), StoreFault> {
    let too_large = |total: u64| total > Limit::MAX;
    let cells = &mut told.cells.iter().map(|cell| cell.totals);
    if cells.any(|totals| too_large(totals.consumed) || too_large(totals.released)) {
        return Err(StoreFault::Unusable(format!(
            "a total of app {} is above {}, the largest there can be",
            told.app,
            Limit::MAX
        )));
    }
    Ok(())
}
