//! What an operator does to a ledger: freezing and recounting an app, and retiring members.

use super::{Amendment, Entered, Registration, Reply};
use crate::clock::{Millis, Month};
use crate::quota::{AppId, Resource};

/// For how long an app stays frozen when neither a commit nor a cancellation comes.
pub const FREEZE_MS: u64 = 10 * 60 * 1000;
/// The most apps that are frozen at a time: every member is told of each with every beat.
pub const FREEZES_MAX: usize = 256;
/// The most audit entries that a shard keeps; the oldest go first.
pub const AUDIT_MAX: usize = 1_000;
/// The most bytes of a reason, and of the name of whoever acts.
pub const AUDIT_TEXT_MAX: usize = 256;

/// An app on its way to a recount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freeze {
    /// Names this freeze: the shard's count of writes when it began.
    pub token: u64,
    /// The net count of the resource at that time, for comparison.
    pub count: i64,
}

/// Sets a count to the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recount {
    /// The app.
    pub app: AppId,
    /// Which of its counts.
    pub resource: Resource,
    /// The truth: what exists when the token was out.
    pub to: u64,
    /// The freeze that it ends.
    pub token: u64,
    /// Who acts, and why, for the audit list.
    pub who: Box<str>,
    /// Why.
    pub why: Box<str>,
}

/// What became of a [`Recount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recounted {
    /// Done.
    Done {
        /// The net count before it.
        from: i64,
        /// The new life of the counter.
        generation: u64,
        /// Places that records hold on top of the new count: their answers may still go out.
        held: u64,
    },
    /// The app is not frozen under that token: the freeze was ended, or its time was up.
    NotFrozen,
}

/// One member as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberInfo {
    /// Its incarnation.
    pub incarnation: u64,
    /// Its name.
    pub name: Box<str>,
    /// How often its journal was opened.
    pub boot: u32,
    /// When it last beat.
    pub seen: Millis,
    /// How it stands with it.
    pub standing: Standing,
}

/// How it stands with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It beats.
    Present,
    /// It has not beaten for a lease's time or longer.
    Silent,
    /// It left in good order or was retired.
    Gone,
}

/// What a retirement booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retired {
    /// Apps in which it had counted something.
    pub apps: u64,
    /// Units that were lent to it and are now booked as used, over all apps.
    pub outstanding: u64,
}

/// For how long whoever imports an app's objects of one kind has one audit entry for all.
pub const IMPORT_MS: i64 = 10 * 60 * 1000;

/// Objects of an app that were taken in under their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imports {
    /// The app.
    pub app: AppId,
    /// What they are.
    pub resource: Resource,
    /// How many had no name before or were not counted.
    pub objects: u64,
    /// Who acts.
    pub who: Box<str>,
}

/// Something that an operator did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Millis,
    /// Who.
    pub who: Box<str>,
    /// What: `recount`, `retire`, `bill`, `correct`, `import`, or of an app `create`, `change`, `delete`.
    pub what: Box<str>,
    /// The app it was about, where it was about one.
    pub app: Option<AppId>,
    /// The resource, the member's name, the month, `app`, or the day and what of it was corrected.
    pub subject: Box<str>,
    /// The count before, where there is one.
    pub from: Option<i64>,
    /// The count after; of an import, how many objects it took in.
    pub to: Option<i64>,
    /// Why.
    pub why: Box<str>,
}

/// The operator's calls. Each is one atomic step unless it says otherwise; each may be repeated.
pub trait Operator: Send + Sync + 'static {
    /// Freezes an app and gives all members notice. An app that is frozen already keeps its token. A ledger that
    /// is shared refuses more than [`FREEZES_MAX`] at a time.
    fn freeze(&self, app: AppId, resource: Resource) -> Reply<'_, Freeze>;

    /// Which present members have not acknowledged the freeze.
    fn awaited(&self, app: AppId, token: u64) -> Reply<'_, Vec<u64>>;

    /// Ends a freeze without a recount. Ends nothing if the app is frozen under another token.
    fn unfreeze(&self, app: AppId, token: u64) -> Reply<'_, ()>;

    /// Sets a count, raises its generation, ends the freeze, and writes the audit entry: one step, which
    /// is answered when the connected replicas have it.
    fn recount<'a>(&'a self, recount: &'a Recount) -> Reply<'a, Recounted>;

    /// All members that the ledger knows, by name.
    fn members(&self) -> Reply<'_, Vec<MemberInfo>>;

    /// Books what a member counted and all that it was lent as used, app by app, and then marks it gone.
    /// Broken off, it can be repeated and goes on.
    fn retire<'a>(&'a self, incarnation: u64, who: &'a str, why: &'a str) -> Reply<'a, Retired>;

    /// All apps of which the ledger knows anything, in order.
    fn apps(&self) -> Reply<'_, Vec<AppId>>;

    /// Writes the bill of an app's month, at most [`BILL_BYTES_MAX`](super::BILL_BYTES_MAX), and the audit entry, once:
    /// answers the one that is written from then on, and whether it is this one.
    fn write_bill<'a>(
        &'a self,
        app: AppId,
        month: Month,
        bill: &'a str,
        who: &'a str,
    ) -> Reply<'a, (Box<str>, bool)>;

    /// Registers an app, changes what is registered of it, or deletes it, and writes the audit entry: one step, which is
    /// answered when the connected replicas have it.
    fn enter<'a>(&'a self, change: &'a Registration) -> Reply<'a, Entered>;

    /// Takes note that nothing of a deleted app has a name any more. Comes before its counts are set to 0, and before it
    /// is registered anew.
    fn forget_names(&self, app: AppId) -> Reply<'_, ()>;

    /// Corrects a day and writes an entry to the audit list for each count that it changes: one step. Answers
    /// `false` and changes nothing if somebody corrected the month meanwhile. Which days may be corrected is the
    /// caller's to judge.
    fn amend<'a>(&'a self, amendment: &'a Amendment) -> Reply<'a, bool>;

    /// Writes an import to the audit list. Whoever goes on within [`IMPORT_MS`], with nothing written between, has one
    /// entry with the sum.
    fn note_import<'a>(&'a self, imports: &'a Imports) -> Reply<'a, ()>;

    /// The newest audit entries first, of one app or of all; at most `most`.
    fn audit(&self, app: Option<AppId>, most: usize) -> Reply<'_, Vec<AuditEntry>>;
}
