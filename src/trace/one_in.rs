//! One call in so many.

use std::cell::Cell;
use std::thread::LocalKey;

/// Whether this call is the one in `one_in`, of those that the thread counts in `seen`; 0: none is.
pub(crate) fn is_one_in(one_in: u32, seen: &'static LocalKey<Cell<u32>>) -> bool {
    let now = seen.get().wrapping_add(1);
    seen.set(now);
    one_in > 0 && now.is_multiple_of(one_in)
}
