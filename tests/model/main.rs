//! The protocol in small.
mod auditor;
mod drain;
mod member;
mod meta;
mod mutant;
mod scenario;
mod scenarios;
mod shard;
mod step;
mod walk;
mod words;
mod world;

#[test]
fn explore() {
    let seeds: u64 = std::env::var("SEEDS").map_or(2000, |v| v.parse().unwrap());
    let steps: usize = std::env::var("STEPS").map_or(60, |v| v.parse().unwrap());
    let only = std::env::var("ONLY").ok();
    for rules in scenarios::all() {
        if only.as_ref().is_some_and(|o| o != rules.name) { continue; }
        let begun = std::time::Instant::now();
        let mut bad = 0;
        let mut best: Option<walk::Counterexample> = None;
        for seed in 0..seeds {
            if let Err(e) = walk::walk(&rules, seed, steps) {
                bad += 1;
                if best.as_ref().is_none_or(|b| e.trace.len() < b.trace.len()) { best = Some(e); }
            }
        }
        println!("{}: {bad} bad of {seeds}, {:?}", rules.name, begun.elapsed());
        if let Some(e) = best { println!("{}", walk::tell(&rules, &walk::shorten(&rules, e))); }
    }
}
