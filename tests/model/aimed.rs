//! Scenarios that begin where a fault is near: each with a script that leads there.

use crate::scenario::{Budget, Lead, Scenario};
use crate::scenarios::*;
use crate::script::script;

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
        script("Wish 0 0; flow; Freeze; TtlPasses; Beat 0; flow; Commit; Ask 0 0; Reply 0 0"),
    )
}
/// The answer to a beat comes long after the beat.
pub fn late_lease() -> Scenario {
    aimed(
        "late lease",
        true,
        script(
            "Wish 0 0; flow; Freeze; Beat 0; bring Beat; Notice; TtlPasses; bring Beaten; Commit; \
         Ask 0 0; Reply 0 0",
        ),
    )
}
/// The answer to a report from before the freeze comes last.
pub fn late_answer() -> Scenario {
    aimed(
        "late answer",
        true,
        script(
            "Wish 0 0; flow; Settle 0; bring Settle; Freeze; Notice; Beat 0; bring Beat; \
         bring Beaten; Settle 0; bring Settle; bring Settled; bring Settled; Ask 0 0; Commit; \
         Reply 0 0",
        ),
    )
}
/// The acknowledgement of a freeze that was cancelled comes during the next.
pub fn late_ack() -> Scenario {
    aimed(
        "late acknowledgement",
        true,
        script(
            "Wish 0 0; flow; Freeze; Notice; Beat 0; flow; Settle 0; Cancel; Settle 0; \
         bring Settle; bring Settled; Freeze; bring Settle; Commit; Ask 0 0; Reply 0 0",
        ),
    )
}
/// A member that had no lease during the whole recount comes back.
pub fn late_return() -> Scenario {
    aimed(
        "late return",
        true,
        script(
            "Wish 0 0; flow; Freeze; Notice; TtlPasses; Commit; Beat 0; flow; Ask 0 0; Reply 0 0",
        ),
    )
}
/// A take that was decided before the freeze is answered after the commit.
pub fn late_take() -> Scenario {
    aimed(
        "late take",
        false,
        script(
            "Ask 0 0; bring Take; Freeze; Notice; TtlPasses; Beat 0; bring Beat; bring Beaten; \
         Commit; bring Taken; Reply 0 0; Settle 0; flow",
        ),
    )
}
/// An answer that nobody heard is asked for again after the recount.
pub fn late_replay() -> Scenario {
    aimed(
        "late replay",
        false,
        script(
            "Ask 0 0; flow; Settle 0; flow; Restart 0; Freeze; Notice; TtlPasses; Commit; Ask 0 0; \
         Reply 0 0; Settle 0; flow; Beat 0; flow; Settle 0; flow; Ask 0 0; Reply 0 0",
        ),
    )
}
/// A newcomer gets a unit, is forgotten, and stays silent.
pub fn forgotten_newcomer() -> Scenario {
    let mut it = newcomer();
    it.name = "forgotten newcomer";
    it.lead = script(
        "Snapshot; Join 1; Beat 1; flow; Settle 1; flow; Ask 1 0; flow; Reply 1 0; Rollback; \
         Beat 0; flow; Restate 0; flow; TtlPasses; Beat 0; flow",
    );
    it
}
/// The same where the wait for a witness ends after a lease ttl: the named exception.
pub fn bounded_wait() -> Scenario {
    let mut it = newcomer();
    it.name = "bounded wait";
    it.witness_bound = true;
    it.budget.ttls = 2;
    it.lead = script(
        "Snapshot; Join 1; Beat 1; flow; TtlPasses; Beat 1; flow; Settle 1; flow; Ask 1 0; flow; \
         Reply 1 0; Rollback; Beat 0; flow; Restate 0; flow; TtlPasses; Beat 0; flow; \
         Settle 0; flow",
    );
    it
}
/// A member leaves; nobody has seen the base that has its count; all is flushed.
pub fn forgotten_leave() -> Scenario {
    let mut it = flush();
    it.name = "forgotten leave";
    it.limits = [2, 1];
    it.lead = script(
        "Ask 0 1; flow; Reply 0 1; Settle 0; flow; Leave 0; Settle 0; flow; Beat 1; flow; \
         Flush; Beat 1; flow; Restate 1; flow; TtlPasses; Beat 1; flow; Settle 1; flow",
    );
    it
}
/// A silent member came back, worked, and the ledger forgot just that.
pub fn back_from_silence() -> Scenario {
    let mut it = silence();
    it.name = "back from silence";
    it.lead = script(
        "LeaseEnds 0; Silent 0; Beat 1; flow; Snapshot; Beat 0; flow; Beat 1; flow; Beat 1; \
         flow; Beat 0; flow; Settle 0; flow; Ask 0 1; flow; Reply 0 1; Rollback; Beat 1; flow; \
         Restate 1; flow; TtlPasses; Beat 1; flow; Settle 1; flow",
    );
    it
}
/// The same, and no fellow has heard that it is back.
pub fn back_unheard() -> Scenario {
    let mut it = silence();
    it.name = "back unheard";
    it.lead = script(
        "LeaseEnds 0; Silent 0; Beat 1; flow; Snapshot; Beat 0; flow; Settle 0; flow; Ask 0 1; \
         flow; Reply 0 1; Rollback; Beat 1; flow; Restate 1; flow; TtlPasses; Beat 1; flow; \
         Settle 1; flow",
    );
    it
}
/// A pod that is gone with its journal does not block the next recovery.
pub fn dead_and_silent() -> Scenario {
    let mut it = silence();
    it.name = "dead and silent";
    it.lead = script(
        "Ask 0 1; flow; Reply 0 1; Settle 0; flow; Lose 0; Silent 0; Beat 1; flow; Snapshot; \
         Rollback; Beat 1; flow; Restate 1; flow; TtlPasses; Beat 1; flow",
    );
    it
}
/// The only one who knew the ledger makes the meta key again, and its journal is lost before it has told anything. Its
/// successor knows nothing, and an operator gives the lost one up.
pub fn lost_in_a_recovery() -> Scenario {
    let mut it = scenario(
        "lost in a recovery",
        [1, 1],
        [false, false],
        &[[1, 0], [1, 0], [0, 1]],
        Budget {
            asks: 4,
            flushes: 1,
            losses: 1,
            joins: 1,
            ttls: 2,
            retires: 2,
            recounts: 1,
            ..NONE
        },
    );
    it.members = 1;
    it.lead = script(
        "Ask 0 0; flow; Reply 0 0; Settle 0; flow; Flush; Beat 0; flow; Lose 0; Join 1; Beat 1; flow; Restate 1; \
         flow; TtlPasses; Beat 1; flow; GiveUpMember 0; Beat 1; flow",
    );
    it
}
/// A snapshot holds a release that its owner has settled since.
pub fn given_in_snapshot() -> Scenario {
    let mut it = failover_records();
    it.name = "a release in the snapshot";
    it.lead = script(
        "Ask 0 0; flow; Reply 0 0; Settle 0; flow; Release 1 0; flow; Snapshot; Settle 1; \
         flow; Rollback; Beat 0; flow; Restate 0; flow; Beat 1; flow; Restate 1; flow; \
         TtlPasses; Beat 0; flow; Beat 1; flow; Settle 1; flow",
    );
    it
}

