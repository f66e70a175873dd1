//! Values that cannot be wrong: who asks, for what, how much, and what is allowed.
//!
//! Everything here is parsed once, at the edge, and is valid from then on. This module knows
//! nobody: no clock, no store, no wire format.

mod amount;
mod app;
mod app_series;
mod charge;
mod currency;
mod editions;
mod id_policy;
mod ids;
mod limit;
mod object;
mod outage;
mod outline;
mod plan;
mod resource;
mod retention;
mod rulebook;
mod spec;

pub use amount::{AMOUNT_MAX, Amount};
pub use app::{AppId, AppRules};
pub use app_series::{AppSeries, NAMED_SERIES_MAX, TOP_SERIES_MAX};
pub use charge::{Charge, Part};
pub use currency::Currency;
pub use editions::built_in;
pub use id_policy::IdPolicy;
pub use ids::{IdFault, REQUEST_ID_BYTES_MAX, RequestId, USER_ID_BYTES_MAX, UserId};
pub use limit::Limit;
pub use object::{ExpiredHolds, HoldTime, ObjectId, ObjectNumber, RESOURCE_ID_BYTES_MAX};
pub use outage::{Outage, OutagePolicy, OutageRule};
pub use outline::{Line, outline};
pub use plan::{GroupBasis, Limits, MeteredFee, Plan, PlanName, PriceList};
pub use resource::{COUNTERS, Counter, RESOURCES, Resource};
pub use retention::Retention;
pub use rulebook::Rulebook;
pub use spec::{AppSpec, OwnLimits, Registered};
