//! An object that a count belongs to: one account, group or AV room, by the name that the gateway gave it.

use std::fmt;
use std::time::Duration;

use super::ids::{IdFault, check};
use super::{AppId, Resource};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// The longest name of an object, in bytes.
pub const RESOURCE_ID_BYTES_MAX: usize = 48;

/// The name of an object: 1 to 48 bytes of printable ASCII. Unique in its app among accounts, and among
/// groups and AV rooms together: these are one family.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectId(Box<str>);

impl ObjectId {
    /// Takes `text` as a name.
    ///
    /// # Errors
    /// [`IdFault`] if it is empty, longer than [`RESOURCE_ID_BYTES_MAX`] or not printable ASCII.
    pub fn parse(text: &str) -> Result<Self, IdFault> {
        check(text, RESOURCE_ID_BYTES_MAX).map(|()| Self(text.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The object's number in its app and that app's life: a hash under the installation's key. 128 bits: two of ten million
    /// objects of an app meet once in 10^24 apps.
    #[must_use]
    pub fn number(
        &self,
        secret: &[u8; 16],
        (app, life): (AppId, u64),
        resource: Resource,
    ) -> ObjectNumber {
        // What is hashed begins with a word of its own, since users and ids are hashed under the same key.
        let mut hasher = SipHasher13::new_with_key(secret);
        hasher.write(match resource {
            Resource::Account => b"account",
            Resource::Group | Resource::AvRoom => b"a group",
        });
        hasher.write(&app.get().to_le_bytes());
        if life != 0 {
            hasher.write(&life.to_le_bytes());
            // No name holds this byte: a life cannot be taken for the beginning of one.
            hasher.write(&[0]);
        }
        hasher.write(self.0.as_bytes());
        ObjectNumber(u128::from(hasher.finish128()))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object as the ledger knows it; see [`ObjectId::number`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectNumber(pub u128);

/// For how long a reservation holds its place: 1 ms to 10 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldTime(u32);

impl HoldTime {
    /// The longest.
    pub const MAX: Duration = Duration::from_mins(10);
    /// What a reservation gets that names none.
    pub const DEFAULT: Self = Self(30_000);

    /// Takes `time`, up to the next millisecond; `None` for nothing, and for more than [`HoldTime::MAX`].
    #[must_use]
    pub fn new(time: Duration) -> Option<Self> {
        let valid = !time.is_zero() && time <= Self::MAX;
        let ms = u32::try_from(time.as_nanos().div_ceil(1_000_000)).ok()?;
        valid.then_some(Self(ms))
    }

    /// In milliseconds.
    #[must_use]
    pub fn ms(self) -> u32 {
        self.0
    }
}

/// What becomes of a place whose reservation was neither confirmed nor cancelled in time. One that no limit
/// guards is always freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ExpiredHolds {
    /// It stays charged, and in doubt, until the gateway or an operator says what it came to.
    #[default]
    Ask,
    /// It is freed. The one thing that time alone frees: a confirmation that comes later is still counted, if
    /// need be above the limit.
    Free,
    /// It counts as confirmed.
    Charge,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_and_a_room_of_one_name_are_one_object_and_an_account_is_another() {
        let app = |id| AppId::new(id).expect("it is not 0");
        let name = ObjectId::parse("@TGS#1").expect("it is a name");
        let number = |app, resource| name.number(&[7; 16], (app, 0), resource);
        let group = number(app(1), Resource::Group);
        assert_eq!(group, number(app(1), Resource::AvRoom));
        assert_ne!(group, number(app(1), Resource::Account));
        assert_ne!(group, number(app(2), Resource::Group));
    }

    #[test]
    fn a_hold_lasts_from_a_millisecond_to_ten_minutes() {
        let ms = |time| HoldTime::new(time).map(HoldTime::ms);
        assert_eq!(ms(Duration::ZERO), None);
        assert_eq!(ms(Duration::from_nanos(1)), Some(1));
        assert_eq!(ms(HoldTime::MAX), Some(600_000));
        assert_eq!(ms(HoldTime::MAX + Duration::from_nanos(1)), None);
    }
}
