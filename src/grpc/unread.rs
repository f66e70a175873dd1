//! What a connection holds of answers that its client does not take.
//!
//! Small answers lie in the connection, at most one for each call that may be in flight. A large one lies here until there
//! is room for it, and while there is much of that, nothing more is begun: what would come of it would lie here as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::metrics::{GivenUp, Unserved};

/// Beyond so many bytes no call is begun, and no stream makes answers.
const BYTES_MAX: usize = 256 * 1024;
/// Beyond so many, which calls come to that were begun before, an answer is given up.
const BEGUN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// An answer of which nothing is taken for so long is given up.
pub(super) const TAKE_MAX: Duration = Duration::from_mins(1);

/// How much that is. Its clones are of the same connection.
#[derive(Clone, Default)]
pub(super) struct Unread(Arc<Shared>);

#[derive(Default)]
struct Shared {
    bytes: AtomicUsize,
    less: Notify,
    unserved: Unserved,
}

impl Unread {
    /// None yet; what is given up is counted there.
    pub(super) fn counted_by(unserved: Unserved) -> Self {
        Self(Arc::new(Shared {
            unserved,
            ..Shared::default()
        }))
    }

    /// An answer is given up.
    pub(super) fn give_up(&self, why: GivenUp) {
        self.0.unserved.given_up(why);
    }

    /// Whether nothing more is to be begun.
    pub(super) fn is_full(&self) -> bool {
        self.0.bytes.load(Ordering::Relaxed) >= BYTES_MAX
    }

    /// Waits until more may be begun.
    pub(super) async fn room(&self) {
        while self.is_full() {
            let less = self.0.less.notified();
            // Nothing is between these two: all of it is of one thread.
            less.await;
        }
    }

    /// So much waits for the client; `None`: too much does.
    pub(super) fn hold(&self, bytes: usize) -> Option<Held> {
        let before = self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = Held {
            of: self.clone(),
            bytes,
        };
        (before < BEGUN_BYTES_MAX).then_some(held)
    }
}

/// An answer that waits for its client.
pub(super) struct Held {
    of: Unread,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Shared { bytes, less, .. } = &*self.of.0;
        bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        less.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn while_much_waits_nothing_more_is_begun() {
        let unread = Unread::default();
        let some = unread.hold(BYTES_MAX - 1).expect("there is room");
        assert!(!unread.is_full() && unread.room().now_or_never().is_some());
        let more = unread.hold(1).expect("there is room");
        let room = unread.room();
        let mut room = std::pin::pin!(room);
        assert!(unread.is_full() && room.as_mut().now_or_never().is_none());
        drop(some);
        assert!(room.now_or_never().is_some());
        let all = unread.hold(BEGUN_BYTES_MAX).expect("it was begun");
        assert!(unread.hold(1).is_none());
        drop((more, all));
        assert_eq!(unread.0.bytes.load(Ordering::Relaxed), 0);
    }
}
