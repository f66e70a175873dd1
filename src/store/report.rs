//! What a member tells the ledger of its sums, and what it is told.

use super::{Attempt, RecordKey, Take};
use crate::clock::Day;
use crate::quota::{AppId, Counter, PlanName, RequestId, Resource};

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

/// A member's account of one cell that a limit guards, beside its [`Totals`]. A *grant* is units that
/// the ledger lends a member to spend; what is granted and not done is its *spare*. Sums only grow and
/// are merged by maximum; `granted` is written by the ledger, all others by the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Escrow {
    /// The cell's life between two recounts, as far as the member knows it: 0 until the first. A cell of
    /// a day has one life.
    pub generation: u64,
    /// How much of the member's net (all sums, see [`Escrow::net`]) the last recount already contains.
    /// Belongs to `generation`. Written by the ledger where the member acknowledged the freeze; else by the
    /// member when it learns the generation: all that it had counted until then.
    pub offset: i64,
    /// Objects created by records that this member owns.
    pub taken: u64,
    /// Objects given back by releases that this member owns.
    pub given: u64,
    /// Units that the ledger ever lent it.
    pub granted: u64,
    /// Units of grants that it spent or returned.
    pub done: u64,
}

impl Escrow {
    /// What may still be spent of what was granted.
    #[must_use]
    pub fn spare(&self) -> u64 {
        self.granted.saturating_sub(self.done)
    }

    /// What the member contributes to the count: `totals`, and what it took and gave by records.
    #[must_use]
    pub fn net(&self, totals: Totals) -> i64 {
        let records = self
            .taken
            .cast_signed()
            .wrapping_sub(self.given.cast_signed());
        totals.net().wrapping_add(records)
    }
}

/// What a member would like to be lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// How many units it would like to have to spend, those it has included: about two seconds of its
    /// recent demand.
    pub units: u64,
    /// The limit that it knows; where members know different ones, the newest edition's counts, and of one edition
    /// the lowest.
    pub limit: u64,
    /// Of which edition of the app's rules the limit is; 0: of a settings file.
    pub edition: u64,
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
    /// The member's account of a cell that a limit guards, or guarded once; `None` where it has none.
    pub escrow: Option<Escrow>,
    /// What it would like to be lent.
    pub wish: Option<Wish>,
}

/// What a member has to say of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppReport {
    /// The app.
    pub app: AppId,
    /// Its cells that changed.
    pub cells: Vec<CellReport>,
    /// The token of the freeze that this member acknowledges: nothing is open, spent or kept.
    pub acks_freeze: Option<u64>,
    /// The plan that the app has by this member's settings, where the ledger was not told yet: from today on. In a
    /// [`Statement`](super::Statement) it is for a ledger that knows none of the app any more.
    pub plan: Option<PlanName>,
}

/// A take whose answer went out, stated so that the ledger keeps it for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The take as it was sent.
    pub take: Take,
    /// The counter that stood in the way; `None`: the answer was ALLOW.
    pub refused: Option<Counter>,
    /// The generation of the charge's first counter in which the reporter's [`Escrow::taken`] contains
    /// it; `None`: it is in no totals of the reporter's.
    pub contained: Option<u64>,
}

/// An answer that the ledger had settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What was answered.
    pub answered: Answered,
    /// The generations of the charge's live counters in which it was counted, in the order of its parts; none, if
    /// it was refused, or if its object was deleted before the ledger heard of it: of that its id is to be known.
    pub lives: Vec<u64>,
}

/// What the ledger says of an [`Answered`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// It is in somebody's totals, or nothing is to be counted: done.
    Counted,
    /// It is in nobody's totals, and nobody else will count it: the reporter adds it to its own, and
    /// reports it again.
    Yours,
    /// Charged, but not known to be in anybody's totals: to be reported again.
    Again,
    /// The object was deleted before the ledger heard that it was created: the reporter gives it back in its
    /// own totals, if they contain it, and that is the end of it.
    Gone,
}

/// The key of a release whose amount the reporter's [`Escrow::given`] contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gave {
    /// Its app.
    pub app: AppId,
    /// Its record.
    pub key: RecordKey,
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
    /// The client's id, as in [`Take::note`]: what it was to stand for, it does not stand for by this attempt.
    pub note: Option<RequestId>,
}

impl Abort {
    /// That of a take.
    #[must_use]
    pub fn of(take: &Take) -> Self {
        Self {
            app: take.app,
            key: take.key.clone(),
            attempt: take.attempt,
            note: take.note.clone(),
        }
    }
}

/// What one call settles, in one step of the ledger: many apps of one shard. Nobody sees sums without what
/// became of the records that they contain, so that nothing is charged twice meanwhile. Of records at most
/// [`REPORT_RECORDS_MAX`](super::REPORT_RECORDS_MAX), of all kinds together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// At most [`REPORT_APPS_MAX`](super::REPORT_APPS_MAX).
    pub apps: Vec<AppReport>,
    /// Takes whose answer went out; heard after the aborts.
    pub answered: Vec<Answered>,
    /// Attempts to withdraw.
    pub aborts: Vec<Abort>,
    /// Releases that the sums contain.
    pub gave: Vec<Gave>,
}

/// The answer to a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// A view for each app of `apps`, in order.
    pub views: Vec<View>,
    /// What became of each of `answered`, in order.
    pub acks: Vec<Ack>,
    /// Users that were not counted, since their day is sealed.
    pub too_late: Vec<TooLate>,
}

/// Users whom a gateway counted itself, of whom the ledger was told when their day was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLate {
    /// Their app.
    pub app: AppId,
    /// The day.
    pub day: Day,
    /// How many.
    pub users: u64,
}

/// An app's counts as the ledger has them, by [`Counter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// Net counts over all members and records, with what reservations hold; the gain is the asked day's.
    /// What is lent and not spent is not in it.
    pub net: [i64; 4],
    /// What this member's own totals contribute to `net`, so that it can add what is newer. What it
    /// took or gave by records is in `net` and not in here.
    pub mine: [Totals; 4],
    /// This member's escrow as the ledger has it. Its generation is older than the counter's while the
    /// ledger waits for this member to take note of a recount.
    pub escrow: [Escrow; 4],
    /// The counters' own generations.
    pub generations: [u64; 4],
    /// Units lent to all members and not known to be spent or returned.
    pub outstanding: [u64; 4],
    /// What of `net` reservations hold that are not confirmed; a gateway is shown it apart.
    pub reserved: [u64; 4],
    /// The token of the freeze that a recount has put on the app.
    pub frozen: Option<u64>,
    /// The shard's count of writes when it was seen; grows. A freeze ends by a view that is later than
    /// its token.
    pub seq: u64,
    /// Whether somebody starves for units that others have lent and do not spend.
    pub recalled: bool,
}

impl View {
    /// The net count of `counter` without this member's own totals, and without reservations.
    #[must_use]
    pub fn others(&self, counter: Counter) -> i64 {
        let at = counter.index();
        let counted = self.net[at].saturating_sub_unsigned(self.reserved[at]);
        counted.saturating_sub(self.mine[at].net())
    }
}
