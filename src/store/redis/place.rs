//! Where a hash of 128 bits lies in a set of buckets: see `buckets.lua`.

/// The bits of the hash's high half that place it. The script knows the same number.
const HIGH_BITS: u32 = 24;
/// The bits of what is stored that do.
const LOW_BITS: u32 = 20;
/// Odd, so that it loses nothing of the high half; 2^64 divided by the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// A hash as the scripts take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// What places it in a bucket.
    pub(super) bits: u64,
    /// What is stored there.
    pub(super) member: i64,
}

impl Place {
    pub(super) fn of(hash: u128) -> Self {
        let (high, low) = halves(hash);
        // Before the first split the member alone tells hashes apart: it has something of both halves.
        let member = low.wrapping_add(high.wrapping_mul(MIX));
        Self {
            bits: (member & ((1 << LOW_BITS) - 1)) << HIGH_BITS | high & ((1 << HIGH_BITS) - 1),
            member: member.cast_signed(),
        }
    }

    /// What of the hash is not in its place.
    pub(super) fn rest(hash: u128) -> u64 {
        halves(hash).0 >> HIGH_BITS
    }

    /// The hash again.
    pub(super) fn hash(self, rest: u64) -> u128 {
        let high = rest << HIGH_BITS | self.bits & ((1 << HIGH_BITS) - 1);
        let low = self
            .member
            .cast_unsigned()
            .wrapping_sub(high.wrapping_mul(MIX));
        u128::from(high) << 64 | u128::from(low)
    }
}

fn halves(hash: u128) -> (u64, u64) {
    // Both halves have 64 bits by the shift and the mask.
    let high = u64::try_from(hash >> 64).unwrap_or(0);
    let low = u64::try_from(hash & u128::from(u64::MAX)).unwrap_or(0);
    (high, low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_its_rest_are_the_hash() {
        for hash in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
            assert_eq!(Place::of(hash).hash(Place::rest(hash)), hash);
        }
    }
}
