//! A number that is waited for. Those who wait are woken in the order in which they came: a watch channel
//! of the runtime wakes them in an order that no seed decides.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub struct Sign {
    value: AtomicU64,
    changed: Notify,
}

impl Sign {
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    pub fn set(&self, value: u64) {
        self.value.store(value, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Ends when the value is as wanted.
    pub async fn until(&self, wanted: impl Fn(u64) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if wanted(self.get()) {
                return;
            }
            changed.await;
        }
    }
}
