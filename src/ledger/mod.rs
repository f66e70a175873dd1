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
mod known;
mod lease;
mod lines;
mod logins;
mod marks;
mod meeting;
mod membership;
mod near;
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
pub use outlook::{Outlook, State};
pub use owed::{Full, OpenRelease, OpenTake, Wanted};
pub use repeats::{Counted, Despite, Unkept};
pub use rules::{Rules, Standing};
pub use save::Saving;
pub use spending::Spent;
pub use taking::NotTaken;

use apps::Apps;
use entry::Change;
use events::Events;
use holds::Holding;
use ids::Ids;
use journal::{Journal, Record};
use logins::{Asked, Logins};
use marks::Marks;
use membership::Membership;
use owed::{Owed, OwedCopy};
use register::Reading;
use too_late::Refused;

use crate::clock::{Clock, Millis, Zone};
use crate::quota::{
    AppId, AppRules, COUNTERS, Counter, IdPolicy, OutagePolicy, RequestId, Resource, Rulebook,
};
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

/// What the ledger is put together from.
pub struct Parts {
    /// The process' clock.
    pub clock: Arc<Clock>,
    /// The billing zone.
    pub zone: Zone,
    /// Which rules each app lives under.
    pub rules: Rulebook,
    /// The shared ledger.
    pub store: Arc<dyn Store>,
    /// The member's name.
    pub member: Arc<str>,
    /// Where the journal's files are written.
    pub saving: Saving,
}

/// The tasks' ends of the ledger's queues; see [`Ledger::keep`].
#[derive(Debug)]
pub struct Queues {
    asked: mpsc::Receiver<Asked>,
    recalls: mpsc::Receiver<AppId>,
}

impl Ledger {
    /// Opens the journal in `folder` and takes up what the last run left.
    ///
    /// # Errors
    /// [`JournalFault`]; nothing is changed then.
    pub fn open(folder: Folder, parts: Parts) -> Result<(Self, Queues), JournalFault> {
        let Parts {
            clock,
            zone,
            rules,
            store,
            member,
            saving,
        } = parts;
        let (journal, left, unsettled) = Journal::open(folder, clock.now())?;
        let journal = Arc::new(journal);
        let saved = journal.ids().map_err(|why| journal.unreadable(why))?;
        let ids = Ids::new(IdPolicy::default(), &saved, &left.ids, clock.now());
        let standing = journal.standing().map_err(|why| journal.unreadable(why))?;
        let (registered, heard) = journal.register().map_err(|why| journal.unreadable(why))?;
        let identity = journal.identity();
        let (incarnation, boot) = (identity.incarnation, identity.boot);
        let member = Member {
            name: member,
            incarnation,
            boot,
            leaves: false,
        };
        let local = store.is_local();
        let owed = OwedCopy {
            takes: left.takes,
            releases: left.releases,
        };
        let owed = Arc::new(Owed::new(journal.clone(), clock.clone(), local, owed));
        let (logins, asked) = Logins::new(left.logins);
        let (recalls, wanted) = mpsc::channel(watch::RECALLS_MAX);
        let this = Self {
            outlook: Outlook::new(clock.clone()),
            clock,
            zone,
            rules: Rules::new(rules),
            store,
            member,
            journal,
            apps: Arc::default(),
            owed,
            logins,
            ids,
            lease: if local {
                Lease::for_ever()
            } else {
                Lease::default()
            },
            membership: Membership::new(standing),
            holding: Holding::default(),
            marks: Marks::default(),
            register: Reading::default(),
            events: Events::default(),
            too_late: Refused::default(),
            hurry: Notify::new(),
            recalls,
            installation: identity
                .installation
                .map_or_else(OnceLock::new, OnceLock::from),
            met: signal::Sender::new(false),
            saving,
            states_from: AtomicI64::new(0),
        };
        this.apps.to_tell(this.rules.file().apps.keys().copied());
        this.apps.to_tell(registered.iter().map(|of| of.app));
        for of in registered {
            this.rules.learn(of);
        }
        if heard {
            this.rules.heard();
        }
        for left in unsettled {
            let rules = this.rules.of(left.app).known();
            let guarded = |counter: &Counter| {
                left.beyond[counter.index()]
                    && rules
                        .as_ref()
                        .is_some_and(|rules| rules.limits.of(*counter).get().is_some())
            };
            if COUNTERS.iter().any(guarded) {
                this.take_up(left.app, |entry| this.apps.to_settle_soon(entry));
            } else {
                this.apps.to_meet(left.app);
            }
        }
        for app in this.owed.apps_that_gave() {
            this.take_up(app, |entry| this.apps.to_settle_soon(entry));
        }
        for login in this.logins.copy() {
            this.take_up(login.app, |entry| {
                entry.books().days.of(login.day).active_pending += 1;
            });
        }
        let recalls = wanted;
        Ok((this, Queues { asked, recalls }))
    }

