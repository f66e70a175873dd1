//! What the calls to a ledger in another process cost, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::histogram::{Histogram, Times, Writer};

/// Calls over a connection: every thread counts in the same place, since each of them waits for a round trip.
#[derive(Debug, Default)]
pub struct Calls {
    took: Histogram,
    failed: [AtomicU64; FAILURES.len()],
    connected: AtomicU64,
}

/// How a call fails, or why it was sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No answer came in time.
    Silent,
    /// The connection broke, or the server is on its way to another state.
    Broken,
    /// The server answered that it will not.
    Refused,
    /// It answered so in one of the words that say why.
    Moved,
    /// As [`Failure::Moved`], like all that follow.
    Ask,
    /// A slot is on its way.
    TryAgain,
    /// Slots are nobody's.
    ClusterDown,
    /// It loads its data.
    Loading,
    /// It is a replica.
    ReadOnly,
    /// It does not know a script, which it was given again.
    NoScript,
    /// Its memory is full.
    Oom,
    /// A script runs too long.
    Busy,
    /// It has too few replicas to write.
    NoReplicas,
}

const FAILURES: [(Failure, &str); 13] = [
    (Failure::Silent, "timeout"),
    (Failure::Broken, "connection"),
    (Failure::Refused, "refused"),
    (Failure::Moved, "MOVED"),
    (Failure::Ask, "ASK"),
    (Failure::TryAgain, "TRYAGAIN"),
    (Failure::ClusterDown, "CLUSTERDOWN"),
    (Failure::Loading, "LOADING"),
    (Failure::ReadOnly, "READONLY"),
    (Failure::NoScript, "NOSCRIPT"),
    (Failure::Oom, "OOM"),
    (Failure::Busy, "BUSY"),
    (Failure::NoReplicas, "NOREPLICAS"),
];

impl Failure {
    /// By the word that the server's answer begins with, if it is one of those that are told apart.
    pub fn said(word: Option<&str>) -> Option<Self> {
        let known = FAILURES.iter().find(|(_, name)| Some(*name) == word);
        known.map(|(how, _)| *how)
    }
}

/// What was counted.
#[derive(Debug, Clone, Copy)]
pub struct CallCounts {
    /// How long those took that were answered, an error among the answers.
    pub took: Times,
    /// How many failed or were sent again, by how.
    pub failed: [(&'static str, u64); FAILURES.len()],
    /// Connections that were made.
    pub connected: u64,
}

impl Calls {
    /// A call was answered after `took`.
    pub fn answered(&self, took: Duration) {
        self.took.note(took, Writer::OfMany);
    }

    /// A call failed, or was refused and is sent again.
    pub fn failed(&self, how: Failure) {
        self.failed[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was made.
    pub fn connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    /// All that was counted.
    pub fn counts(&self) -> CallCounts {
        let mut took = Times::default();
        self.took.add_to(&mut took);
        CallCounts {
            took,
            failed: FAILURES
                .map(|(how, name)| (name, self.failed[how as usize].load(Ordering::Relaxed))),
            connected: self.connected.load(Ordering::Relaxed),
        }
    }
}
