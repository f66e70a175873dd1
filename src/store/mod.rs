//! The shared ledger behind one narrow trait: what it is asked, and what it answers.
//!
//! Two stores answer it: [`embedded`] (one member, a database file of its own) and [`redis`] (many
//! members, server-side steps). Both pass the same suite (`tests/store`).
//!
//! The words: a *take* is a creation written as one record of its app; a *claim* is one attempt's
//! hold on that record; *totals* are a member's own running sums, each with one writer, which the
//! ledger merges by maximum, so that a report lost, repeated or reordered does no harm.

mod active;
mod amended;
mod calls;
pub mod embedded;
mod history;
mod hold;
mod member;
mod operator;
mod past;
pub mod redis;
mod register;
mod report;
mod take;

pub use active::{Active, Login, Usage};
pub use calls::{CallCounts, Calls, Failure};
pub use history::{
    Amendment, BILL_BYTES_MAX, Change, Correction, DAY_TAKES_MS, DayHistory, MonthHistory,
    PLANS_MAX, SEAL_MARGIN_MS, SEALED_AFTER_MS,
};
pub use hold::{Adopted, HOLDS_MAX, Hold, HoldState, Intent, OBJECTS_MAX};
pub use member::{
    BEAT_MS, Base, Bases, Beat, Beaten, Installation, LEASE_TTL_MS, Member, Recovery, Roll,
    STATEMENT_BASES_MAX, STATEMENT_GONE_MAX, Statement,
};
pub use operator::{
    AUDIT_MAX, AUDIT_TEXT_MAX, AuditEntry, FREEZE_MS, FREEZES_MAX, Freeze, IMPORT_MS, Imports,
    MemberInfo, Operator, Recount, Recounted, Retired, Standing,
};
pub use register::{
    Entered, REGISTER_PAGE_MAX, RegisterPage, Registration, read_registered, write_registered,
};
pub use report::{
    Abort, Ack, Answered, AppReport, Cell, CellReport, Escrow, Gave, Known, Report, Settled,
    TooLate, Totals, View, Wish,
};
pub use take::{
    Attempt, Beside, Fingerprint, GaveBack, GiveBack, GivenBack, RecordKey, Take, Taken, Undecided,
    Whose,
};

use futures_util::future::BoxFuture;

use crate::clock::{Day, Millis, Month};
use crate::quota::{AppId, ObjectNumber, Registered, RequestId, Resource, Retention};

/// How many ledger shards the apps are spread over. Fixed for an installation.
pub const SHARDS: u16 = 256;
/// The most apps in one [`Report`].
pub const REPORT_APPS_MAX: usize = 64;
/// The most records in one [`Report`], of all kinds together: so many take the ledger less than 2 ms, for which
/// nobody else is served. In a [`Statement`], of each kind.
pub const REPORT_RECORDS_MAX: usize = 96;
/// The most logins in one [`Store::record_active`]: those of one call of a gateway, which take Redis about 4 ms.
pub const LOGINS_MAX: usize = 1_000;
/// For how long the ledger remembers a record by its request id, at least.
pub const ID_WINDOW_MS: i64 = 10 * 60 * 1000;

/// A ledger shard: apps of one shard can be settled in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u16);

impl Shard {
    /// The shard of `app`; stable for ever, since keys carry it.
    #[must_use]
    pub fn of(app: AppId) -> Self {
        // Fibonacci hashing: neighbouring ids spread over all shards.
        let mixed = app.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        Self(u16::try_from(mixed).unwrap_or(0) % SHARDS)
    }

    /// Its number, 0 to [`SHARDS`] − 1.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// The one beside which that is kept which belongs to no app's shard.
    #[must_use]
    pub fn home() -> Self {
        Self(0)
    }

    /// Every shard, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS).map(Self)
    }
}

/// Why the ledger gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// It cannot be reached, or refuses to work. Whether the call had an effect is unknown.
    #[error("the ledger is away: {0}")]
    Away(String),
    /// It is there but has forgotten something it once acknowledged, or may have: hard limits wait.
    #[error("the ledger is frozen: {0}")]
    Frozen(String),
    /// It is well, and this process is none of its members: a later process has the journal, it runs on a
    /// copy, or another installation stands here. Whatever lease it had is over.
    #[error("this process may not use the ledger: {0}")]
    Fenced(String),
    /// It is not a ledger that this program can use (another zone, another format, damaged). Final.
    #[error("{0}")]
    Unusable(String),
}

/// A store's answer, in time.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, StoreFault>>;

