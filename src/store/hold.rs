//! Places that are held until somebody says what they came to, and objects that counts belong to.

use super::{Fingerprint, RecordKey};
use crate::clock::{Day, Millis};
use crate::quota::{Charge, RequestId};

/// The most reservations that one call lists.
pub const HOLDS_MAX: usize = 1_000;
/// The most objects that one call names.
pub const OBJECTS_MAX: usize = 500;

/// What a [`Take`](super::Take) does with its record.
///
/// A reservation is a record that no sums contain until it is confirmed: its attempts come and go, and it
/// stays. So whoever confirms owns the unit, as whoever takes does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Writes it if the charge fits.
    Count,
    /// Writes it whether the charge fits or not: what is counted exists.
    Exists,
    /// Asks for nothing: its member has counted it without the ledger's word, under an id that all are to know. Only
    /// reported, see [`Answered`](super::Answered): of two that counted under one id the second gives it back.
    Alone,
    /// Writes it if the charge fits, and holds it until somebody confirms or cancels it. From `until` on, by
    /// the ledger's clock, it is in doubt.
    Reserve {
        /// When it expires.
        until: Millis,
    },
    /// Makes a reservation a count, also one that has expired, and one that was freed when it had.
    Confirm {
        /// Whether nobody said so: it has expired, and the app's rules have it counted. Does nothing to one
        /// that has not expired.
        lapsed: bool,
    },
    /// Ends a reservation that came to nothing.
    Cancel,
    /// Frees a reservation that has expired. May be confirmed all the same, as long as its id is remembered.
    Lapse,
}

impl Intent {
    /// Whether what it allows is counted, so that somebody's sums come to contain it.
    #[must_use]
    pub fn is_counted(self) -> bool {
        match self {
            Self::Count | Self::Exists | Self::Alone | Self::Confirm { .. } => true,
            Self::Reserve { .. } | Self::Cancel | Self::Lapse => false,
        }
    }
}

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The client's id.
    pub id: RequestId,
    /// Its record: the object that was named with it, or the id.
    pub key: RecordKey,
    /// What was asked for.
    pub fingerprint: Fingerprint,
    /// What it holds; the limits are not kept and read as unlimited.
    pub charge: Charge,
    /// The day that the gain counts for.
    pub day: Day,
    /// When it expires, or did.
    pub until: Millis,
    /// How it stands.
    pub state: HoldState,
}

/// How it stands with a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// It holds its place; in doubt if its time is over.
    Open,
    /// It was confirmed, and somebody has that answer or will have it.
    Confirmed {
        /// When its time was over.
        late: bool,
    },
    /// It has expired, and was counted by the app's rules.
    Charged,
    /// It has expired, and was freed by the app's rules.
    Lapsed,
    /// It was cancelled.
    Cancelled,
    /// Nothing is held: the object was counted before it was reserved.
    AlreadyCounted,
}

/// What [`Store::adopt`](super::Store::adopt) did with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// One that was counted without a name has this one now.
    Named,
    /// It had it before.
    Known,
    /// All that are counted have names: this one is not among them.
    Missing,
}
