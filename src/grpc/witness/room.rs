//! How many lines a second has room for.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The lower half of [`Room`]'s number.
const LINES: u64 = u32::MAX as u64;

/// Room for so many lines in each second. All threads take from it without waiting for each other.
#[derive(Debug, Default)]
pub(super) struct Room {
    since: OnceLock<Instant>,
    /// The second since then in the upper half, how many lines it had in the lower.
    taken: AtomicU64,
}

impl Room {
    /// Takes room for a line if this second has any left, of `most`.
    pub(super) fn take(&self, most: u32) -> bool {
        let since = self.since.get_or_init(Instant::now);
        self.take_in(since.elapsed().as_secs() & LINES, most)
    }

    fn take_in(&self, second: u64, most: u32) -> bool {
        let counted = |taken: u64| {
            let lines = if taken >> 32 == second {
                taken & LINES
            } else {
                0
            };
            (lines < u64::from(most)).then_some(second << 32 | (lines + 1))
        };
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_room_for_so_many() {
        let room = Room::default();
        for second in [0, 1, 5] {
            let taken = (0..100).filter(|_| room.take_in(second, 3)).count();
            assert_eq!(taken, 3, "{second}");
        }
        assert!(!room.take_in(6, 0));
    }
}
