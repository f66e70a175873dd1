//! The shared ledger in a database file of this process: one machine, nothing to wait for.
//!
//! What was touched since the last checkpoint lies in memory, in shards, each behind its own lock;
//! the rest lies in the file and is read when it is needed. Calls change memory alone: the member's
//! journal makes them survive a kill, and states again after it, in its own order, what the last
//! checkpoint does not have. A checkpoint copies what changed, shard by shard, and writes it in one
//! transaction while calls go on.
//!
//! - `app`, `totals`, `peaks`: an app's counts, pure; `history`: what is kept of them, `notes`: what lies beside it;
//! - `record`: a request id's record, or an object's; `hold`: what it is as a reservation;
//! - `steps`: what the calls do with both, in a `shard`: `holds` with reservations, `named` with objects,
//!   `keep` when their answers are reported, all of them through a record's `spot`;
//! - `operator`, `recount`, `freezes`, `audit`: what operators do;
//! - `form`: an app in memory, open or at rest;
//! - `apps`, `records`, `objects`, `actives`: what of them is in memory, and whether the file has it;
//! - `checkpoint`, `file`, `format`: the file, and its way there;
//! - `ledger`: all of it.

mod actives;
mod app;
mod apps;
mod audit;
#[cfg(test)]
mod broken_disk;
mod checkpoint;
mod file;
mod form;
mod format;
mod freezes;
mod history;
mod hold;
mod holds;
mod keep;
mod kept;
mod ledger;
mod named;
mod notes;
mod objects;
mod operator;
mod peaks;
mod record;
mod records;
mod recount;
mod register;
mod shard;
mod spot;
mod steps;
mod totals;

use std::future::ready;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use self::ledger::{Ledger, stranger};
use self::shard::{Caller, LedgerShard};
use super::{
    Active, Adopted, Bases, Beat, Beaten, GiveBack, GivenBack, Hold, Installation, Login, Member,
    MonthHistory, RegisterPage, Reply, Report, Settled, Shard, Statement, Store, StoreFault, Take,
    Taken, Usage, View,
};
use crate::clock::{Day, Millis, Month, Zone};
use crate::quota::{AppId, ObjectNumber, Registered, RequestId, Resource, Retention};

/// The ledger of this process, as one member sees it.
pub struct EmbeddedStore {
    ledger: Arc<Ledger>,
    /// The member that said hello.
    member: OnceLock<Member>,
}

impl EmbeddedStore {
    /// Opens the ledger in the file at `path`, whose days are those of `zone`. A file that is
    /// missing is made, but is no ledger before a member that remembers none has said hello.
    ///
    /// # Errors
    /// [`StoreFault::Unusable`] if another process has the file, if it is damaged, of another
    /// format, or if the system refuses it.
    pub fn open(path: &Path, zone: Zone) -> Result<Self, StoreFault> {
        Self::keeping(path, zone, Retention::default())
    }

