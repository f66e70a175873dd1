//! How long request ids are remembered, and in how much memory.

use std::time::Duration;

use super::finding::Findings;
use super::scalar;
use super::value::Section;
use crate::quota::IdPolicy;

/// The shortest time that ids may be remembered: a repetition comes within seconds, or it is none.
const WINDOW_MIN: Duration = Duration::from_secs(1);
/// The least and the most memory for ids, in bytes.
const MEMORY: (u64, u64) = (1 << 20, 1 << 40);

/// The policy; what the section leaves out is as by default.
pub(super) fn read(file: Option<Section<'_>>, findings: &mut Findings) -> IdPolicy {
    let mut policy = IdPolicy::default();
    let value = file.as_ref().and_then(|file| file.given("request_ids"));
    let known = ["window", "floor", "max_memory"];
    let Some(section) = value.and_then(|value| value.section(findings, &known)) else {
        return policy;
    };
    for (key, of) in [("window", &mut policy.window), ("floor", &mut policy.floor)] {
        if let Some(value) = section.given(key) {
            let read = value.read(findings, "a duration such as 10m", |text| {
                scalar::duration(text, WINDOW_MIN, IdPolicy::WINDOW_MAX)
            });
            *of = read.unwrap_or(*of);
        }
    }
    let IdPolicy { window, floor, .. } = policy;
    match section.given("floor") {
        // A window that is shorter than the default floor has no other.
        None => policy.floor = floor.min(window),
        Some(value) if floor > window => {
            let text = format!("the floor ({floor:?}) must not be above the window ({window:?})");
            value.fault(findings, text);
        }
        Some(_) => {}
    }
    if let Some(value) = section.given("max_memory") {
        let (min, max) = MEMORY;
        let read = value.read(findings, "a size such as 64MiB", |text| {
            scalar::size(text, min, max)
        });
        policy.max_memory = read.unwrap_or(policy.max_memory);
    }
    policy
}
