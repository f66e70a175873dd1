//! The scenarios: each small, each aimed at one part of the protocol.

use crate::scenario::{Budget, Lead, Scenario};
use crate::words::{K, Kind};
use crate::world::Act;

use Lead::{Bring, Do, Flow};

const NONE: Budget = Budget {
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

fn scenario(
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

/// One member and one recount, with a beginning of its own each.
fn aimed(name: &'static str, leased: bool, lead: Vec<Lead>) -> Scenario {
    let budget = Budget {
        asks: 3,
        recounts: 1,
        cancels: 1,
        ttls: 1,
        restarts: 1,
        doubles: 0,
        drops: 0,
        ..NONE
    };
    let mut it = scenario(name, [2, 2], [leased, leased], &[[1, 0], [1, 0]], budget);
    it.members = 1;
    it.lead = lead;
    it
}
/// The notice comes long after the flag.
pub fn late_notice() -> Scenario {
    aimed(
        "late notice",
        true,
        vec![
            Do(Act::Wish(0, 0)),
            Flow,
            Do(Act::Freeze),
            Do(Act::TtlPasses),
            Do(Act::Beat(0)),
            Flow,
            Do(Act::Commit),
            Do(Act::Ask(0, 0)),
            Do(Act::Reply(0, 0)),
        ],
    )
}
/// The answer to a beat comes long after the beat.
pub fn late_lease() -> Scenario {
    aimed(
        "late lease",
        true,
        vec![
            Do(Act::Wish(0, 0)),
            Flow,
            Do(Act::Freeze),
            Do(Act::Beat(0)),
            Bring(Kind::Beat),
            Do(Act::Notice),
            Do(Act::TtlPasses),
            Bring(Kind::Beaten),
            Do(Act::Commit),
            Do(Act::Ask(0, 0)),
            Do(Act::Reply(0, 0)),
        ],
    )
}
/// The answer to a report from before the freeze comes last.
pub fn late_answer() -> Scenario {
    aimed(
        "late answer",
        true,
        vec![
            Do(Act::Wish(0, 0)),
            Flow,
            Do(Act::Settle(0)),
            Bring(Kind::Settle),
            Do(Act::Freeze),
            Do(Act::Notice),
            Do(Act::Beat(0)),
            Bring(Kind::Beat),
            Bring(Kind::Beaten),
            Do(Act::Settle(0)),
            Bring(Kind::Settle),
            Bring(Kind::Settled),
            Bring(Kind::Settled),
            Do(Act::Ask(0, 0)),
            Do(Act::Commit),
            Do(Act::Reply(0, 0)),
        ],
    )
}
/// The acknowledgement of a freeze that was cancelled comes during the next.
pub fn late_ack() -> Scenario {
    aimed(
        "late acknowledgement",
        true,
        vec![
            Do(Act::Wish(0, 0)),
            Flow,
            Do(Act::Freeze),
            Do(Act::Notice),
            Do(Act::Beat(0)),
            Flow,
            Do(Act::Settle(0)),
            Do(Act::Cancel),
            Do(Act::Settle(0)),
            Bring(Kind::Settle),
            Bring(Kind::Settled),
            Do(Act::Freeze),
            Bring(Kind::Settle),
            Do(Act::Commit),
            Do(Act::Ask(0, 0)),
            Do(Act::Reply(0, 0)),
        ],
    )
}
/// A member that had no lease during the whole recount comes back.
pub fn late_return() -> Scenario {
    aimed(
        "late return",
        true,
        vec![
            Do(Act::Wish(0, 0)),
            Flow,
            Do(Act::Freeze),
            Do(Act::Notice),
            Do(Act::TtlPasses),
            Do(Act::Commit),
            Do(Act::Beat(0)),
            Flow,
            Do(Act::Ask(0, 0)),
            Do(Act::Reply(0, 0)),
        ],
    )
}
/// A take that was decided before the freeze is answered after the commit.
pub fn late_take() -> Scenario {
    aimed(
        "late take",
        false,
        vec![
            Do(Act::Ask(0, 0)),
            Bring(Kind::Take),
            Do(Act::Freeze),
            Do(Act::Notice),
            Do(Act::TtlPasses),
            Do(Act::Beat(0)),
            Bring(Kind::Beat),
            Bring(Kind::Beaten),
            Do(Act::Commit),
            Bring(Kind::Taken),
            Do(Act::Reply(0, 0)),
            Do(Act::Settle(0)),
            Flow,
        ],
    )
}
/// An answer that nobody heard is asked for again after the recount.
pub fn late_replay() -> Scenario {
    aimed(
        "late replay",
        false,
        vec![
            Do(Act::Ask(0, 0)),
            Flow,
            Do(Act::Settle(0)),
            Flow,
            Do(Act::Restart(0)),
            Do(Act::Freeze),
            Do(Act::Notice),
            Do(Act::TtlPasses),
            Do(Act::Commit),
            Do(Act::Ask(0, 0)),
            Do(Act::Reply(0, 0)),
            Do(Act::Settle(0)),
            Flow,
            Do(Act::Beat(0)),
            Flow,
            Do(Act::Settle(0)),
            Flow,
            Do(Act::Ask(0, 0)),
            Do(Act::Reply(0, 0)),
        ],
    )
}
/// A newcomer gets a unit, is forgotten, and stays silent.
pub fn forgotten_newcomer() -> Scenario {
    let mut it = newcomer();
    it.name = "forgotten newcomer";
    it.lead = vec![
        Do(Act::Snapshot),
        Do(Act::Join(1)),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Settle(1)),
        Flow,
        Do(Act::Ask(1, 0)),
        Flow,
        Do(Act::Reply(1, 0)),
        Do(Act::Rollback),
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Restate(0)),
        Flow,
        Do(Act::TtlPasses),
        Do(Act::Beat(0)),
        Flow,
    ];
    it
}
/// A member leaves; nobody has seen the base that has its count; all is flushed.
pub fn forgotten_leave() -> Scenario {
    let mut it = flush();
    it.name = "forgotten leave";
    it.limits = [2, 1];
    it.lead = vec![
        Do(Act::Ask(0, 1)),
        Flow,
        Do(Act::Reply(0, 1)),
        Do(Act::Settle(0)),
        Flow,
        Do(Act::Leave(0)),
        Do(Act::Settle(0)),
        Flow,
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Flush),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Restate(1)),
        Flow,
        Do(Act::TtlPasses),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Settle(1)),
        Flow,
    ];
    it
}
/// A silent member came back, worked, and the ledger forgot just that.
pub fn back_from_silence() -> Scenario {
    let mut it = silence();
    it.name = "back from silence";
    it.lead = vec![
        Do(Act::LeaseEnds(0)),
        Do(Act::Silent(0)),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Snapshot),
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Settle(0)),
        Flow,
        Do(Act::Ask(0, 1)),
        Flow,
        Do(Act::Reply(0, 1)),
        Do(Act::Rollback),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Restate(1)),
        Flow,
        Do(Act::TtlPasses),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Settle(1)),
        Flow,
    ];
    it
}
/// The same, and no fellow has heard that it is back.
pub fn back_unheard() -> Scenario {
    let mut it = silence();
    it.name = "back unheard";
    it.lead = vec![
        Do(Act::LeaseEnds(0)),
        Do(Act::Silent(0)),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Snapshot),
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Settle(0)),
        Flow,
        Do(Act::Ask(0, 1)),
        Flow,
        Do(Act::Reply(0, 1)),
        Do(Act::Rollback),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Restate(1)),
        Flow,
        Do(Act::TtlPasses),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Settle(1)),
        Flow,
    ];
    it
}
/// A pod that is gone with its journal does not block the next recovery.
pub fn dead_and_silent() -> Scenario {
    let mut it = silence();
    it.name = "dead and silent";
    it.lead = vec![
        Do(Act::Ask(0, 1)),
        Flow,
        Do(Act::Reply(0, 1)),
        Do(Act::Settle(0)),
        Flow,
        Do(Act::Lose(0)),
        Do(Act::Silent(0)),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Snapshot),
        Do(Act::Rollback),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Restate(1)),
        Flow,
        Do(Act::TtlPasses),
        Do(Act::Beat(1)),
        Flow,
    ];
    it
}
/// A snapshot holds a release that its owner has settled since.
pub fn given_in_snapshot() -> Scenario {
    let mut it = failover_records();
    it.name = "a release in the snapshot";
    it.lead = vec![
        Do(Act::Ask(0, 0)),
        Flow,
        Do(Act::Reply(0, 0)),
        Do(Act::Settle(0)),
        Flow,
        Do(Act::Release(1, 0)),
        Flow,
        Do(Act::Snapshot),
        Do(Act::Settle(1)),
        Flow,
        Do(Act::Rollback),
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Restate(0)),
        Flow,
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Restate(1)),
        Flow,
        Do(Act::TtlPasses),
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Settle(1)),
        Flow,
    ];
    it
}