    /// The same, keeping the past for another time than by default.
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`].
    pub fn keeping(path: &Path, zone: Zone, kept: Retention) -> Result<Self, StoreFault> {
        Ok(Self::of(Ledger::open(path, zone, kept)?))
    }

    fn of(ledger: Ledger) -> Self {
        Self {
            ledger: Arc::new(ledger),
            member: OnceLock::new(),
        }
    }

    /// The same ledger for another member of this process: a journal that was lost is followed by
    /// another member, and both keep what they counted.
    #[must_use]
    pub fn for_another_member(&self) -> Self {
        Self {
            ledger: Arc::clone(&self.ledger),
            member: OnceLock::new(),
        }
    }

    fn step<T>(
        &self,
        shard: Shard,
        step: impl FnOnce(&mut LedgerShard, Caller<'_>) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let member = self.member.get().ok_or_else(stranger)?;
        let by = self.ledger.caller(member.incarnation)?;
        step(&mut *self.ledger.shard(shard)?, by)
    }
}

impl Store for EmbeddedStore {
    fn retention(&self) -> Retention {
        self.ledger.file.retention
    }

    fn hello<'a>(
        &'a self,
        member: &'a Member,
        remembered: Option<Installation>,
        now: Millis,
    ) -> Reply<'a, Installation> {
        let found = self.ledger.hello(remembered, now).and_then(|installation| {
            let known = self.member.get_or_init(|| member.clone());
            if known.incarnation == member.incarnation {
                return Ok(installation);
            }
            Err(StoreFault::Unusable(format!(
                "this handle of the ledger speaks for another member than {}",
                member.name
            )))
        });
        Box::pin(ready(found))
    }

    fn take<'a>(&'a self, take: &'a Take, now: Millis) -> Reply<'a, Taken> {
        let shard = Shard::of(take.app);
        Box::pin(ready(self.step(shard, |at, by| at.take(by, take, now))))
    }

    fn release<'a>(&'a self, give_back: &'a GiveBack, now: Millis) -> Reply<'a, GivenBack> {
        let shard = Shard::of(give_back.app);
        let done = self.step(shard, |at, by| at.release(by, give_back, now));
        Box::pin(ready(done))
    }

    fn settle<'a>(
        &'a self,
        shard: Shard,
        report: &'a Report,
        day: Day,
        now: Millis,
    ) -> Reply<'a, Settled> {
        let settled = self.step(shard, |at, by| at.settle(by, report, day, now));
        Box::pin(ready(settled))
    }

    fn beat<'a>(&'a self, _beat: &'a Beat) -> Reply<'a, Beaten> {
        // One member, which no other has to be kept apart from.
        let notices = self.ledger.notices();
        Box::pin(ready(notices.map(|notices| Beaten {
            leased: true,
            notices,
            ..Beaten::default()
        })))
    }

    fn restate<'a>(&'a self, _shard: Shard, _statement: &'a Statement, _day: Day) -> Reply<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    fn bases(&self, _shard: Shard, _since: u64) -> Reply<'_, Bases> {
        Box::pin(ready(Ok(Bases::default())))
    }

    fn fold<'a>(&'a self, _shard: Shard, _apps: &'a [AppId]) -> Reply<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    fn leave(&self) -> Reply<'_, u64> {
        Box::pin(ready(Ok(0)))
    }

    fn recall(&self, _app: AppId) -> Reply<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn record_active<'a>(
        &'a self,
        shard: Shard,
        logins: &'a [Login],
        _now: Millis,
    ) -> Reply<'a, Vec<Active>> {
        let recorded = self.step(shard, |at, by| at.record_active(by, logins));
        Box::pin(ready(recorded))
    }

    fn hold<'a>(&'a self, app: AppId, id: &'a RequestId, _now: Millis) -> Reply<'a, Option<Hold>> {
        let hold = self.step(Shard::of(app), |at, by| at.hold(by, app, id));
        Box::pin(ready(hold))
    }

    fn holds(&self, app: AppId, most: usize, _now: Millis) -> Reply<'_, Vec<Hold>> {
        let holds = self.step(Shard::of(app), |at, by| at.holds(by, app, most));
        Box::pin(ready(holds))
    }

    fn knows_object(&self, app: AppId, object: ObjectNumber) -> Reply<'_, bool> {
        let known = self.step(Shard::of(app), |at, by| at.knows_object(by, app, object));
        Box::pin(ready(known))
    }

    fn adopt<'a>(
        &'a self,
        app: AppId,
        resource: Resource,
        objects: &'a [ObjectNumber],
        _now: Millis,
    ) -> Reply<'a, Vec<Adopted>> {
        let named = self.step(Shard::of(app), |at, by| {
            at.adopt(by, app, resource, objects)
        });
        let ledger = Arc::clone(&self.ledger);
        Box::pin(async move {
            let named = named?;
            if named.iter().any(|adopted| *adopted != Adopted::Missing) {
                // No journal states it again: the file has it before anybody is told, also if this is the
                // second try.
                let written = tokio::task::spawn_blocking(move || ledger.save());
                written.await.unwrap_or_else(|stopped| {
                    Err(StoreFault::Away(format!(
                        "the checkpoint stopped: {stopped}"
                    )))
                })?;
            }
            Ok(named)
        })
    }

    fn usage(&self, app: AppId, day: Day, _now: Millis) -> Reply<'_, Usage> {
        let usage = self.step(Shard::of(app), |at, by| at.usage(by, app, day));
        Box::pin(ready(usage))
    }

    fn month(&self, app: AppId, month: Month, today: Day, _: Millis) -> Reply<'_, MonthHistory> {
        let told = self.step(Shard::of(app), |at, by| at.month(by, app, month, today));
        Box::pin(ready(told))
    }

    fn register(&self, since: u64) -> Reply<'_, RegisterPage> {
        Box::pin(ready(self.ledger.register(since)))
    }

    fn state_register<'a>(&'a self, _rows: &'a [Registered]) -> Reply<'a, ()> {
        // What it has acknowledged is on the disk, and it has one member.
        Box::pin(ready(Ok(())))
    }

    fn glance(&self, app: AppId, day: Day) -> Option<View> {
        let view = self.step(Shard::of(app), |at, by| at.glance(by, app, day));
        view.ok()
    }

    fn checkpoint(&self, log_from: Millis) -> Reply<'_, ()> {
        let ledger = Arc::clone(&self.ledger);
        Box::pin(async move {
            // The disk may take its time; the runtime has other work.
            let written = tokio::task::spawn_blocking(move || ledger.checkpoint(log_from));
            written.await.unwrap_or_else(|stopped| {
                Err(StoreFault::Away(format!(
                    "the checkpoint stopped: {stopped}"
                )))
            })
        })
    }

    fn is_local(&self) -> bool {
        true
    }
}
