//! The scenarios: each small, each aimed at one part of the protocol.

use crate::aimed::*;
use crate::scenario::{Budget, Scenario};
use crate::words::K;

pub const NONE: Budget = Budget {
    asks: 4,
    releases: 0,
    drops: 1,
    doubles: 1,
    restarts: 0,
    losses: 0,
    joins: 0,
    ttls: 0,
    lease_ends: 0,
    rollbacks: 0,
    flushes: 0,
    leaves: 0,
    retires: 0,
    recounts: 0,
    cancels: 0,
    folds: 0,
    silences: 0,
};
const TIGHT: [bool; K] = [false, false];
const LEASED: [bool; K] = [true, true];
const MIXED: [bool; K] = [false, true];

pub fn scenario(
    name: &'static str,
    limits: [i8; K],
    leased: [bool; K],
    ids: &'static [[i8; K]],
    budget: Budget,
) -> Scenario {
    Scenario {
        name,
        mutant: None,
        limits,
        leased,
        ids,
        members: 2,
        witness_bound: false,
        budget,
        lead: Vec::new(),
    }
}

/// Takes of a tight limit, asked again elsewhere, aborted, answered late.
pub fn takes() -> Scenario {
    scenario(
        "takes",
        [1, 1],
        TIGHT,
        &[[1, 0], [1, 0], [1, 0]],
        Budget {
            asks: 5,
            restarts: 2,
            lease_ends: 1,
            folds: 1,
            drops: 2,
            doubles: 2,
            ..NONE
        },
    )
}
/// One creation in two counters, one of them otherwise leased.
pub fn parts() -> Scenario {
    scenario(
        "parts",
        [2, 2],
        MIXED,
        &[[1, 1], [0, 1], [1, 1], [0, 1]],
        Budget {
            asks: 5,
            restarts: 1,
            lease_ends: 1,
            releases: 1,
            ..NONE
        },
    )
}
/// Releases on the record path and from memory.
pub fn releases() -> Scenario {
    scenario(
        "releases",
        [1, 1],
        MIXED,
        &[[1, 0], [0, 1], [1, 0], [0, 1]],
        Budget {
            asks: 6,
            releases: 3,
            restarts: 1,
            doubles: 2,
            ..NONE
        },
    )
}
/// Grants: spend, return, kill, expire.
pub fn grants() -> Scenario {
    scenario(
        "grants",
        [2, 1],
        LEASED,
        &[[1, 0], [1, 0], [1, 0], [1, 0]],
        Budget {
            asks: 5,
            restarts: 2,
            lease_ends: 1,
            ttls: 1,
            doubles: 2,
            ..NONE
        },
    )
}
/// Grants and releases that overtake their creations.
pub fn churn() -> Scenario {
    scenario(
        "churn",
        [2, 1],
        LEASED,
        &[[1, 0], [1, 0], [1, 0], [1, 0]],
        Budget {
            asks: 6,
            releases: 3,
            restarts: 1,
            doubles: 2,
            ..NONE
        },
    )
}
/// The gain of two days: each day a counter of its own.
pub fn days() -> Scenario {
    scenario(
        "days",
        [1, 1],
        LEASED,
        &[[1, 0], [0, 1], [1, 0], [0, 1]],
        Budget {
            asks: 5,
            releases: 1,
            ..NONE
        },
    )
}
/// A journal is lost, and the seat is taken anew.
pub fn lost_journal() -> Scenario {
    scenario(
        "lost journal",
        [2, 1],
        [true, false],
        &[[1, 0], [1, 0], [1, 0], [0, 1]],
        Budget {
            asks: 5,
            losses: 1,
            joins: 1,
            ttls: 1,
            retires: 1,
            ..NONE
        },
    )
}
/// Members leave and are retired.
pub fn leaving() -> Scenario {
    scenario(
        "leaving",
        [2, 1],
        [true, false],
        &[[1, 0], [0, 1], [1, 0], [1, 0]],
        Budget {
            asks: 5,
            leaves: 1,
            retires: 1,
            ttls: 1,
            doubles: 2,
            lease_ends: 1,
            ..NONE
        },
    )
}
/// A recount of leased units.
pub fn recount() -> Scenario {
    scenario(
        "recount",
        [2, 1],
        [true, false],
        &[[1, 0], [0, 1], [1, 0], [1, 0]],
        Budget {
            asks: 5,
            recounts: 1,
            ttls: 1,
            cancels: 1,
            restarts: 1,
            ..NONE
        },
    )
}
/// A recount of records and releases.
pub fn recount_records() -> Scenario {
    scenario(
        "recount of records",
        [1, 1],
        TIGHT,
        &[[1, 0], [1, 0], [1, 0]],
        Budget {
            asks: 5,
            releases: 1,
            recounts: 2,
            ttls: 2,
            restarts: 1,
            ..NONE
        },
    )
}
/// A fail-over to an older snapshot: records.
pub fn failover_records() -> Scenario {
    scenario(
        "fail-over of records",
        [1, 1],
        TIGHT,
        &[[1, 0], [1, 0], [1, 0]],
        Budget {
            asks: 5,
            releases: 1,
            rollbacks: 1,
            ttls: 1,
            restarts: 1,
            ..NONE
        },
    )
}
/// A fail-over to an older snapshot: grants.
pub fn failover_grants() -> Scenario {
    scenario(
        "fail-over of grants",
        [2, 1],
        LEASED,
        &[[1, 0], [1, 0], [1, 0], [1, 0]],
        Budget {
            asks: 5,
            releases: 1,
            rollbacks: 2,
            ttls: 2,
            ..NONE
        },
    )
}
/// A member comes, and the ledger forgets it.
pub fn newcomer() -> Scenario {
    let mut it = scenario(
        "newcomer",
        [1, 1],
        TIGHT,
        &[[1, 0], [1, 0]],
        Budget {
            asks: 4,
            joins: 1,
            rollbacks: 1,
            ttls: 1,
            drops: 2,
            ..NONE
        },
    );
    it.members = 1;
    it
}
/// A member leaves, and the ledger forgets it.
pub fn failover_leaving() -> Scenario {
    scenario(
        "fail-over of a leave",
        [2, 1],
        [true, false],
        &[[1, 0], [0, 1], [1, 0]],
        Budget {
            asks: 5,
            leaves: 1,
            rollbacks: 1,
            ttls: 1,
            ..NONE
        },
    )
}
/// All keys are gone, the run is the same.
pub fn flush() -> Scenario {
    scenario(
        "flush",
        [1, 1],
        [true, false],
        &[[1, 0], [0, 1], [1, 0], [0, 1]],
        Budget {
            asks: 5,
            flushes: 1,
            ttls: 1,
            leaves: 1,
            joins: 1,
            ..NONE
        },
    )
}
/// A member falls silent for long, comes back or not, and the ledger forgets.
pub fn silence() -> Scenario {
    scenario(
        "silence",
        [1, 1],
        [true, false],
        &[[1, 0], [0, 1], [1, 0]],
        Budget {
            asks: 4,
            silences: 1,
            losses: 1,
            lease_ends: 1,
            rollbacks: 1,
            ttls: 1,
            ..NONE
        },
    )
}
/// A recount excuses who is silent in a recovery.
pub fn failover_recount() -> Scenario {
    scenario(
        "recount in a recovery",
        [2, 1],
        [true, false],
        &[[1, 0], [0, 1], [1, 0], [1, 0]],
        Budget {
            asks: 5,
            rollbacks: 1,
            recounts: 2,
            ttls: 2,
            ..NONE
        },
    )
}

pub fn all() -> Vec<Scenario> {
    vec![
        takes(),
        parts(),
        releases(),
        grants(),
        churn(),
        days(),
        lost_journal(),
        leaving(),
        recount(),
        recount_records(),
        failover_records(),
        failover_grants(),
        newcomer(),
        failover_leaving(),
        flush(),
        silence(),
        failover_recount(),
        late_notice(),
        late_lease(),
        late_answer(),
        late_ack(),
        late_return(),
        late_take(),
        late_replay(),
        forgotten_newcomer(),
        forgotten_leave(),
        back_from_silence(),
        back_unheard(),
        dead_and_silent(),
        lost_in_a_recovery(),
        given_in_snapshot(),
        asleep(),
        late_release(),
        pinned_by_the_gone(),
        recount_without_a_base(),
        asked_in_a_recovery(),
        witnessed_newcomer(),
        flushed_newcomer(),
        flushed_and_told(),
        answer_of_another_epoch(),
    ]
}

pub fn named(name: &str) -> Scenario {
    all()
        .into_iter()
        .find(|s| s.name == name)
        .expect("a scenario of that name")
}
