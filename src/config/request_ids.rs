//! How long request ids are to be remembered in memory: checked, and not served yet.

use std::time::Duration;

use super::finding::Findings;
use super::listeners::NOT_SERVED;
use super::scalar;
use super::value::Section;

/// The longest that ids may be remembered.
const WINDOW_MAX: Duration = Duration::from_hours(24);
/// The shortest: a repetition comes within seconds, or it is none.
const WINDOW_MIN: Duration = Duration::from_secs(1);
/// What `window` is where only `floor` is given.
const WINDOW_DEFAULT: Duration = Duration::from_mins(10);
/// What `floor` is where only `window` is given.
const FLOOR_DEFAULT: Duration = Duration::from_secs(30);
/// The least and the most memory for ids, in bytes.
const MEMORY: (u64, u64) = (1 << 20, 1 << 40);

/// Checks the section and says that it changes nothing yet.
pub(super) fn check(file: Option<Section<'_>>, findings: &mut Findings) {
    let Some(value) = file.as_ref().and_then(|file| file.given("request_ids")) else {
        return;
    };
    let known = ["window", "floor", "max_memory"];
    let Some(section) = value.section(findings, &known) else {
        return;
    };
    findings.notice(value.place(), value.key(), NOT_SERVED);
    let mut duration = |key, default| match section.given(key) {
        None => Some(default),
        Some(value) => value.read(findings, "a duration such as 10m", |text| {
            scalar::duration(text, WINDOW_MIN, WINDOW_MAX)
        }),
    };
    let window = duration("window", WINDOW_DEFAULT);
    let floor = duration("floor", FLOOR_DEFAULT);
    if let (Some(window), Some(floor)) = (window, floor)
        && floor > window
    {
        let text = format!("the floor ({floor:?}) must not be above the window ({window:?})");
        let value = section.given("floor").unwrap_or(value);
        value.fault(findings, text);
    }
    if let Some(value) = section.given("max_memory") {
        let (min, max) = MEMORY;
        value.read(findings, "a size such as 64MiB", |text| {
            scalar::size(text, min, max)
        });
    }
}
