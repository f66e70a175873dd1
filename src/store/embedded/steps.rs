//! The steps of the record path, and the merging of reports. Each is atomic: its caller holds the
//! shard's lock, and all that is needed from the file is read before the first count moves.

use super::app::Parts;
use super::record::{CLAIMS_MAX, Claim, Minute, Record, RecordId, State};
use super::shard::{Caller, LedgerShard};
use crate::clock::{Day, Millis};
use crate::quota::Limit;
use crate::store::{
    Abort, Answered, AppReport, Beside, GiveBack, GivenBack, RecordKey, Report, StoreFault, Take,
    Taken, Undecided, View,
};

/// The most withdrawn attempts that one shard remembers between two checkpoints.
const WITHDRAWN_MAX: usize = 1 << 16;

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
        let id = RecordId::of(by.secret, take.app, &take.key);
        let claim = Claim {
            member: by.member,
            attempt: take.attempt,
        };
        let app = self.apps.touch(by.file, take.app)?;
        let Some(record) = self.records.find(by.file, id)? else {
            let refused = app.get().refuses(&take.charge, take.day);
            if refused.is_none() || is_client(&take.key) {
                self.records.make_room()?;
                let state = refused.map_or_else(|| State::Held(vec![claim]), State::Denied);
                let record = record_of(take, state, now);
                if refused.is_none() {
                    app.change(self.round).hold(record.parts, take.day);
                }
                self.records.write(id, record);
            }
            let view = self
                .freezes
                .mark(take.app, app.get().view(by.member, take.day));
            return Ok(taken(refused.map_or(Ok(()), Err), &view, false));
        };
        if record.get().fingerprint != take.fingerprint {
            return Ok(Taken::OtherContent);
        }
        let outcome = match &record.get().state {
            State::Held(claims) => {
                if !claims.contains(&claim) {
                    if claims.len() >= CLAIMS_MAX {
                        return Err(StoreFault::Away(format!(
                            "{CLAIMS_MAX} attempts at one request id wait for their answer, the most there can be"
                        )));
                    }
                    let mut claims = claims.clone();
                    claims.push(claim);
                    record.change().state = State::Held(claims);
                }
                Ok(())
            }
            State::Counted => Ok(()),
            State::Denied(counter) => Err(*counter),
            State::Released(_) | State::Freed => return Ok(Taken::OtherContent),
        };
        let view = app.get().view(by.member, take.day);
        Ok(taken(outcome, &self.freezes.mark(take.app, view), true))
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
        let app = self.apps.touch(by.file, give_back.app)?;
        if let Some(record) = self.records.find(by.file, id)? {
            return Ok(match record.get().state {
                State::Released(fell) if record.get().fingerprint == give_back.fingerprint => {
                    GivenBack::Released {
                        released: fell.own.into(),
                        resource: give_back.resource,
                        view: self
                            .freezes
                            .mark(give_back.app, app.get().view(by.member, give_back.day)),
                        replayed: true,
                        groups: fell.groups.into(),
                        mine: false,
                    }
                }
                _ => GivenBack::OtherContent,
            });
        }
        self.records.make_room()?;
        let app = app.change(self.round);
        let fell = app.give_back(
            give_back.resource,
            give_back.given.unwrap_or(give_back.amount.get()),
            give_back.groups_follow,
            give_back.day,
        );
        let record = Record {
            app: give_back.app,
            fingerprint: give_back.fingerprint,
            day: give_back.day,
            minute: Minute::of(now),
            parts: Parts::NONE,
            state: State::Released(fell),
        };
        self.records.write(id, record);
        Ok(GivenBack::Released {
            released: fell.own.into(),
            resource: give_back.resource,
            view: self
                .freezes
                .mark(give_back.app, app.view(by.member, give_back.day)),
            replayed: false,
            groups: fell.groups.into(),
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
    ) -> Result<Vec<View>, StoreFault> {
        report.apps.iter().try_for_each(check_totals)?;
        for told in &report.apps {
            self.merge(by, told, today)?;
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
        apps.map(|told| self.glance(by, told.app, today)).collect()
    }

    fn merge(&mut self, by: Caller<'_>, told: &AppReport, today: Day) -> Result<(), StoreFault> {
        let app = self.apps.touch(by.file, told.app)?;
        for cell in &told.cells {
            let closed = cell.cell.day().is_some_and(|day| day < self.open_from);
            if !closed && !app.get().knows(by.member, cell) {
                app.change(self.round).settle(by.member, cell, today);
            }
        }
        Ok(())
    }

    /// Keeps a take whose answer went out. One that is not there was forgotten in a crash.
    fn keep(
        &mut self,
        by: Caller<'_>,
        answered: &Answered,
        today: Day,
        now: Millis,
    ) -> Result<(), StoreFault> {
        let take = &answered.take;
        let id = RecordId::of(by.secret, take.app, &take.key);
        let app = self.apps.touch(by.file, take.app)?;
        let record = self.records.find(by.file, id)?;
        if let Some(record) = record {
            if answered.refused.is_some() || record.get().fingerprint != take.fingerprint {
                return Ok(());
            }
            match record.get().state {
                State::Held(_) => {
                    // As it was held: a later try may have come on another day, under other rules.
                    app.change(self.round).confirm(record.get().parts, today);
                    let record = record.change();
                    record.state = State::Counted;
                    record.minute = Minute::of(now);
                }
                State::Denied(_) => {
                    let counted = record_of(take, State::Counted, now);
                    app.change(self.round).count(counted.parts, take.day, today);
                    *record.change() = counted;
                }
                State::Counted | State::Released(_) | State::Freed => {}
            }
        } else if answered.refused.is_none() || is_client(&take.key) {
            self.records.make_room()?;
            let state = answered.refused.map_or(State::Counted, State::Denied);
            let record = record_of(take, state, now);
            if answered.refused.is_none() {
                app.change(self.round).count(record.parts, take.day, today);
            }
            self.records.write(id, record);
        }
        Ok(())
    }

    /// Withdraws one attempt; a held record without attempts is freed.
    fn abort(&mut self, by: Caller<'_>, abort: &Abort, now: Millis) -> Result<(), StoreFault> {
        let attempt = (by.member, abort.attempt);
        if self.withdrawn.len() >= WITHDRAWN_MAX && !self.withdrawn.contains_key(&attempt) {
            return Err(StoreFault::Away(format!(
                "{WITHDRAWN_MAX} attempts were withdrawn since the last checkpoint, the most there can be"
            )));
        }
        let id = RecordId::of(by.secret, abort.app, &abort.key);
        if let Some(record) = self.records.find(by.file, id)?
            && let State::Held(claims) = &record.get().state
        {
            let mut claims = claims.clone();
            claims.retain(|claim| (claim.member, claim.attempt) != attempt);
            if claims.is_empty() {
                let (parts, day) = (record.get().parts, record.get().day);
                let app = self.apps.touch(by.file, abort.app)?;
                app.change(self.round).free(parts, day);
                record.change().state = State::Freed;
            } else {
                record.change().state = State::Held(claims);
            }
        }
        self.withdrawn.insert(attempt, Minute::of(now));
        Ok(())
    }
}

fn taken(outcome: Result<(), crate::quota::Counter>, view: &View, replayed: bool) -> Taken {
    match outcome {
        Ok(()) => Taken::Allowed {
            view: *view,
            replayed,
            mine: false,
            beside: Beside::default(),
        },
        Err(counter) => Taken::Denied {
            counter,
            view: *view,
            replayed,
            recallable: false,
        },
    }
}

fn record_of(take: &Take, state: State, now: Millis) -> Record {
    Record {
        app: take.app,
        fingerprint: take.fingerprint,
        day: take.day,
        minute: Minute::of(now),
        parts: Parts::of(&take.charge),
        state,
    }
}

/// Whether a client may ask for the record again.
fn is_client(key: &RecordKey) -> bool {
    matches!(key, RecordKey::Client(_))
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
