//! The names of the ledger's keys.
//!
//! Every key of a shard carries the shard as its hash tag, so that a cluster keeps them together, and
//! the layout's version. What each holds is said in the scripts.

use crate::clock::{Day, Month};
use crate::quota::AppId;
use crate::store::{RecordKey, Shard};

/// The layout's version, which stands in each key and in the meta key.
pub(super) const FORMAT: u32 = 2;

/// The keys under one prefix.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: Box<str>,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Who the ledger is: installation, zone, shards, state.
    pub(super) fn meta(&self) -> String {
        format!("{{{}}}:v{FORMAT}:meta", self.prefix)
    }

    /// Who its members are.
    pub(super) fn members(&self) -> String {
        format!("{{{}}}:v{FORMAT}:members", self.prefix)
    }

    /// Which apps are frozen by a recount.
    pub(super) fn notices(&self) -> String {
        format!("{{{}}}:v{FORMAT}:notices", self.prefix)
    }

    /// In which apps somebody starves for units that lie idle.
    pub(super) fn recalls(&self) -> String {
        format!("{{{}}}:v{FORMAT}:recalls", self.prefix)
    }

    fn of(&self, shard: Shard, rest: &str) -> String {
        format!(
            "{{{}:{:02x}}}:v{FORMAT}:{rest}",
            self.prefix,
            shard.number()
        )
    }

    /// The shard's header. The scripts find the shard's other keys by this one's beginning.
    pub(super) fn header(&self, shard: Shard) -> String {
        self.of(shard, "h")
    }

    /// The shard's records that came to rest, in order.
    pub(super) fn fold_queue(&self, shard: Shard) -> String {
        self.of(shard, "f")
    }

    /// What operators did in the shard.
    pub(super) fn audit(&self, shard: Shard) -> String {
        self.of(shard, "u")
    }

    /// The app's counts.
    pub(super) fn app(&self, app: AppId) -> String {
        self.of(Shard::of(app), &format!("a:{app}"))
    }

    /// The app's records by request id.
    pub(super) fn records(&self, app: AppId) -> String {
        self.of(Shard::of(app), &format!("r:{app}"))
    }

    /// Groups that the app gained on a day.
    pub(super) fn gain(&self, app: AppId, day: Day) -> String {
        self.of(Shard::of(app), &format!("g:{app}:{}", day.number()))
    }

    /// The app's peaks in a month.
    pub(super) fn month(&self, app: AppId, month: Month) -> String {
        self.of(Shard::of(app), &format!("m:{app}:{}", month.number()))
    }

    /// The app's active users of a day; their buckets' keys begin with it.
    pub(super) fn users(&self, app: AppId, day: Day) -> String {
        self.of(Shard::of(app), &format!("d:{app}:{}", day.number()))
    }
}

/// The field of a record. A client's id is printable ASCII, so that bytes 1 and 2 keep ours and those of
/// objects apart.
pub(super) fn field(key: &RecordKey) -> String {
    match key {
        RecordKey::Client(id) => id.as_str().to_owned(),
        RecordKey::Own {
            incarnation,
            attempt,
        } => format!("\u{1}{incarnation:x}.{:x}", attempt.0),
        RecordKey::Object(object) => format!("\u{2}{:032x}", object.0),
    }
}
