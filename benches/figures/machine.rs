//! What the figures were taken on.

use std::fs;
use std::process::Command;

/// The lock file that this program was built from.
const LOCK: &str = include_str!("../../Cargo.lock");

/// Prints processor, kernel and versions.
pub(crate) fn print() {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!(
        "machine: {model}, {cores} cores, Linux {}; server on core 0, load and Redis on core 1",
        kernel.trim()
    );
    println!(
        "versions: imquota {}, tonic {}, hyper {}, h2 {}, {}, {}",
        locked("imquota"),
        locked("tonic"),
        locked("hyper"),
        locked("h2"),
        first_words("rustc", 2),
        first_words("redis-server", 3),
    );
}

/// The version of a crate.
fn locked(name: &str) -> &'static str {
    let entry = format!("name = \"{name}\"\nversion = \"");
    LOCK.split_once(&entry)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("unknown", |(version, _)| version)
}

/// The beginning of what a program says of its version.
fn first_words(program: &str, count: usize) -> String {
    let said = Command::new(program).arg("--version").output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
    let said = said.unwrap_or_else(|_| format!("no {program}"));
    let words: Vec<_> = said.split_whitespace().take(count).collect();
    words.join(" ")
}
