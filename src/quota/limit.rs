//! The most that an app may have of something.

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// At most so many live objects; at most [`Limit::MAX`].
    AtMost(u64),
    /// No limit; the count is still kept, for the bill.
    Unlimited,
}

impl Limit {
    /// The largest limit: totals stay below 2^53, where a ledger that counts in doubles is exact.
    pub const MAX: u64 = (1 << 53) - 1;

    /// The number, or `None` where there is no limit.
    #[must_use]
    pub fn get(self) -> Option<u64> {
        match self {
            Self::AtMost(limit) => Some(limit),
            Self::Unlimited => None,
        }
    }

    /// How many more fit above `used`; `None` where there is no limit.
    #[must_use]
    pub fn remaining(self, used: u64) -> Option<u64> {
        self.get().map(|limit| limit.saturating_sub(used))
    }
}
