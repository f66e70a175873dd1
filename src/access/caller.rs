//! Somebody who was let in, for as long as what let them in counts.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Grant;

/// Somebody who was let in. A token may be withdrawn while a stream that came by it goes on: each message of it asks.
#[derive(Debug)]
pub struct Caller {
    grant: Arc<Grant>,
    withdrawn: AtomicBool,
}

impl Caller {
    /// Let in by a line of `auth`.
    pub(super) fn by(grant: Arc<Grant>) -> Arc<Self> {
        let withdrawn = AtomicBool::new(false);
        Arc::new(Self { grant, withdrawn })
    }

    pub(super) fn is_by(&self, grant: &Arc<Grant>) -> bool {
        Arc::ptr_eq(&self.grant, grant)
    }

    /// From now on it counts no longer.
    pub(super) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Relaxed);
    }

    /// Whether what let them in counts no longer.
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Relaxed)
    }
}

impl Deref for Caller {
    type Target = Grant;

    fn deref(&self) -> &Grant {
        &self.grant
    }
}
