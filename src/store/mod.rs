//! The shared ledger behind one narrow trait: what it is asked, and what it answers.
//!
//! Two stores answer it: [`embedded`] (one member, a database file of its own) and [`redis`] (many
//! members, server-side steps). Both pass the same suite (`tests/store`).
//!
//! The words: a *take* is a creation written as one record of its app; a *claim* is one attempt's
//! hold on that record; *totals* are a member's own running sums, each with one writer, which the
//! ledger merges by maximum, so that a report lost, repeated or reordered does no harm.

pub mod embedded;
pub mod redis;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::clock::{Day, Millis};
use crate::quota::{Amount, AppId, Charge, Counter, RequestId, Resource};

/// How many ledger shards the apps are spread over. Fixed for an installation.
pub const SHARDS: u16 = 256;
/// The most apps in one [`Report`].
pub const REPORT_APPS_MAX: usize = 64;
/// The most answered takes, and the most aborts, in one [`Report`].
pub const REPORT_RECORDS_MAX: usize = 256;
/// The most logins in one [`Store::record_active`].
pub const LOGINS_MAX: usize = 512;
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

    /// Every shard, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS).map(Self)
    }
}

/// One sidecar with its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name that operators know, the host's by default.
    pub name: Arc<str>,
    /// Drawn at random when the journal was made: another journal is another member.
    pub incarnation: u64,
    /// How often the journal was opened; attempt numbers start from it.
    pub boot: u32,
}

/// Who the ledger is. Remembered in every data folder: a ledger that shows another id, or none, has
/// forgotten what it once acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installation {
    /// Drawn at random when the ledger was made.
    pub id: u64,
    /// The key of the user hash, the same for all members.
    pub user_key: [u8; 16],
}

/// The record's key within its app: the client's request id, or one that the sidecar made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordKey {
    /// The id that the client sent; its outcome is remembered, a refusal too.
    Client(RequestId),
    /// Made from incarnation and attempt for a call without an id: never repeated.
    Own {
        /// The member's incarnation.
        incarnation: u64,
        /// The attempt it was made for.
        attempt: Attempt,
    },
}

/// The number of one try of one member. Never repeats for an incarnation, not even after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt(pub u64);

/// A hash of all that a request asks for, so that one id cannot stand for two contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub u64);

/// A creation on the record path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// The app that creates.
    pub app: AppId,
    /// The record to write, or to find.
    pub key: RecordKey,
    /// What the request asks for.
    pub fingerprint: Fingerprint,
    /// This try; its claim can be withdrawn by [`Abort`].
    pub attempt: Attempt,
    /// What is created, and the limits it must stay within.
    pub charge: Charge,
    /// The day that the gain counts for.
    pub day: Day,
}

/// What became of a [`Take`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Counted, now or by an earlier try of the same id.
    Allowed {
        /// The app's counts, this creation included.
        view: View,
        /// Whether an earlier try of the same id had counted it.
        replayed: bool,
    },
    /// A limit stands in the way; nothing was counted.
    Denied {
        /// The first part of the charge that did not fit.
        counter: Counter,
        /// The app's counts.
        view: View,
        /// Whether this repeats what an earlier try of the same id was told.
        replayed: bool,
    },
    /// The id belongs to a request of other content. Nothing was changed.
    OtherContent,
    /// This attempt was withdrawn before it arrived. Nothing was changed.
    Withdrawn,
}

/// A release on the record path: idempotent by its key, bounded by what the ledger has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GiveBack {
    /// The app that deletes.
    pub app: AppId,
    /// The record to write, or to find.
    pub key: RecordKey,
    /// What the request asks for.
    pub fingerprint: Fingerprint,
    /// What was deleted.
    pub resource: Resource,
    /// How many of them.
    pub amount: Amount,
    /// What it gave back, where that was answered already: a ledger in this process that lost it with
    /// the process is told again, and gives back that much. `None`: it is not known.
    pub given: Option<u32>,
    /// Whether a group's counters move with it (a group, or an AV room that counts as one).
    pub groups_follow: bool,
    /// The day whose gain falls.
    pub day: Day,
}

/// What became of a [`GiveBack`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenBack {
    /// Done, now or by an earlier try of the same id.
    Released {
        /// How many were counted and are no more: 0 to the amount.
        released: u32,
        /// The app's counts, this release included.
        view: View,
        /// Whether an earlier try of the same id had released them.
        replayed: bool,
    },
    /// The id belongs to a request of other content. Nothing was changed.
    OtherContent,
}

/// A member's running sums for one cell; both only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Objects created from memory.
    pub consumed: u64,
    /// Objects released from memory.
    pub released: u64,
}

impl Totals {
    /// What the member contributes to the net count.
    #[must_use]
    pub fn net(self) -> i64 {
        // Totals stay below 2^53: a ledger refuses larger ones.
        self.consumed
            .cast_signed()
            .wrapping_sub(self.released.cast_signed())
    }
}

