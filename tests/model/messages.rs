//! What travels between members and the ledger.

use crate::words::*;

/// What a member tells the shard of itself: settle and restate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Report {
    pub totals: [Totals; K],
    pub delta: [i8; K],
    pub bases: [Base; K],
    pub seq: u8,
    pub answered: Vec<Answered>,
    pub aborts: Vec<Claim>,
    pub abort_ids: Vec<usize>,
    pub given: Vec<usize>,
    pub wish: [i8; K],
    pub acks_freeze: Option<u8>,
    /// The gap of the lease after which this was composed; the answer says it again.
    pub gaps: u8,
    pub leave: bool,
    pub gone: Set,
    pub marks: Marks,
}

/// What the shard answers to a report.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    pub shown: [Shown; K],
    pub bases: [Base; K],
    pub seq: u8,
    pub frozen: Option<u8>,
    pub answered: Vec<(usize, Ack)>,
    pub aborted: Vec<u8>,
    pub given: Vec<usize>,
    pub gaps: u8,
    pub left: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    Take {
        id: usize,
        attempt: u8,
    },
    /// `allow` is `None` where nothing was decided: behind, frozen, open.
    Taken {
        id: usize,
        attempt: u8,
        allow: Option<bool>,
        mine: bool,
        shown: [Shown; K],
    },
    Give {
        id: usize,
    },
    Gave {
        id: usize,
        given: [i8; K],
        mine: bool,
        gen_: u8,
        shown: [Shown; K],
    },
    Settle(Box<Report>),
    Settled(Box<View>),
    Restate(Box<Report>),
    Restated,
    Beat {
        restated: u8,
        roll: Set,
        gone: Set,
        marks: Marks,
        roll_version: u8,
        stated_version: u8,
        sent: u8,
        leaving: bool,
        fresh: bool,
        noted: [u8; S],
    },
    Beaten {
        lease: bool,
        roll: Set,
        gone: Set,
        marks: Marks,
        roll_version: u8,
        sent: u8,
        notice: Option<u8>,
        recall: bool,
        noted: [u8; S],
    },
}

/// A message to or from a member, with the run of the connection and the epoch of its sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    pub member: usize,
    pub run: u8,
    pub epoch: u8,
    pub open: bool,
    pub body: Body,
}

impl Body {
    /// Each kind of message, in the order in which a state lists them.
    pub fn kind(&self) -> Kind {
        match self {
            Body::Take { .. } => Kind::Take,
            Body::Taken { .. } => Kind::Taken,
            Body::Give { .. } => Kind::Give,
            Body::Gave { .. } => Kind::Gave,
            Body::Settle(_) => Kind::Settle,
            Body::Settled(_) => Kind::Settled,
            Body::Restate(_) => Kind::Restate,
            Body::Restated => Kind::Restated,
            Body::Beat { .. } => Kind::Beat,
            Body::Beaten { .. } => Kind::Beaten,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Take,
    Taken,
    Give,
    Gave,
    Settle,
    Settled,
    Restate,
    Restated,
    Beat,
    Beaten,
}