/// The shared ledger. Every call is one atomic step, but for those that speak of many apps: what they say of one app is done in
/// one step. A dropped future may still take effect.
///
/// `now` is the caller's time; a store with a clock of its own uses that.
pub trait Store: Send + Sync + 'static {
    /// For how long it keeps the past.
    fn retention(&self) -> Retention {
        Retention::default()
    }

    /// Makes the member known and learns who the ledger is. Comes before all else, and again after
    /// every [`StoreFault`]. `remembered` is what the data folder knows from before: a ledger that
    /// shows anything else is [`StoreFault::Frozen`]; only a member that remembers nothing may
    /// initialise an empty one.
    fn hello<'a>(
        &'a self,
        member: &'a Member,
        remembered: Option<Installation>,
        now: Millis,
    ) -> Reply<'a, Installation>;

    /// Writes a record if its charge fits, or finds the one that is there.
    fn take<'a>(&'a self, take: &'a Take, now: Millis) -> Reply<'a, Taken>;

    /// Gives back what was counted, at most as much as was.
    fn release<'a>(&'a self, give_back: &'a GiveBack, now: Millis) -> Reply<'a, GivenBack>;

    /// Merges totals, withdraws attempts, keeps answered takes, lends what is wished for. `day` is today, whose month gets the
    /// peaks and whose gain the views show. Answers one view for each app of `report.apps`, in order.
    ///
    /// A month's group peak, and a day's, is the highest net count in the order of settlement. A month begins with
    /// what is carried in, a day with what the one before it ended with. What comes after midnight is of the day on which
    /// it comes: where groups of the app came or went on a later day than `day`, of that one. A held record is not part of it before it is answered, so that a hold
    /// which is withdrawn leaves nothing on the bill; a report that says nothing new leaves nothing
    /// either, whatever its `high`. After a crash a ledger in this process is told its lost calls
    /// again in the order of the journal: a release before its creation would find nothing to give
    /// back.
    fn settle<'a>(
        &'a self,
        shard: Shard,
        report: &'a Report,
        day: Day,
        now: Millis,
    ) -> Reply<'a, Settled>;

    /// A sign of life, by which the ledger knows its members, gives leases, and opens and closes
    /// recoveries. From the answer on every call carries the epoch that it named; answers to calls of an
    /// older epoch are [`StoreFault::Away`].
    fn beat<'a>(&'a self, beat: &'a Beat) -> Reply<'a, Beaten>;

    /// States a part of what this member knows to a shard, in an open recovery or after it.
    fn restate<'a>(&'a self, shard: Shard, statement: &'a Statement, day: Day) -> Reply<'a, ()>;

    /// The bases of `shard` that are newer than version `since`.
    fn bases(&self, shard: Shard, since: u64) -> Reply<'_, Bases>;

    /// Folds this member's sums of some apps of `shard`, at most [`REPORT_APPS_MAX`], into the bases. From
    /// the first such call on the shard takes no report of this member. Comes after everything was
    /// settled and returned, for all its apps, and before [`Store::leave`]. May be repeated.
    fn fold<'a>(&'a self, shard: Shard, apps: &'a [AppId]) -> Reply<'a, ()>;

    /// Marks this member gone, and tells the others that there are new bases. Answers the number of that
    /// news: the leave is complete when another member has them.
    fn leave(&self) -> Reply<'_, u64>;

    /// Asks all members to return what they do not spend of an app's grants.
    fn recall(&self, app: AppId) -> Reply<'_, ()>;

    /// Adds users to their days' sets; at most [`LOGINS_MAX`], all apps of `shard`. Answers in order. Those of
    /// a sealed day are not counted, and noted in their month.
    fn record_active<'a>(
        &'a self,
        shard: Shard,
        logins: &'a [Login],
        now: Millis,
    ) -> Reply<'a, Vec<Active>>;

    /// The reservation that a client made under an id, whatever became of it; changes nothing.
    fn hold<'a>(&'a self, app: AppId, id: &'a RequestId, now: Millis) -> Reply<'a, Option<Hold>>;

    /// An app's reservations that are neither confirmed nor ended, those first whose time ends first; at most
    /// `most`, of at most [`HOLDS_MAX`]. Changes nothing.
    fn holds(&self, app: AppId, most: usize, now: Millis) -> Reply<'_, Vec<Hold>>;

    /// Whether an object is counted, or held by a creation on its way; changes nothing.
    fn knows_object(&self, app: AppId, object: ObjectNumber) -> Reply<'_, bool>;

    /// Names objects that are counted already, without a name; at most [`OBJECTS_MAX`]. Counts nothing. May be
    /// repeated. Answers in order.
    fn adopt<'a>(
        &'a self,
        app: AppId,
        resource: Resource,
        objects: &'a [ObjectNumber],
        now: Millis,
    ) -> Reply<'a, Vec<Adopted>>;

    /// Reads an app's counts; changes nothing.
    fn usage(&self, app: AppId, day: Day, now: Millis) -> Reply<'_, Usage>;

    /// What is kept of an app's month; changes nothing. `today` says which month runs.
    fn month(&self, app: AppId, month: Month, today: Day, now: Millis) -> Reply<'_, MonthHistory>;

    /// What operators registered, after the place `since` of the register's order (0: from the beginning).
    fn register(&self, since: u64) -> Reply<'_, RegisterPage>;

    /// States registrations to a ledger that does not have them, or older ones. Of two the newer stays.
    fn state_register<'a>(&'a self, rows: &'a [Registered]) -> Reply<'a, ()>;

    /// The counts, where they can be had without waiting (a ledger in this process).
    fn glance(&self, app: AppId, day: Day) -> Option<View>;

    /// Makes all that was acknowledged so far survive without the member's journal. `log_from` is
    /// when the oldest part of the journal was begun that will be kept: records older than that may
    /// be folded into the counts, those that a client named only when they are older than the id
    /// window as well.
    fn checkpoint(&self, log_from: Millis) -> Reply<'_, ()>;

    /// Whether answers come from this process' own memory (one member, nothing shared).
    fn is_local(&self) -> bool;

    /// What its calls cost, where it is in another process.
    fn calls(&self) -> Option<&Calls> {
        None
    }
}
