//! What is asked and what is answered, in the house's own types.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Day, Millis};
use crate::quota::{
    Amount, AppId, Counter, HoldTime, Limit, ObjectId, PlanName, RequestId, Resource, UserId,
};

/// A creation to decide.
#[derive(Debug, Clone)]
pub struct Check {
    /// The app that creates.
    pub app: AppId,
    /// What is created.
    pub resource: Resource,
    /// How many; all or none.
    pub amount: Amount,
    /// The client's id for this creation; a reservation has one.
    pub request_id: Option<RequestId>,
    /// The object that is created; it is one then.
    pub resource_id: Option<ObjectId>,
    /// Whether it is counted.
    pub mode: CheckMode,
}

/// Whether a check counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckMode {
    /// If allowed, it is counted.
    Count,
    /// Judged as if it were counted; nothing is.
    DryRun,
    /// It exists already: counted whatever it exceeds.
    Record,
    /// If allowed, a place is held for so long, or until it is confirmed or cancelled.
    Reserve(HoldTime),
}

impl CheckMode {
    /// Whether anything is counted or held.
    pub(super) fn counts(self) -> bool {
        match self {
            Self::Count | Self::Record | Self::Reserve(_) => true,
            Self::DryRun => false,
        }
    }
}

/// The answer to a [`Check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Allowed, or why not.
    pub outcome: Outcome,
    /// The limit of the counter that `used` speaks of; `None` where no limit is known (unknown app).
    pub limit: Option<Limit>,
    /// The count: on ALLOW this creation included, on DENY of the counter that was hit. Never negative.
    pub used: u64,
    /// Where the answer came from.
    pub source: Source,
    /// What reservations hold of the same counter beside it.
    pub held: u64,
    /// Whether an earlier request of the same id had decided it.
    pub replayed: bool,
    /// Whether the object was counted before, so that nothing was added.
    pub already_counted: bool,
}

/// Allowed, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The object may be created.
    Allow,
    /// The object exists, and is counted although this would have stood in its way.
    Exceeds(Refusal),
    /// It may: its app is only watched. Were it not, this would refuse it.
    Shadowed(Refusal),
    /// It may not.
    Deny(Refusal),
}

/// Why a creation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The limit of this counter is reached.
    LimitReached(Counter),
    /// The app gained as many groups today as it may.
    DailyGainReached,
    /// Nobody knows the app.
    AppUnknown,
    /// The app is switched off.
    AppDisabled,
    /// The ledger, which alone can tell, gave no answer in time.
    StoreUnavailable {
        /// When it is worth asking again.
        retry_after: Duration,
    },
    /// The request's id is older than the window in which ids are remembered.
    RequestExpired,
}

impl Refusal {
    /// The code that the product's gateway gives for this refusal; 0 where it has none (domain page,
    /// "Codes a gateway maps a refusal to").
    #[must_use]
    pub fn im_error_code(self) -> u32 {
        match self {
            Self::LimitReached(Counter::Accounts) => 70398,
            Self::LimitReached(Counter::AvRooms) => 10036,
            Self::LimitReached(Counter::Groups) => 10058,
            Self::LimitReached(Counter::GroupsGained) | Self::DailyGainReached => 10006,
            Self::AppUnknown => 70020,
            Self::AppDisabled => 60016,
            Self::StoreUnavailable { .. } | Self::RequestExpired => 0,
        }
    }
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This sidecar's memory.
    Memory,
    /// The shared ledger.
    Ledger,
    /// This sidecar alone, because the ledger is away; settled later.
    Degraded,
}

/// Objects that were deleted.
#[derive(Debug, Clone)]
pub struct Release {
    /// The app that deletes.
    pub app: AppId,
    /// What was deleted.
    pub resource: Resource,
    /// How many.
    pub amount: Amount,
    /// The client's id for this release.
    pub request_id: Option<RequestId>,
    /// The object that was deleted; it is one then.
    pub resource_id: Option<ObjectId>,
}

/// The answer to a [`Release`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// How many were counted and are no more; 0: it was not counted.
    pub released: u64,
    /// The count after it.
    pub used: u64,
    /// The resource's limit.
    pub limit: Limit,
    /// What reservations hold of the resource.
    pub held: u64,
    /// Whether an earlier release of the same id had done it.
    pub replayed: bool,
}

