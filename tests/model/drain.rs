//! After the storm: everything is delivered, everybody settles, and nothing may be left over.

use crate::auditor::judge;
use crate::scenario::{Budget, Scenario};
use crate::words::*;
use crate::world::{Act, World};

/// Rounds in which all must have come to rest.
const ROUNDS: usize = 12;

fn act(rules: &Scenario, world: &mut World, act: Act) -> Result<(), &'static str> {
    *world = world.after(rules, act);
    judge(rules, world)
}

fn deliver_all(rules: &Scenario, world: &mut World) -> Result<(), &'static str> {
    while !world.net.is_empty() {
        let reachable = world.connected(rules, &world.net[0]);
        if reachable {
            act(rules, world, Act::Deliver(0))?;
        } else {
            world.net.remove(0);
        }
    }
    Ok(())
}

/// Lets the world come to rest and looks for what leaked.
pub fn nothing_leaked(rules: &Scenario, end: &World) -> Result<(), &'static str> {
    let mut world = end.clone();
    world.left = Budget {
        ttls: 2,
        ..Budget::default()
    };
    deliver_all(rules, &mut world)?;
    act(rules, &mut world, Act::TtlPasses)?;
    if world
        .ledger
        .shard
        .as_ref()
        .is_some_and(|s| s.freeze.is_some())
    {
        world.left.cancels = 1;
        act(rules, &mut world, Act::Cancel)?;
    }
    for round in 0..ROUNDS {
        if round == 2 {
            act(rules, &mut world, Act::TtlPasses)?;
        }
        if round == 5
            && let Some(meta) = &mut world.ledger.meta
        {
            meta.recall = true;
        }
        for m in 0..S {
            if world.members[m].life != Life::Up {
                continue;
            }
            one_round(rules, &mut world, m)?;
        }
    }
    compare(rules, &world)
}

fn one_round(rules: &Scenario, world: &mut World, m: usize) -> Result<(), &'static str> {
    let before = world.members[m].clone();
    for id in 0..rules.ids.len() {
        if has(before.replies, id) {
            act(rules, world, Act::Reply(m, id))?;
        }
        // The caller of an answer that was lost asks again.
        let lost = before.remembers(id) == Some(before.totals[rules.first(id)].gen_)
            && !has(world.truth.created, id);
        if lost {
            world.left.asks = 1;
            act(rules, world, Act::Ask(m, id))?;
            if has(world.members[m].replies, id) {
                act(rules, world, Act::Reply(m, id))?;
            }
        }
    }
    if !before.unjournaled.is_empty() {
        act(rules, world, Act::JournalLate(m))?;
    }
    act(rules, world, Act::GiveUp(m))?;
    act(rules, world, Act::Beat(m))?;
    deliver_all(rules, world)?;
    if world.members[m].restated < world.members[m].epoch {
        act(rules, world, Act::Restate(m))?;
        deliver_all(rules, world)?;
    }
    if world.members[m].open || world.members[m].epoch == 0 {
        return Ok(());
    }
    for id in 0..rules.ids.len() {
        if world.members[m].given.iter().any(|g| g.id == id && !g.done) {
            act(rules, world, Act::GiveAgain(m, id))?;
            deliver_all(rules, world)?;
        }
    }
    act(rules, world, Act::Settle(m))?;
    deliver_all(rules, world)
}

fn compare(rules: &Scenario, world: &World) -> Result<(), &'static str> {
    let Some(meta) = &world.ledger.meta else {
        return Ok(());
    };
    let empty = Shard::default();
    let shard = world.ledger.shard.as_ref().unwrap_or(&empty);
    let everyone = meta.registered & !meta.gone;
    let alive = (0..S).all(|m| !has(everyone, m) || world.members[m].life == Life::Up);
    // Who wants to leave and owes nothing that anybody could still count has left.
    let stuck = |m: usize| world.members[m].life == Life::Up && world.members[m].leaving;
    if !meta.open && alive && (0..S).any(stuck) {
        return Err("a member can never leave");
    }
    if meta.open {
        return if alive {
            Err("a recovery that everybody answered stays open")
        } else {
            Ok(())
        };
    }
    for k in 0..K {
        let counter = &shard.counters[k];
        let live = world.truth.live(rules, k);
        if alive && !counter.incomplete && counter.o() != 0 {
            return Err("units that nobody can spend");
        }
        if !alive || world.truth.inexact || counter.incomplete {
            continue;
        }
        // The caller of a member that left did not ask again.
        let unheard: i8 = (0..rules.ids.len())
            .filter(|id| !has(world.truth.created, *id))
            .filter(|id| world.members.iter().any(|m| m.remembers(*id).is_some()))
            .map(|id| rules.part(id, k))
            .sum();
        if counter.seen() < live || counter.seen() > live + unheard {
            return Err("the count is not the truth");
        }
        if counter.held != 0 || counter.back != 0 {
            return Err("held or back is left over");
        }
    }
    Ok(())
}
