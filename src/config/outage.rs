//! What is admitted while the ledger is away.

use std::time::Duration;

use super::finding::Findings;
use super::scalar::{self, Read};
use super::value::Section;
use super::words::{did_you_mean, shown};
use crate::quota::{OutagePolicy, OutageRule};

/// The shortest window: a hiccup of the ledger takes as long, and what is shorter is no window.
const WINDOW_MIN: Duration = Duration::from_secs(1);
/// The longest: who means more than a day means `admit`.
const WINDOW_MAX: Duration = Duration::from_hours(24);

const KEYS: [&str; 5] = [
    "accounts",
    "groups",
    "av_rooms",
    "groups_gained_daily",
    "metered",
];

/// The policy; what the section leaves out is as by default.
pub(super) fn read(file: Option<Section<'_>>, findings: &mut Findings) -> OutagePolicy {
    let mut policy = OutagePolicy::default();
    let value = file.as_ref().and_then(|file| file.given("outage"));
    let Some(section) = value.and_then(|value| value.section(findings, &KEYS)) else {
        return policy;
    };
    for (key, of) in [
        ("accounts", &mut policy.accounts),
        ("groups", &mut policy.groups),
        ("av_rooms", &mut policy.av_rooms),
        ("groups_gained_daily", &mut policy.groups_gained_daily),
        ("metered", &mut policy.metered),
    ] {
        if let Some(value) = section.given(key)
            && let Some(read) = value.read(findings, "deny, admit or a duration", rule)
        {
            *of = read;
        }
    }
    policy
}

fn rule(text: &str) -> Read<OutageRule> {
    match text {
        "deny" => Ok(OutageRule::Deny),
        "admit" => Ok(OutageRule::Admit),
        _ if text.starts_with(|first: char| first.is_ascii_digit()) => {
            scalar::duration(text, WINDOW_MIN, WINDOW_MAX).map(OutageRule::AdmitFor)
        }
        _ => Err(format!(
            "must be deny, admit or a duration such as 30s, not {}{}",
            shown(text),
            did_you_mean(text, ["deny", "admit"])
        )),
    }
}
