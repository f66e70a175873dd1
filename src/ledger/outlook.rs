//! Whether the ledger can be asked: known to all checks, found out by one task.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::store::StoreFault;

/// What is known of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Up,
    /// It does not answer, or has not been met yet.
    Away,
    /// It answers but has forgotten something: hard limits wait for an operator.
    Frozen,
}

/// The shared knowledge of the ledger's state. Checks read it and never wait for it.
#[derive(Debug)]
pub struct Outlook {
    state: AtomicU8,
    why: Mutex<String>,
    doubted: Notify,
}

impl Default for Outlook {
    fn default() -> Self {
        let why = Mutex::new("it has not been reached since the start".into());
        Self {
            state: AtomicU8::new(State::Away as u8),
            why,
            doubted: Notify::new(),
        }
    }
}

impl Outlook {
    /// The state, as last found out.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Up,
            1 => State::Away,
            _ => State::Frozen,
        }
    }

    /// A call failed: the owner of this knowledge looks at once, and until then nobody asks.
    pub fn doubt(&self, fault: &StoreFault) {
        if self.state() == State::Up {
            self.fell(fault);
            self.doubted.notify_one();
        }
    }

    /// The ledger was found to be away or frozen. Logged when that is news.
    pub fn fell(&self, fault: &StoreFault) {
        let state = match fault {
            StoreFault::Frozen(_) => State::Frozen,
            StoreFault::Away(_) | StoreFault::Unusable(_) => State::Away,
        };
        let news = self.state.swap(state as u8, Ordering::AcqRel) != state as u8;
        let why = fault.to_string();
        let mut known = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        if news || *known != why {
            tracing::warn!(cause = %why, "hard limits are refused, metered resources go on");
            *known = why;
        }
    }

    /// The ledger answers, but part of it is frozen. Logged when that is news.
    pub fn hindered(&self, fault: &StoreFault) {
        let why = fault.to_string();
        let mut known = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != why {
            tracing::warn!(cause = %why, "hard limits of some apps are refused");
            *known = why;
        }
    }

    /// The ledger was found to answer. Logged when that is news.
    pub fn rose(&self) {
        if self.state.swap(State::Up as u8, Ordering::AcqRel) != State::Up as u8 {
            tracing::info!("the ledger answers");
        }
    }

    /// Ends when somebody doubts the ledger.
    pub async fn doubted(&self) {
        self.doubted.notified().await;
    }
}
