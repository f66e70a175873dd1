//! How many objects one call speaks of.

use std::num::NonZeroU32;

/// The most objects one call may create or release.
pub const AMOUNT_MAX: u32 = 100;

/// A number of objects in one call: 1 to [`AMOUNT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount(NonZeroU32);

impl Amount {
    /// One object.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// Reads the wire's form, in which 0 stands for 1. `None` above [`AMOUNT_MAX`].
    #[must_use]
    pub fn from_wire(amount: u32) -> Option<Self> {
        if amount > AMOUNT_MAX {
            return None;
        }
        Some(NonZeroU32::new(amount).map_or(Self::ONE, Self))
    }

    /// The number of objects, 1 to [`AMOUNT_MAX`].
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}
