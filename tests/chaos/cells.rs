//! What the gateways create: one app for each kind of limit.

use std::ops::RangeInclusive;

use imquota::grpc::proto::Resource;

use crate::client::{ACCOUNTS_FULL, GAIN_FULL, ROOMS_FULL};
use imquota::grpc::proto::{Decision, DenyReason};

/// One app, of which one resource is created and released.
#[derive(Debug)]
pub struct Cell {
    pub name: &'static str,
    pub app: u64,
    pub resource: Resource,
    /// The most objects, and what the refusal of one more says. `None`: metered.
    pub limit: Option<(u64, (Decision, DenyReason, u32))>,
    /// Whether creations are admitted, above the limit too, while the ledger is away.
    pub open_while_away: bool,
    /// How many creations of ten have a request id, so that an unknown outcome can be asked for again: none
    /// where an answer may change when the ledger is back. With all ten, the count must be the book's exactly.
    pub with_ids: u32,
    /// Whether an object is in the ledger once it was answered, so that any sidecar can release it.
    /// What was counted from memory is given back to the sidecar that counted it: another may not
    /// have heard of it.
    pub released_anywhere: bool,
    /// Objects of one creation.
    pub amounts: RangeInclusive<u32>,
}

impl Cell {
    /// Whether each sidecar counts by itself while the ledger is away, also under an id that another has counted: one of
    /// the two takes it back later.
    pub fn counts_alone(&self) -> bool {
        self.limit.is_none()
    }
}

/// The settings of every sidecar. A check waits half a second for the ledger, as it does by default.
pub const SETTINGS: &str = "
store: { timeout: 500ms }
apps:
  - { app_id: 1, plan: pro, share_ids: true }
  - { app_id: 2, plan: pro, limits: { accounts: 400 }, share_ids: true }
  - { app_id: 3, plan: pro, limits: { accounts: 20000 }, share_ids: true }
  - { app_id: 4, plan: pro, limits: { groups_gained_daily: 2000 }, share_ids: true }
  - { app_id: 5, plan: flagship, limits: { groups_gained_daily: unlimited }, share_ids: true }
  - { app_id: 6, plan: pro, limits: { accounts: 40 } }
  - { app_id: 7, plan: pro, limits: { av_rooms: 30 } }
  - { app_id: 8, plan: pro }
";

pub const CELLS: [Cell; 5] = [
    Cell {
        name: "50 rooms",
        app: 1,
        resource: Resource::AvRoom,
        limit: Some((50, ROOMS_FULL)),
        open_while_away: false,
        with_ids: 9,
        released_anywhere: false,
        amounts: 1..=2,
    },
    Cell {
        name: "400 accounts",
        app: 2,
        resource: Resource::Account,
        limit: Some((400, ACCOUNTS_FULL)),
        open_while_away: false,
        with_ids: 10,
        released_anywhere: true,
        amounts: 1..=8,
    },
    Cell {
        name: "20,000 accounts",
        app: 3,
        resource: Resource::Account,
        limit: Some((20_000, ACCOUNTS_FULL)),
        open_while_away: false,
        with_ids: 5,
        released_anywhere: true,
        amounts: 1..=100,
    },
    Cell {
        name: "2,000 groups gained in a day",
        app: 4,
        resource: Resource::Group,
        limit: Some((2_000, GAIN_FULL)),
        open_while_away: true,
        with_ids: 0,
        released_anywhere: false,
        amounts: 1..=20,
    },
    Cell {
        name: "metered accounts",
        app: 5,
        resource: Resource::Account,
        limit: None,
        open_while_away: true,
        with_ids: 5,
        released_anywhere: false,
        amounts: 1..=5,
    },
];
