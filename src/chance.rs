//! The only source of randomness.
//!
//! What a thread draws is unpredictable unless the thread was given a seed: then everything follows
//! from that, so that a simulated run can be told again.

use std::cell::RefCell;
use std::marker::PhantomData;

use rand::distr::uniform::{SampleRange, SampleUniform};
use rand::distr::{Distribution, StandardUniform};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

thread_local! {
    static SEEDED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// Any value of a type.
pub fn draw<T>() -> T
where
    StandardUniform: Distribution<T>,
{
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(seeded) => seeded.random(),
        None => rand::random(),
    })
}

/// A value within `range`, which must not be empty.
pub fn within<T: SampleUniform>(range: impl SampleRange<T>) -> T {
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(seeded) => seeded.random_range(range),
        None => rand::random_range(range),
    })
}

/// From now on all that this thread draws follows from `seed`, until the guard is dropped.
#[must_use]
pub fn seed(seed: u64) -> Seeded {
    SEEDED.set(Some(StdRng::seed_from_u64(seed)));
    Seeded(PhantomData)
}

/// A thread that draws by its seed; see [`seed`]. It belongs to that thread.
#[derive(Debug)]
pub struct Seeded(PhantomData<*const ()>);

impl Drop for Seeded {
    fn drop(&mut self) {
        SEEDED.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_follows_from_the_seed_while_there_is_one() {
        let three = || (draw::<u64>(), draw::<u64>(), within(0..1_000_000_u64));
        let drawn = |number| {
            let _seeded = seed(number);
            three()
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert_ne!(three(), drawn(7));
        assert_ne!(three(), three());
    }
}
