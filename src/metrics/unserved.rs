//! What gateways did not get: connections that were refused, and answers that were given up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::sheet::Sheet;

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many as are allowed are open.
    Full,
    /// One address has as many as it may have.
    OfAddress,
    /// Every worker has as many newcomers as it takes.
    NoWorker,
}

/// Why an answer was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// Too much waits for its client already.
    Crowded,
    /// For too long its client took nothing of it.
    Untaken,
}

impl Refusal {
    const ALL: [Self; 3] = [Self::Full, Self::OfAddress, Self::NoWorker];

    /// Its name in labels.
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::OfAddress => "address",
            Self::NoWorker => "worker",
        }
    }
}

impl GivenUp {
    const ALL: [Self; 2] = [Self::Crowded, Self::Untaken];

    /// Its name in labels.
    fn name(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Untaken => "untaken",
        }
    }
}

/// How often that was. Its clones count together.
#[derive(Debug, Clone, Default)]
pub struct Unserved(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    connections: [AtomicU64; Refusal::ALL.len()],
    answers: [AtomicU64; GivenUp::ALL.len()],
}

impl Unserved {
    /// A connection was refused. How many were, for whatever reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        let counts = &self.0.connections;
        counts[why as usize].fetch_add(1, Ordering::Relaxed);
        counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// An answer was given up.
    pub fn given_up(&self, why: GivenUp) {
        self.0.answers[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many answers were given up for that reason.
    #[must_use]
    pub fn answers(&self, why: GivenUp) -> u64 {
        self.0.answers[why as usize].load(Ordering::Relaxed)
    }

    fn connections(&self, why: Refusal) -> u64 {
        self.0.connections[why as usize].load(Ordering::Relaxed)
    }
}

pub(super) fn write(sheet: &mut Sheet<'_>, unserved: &Unserved) -> fmt::Result {
    let reason = |name: &str| vec![("reason", name.to_owned())];
    sheet.counters(
        "imquota_connections_refused",
        "Connections of gateways that were closed at once, since there was no place for them",
        Refusal::ALL.map(|why| (reason(why.name()), unserved.connections(why))),
    )?;
    sheet.counters(
        "imquota_answers_given_up",
        "Answers to gateways that were given up, since their client did not take them",
        GivenUp::ALL.map(|why| (reason(why.name()), unserved.answers(why))),
    )
}
