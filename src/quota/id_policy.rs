//! How long clients' request ids are remembered.

use std::time::Duration;

/// How long request ids are remembered, and in how much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdPolicy {
    /// For so long where there is room: 1 s to 10 min.
    pub window: Duration,
    /// For so long at least: where there is no room for that, new ids are refused. At most `window`.
    pub floor: Duration,
    /// Bytes of memory.
    pub max_memory: u64,
}

impl IdPolicy {
    /// The longest window: for so long the ledger remembers what it was asked.
    pub const WINDOW_MAX: Duration = Duration::from_mins(10);
}

impl Default for IdPolicy {
    fn default() -> Self {
        Self {
            window: Self::WINDOW_MAX,
            floor: Duration::from_secs(30),
            max_memory: 256 << 20,
        }
    }
}
