//! Seeded random walks: deeper than breadth first can go.

use std::fmt::Write as _;

use crate::auditor::judge;
use crate::drain::nothing_leaked;
use crate::scenario::{Lead, Scenario};
use crate::world::{Act, World};

/// A walk that ended badly: what was violated, and every event up to there.
pub struct Counterexample {
    pub seed: u64,
    pub why: &'static str,
    pub trace: Vec<Act>,
}

/// splitmix64: the same walk from the same seed, for ever.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

pub fn walk(rules: &Scenario, seed: u64, steps: usize) -> Result<(), Counterexample> {
    let mut dice = Dice(seed);
    let (mut world, mut trace, mut check) = begin(rules);
    let mut acts = Vec::new();
    for _ in 0..steps {
        if check.is_err() {
            break;
        }
        acts.clear();
        world.acts(rules, &mut acts);
        if acts.is_empty() {
            break;
        }
        let act = acts[dice.below(acts.len())];
        world = world.after(rules, act);
        trace.push(act);
        check = judge(rules, &world);
        if check.is_err() {
            break;
        }
    }
    check
        .and_then(|()| nothing_leaked(rules, &world))
        .map_err(|why| Counterexample { seed, why, trace })
}

/// The state in which chance takes over, and how it came about.
pub fn begin(rules: &Scenario) -> (World, Vec<Act>, Result<(), &'static str>) {
    let mut world = World::start(rules);
    let mut trace = Vec::new();
    let mut check = Ok(());
    for lead in &rules.lead {
        while check.is_ok()
            && let Some(act) = led(rules, &world, *lead)
        {
            world = world.after(rules, act);
            trace.push(act);
            check = judge(rules, &world);
            if !matches!(lead, Lead::Flow) {
                break;
            }
        }
    }
    (world, trace, check)
}

fn led(rules: &Scenario, world: &World, lead: Lead) -> Option<Act> {
    let mut acts = Vec::new();
    world.acts(rules, &mut acts);
    acts.into_iter().find(|act| match (lead, act) {
        (Lead::Do(wanted), act) => wanted == *act,
        (Lead::Flow, Act::Deliver(_)) => true,
        (Lead::Bring(kind), Act::Deliver(at)) => world.net[*at].body.kind() == kind,
        _ => false,
    })
}

/// Follows a trace, leaving out what is not offered.
fn follow(rules: &Scenario, trace: &[Act]) -> Result<(), Counterexample> {
    let mut world = World::start(rules);
    let mut done = Vec::new();
    let mut check = Ok(());
    let mut acts = Vec::new();
    for act in trace {
        acts.clear();
        world.acts(rules, &mut acts);
        if !acts.contains(act) {
            continue;
        }
        world = world.after(rules, *act);
        done.push(*act);
        check = judge(rules, &world);
        if check.is_err() {
            break;
        }
    }
    check
        .and_then(|()| nothing_leaked(rules, &world))
        .map_err(|why| Counterexample {
            seed: 0,
            why,
            trace: done,
        })
}

/// The same violation with fewer events, as far as leaving out one after the other leads.
pub fn shorten(rules: &Scenario, found: Counterexample) -> Counterexample {
    let mut best = found;
    let mut at = 0;
    while at < best.trace.len() {
        let mut fewer = best.trace.clone();
        fewer.remove(at);
        match follow(rules, &fewer) {
            Err(shorter) if shorter.why == best.why => {
                let seed = best.seed;
                best = Counterexample { seed, ..shorter };
            }
            _ => at += 1,
        }
    }
    best
}

/// The events in words, with the messages that were delivered.
pub fn tell(rules: &Scenario, found: &Counterexample) -> String {
    let mut world = World::start(rules);
    let mut text = format!("{}: {} (seed {})\n", rules.name, found.why, found.seed);
    for act in &found.trace {
        let about = match act {
            Act::Deliver(at) | Act::Double(at) | Act::Drop(at) => format!("{:?}", world.net[*at]),
            _ => String::new(),
        };
        writeln!(text, "  {act:?} {about}").expect("a string takes all");
        world = world.after(rules, *act);
    }
    text
}