/// Which of an app's sums a report speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cell {
    /// A live count: accounts, groups or AV rooms.
    Live(Resource),
    /// Groups gained on a day.
    Gained(Day),
    /// Active users of a day that a gateway counted itself (`increment`); only `consumed` is used.
    Increment(Day),
}

impl Cell {
    /// The day that the cell belongs to; `None` for a live count, which belongs to none.
    #[must_use]
    pub fn day(self) -> Option<Day> {
        match self {
            Self::Live(_) => None,
            Self::Gained(day) | Self::Increment(day) => Some(day),
        }
    }
}

/// One cell's totals, and the highest net that the member saw since its last acknowledged report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellReport {
    /// Which cell.
    pub cell: Cell,
    /// The member's sums.
    pub totals: Totals,
    /// The highest net since the last acknowledged report, for the month's peak.
    pub high: i64,
}

/// What a member has to say of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppReport {
    /// The app.
    pub app: AppId,
    /// Its cells that changed.
    pub cells: Vec<CellReport>,
}

/// A take whose answer went out, stated so that the ledger keeps it for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The take as it was sent.
    pub take: Take,
    /// The counter that stood in the way; `None`: the answer was ALLOW.
    pub refused: Option<Counter>,
}

/// A withdrawal of one attempt whose outcome is unknown: a record left without claims is freed, and
/// a late arrival of the attempt does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    /// The take's app.
    pub app: AppId,
    /// The take's record.
    pub key: RecordKey,
    /// The attempt to withdraw.
    pub attempt: Attempt,
}

/// What one call settles: many apps of one shard. Totals are merged first, then answers, then aborts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// At most [`REPORT_APPS_MAX`].
    pub apps: Vec<AppReport>,
    /// At most [`REPORT_RECORDS_MAX`]; stated before the aborts are.
    pub answered: Vec<Answered>,
    /// At most [`REPORT_RECORDS_MAX`].
    pub aborts: Vec<Abort>,
}

/// An app's counts as the ledger has them, by [`Counter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// Net counts over all members and records; the gain is the asked day's.
    pub net: [i64; 4],
    /// What this member's own totals contribute to `net`, so that it can add what is newer.
    pub mine: [Totals; 4],
}

impl View {
    /// The net count of `counter` without this member's own totals.
    #[must_use]
    pub fn others(&self, counter: Counter) -> i64 {
        self.net[counter.index()].saturating_sub(self.mine[counter.index()].net())
    }
}

/// A user who logged in: the app, the day of the event, and the keyed hash of the user's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Login {
    /// The app that the user logged in to.
    pub app: AppId,
    /// The day of the event.
    pub day: Day,
    /// 128 bits of keyed hash.
    pub user: u128,
}

/// What the ledger knows after a [`Login`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    /// Whether the user was not yet active on that day.
    pub newly: bool,
    /// Distinct active users of that app and day, increments included, after the whole call.
    pub daily_active: u64,
}

/// What GetUsage reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// The counts.
    pub view: View,
    /// Distinct active users of the day, increments included.
    pub daily_active: u64,
    /// This member's own increment total that `daily_active` contains.
    pub my_increment: u64,
    /// The highest daily active users of the day's month, up to now.
    pub month_peak_daily_active: u64,
    /// The highest net group count of the day's month, up to now, the value carried in and what is
    /// held at this moment included.
    pub month_peak_groups: u64,
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
    /// It is not a ledger that this program can use (another zone, another format, damaged). Final.
    #[error("{0}")]
    Unusable(String),
}

/// A store's answer, in time.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, StoreFault>>;

/// The shared ledger. Every call is one atomic step. A dropped future may still take effect.
///
/// `now` is the caller's time; a store with a clock of its own uses that.
pub trait Store: Send + Sync + 'static {
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

    /// Merges totals, keeps answered takes, withdraws attempts. `day` is today, whose month gets the
    /// peaks and whose gain the views show. Answers one view for each app of `report.apps`, in order.
    ///
    /// A month's group peak is the highest net count in the order of settlement. A month begins with
    /// what is carried in. A held record is not part of it before it is answered, so that a hold
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
    ) -> Reply<'a, Vec<View>>;

    /// Adds users to their days' sets; at most [`LOGINS_MAX`], all apps of `shard`. Answers in order.
    fn record_active<'a>(
        &'a self,
        shard: Shard,
        logins: &'a [Login],
        now: Millis,
    ) -> Reply<'a, Vec<Active>>;

    /// Reads an app's counts; changes nothing.
    fn usage(&self, app: AppId, day: Day, now: Millis) -> Reply<'_, Usage>;

    /// The counts, where they can be had without waiting (a ledger in this process).
    fn glance(&self, app: AppId, day: Day) -> Option<View>;

    /// Makes all that was acknowledged so far survive without the member's journal. `log_from` is
    /// when the oldest part of the journal was begun that will be kept: records older than that may
    /// be folded into the counts, those that a client named only when they are older than the id
    /// window as well.
    fn checkpoint(&self, log_from: Millis) -> Reply<'_, ()>;

    /// Whether answers come from this process' own memory (one member, nothing shared).
    fn is_local(&self) -> bool;
}
