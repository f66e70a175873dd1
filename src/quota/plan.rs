//! Editions: their limits and their prices.

use std::fmt;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::{Counter, Limit};

/// A plan's name: 1 to 32 bytes of `a-z`, `0-9`, `-`, `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanName(Box<str>);

impl PlanName {
    /// `None` unless `text` has the form above.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        fits.then(|| Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The limits of a plan or an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Live accounts.
    pub accounts: Limit,
    /// Live groups, AV rooms among them.
    pub groups: Limit,
    /// Live AV rooms.
    pub av_rooms: Limit,
    /// Groups of all kinds gained in one day, net.
    pub groups_gained_daily: Limit,
    /// Whether an AV room also counts as a group and as gained (the product's reading, and the default).
    pub av_rooms_are_groups: bool,
}

impl Limits {
    /// No limit at all.
    pub const UNLIMITED: Self = Self {
        accounts: Limit::Unlimited,
        groups: Limit::Unlimited,
        av_rooms: Limit::Unlimited,
        groups_gained_daily: Limit::Unlimited,
        av_rooms_are_groups: true,
    };

    /// The limit of one counter.
    #[must_use]
    pub fn of(&self, counter: Counter) -> Limit {
        match counter {
            Counter::Accounts => self.accounts,
            Counter::Groups => self.groups,
            Counter::AvRooms => self.av_rooms,
            Counter::GroupsGained => self.groups_gained_daily,
        }
    }
}

/// An edition: what it allows and what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: PlanName,
    /// What it allows.
    pub limits: Limits,
    /// Its price lists, oldest first; empty: the plan owes nothing.
    pub fees: Vec<PriceList>,
}

/// What a plan costs from a day on. The list in force on a month's first day counts for that month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceList {
    /// The first day on which it holds.
    pub effective_from: Date,
    /// The plan's own fee a month.
    pub plan: Decimal,
    /// The fee that follows the month's highest daily active users (rules S4, S5).
    pub daily_active: Option<MeteredFee>,
    /// The fee that follows the net group count (rule S3), and what it follows.
    pub groups: Option<(MeteredFee, GroupBasis)>,
}

/// A fee by blocks: `free` units cost nothing, each begun block above costs `price`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeteredFee {
    /// Units that cost nothing.
    pub free: u64,
    /// Units in a block; at least 1.
    pub block: u64,
    /// The price of a begun block; not negative.
    pub price: Decimal,
}

/// Which net group count of a month is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBasis {
    /// The highest of the month, the value carried in included.
    MonthPeak,
    /// The last of the month.
    MonthEnd,
}