/// A member sleeps through a recount and goes on.
pub fn asleep() -> Scenario {
    aimed(
        "asleep",
        true,
        vec![
            Do(Act::Wish(0, 0)),
            Flow,
            Do(Act::Freeze),
            Do(Act::Notice),
            Do(Act::TtlPasses),
            Do(Act::Commit),
            Do(Act::Ask(0, 0)),
            Do(Act::Reply(0, 0)),
        ],
    )
}
/// A release that the ledger has and its owner has not heard of, then a recount.
pub fn late_release() -> Scenario {
    let mut it = aimed(
        "late release",
        false,
        vec![
            Do(Act::Ask(0, 0)),
            Flow,
            Do(Act::Reply(0, 0)),
            Do(Act::Settle(0)),
            Flow,
            Do(Act::Release(0, 0)),
            Bring(Kind::Give),
            Do(Act::Freeze),
            Do(Act::Notice),
            Do(Act::TtlPasses),
            Do(Act::Commit),
        ],
    );
    it.budget.releases = 1;
    it
}
/// A unit is asked for while a recovery is open.
pub fn asked_in_a_recovery() -> Scenario {
    let mut it = failover_records();
    it.name = "asked in a recovery";
    it.lead = vec![
        Do(Act::Snapshot),
        Do(Act::Ask(0, 0)),
        Flow,
        Do(Act::Reply(0, 0)),
        Do(Act::Rollback),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Ask(1, 1)),
        Flow,
        Do(Act::Reply(1, 1)),
    ];
    it
}
/// A newcomer that a fellow knows gets a unit, is forgotten by the ledger, and stays silent.
pub fn witnessed_newcomer() -> Scenario {
    let mut it = newcomer();
    it.name = "witnessed newcomer";
    it.lead = vec![
        Do(Act::Snapshot),
        Do(Act::Join(1)),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Settle(1)),
        Flow,
        Do(Act::Ask(1, 0)),
        Flow,
        Do(Act::Reply(1, 0)),
        Do(Act::Rollback),
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Restate(0)),
        Flow,
        Do(Act::TtlPasses),
        Do(Act::Beat(0)),
        Flow,
    ];
    it
}
/// All is flushed, and a newcomer without a journal is the first to call.
pub fn flushed_newcomer() -> Scenario {
    let mut it = flush();
    it.name = "flushed newcomer";
    it.lead = vec![
        Do(Act::Ask(0, 1)),
        Flow,
        Do(Act::Reply(0, 1)),
        Do(Act::Settle(0)),
        Flow,
        Do(Act::Flush),
        Do(Act::Join(2)),
        Do(Act::Beat(2)),
        Flow,
        Do(Act::Restate(2)),
        Flow,
        Do(Act::TtlPasses),
        Do(Act::Beat(2)),
        Flow,
        Do(Act::Settle(2)),
        Flow,
    ];
    it
}
/// All is flushed; the recovery's number must differ from every earlier one.
pub fn flushed_and_told() -> Scenario {
    let mut it = flush();
    it.name = "flushed and told";
    it.lead = vec![
        Do(Act::Ask(0, 1)),
        Flow,
        Do(Act::Reply(0, 1)),
        Do(Act::Settle(0)),
        Flow,
        Do(Act::Flush),
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Beat(1)),
        Flow,
        Do(Act::TtlPasses),
    ];
    it
}
/// A grant of before the fail-over is heard after the restatement.
pub fn answer_of_another_epoch() -> Scenario {
    let mut it = failover_grants();
    it.name = "answer of another epoch";
    it.lead = vec![
        Do(Act::Snapshot),
        Do(Act::Wish(0, 0)),
        Bring(Kind::Settle),
        Do(Act::Rollback),
        Do(Act::Beat(0)),
        Bring(Kind::Beat),
        Bring(Kind::Beaten),
        Do(Act::Restate(0)),
        Bring(Kind::Restate),
        Bring(Kind::Restated),
        Bring(Kind::Settled),
        Do(Act::Ask(0, 0)),
        Do(Act::Reply(0, 0)),
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Restate(1)),
        Flow,
        Do(Act::TtlPasses),
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Beat(1)),
        Flow,
        Do(Act::Beat(0)),
        Flow,
        Do(Act::Wish(1, 0)),
        Do(Act::Settle(1)),
        Flow,
    ];
    it
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
        given_in_snapshot(),
        asleep(),
        late_release(),
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
