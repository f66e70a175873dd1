//! The protocol in small.
mod auditor;
mod check;
mod drain;
mod member;
mod meta;
mod mutant;
mod scenario;
mod scenarios;
mod shard;
mod step;
mod table;
mod walk;
mod words;
mod world;

use walk::{shorten, tell, walk};

/// How many times the usual number of walks and states: `IMQUOTA_MODEL=50` takes about half an hour.
fn effort() -> u64 {
    std::env::var("IMQUOTA_MODEL").map_or(1, |times| times.parse().expect("a whole number of times"))
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
            Some(found) => println!("{mutant:?}: {} (seed {}, {} events)", found.why, found.seed, found.trace.len()),
            None => unfound.push((mutant, name)),
        }
    }
    assert!(unfound.is_empty(), "no counterexample for {unfound:?}");
}
