//! What this sidecar knows and owes: its apps' sums, takes and releases on their way, users who wait
//! for the ledger, requests that may come again, and the journal in which all of it survives the process.
//!
//! Counting from memory is synchronous. The ledger is met by the record path (one call a check), and
//! by tasks: `meeting` has it told totals and outcomes, `membership` beats, `logins` carries users,
//! `register` reads which apps operators registered, `watch` looks after apps that are frozen, recalled or in a hurry. One more, `save`, keeps the journal
//! short.

mod activity;
mod alone;
mod apps;
mod books;
mod cell;
mod counting;
mod days;
mod entry;
mod escrow;
mod events;
mod figures;
mod generation;
mod giving;
mod guard;
mod hearing;
mod holds;
mod ids;
mod journal;
mod keeping;
mod known;
mod lease;
mod lines;
mod logins;
mod marks;
mod meeting;
mod membership;
mod met;
mod near;
mod opening;
mod outage;
mod outlook;
mod owed;
mod passage;
mod register;
mod repeats;
mod rest;
mod room;
mod rules;
mod save;
mod settle;
mod spending;
mod taking;
mod tell;
mod too_late;
mod watch;

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};

use tokio::sync::{Notify, mpsc, watch as signal};

pub use activity::Incremented;
pub use apps::APPS_MAX;
pub use entry::Entry;
pub use figures::{AppCounts, Figures};
pub use generation::{Generation, Generations};
pub use giving::Fell;
pub use guard::Heard;
pub use holds::{EndHold, HoldEnd};
pub use ids::{Effect, Found, IdsFull, Once};
#[cfg(any(test, fuzzing))]
pub use journal::fuzz as fuzz_journal;
pub use journal::{Fault as JournalFault, Folder, LogFull};
pub use lease::Lease;
pub use logins::OpenLogins;
pub use marks::{Active, Near, Passings};
pub use met::Crowded;
pub use opening::{Parts, Queues};
pub use outlook::{Outlook, State};
pub use owed::{Full, OpenRelease, OpenTake, Wanted};
pub use repeats::{Counted, Despite, Unkept};
pub use rules::{Rules, Standing};
pub use save::Saving;
pub use spending::Spent;
pub use taking::NotTaken;

use apps::Apps;
use events::Events;
use holds::Holding;
use ids::Ids;
use journal::{Journal, Record};
use logins::Logins;
use marks::Marks;
use membership::Membership;
use owed::Owed;
use register::Reading;
use too_late::Refused;

use crate::clock::{Clock, Millis, Zone};
use crate::quota::{AppId, AppRules, RequestId, Resource};
use crate::store::{
    Cell, CellReport, GiveBack, Installation, Member, RecordKey, Shard, Store, StoreFault,
};

/// Everything that this sidecar knows and owes.
pub struct Ledger {
    clock: Arc<Clock>,
    zone: Zone,
    rules: Rules,
    store: Arc<dyn Store>,
    member: Member,
    journal: Arc<Journal>,
    apps: Arc<Apps>,
    owed: Arc<Owed>,
    logins: Logins,
    ids: Ids,
    outlook: Outlook,
    lease: Lease,
    membership: Membership,
    holding: Holding,
    marks: Marks,
    register: Reading,
    events: Events,
    too_late: Refused,
    /// Something is to be settled at once.
    hurry: Notify,
    recalls: mpsc::Sender<AppId>,
    installation: OnceLock<Installation>,
    met: signal::Sender<bool>,
    saving: Saving,
    /// When the oldest record was made that a restart may state again, in ms; 0 until a checkpoint of
    /// this run is done.
    states_from: AtomicI64,
}

impl Ledger {
    /// Meets the ledger for the first time. Whoever goes on without it says so with
    /// [`Ledger::goes_on_without`].
    ///
    /// # Errors
    /// [`StoreFault`]: a ledger of another zone or version, or one that has forgotten.
    pub async fn meet(&self) -> Result<(), StoreFault> {
        meeting::meet(self).await
    }

    /// Takes note that there is no ledger for now, and logs what that means.
    pub fn goes_on_without(&self, fault: &StoreFault) {
        self.outlook.fell(fault);
    }

    /// Becomes true when the ledger was met for the first time and knows all that limits go by.
    pub fn met(&self) -> signal::Receiver<bool> {
        self.met.subscribe()
    }

    /// Now.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// How far this machine's clock is from the ledger's, in either direction.
    pub fn clock_error_ms(&self) -> u64 {
        self.clock.error_ms()
    }

