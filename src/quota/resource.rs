//! What is created, and what is counted.

use std::fmt;

/// A kind of object that a gateway creates and deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// A user account.
    Account,
    /// A group of any kind but an AV chat room.
    Group,
    /// An AV chat room, which is a group as well.
    AvRoom,
}

/// Every resource, in the order in which usage lists them.
pub const RESOURCES: [Resource; 3] = [Resource::Account, Resource::Group, Resource::AvRoom];

impl Resource {
    /// The counter that carries the resource's own limit.
    #[must_use]
    pub fn counter(self) -> Counter {
        match self {
            Self::Account => Counter::Accounts,
            Self::Group => Counter::Groups,
            Self::AvRoom => Counter::AvRooms,
        }
    }

    /// The name that flags and tables use: `account`, `group`, `av-room`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Group => "group",
            Self::AvRoom => "av-room",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A number that the ledger keeps for an app. One creation moves one to three of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Counter {
    /// Live accounts (net).
    Accounts = 0,
    /// Live groups (net), AV rooms among them.
    Groups = 1,
    /// Live AV rooms (net).
    AvRooms = 2,
    /// Groups gained on one day (net; belongs to a day and may be negative).
    GroupsGained = 3,
}

/// Every counter, each at the index that is its number.
pub const COUNTERS: [Counter; 4] = [
    Counter::Accounts,
    Counter::Groups,
    Counter::AvRooms,
    Counter::GroupsGained,
];

impl Counter {
    /// The counter's place in arrays of [`COUNTERS`] length.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}