    /// The same, going by `policy` while the ledger is away, and not by the default.
    #[must_use]
    pub fn under(mut self, policy: OutagePolicy) -> Self {
        self.outlook.go_by(policy);
        self
    }

    /// The same, remembering request ids as `policy` says, and not as by default.
    #[must_use]
    pub fn remembering(mut self, policy: IdPolicy) -> Self {
        self.ids.go_by(policy);
        self
    }

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

    /// Settles, carries logins and saves until `stop` turns true. What was on its way to the ledger is
    /// then broken off, since a ledger that hangs must not hold up the end: it stays owed. A checkpoint
    /// is finished, so this must not be dropped before.
    pub async fn keep(&self, queues: &mut Queues, stop: &signal::Receiver<bool>) {
        tokio::join!(
            until(stop.clone(), self.beats()),
            until(stop.clone(), meeting::keep(self)),
            until(stop.clone(), outage::keep(self)),
            until(stop.clone(), watch::keep(self)),
            until(stop.clone(), holds::keep(self)),
            until(stop.clone(), register::keep(self)),
            until(stop.clone(), watch::hurry(self)),
            until(stop.clone(), watch::recall(self, &mut queues.recalls)),
            until(stop.clone(), logins::keep(self, &mut queues.asked)),
            save::keep(self, stop.clone()),
        );
    }

    /// The task by which a shared ledger knows this member. One in this process needs none.
    async fn beats(&self) {
        if self.store.is_local() {
            std::future::pending::<()>().await;
        } else {
            membership::keep(self).await;
        }
    }

    /// Tells the ledger all that is known here, and leaves a shared one in good order, if it can be
    /// reached. What it does not hear stays in the journal for the next start. May be broken off at any
    /// time, which a start finds out.
    pub async fn part(&self) {
        if self.store.is_local() {
            self.settle_rest().await;
            return;
        }
        match membership::leave(self).await {
            Ok(()) => tracing::info!("left: the next start is a new member"),
            Err(why) => {
                tracing::warn!(%why, "this sidecar stays a member; its journal waits for the next start");
                self.settle_rest().await;
            }
        }
    }

    /// Tells the ledger all that is known here, if it can be reached. What it does not hear stays in
    /// the journal for the next start.
    pub async fn settle_rest(&self) {
        if self.outlook.state() == State::Up
            && let Err(fault) = settle::settle(self, settle::Scope::All).await
        {
            tracing::warn!(%fault, "some counts wait in the journal for the next start");
        }
    }

    /// Whether the ledger has yet to hear of anything.
    fn owes(&self) -> bool {
        let OwedCopy { takes, releases } = self.owed.copy();
        let waits = |shard| {
            self.apps.unsettled(shard) + self.apps.unsettled_soon(shard) > 0
                || !self.logins.waiting(shard).is_empty()
        };
        !takes.is_empty()
            || self.apps.unmet() > 0
            || !releases.is_empty()
            || Shard::all().any(waits)
            || self.apps.all().iter().any(|entry| entry.is_owed())
    }

