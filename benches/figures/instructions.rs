//! How many instructions the parts of a check take, counted by valgrind: the same on a busy machine as on a quiet one.
//!
//! Each is done so many times, and twice as many: the difference is what they take themselves, whatever a start costs.

use std::process::Command;

use clap::ValueEnum as _;

use crate::Failure;
use crate::counted::Work;
use crate::stat::{decimal, grouped, thousandths};

/// What they took when the file was last written.
const BASELINE: &str = include_str!("instructions.txt");
/// By how many thousandths one may grow.
const GROWTH_MAX: u64 = 50;

/// Prints the counts; one that has grown too much is a failure.
pub(crate) fn run() -> Result<(), Failure> {
    println!(
        "Instructions (valgrind), and how many times what benches/figures/instructions.txt has:"
    );
    let mut grown = Vec::new();
    for &work in Work::value_variants() {
        let (name, times) = (name(work), times(work));
        let count = (count(&name, 2 * times)? - count(&name, times)?) / times;
        let before = baseline(&name)?;
        let ratio = thousandths(count, before);
        println!("  {name:<12} {:>9}  {}", grouped(count), decimal(ratio));
        if ratio > 1_000 + GROWTH_MAX {
            grown.push(format!("{name} from {before} to {count}"));
        }
    }
    if grown.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more than 5 % more instructions: {}; where that is meant, write it to benches/figures/instructions.txt",
        grown.join(", ")
    )
    .into())
}

fn name(work: Work) -> String {
    let value = work.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// So often that what else happens is little beside it.
fn times(work: Work) -> u64 {
    match work {
        Work::Decision | Work::Repetition => 5_000,
        Work::Codec | Work::Generated => 20_000,
        Work::Report => 200,
    }
}

fn baseline(name: &str) -> Result<u64, Failure> {
    let mut lines = BASELINE.lines().filter_map(|line| line.split_once(' '));
    let (_, count) = lines
        .find(|(of, _)| *of == name)
        .ok_or_else(|| format!("the baseline has no {name}"))?;
    Ok(count.parse()?)
}

fn count(name: &str, times: u64) -> Result<u64, Failure> {
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["counted", name, &format!("--times={times}")])
        .output()
        .map_err(|problem| format!("valgrind: {problem}"))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    if !ran.status.success() {
        return Err(format!("{name} under valgrind: {said}").into());
    }
    let counts = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, count) = counts.ok_or("valgrind says no count")?;
    Ok(count.trim().parse()?)
}
