//! Members: who they are, their beat, and what they state to a ledger that forgot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Abort, Answered, AppReport, GaveBack, Known};
use crate::quota::{AppId, Counter};

/// The most bases in one [`Statement`].
pub const STATEMENT_BASES_MAX: usize = 256;

/// The most marks of the gone in one [`Statement`]: a script hands a part of it to a call as single values,
/// and there is a bound to how many those may be.
pub const STATEMENT_GONE_MAX: usize = 256;

/// One sidecar with its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name that operators know, the host's by default.
    pub name: Arc<str>,
    /// Drawn at random when the journal was made: another journal is another member.
    pub incarnation: u64,
    /// How often the journal was opened; attempt numbers start from it.
    pub boot: u32,
    /// Whether it does nothing any more but leave. What else is asked meanwhile is another's, and is refused.
    pub leaves: bool,
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

/// Who is registered with the ledger, and who is known to be gone. Each member keeps the last one in
/// its journal: after a loss, those on any stated roll are waited for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roll {
    /// Grows with each change; comparable within an epoch.
    pub version: u64,
    /// Registered members that are not gone, by incarnation, with their names.
    pub present: BTreeMap<u64, Box<str>>,
    /// Members that left or were retired. Absence from `present` never means gone; this does.
    pub gone: BTreeSet<u64>,
    /// Members that were silent for a minute, and how many calls of theirs the ledger then had: if it
    /// has as many after a loss, nothing of theirs was lost.
    pub silent: BTreeMap<u64, u64>,
    /// The number of the newest change of bases (see [`Base`]) by a leave, a retirement or a recount.
    pub news: u64,
}

/// A member's sign of life, once every [`BEAT_MS`]. Registers the member if it is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beat {
    /// The newest recovery that the member's journal knows of; 0: none. A ledger that shows an older one
    /// has forgotten it.
    pub epoch: u64,
    /// The epoch whose restatement the ledger has acknowledged in full; 0: none.
    pub restated: u64,
    /// The version of the roll in the member's journal, if it is of `epoch`; 0: none.
    pub roll_version: u64,
    /// The roll to state, while a recovery is open and `restated` is its epoch.
    pub roll: Option<Roll>,
    /// Up to which news the member has every base in its journal.
    pub news: u64,
    /// Whether it is about to leave: it gets no lease and restores no meta key.
    pub leaving: bool,
    /// Whether its journal has never known a roll: it restores no meta key and supplies no closing roll.
    pub fresh: bool,
}

/// How often a member beats.
pub const BEAT_MS: u64 = 500;
/// For how long a beat that was answered lets its member admit, counted from when it was sent.
pub const LEASE_TTL_MS: u64 = 5_000;

/// The answer to a [`Beat`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beaten {
    /// The number of the newest recovery; only grows, and is never used twice.
    pub epoch: u64,
    /// How it stands with that recovery.
    pub recovery: Recovery,
    /// Whether the member may admit until [`LEASE_TTL_MS`] after it sent the beat.
    pub leased: bool,
    /// Whether the ledger counts the member as gone: it must stop for good.
    pub gone: bool,
    /// The roll, where it is newer than the one that the beat named.
    pub roll: Option<Roll>,
    /// The number of the newest news of bases.
    pub news: u64,
    /// Up to which news at least one other present member has every base.
    pub news_elsewhere: u64,
    /// Apps that are frozen by a recount, with the token.
    pub notices: Vec<(AppId, u64)>,
    /// Apps in which somebody starves for units that lie idle.
    pub recalls: Vec<AppId>,
}

/// How it stands with a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recovery {
    /// All is told: limits are judged.
    #[default]
    Closed,
    /// Members restate; nothing is granted, taken or released.
    Open,
    /// Somebody who was waited for did not come, or a base is known to nobody: apps wait for a recount,
    /// each for its own.
    Incomplete,
}

/// What no present member's sums contain of a counter: of members that left or were retired, or set by a
/// recount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The app.
    pub app: AppId,
    /// Which of its counts.
    pub counter: Counter,
    /// The generation it belongs to; of a gain, the number of its day, of which there is but the newest.
    pub generation: u64,
    /// The shard's count of writes when it last changed. Of two bases the one with the higher
    /// (generation, version) is the newer.
    pub version: u64,
    /// How much.
    pub amount: i64,
}

/// Bases of a shard that changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bases {
    /// The highest version of any base of the shard.
    pub upto: u64,
    /// Those that are newer than what was asked for.
    pub changed: Vec<Base>,
}

/// Part of what a member states to one shard of a ledger that forgot. Every part may be repeated, and
/// parts may come in any order. A member states at least one part, if an empty one, to every shard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statement {
    /// All of this member's cells of some apps, at most [`super::REPORT_APPS_MAX`] apps.
    pub apps: Vec<AppReport>,
    /// Bases that it knows, at most [`STATEMENT_BASES_MAX`].
    pub bases: Vec<Base>,
    /// All answers of the id window that the ledger has not acknowledged, at most
    /// [`super::REPORT_RECORDS_MAX`]. Those of an app are in the same part as, or in an earlier part than, the app.
    pub answered: Vec<Answered>,
    /// Those of them that the ledger had settled, at most [`super::REPORT_RECORDS_MAX`]; placed like `answered`.
    /// They are charged nowhere: somebody's sums contained each in the lives that it names, or a recount has
    /// taken their place since.
    pub kept: Vec<Known>,
    /// Releases of the id window that this member owns, as far as remembered, at most
    /// [`super::REPORT_RECORDS_MAX`]; placed like `answered`. They count nothing: this member's sums contain
    /// what fell, or a recount lacks it.
    pub released: Vec<GaveBack>,
    /// Withdrawals that are owed, at most [`super::REPORT_RECORDS_MAX`]; placed like `answered`. A claim of
    /// this member in an app that it states, of an attempt that no part has named, is an old one that
    /// came to rest: it holds nothing.
    pub aborts: Vec<Abort>,
    /// Members that it knows to be gone, at most [`STATEMENT_GONE_MAX`].
    pub gone: BTreeSet<u64>,
}