/// A member sleeps through a recount and goes on.
pub fn asleep() -> Scenario {
    aimed(
        "asleep",
        true,
        script("Wish 0 0; flow; Freeze; Notice; TtlPasses; Commit; Ask 0 0; Reply 0 0"),
    )
}
/// A release that the ledger has and its owner has not heard of, then a recount.
pub fn late_release() -> Scenario {
    let mut it = aimed(
        "late release",
        false,
        script(
            "Ask 0 0; flow; Reply 0 0; Settle 0; flow; Release 0 0; bring Give; Freeze; Notice; \
         TtlPasses; Commit",
        ),
    );
    it.budget.releases = 1;
    it
}
/// A unit is asked for while a recovery is open.
pub fn asked_in_a_recovery() -> Scenario {
    let mut it = failover_records();
    it.name = "asked in a recovery";
    it.lead = script(
        "Snapshot; Ask 0 0; flow; Reply 0 0; Rollback; Beat 1; flow; Ask 1 1; flow; Reply 1 1",
    );
    it
}
/// A newcomer that a fellow knows gets a unit, is forgotten by the ledger, and stays silent.
pub fn witnessed_newcomer() -> Scenario {
    let mut it = newcomer();
    it.name = "witnessed newcomer";
    it.lead = script(
        "Snapshot; Join 1; Beat 1; flow; Beat 0; flow; Beat 0; flow; Beat 1; flow; Settle 1; \
         flow; Ask 1 0; flow; Reply 1 0; Rollback; Beat 0; flow; Restate 0; flow; TtlPasses; \
         Beat 0; flow",
    );
    it
}
/// All is flushed, and a newcomer without a journal is the first to call.
pub fn flushed_newcomer() -> Scenario {
    let mut it = flush();
    it.name = "flushed newcomer";
    it.lead = script(
        "Ask 0 1; flow; Reply 0 1; Settle 0; flow; Flush; Join 2; Beat 2; flow; Restate 2; \
         flow; TtlPasses; Beat 2; flow; Settle 2; flow",
    );
    it
}
/// All is flushed; the recovery's number must differ from every earlier one.
pub fn flushed_and_told() -> Scenario {
    let mut it = flush();
    it.name = "flushed and told";
    it.lead = script(
        "Ask 0 1; flow; Reply 0 1; Settle 0; flow; Flush; Beat 0; flow; Beat 1; flow; \
         TtlPasses",
    );
    it
}
/// A grant of before the fail-over is heard after the restatement.
pub fn answer_of_another_epoch() -> Scenario {
    let mut it = failover_grants();
    it.name = "answer of another epoch";
    it.lead = script(
        "Snapshot; Wish 0 0; bring Settle; Rollback; Beat 0; bring Beat; bring Beaten; \
         Restate 0; bring Restate; bring Restated; bring Settled; Ask 0 0; Reply 0 0; Beat 1; \
         flow; Restate 1; flow; TtlPasses; Beat 0; flow; Beat 1; flow; Beat 0; flow; Wish 1 0; \
         Settle 1; flow",
    );
    it
}
/// A record is answered by two; its owner is retired before it has counted it, and the other leaves.
pub fn pinned_by_the_gone() -> Scenario {
    let mut it = leaving();
    it.name = "pinned by the gone";
    it.budget.losses = 1;
    it.lead = script(
        "Ask 0 1; flow; Ask 1 1; flow; Reply 1 1; Settle 1; flow; Lose 0; TtlPasses; Retire 0; \
         Beat 1; flow; Leave 1",
    );
    it
}
/// A recount of whose generation a release has told; its base is forgotten with it.
pub fn recount_without_a_base() -> Scenario {
    let mut it = failover_recount();
    it.name = "recount without a base";
    it.limits = [2, 2];
    it.leased = [false, false];
    it.lead = script(
        "Ask 0 0; flow; Reply 0 0; Ask 0 2; flow; Reply 0 2; Settle 0; flow; Snapshot; Freeze; \
         Notice; TtlPasses; Commit; Release 0 0; flow; Rollback; Beat 0; flow; Restate 0; flow; \
         Beat 1; flow; Restate 1; flow; TtlPasses; Beat 0; flow; Settle 0; flow",
    );
    it.budget.releases = 1;
    it
}