    /// How many active users came when their day was sealed, since the start: they are in no count.
    pub fn users_too_late(&self) -> u64 {
        self.too_late.users()
    }

    /// How often which mark was passed: parts of a limit, the free quantity, the blocks above it.
    pub fn marks_passed(&self) -> Vec<Passings> {
        self.marks.passings()
    }

    /// The counts that are known to be nearest to their limits, the nearest first.
    pub fn nearest(&self, most: usize) -> Vec<Near> {
        self.marks.nearest(most, self.zone.day(self.now()))
    }

    /// The apps that are known to have the most active users today, those first.
    pub fn most_active(&self, most: usize) -> Vec<Active> {
        self.marks.most_active(most, self.zone.day(self.now()))
    }

    /// The apps that the settings name, in no order.
    pub fn apps_of_settings(&self) -> Vec<AppId> {
        self.rules.file().apps.keys().copied().collect()
    }

    /// The rules of an app, if anybody names any.
    pub fn rules_of(&self, app: AppId) -> Option<Arc<AppRules>> {
        self.rules.of(app).known()
    }

    /// All rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The billing zone.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The store behind it.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Who this sidecar is among its fellows.
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// The lease under which this member admits.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// What is known of the store.
    pub fn state(&self) -> State {
        self.outlook.state()
    }

    /// What is admitted while it is away, since when it is, and how that is told.
    pub fn outlook(&self) -> &Outlook {
        &self.outlook
    }

    /// A call to the store failed. A ledger that gave no answer is asked by nobody until one task has
    /// found out how it is; one that knows less than it did is asked at once what became of it. What a
    /// single shard refuses for good is no reason to doubt the others.
    pub fn doubt(&self, fault: &StoreFault) {
        match fault {
            StoreFault::Away(_) => self.outlook.doubt(fault),
            StoreFault::Frozen(_) => self.membership.hurry(),
            StoreFault::Fenced(_) => {
                self.fence(fault);
                // Whether it is so for all of the ledger, and for how long, the next beat finds out.
                self.membership.hurry();
            }
            StoreFault::Unusable(_) => {}
        }
    }

    /// Another process speaks for this member, or the ledger is another: the lease is over now, and not when
    /// it would run out. What is on its way is withdrawn. Both may have the same units to spend.
    fn fence(&self, fault: &StoreFault) {
        self.membership.fenced(self.clock.steady());
        self.lease.ended();
        self.owed.abort_open();
        self.outlook.fell(fault);
    }

    /// Journals a take that is about to be sent.
    ///
    /// # Errors
    /// [`Full`].
    pub fn open_take(&self, wanted: Wanted) -> Result<OpenTake, Full> {
        self.owed.open_take(wanted)
    }

    /// Journals a release that is about to be sent (`sent`), or that waits for a ledger that is away;
    /// it will be sent until the ledger has it.
    ///
    /// # Errors
    /// [`Full`].
    pub fn open_release(
        &self,
        entry: &Entry,
        request_id: Option<RequestId>,
        give_back: impl FnOnce(RecordKey) -> GiveBack,
        sent: Option<Millis>,
    ) -> Result<OpenRelease, Full> {
        let accepted = self.acceptance(entry);
        self.owed
            .open_release(request_id, give_back, sent, accepted)
    }

    /// Tells the ledger at once what this sidecar did with one app.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub async fn settle_app(&self, entry: &Arc<Entry>) -> Result<(), StoreFault> {
        settle::settle_apps(self, Shard::of(entry.app), vec![entry.clone()]).await
    }

    fn belong_to(&self, installation: Installation) -> Result<(), StoreFault> {
        self.journal
            .belong_to(installation)
            .map_err(|fault| StoreFault::Away(format!("its identity cannot be kept: {fault}")))?;
        // Already set to the same one, if at all: a ledger that shows another does not get here.
        let _ = self.installation.set(installation);
        Ok(())
    }

    /// The ledger has these sums; a replay must not report their high again. One in this process may
    /// forget them with the process: there a checkpoint alone says what it has.
    fn note_acked(&self, entry: &Arc<Entry>, cells: &[CellReport]) {
        let groups = Cell::Live(Resource::Group);
        if let Some(report) = cells.iter().find(|report| report.cell == groups)
            && !self.store.is_local()
        {
            let acked = Record::Acked(entry.app, report.cell, report.totals);
            if let Err(full) = self.journal.append(&acked.frame(), self.now()) {
                tracing::warn!(%full, "a settled report could not be noted; a restart may report it again");
            }
        }
        self.apps.to_save(entry);
    }
}

#[cfg(test)]
mod tests;
