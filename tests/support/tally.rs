//! A gateway's own book: what it sent, what it was answered, and so what a sidecar must know.

use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;

use tokio::sync::Notify;

/// Calls of one kind. What was sent and not answered may or may not have happened.
#[derive(Debug, Default, Clone, Copy)]
pub struct Calls {
    pub sent: u64,
    pub answered: u64,
}

/// Objects of one kind that a gateway created and deleted.
#[derive(Debug, Default, Clone, Copy)]
pub struct Objects {
    pub created: Calls,
    pub deleted: Calls,
}

impl Objects {
    /// How many there can be.
    pub fn possible(&self) -> RangeInclusive<u64> {
        let least = self.created.answered.saturating_sub(self.deleted.sent);
        least..=self.created.sent - self.deleted.answered
    }

    /// How many there are for certain and can be deleted.
    pub fn certain(&self) -> u64 {
        *self.possible().start()
    }
}

/// A value that the tasks of one thread share.
pub struct Shared<T>(RefCell<T>);

impl<T> Shared<T> {
    pub fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Looks at it, or changes it, without waiting meanwhile.
    pub fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        with(&mut self.0.borrow_mut())
    }
}

/// How many calls were answered: an event to wait for.
#[derive(Default)]
pub struct Progress {
    answered: Cell<u64>,
    moved: Notify,
}

impl Progress {
    pub fn step(&self) {
        self.answered.set(self.answered.get() + 1);
        self.moved.notify_waiters();
    }

    /// Waits for `more` answers from now on, however many a busy machine gives in a second.
    pub async fn after(&self, more: u64) {
        let until = self.answered.get() + more;
        while self.answered.get() < until {
            crate::wait::soon("the load goes on", self.moved.notified()).await;
        }
    }
}
