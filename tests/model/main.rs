//! The protocol by which many sidecars share one quota, in small: a specification that runs.
//! `docs/protocol.md` says the same in prose. Change the protocol here first.
//!
//! # What must hold, after each event
//!
//! 1. *Never over*: the objects that gateways created are within the limit.
//! 2. *Never unseen*: the ledger charges at least what exists (`u + held - back + o`), except between
//!    the loss of writes and the end of the recovery, and for a counter marked incomplete.
//! 3. *Never promised over*: what it charges is within the limit, where no recount put it above.
//! 4. *At rest* (all delivered, all settled, all members alive): the count is the truth, nothing is
//!    held, no unit is out of everybody's reach, and every recovery has closed.
//!
//! An auditor that knows only what gateways heard keeps the truth ([`auditor`], [`drain`]).
//!
//! # What is modelled
//!
//! Up to three members and one app with two counters of limits 1 and 2: tight, leased, or two days of
//! the gain. Every message ([`words::Body`]) is delivered late, twice, out of order or never. Members
//! are killed, lose their journal, join, leave, fall silent, are retired; leases end. The ledger is put
//! back to a snapshot under a new run, or emptied under the same. The operator freezes, cancels, counts.
//! Time is an event: [`world::Act::TtlPasses`] ends each lease that rests on an earlier beat.
//!
//! # What is not
//!
//! Several shards and apps (a base's version stands for the checksum over a shard's bases), the size of
//! shares and of wishes, metered counters, peaks, bills, active users, objects, reservations, isolated
//! masters, slot moves, a copied data folder. Folding by age waits until nothing about the id is on its
//! way: no message lives longer than the id window. A reply that took a lease ttl has no listener.
//!
//! # How it is run
//!
//! `cargo test --test model` walks at random from printed seeds, goes breadth first through some
//! thousand states of each scenario, and looks for a counterexample to every [`mutant::Mutant`].
//! `IMQUOTA_MODEL=50 cargo test --test model` does fifty times as much.

mod aimed;
mod auditor;
mod check;
mod drain;
mod member;
mod messages;
mod meta;
mod mutant;
mod operator;
mod scenario;
mod scenarios;
mod script;
mod shard;
mod step;
mod table;
mod walk;
mod words;
mod world;

use walk::{shorten, tell, walk};

/// How many times the usual number of walks and states.
fn effort() -> u64 {
    std::env::var("IMQUOTA_MODEL")
        .map_or(1, |times| times.parse().expect("a whole number of times"))
}

/// Walks of each scenario.
const WALKS: u64 = 100;
/// Walks in which a mutant must be found.
const HUNT: u64 = 1500;
/// Steps that chance takes in a walk; then everything comes to rest.
const STEPS: usize = 60;
/// States that are followed breadth first in each scenario.
const STATES: usize = 1000;

#[test]
fn the_protocol_holds_on_random_walks() {
    for rules in scenarios::all() {
        for seed in 0..WALKS * effort() {
            if let Err(found) = walk(&rules, seed, STEPS) {
                panic!("{}", tell(&rules, &shorten(&rules, found)));
            }
        }
    }
}

#[test]
fn the_protocol_holds_breadth_first() {
    for rules in scenarios::all() {
        let states = check::breadth_first(&rules, STATES * usize::try_from(effort()).unwrap());
        println!("{}: {states} states", rules.name);
    }
}

#[test]
fn every_mutant_is_found() {
    let mut unfound = Vec::new();
    for mutant in mutant::Mutant::ALL {
        let Some((_, name)) = table::FOUND_IN.iter().find(|(m, _)| m == mutant) else {
            panic!("{mutant:?} has no scenario");
        };
        let rules = scenarios::named(name).with(*mutant);
        match (0..HUNT).find_map(|seed| walk(&rules, seed, STEPS).err()) {
            Some(found) => println!(
                "{mutant:?}: {} (seed {}, {} events)",
                found.why,
                found.seed,
                found.trace.len()
            ),
            None => unfound.push((mutant, name)),
        }
    }
    assert!(unfound.is_empty(), "no counterexample for {unfound:?}");
}

/// The wait for a witness may be bounded, at a price that the design names.
#[test]
fn a_bounded_wait_for_a_witness_is_an_exception() {
    let (_, _, outcome) = walk::begin(&aimed::bounded_wait());
    assert_eq!(outcome, Err("the limit does not see what exists"));
}

/// Nor does one whose journal is lost, once an operator has given it up: its apps wait for a recount.
#[test]
fn the_lost_do_not_block_a_recovery() {
    let (world, _, outcome) = walk::begin(&aimed::lost_in_a_recovery());
    assert_eq!(outcome, Ok(()));
    let (meta, shard) = (world.ledger.meta, world.ledger.shard);
    let meta = meta.expect("it was made again");
    assert!(
        meta.epoch > 1 && !meta.open && meta.given_up == 1,
        "{meta:?}"
    );
    let counters = shard.expect("it was restated").counters;
    assert!(counters.iter().all(|counter| counter.incomplete));
}

/// A pod that died with its node, silent for long, does not keep a recovery open.
#[test]
fn the_dead_do_not_block_a_recovery() {
    let (world, _, outcome) = walk::begin(&aimed::dead_and_silent());
    assert_eq!(outcome, Ok(()));
    let meta = world.ledger.meta.expect("nothing was flushed");
    assert!(meta.epoch > 1 && !meta.open, "{meta:?}");
}