/// A reservation that became an object.
#[derive(Debug, Clone)]
pub struct Confirm {
    /// The app that reserved.
    pub app: AppId,
    /// The id of the reservation.
    pub request_id: RequestId,
    /// The object that it became, unless it was named with the reservation.
    pub resource_id: Option<ObjectId>,
}

/// The answer to a [`Confirm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// Objects of the reserved resource, this one included.
    pub used: u64,
    /// Whether the hold had expired when it was confirmed first.
    pub late: bool,
    /// Whether the object was counted before: the reservation is over, and nothing was added.
    pub already_counted: bool,
    /// Whether it was confirmed before.
    pub replayed: bool,
}

/// A reservation that came to nothing.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// The app that reserved.
    pub app: AppId,
    /// The id of the reservation.
    pub request_id: RequestId,
}

/// The answer to a [`Cancel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled {
    /// Whether it was cancelled before.
    pub replayed: bool,
}

/// Objects that exist and are to be counted under their names.
#[derive(Debug, Clone)]
pub struct Import {
    /// The app that they belong to.
    pub app: AppId,
    /// What they are.
    pub resource: Resource,
    /// Their names; at most [`crate::store::OBJECTS_MAX`].
    pub objects: Vec<ObjectId>,
}

/// What an [`Import`] did: the three add up to the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Were counted without a name, and have it now.
    pub named: u64,
    /// Were not counted, and are now, whatever they exceed.
    pub counted: u64,
    /// Were counted under their names.
    pub known: u64,
}

/// Users who logged in.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// The app that they logged in to.
    pub app: AppId,
    /// When; `None`: now.
    pub at: Option<Millis>,
    /// Who, or how many.
    pub who: Who<'a>,
    /// The client's id for this record.
    pub request_id: Option<RequestId>,
}

/// Users by name, or a number of users that the gateway told apart itself.
#[derive(Debug, Clone)]
pub enum Who<'a> {
    /// Users by name: 1 to 1,000.
    Users(Vec<UserId<'a>>),
    /// So many users who were not yet counted on that day; at least 1.
    Increment(u64),
}

/// The answer to a [`Record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// How many were not yet active on that day.
    pub newly_active: u64,
    /// The day's active users.
    pub daily_active: u64,
    /// The day of the event, in the billing zone.
    pub day: Day,
    /// Where the numbers come from.
    pub source: Source,
    /// Whether an earlier record of the same id had counted it.
    pub replayed: bool,
}

/// An app's counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReport {
    /// The app.
    pub app: AppId,
    /// Its plan.
    pub plan: PlanName,
    /// All three resources.
    pub resources: [ResourceUsage; 3],
    /// Today's distinct active users.
    pub daily_active: u64,
    /// The month's highest so far.
    pub month_peak_daily_active: u64,
    /// The month's highest net group count so far.
    pub month_peak_groups: u64,
    /// When the counts were read.
    pub as_of: Millis,
    /// Whether the ledger could not be asked.
    pub degraded: bool,
    /// Groups gained today, net.
    pub groups_gained_today: i64,
    /// How many may be.
    pub groups_gained_limit: Limit,
}

/// One resource's count and limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceUsage {
    /// The resource.
    pub resource: Resource,
    /// Live objects.
    pub used: u64,
    /// Places held by reservations.
    pub held: u64,
    /// The most it may have.
    pub limit: Limit,
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A field says something that cannot be.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field's name in the contract.
        field: &'static str,
        /// What is wrong and what to do.
        problem: Arc<str>,
    },
    /// The request id was used before, for something else.
    #[error("request_id: was used before for another request; take a new id for a new request")]
    OtherContent,
    /// The request id says that it is older than the window in which ids are remembered.
    #[error("request_id: is older than ids are remembered; what it asked for may have been done")]
    Expired,
    /// Nothing is known under the id that could be confirmed or cancelled.
    #[error(
        "request_id: no reservation is known under this id; it may have ended too long ago to be remembered"
    )]
    NoHold,
    /// The reservation has ended the other way.
    #[error("request_id: {0}")]
    Ended(&'static str),
    /// Nobody knows the app.
    #[error("app {0} is not known; add it to the settings, or set unknown_app_plan")]
    UnknownApp(AppId),
    /// The event's day can no longer change.
    #[error("at: {0} is sealed; a day takes events until 48 hours after its end")]
    DaySealed(Day),
    /// A bound of this service is reached.
    #[error("{0}")]
    Exhausted(Arc<str>),
    /// It cannot be done now; nothing was.
    #[error("{0}")]
    Away(Arc<str>),
}
