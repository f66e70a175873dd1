//! Who asks: an app, and the rules it lives under.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use jiff::civil::Date;

use super::{ExpiredHolds, Limits, Plan};

/// An SDKAppID: any non-zero integer, `1400000001` for example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppId(NonZeroU64);

impl AppId {
    /// `None` for 0, which names no app.
    #[must_use]
    pub fn new(id: u64) -> Option<Self> {
        NonZeroU64::new(id).map(Self)
    }

    /// The id as the integer that clients send.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What one app may do: its plan, and its own limits laid over the plan's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the settings, and none excludes another"
)]
pub struct AppRules {
    /// The plan (edition) that the app has.
    pub plan: Arc<Plan>,
    /// The limits in force: the plan's, each replaced by the app's own where it has one.
    pub limits: Limits,
    /// A disabled app is refused every creation; releases and reads still work.
    pub disabled: bool,
    /// Whether the app is only watched: everything is counted and judged, and nothing refused.
    pub shadow: bool,
    /// What is asked under a request id is known to all sidecars, at the price of one step in the ledger
    /// each; else memory answers where it can, and the sidecar that answered knows it alone.
    pub share_ids: bool,
    /// Whether a count belongs to the object that a request names. Each such request is one step in the
    /// ledger. If not, names are not looked at.
    pub track_objects: bool,
    /// When it was activated: the plan's own fee of that month is waived.
    pub activated: Option<Date>,
    /// What becomes of places whose reservation has expired.
    pub expired_holds: ExpiredHolds,
    /// Which version of the app's registration says so. Of two limits that sidecars state the newer
    /// version's holds. 0: a settings file, whose versions nobody can compare.
    pub edition: u64,
}