    /// Saves the journal; the last thing to do.
    pub async fn close(&self) {
        if let Err(why) = save::save(self).await {
            tracing::warn!(%why, "the last checkpoint failed; the next start replays the journal");
        }
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

    /// Goes by another settings file from now on, with all that was met.
    pub fn go_by(&self, file: Rulebook) {
        let known = self.rules.file();
        let new = file.apps.keys().filter(|app| !known.apps.contains_key(app));
        let new: Vec<_> = new.copied().collect();
        self.rules.go_by(file);
        for entry in self.apps.all() {
            self.heed(&entry);
        }
        self.apps.to_tell(new.into_iter());
    }

    /// Has an app that was met live under the rules that hold now. What it was lent under others goes back: the
    /// ledger lends anew under these.
    fn heed(&self, entry: &Arc<Entry>) {
        let change = match self.rules.of(entry.app) {
            Standing::Known(rules) => entry.live_by(&rules),
            Standing::Deleted(_) | Standing::Unknown => entry.end(),
        };
        if change == Change::None {
            return;
        }
        if !self.store.is_local() {
            self.return_spare(entry);
        }
        // It may be a plan that the ledger is to know.
        self.apps.to_settle(entry);
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

    /// What `then` makes of the app's entry, if it was met before. This is the way of every check.
    #[inline]
    pub fn with_met<R>(&self, app: AppId, then: impl FnOnce(&Arc<Entry>) -> R) -> Option<R> {
        self.apps.with(app, then)
    }

    /// The app's entry if it was met before.
    pub fn met_entry(&self, app: AppId) -> Option<Arc<Entry>> {
        self.apps.get(app)
    }

    /// Checks of these apps follow in a moment.
    pub fn foresee(&self, apps: impl Iterator<Item = AppId>) {
        self.apps.foresee(apps);
    }

    /// The app's entry, made on the first touch; `None` if nobody knows the app. One that was deleted still has
    /// one: what it owes is settled.
    ///
    /// # Errors
    /// [`Crowded`].
    pub fn entry(&self, app: AppId) -> Result<Option<Arc<Entry>>, Crowded> {
        if let Some(entry) = self.apps.get(app) {
            return Ok(Some(entry));
        }
        let (rules, gone) = match self.rules.of(app) {
            Standing::Known(rules) => (rules, false),
            Standing::Deleted(rules) => (rules, true),
            Standing::Unknown => return Ok(None),
        };
        if !self.apps.has_room() {
            return Err(Crowded::Apps);
        }
        let cells = self.journal.cells_of(app).map_err(|why| {
            tracing::error!(%app, %why, "the journal could not be read");
            Crowded::Unreadable
        })?;
        let entry = Entry::restored(app, rules, &cells);
        if gone {
            entry.end();
        }
        let today = self.zone.day(self.now());
        if let Some(view) = self.store.glance(app, today) {
            entry.learn(&view, today);
            self.note_held(&entry, &view);
        }
        let entry = self.apps.keep(entry);
        // They may have changed meanwhile.
        self.heed(&entry);
        // The ledger is to know its plan, whether anything is counted or not.
        self.apps.to_settle(&entry);
        Ok(Some(entry))
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

    /// Takes up to `most` apps on of which the last run left something that nobody waits for.
    fn take_up_unmet(&self, most: usize) {
        for app in self.apps.take_unmet(most) {
            self.take_up(app, |entry| {
                self.apps.to_settle(entry);
                entry.rest();
            });
        }
    }

    /// Takes up to `most` apps on of those whose plan the ledger has yet to be told.
    fn take_up_untold(&self, most: usize) {
        for app in self.apps.take_untold(most) {
            // One for which there is no room is told when it is met.
            if let Ok(Some(entry)) = self.entry(app) {
                entry.rest();
            }
        }
    }

    /// Does something with an app of which the last run left something.
    fn take_up(&self, app: AppId, with: impl FnOnce(&Arc<Entry>)) {
        match self.entry(app) {
            Ok(Some(entry)) => with(&entry),
            Ok(None) => tracing::warn!(%app, "is not in the settings; what is owed for it is kept"),
            Err(why) => tracing::warn!(%app, %why, "what is owed for it is kept"),
        }
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

/// Runs `task` until `stop` turns true.
async fn until(mut stop: signal::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = stopped(&mut stop) => {}
        () = task => {}
    }
}

/// Ends when `stop` turns true, or when nobody is left who could turn it.
async fn stopped(stop: &mut signal::Receiver<bool>) {
    // What it answers holds the channel's lock; nobody may wait with it.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Why an app cannot be taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// [`APPS_MAX`] is reached.
    #[error("this sidecar keeps {APPS_MAX} apps already")]
    Apps,
    /// The journal cannot be read.
    #[error("the journal cannot be read; see the log")]
    Unreadable,
}

#[cfg(test)]
mod tests;
