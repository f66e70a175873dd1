//! The independent auditor: what gateways believe to exist, and what must hold of it.

use crate::scenario::Scenario;
use crate::words::*;
use crate::world::World;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact about the past"
)]
pub struct Truth {
    /// Ids whose ALLOW reached a gateway: their objects were created, once each.
    pub created: Set,
    /// Objects that gateways have deleted, and told.
    pub asked_to_release: Set,
    /// The ledger lost writes, and no recovery has closed since.
    pub forgotten: bool,
    pub ever_forgotten: bool,
    pub recounted: bool,
    pub recounted_open: bool,
    /// Something happened that only a recount repairs, as the protocol says.
    pub inexact: bool,
}

impl Truth {
    pub fn live(&self, rules: &Scenario, k: usize) -> i8 {
        let alive = self.created & !self.asked_to_release;
        (0..rules.ids.len())
            .filter(|id| has(alive, *id))
            .map(|id| rules.part(id, k))
            .sum()
    }

    pub fn look(&mut self, _rules: &Scenario, ledger: &Ledger, run: u8) {
        self.ever_forgotten |= self.forgotten;
        if let (Some(meta), Some(shard)) = (&ledger.meta, &ledger.shard)
            && !meta.open
            && !shard.open
            && meta.run == run
            && shard.epoch == meta.epoch
            && meta.epoch > 1
        {
            self.forgotten = false;
        }
    }
}

/// Never over: what exists is within the limit.
pub fn never_over(rules: &Scenario, world: &World) -> bool {
    (0..K).all(|k| world.truth.live(rules, k) <= rules.limits[k])
}

/// Never unseen: what exists is charged, so that no later decision can be wrong either.
pub fn never_unseen(rules: &Scenario, world: &World) -> bool {
    if world.truth.forgotten {
        return true;
    }
    let Some(shard) = &world.ledger.shard else {
        return true;
    };
    (0..K).all(|k| {
        let counter = &shard.counters[k];
        counter.incomplete || world.truth.live(rules, k) <= counter.seen()
    })
}

/// What the limit sees is within the limit, where no recount and no recovery put it there.
pub fn never_promised_over(rules: &Scenario, world: &World) -> bool {
    if world.truth.ever_forgotten || world.truth.recounted || world.truth.inexact {
        return true;
    }
    let Some(shard) = &world.ledger.shard else {
        return true;
    };
    (0..K).all(|k| shard.counters[k].seen() <= rules.limits[k])
}

pub fn judge(rules: &Scenario, world: &World) -> Result<(), &'static str> {
    if !never_over(rules, world) {
        return Err("more exists than the limit");
    }
    if !never_unseen(rules, world) {
        return Err("the limit does not see what exists");
    }
    if !never_promised_over(rules, world) {
        return Err("the ledger promised more than the limit");
    }
    Ok(())
}
