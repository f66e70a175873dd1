//! The limits of a plan or an app.

use super::finding::Findings;
use super::scalar;
use super::value::Value;
use crate::quota::Limits;

const KEYS: [&str; 5] = [
    "accounts",
    "groups",
    "av_rooms",
    "groups_gained_daily",
    "av_rooms_are_groups",
];

/// The limits that stand in `value`; what it leaves out is as in `base`.
pub(super) fn read(value: &Value<'_>, base: Limits, findings: &mut Findings) -> Limits {
    let mut limits = base;
    let Some(section) = value.section(findings, &KEYS) else {
        return limits;
    };
    for (key, limit) in [
        ("accounts", &mut limits.accounts),
        ("groups", &mut limits.groups),
        ("av_rooms", &mut limits.av_rooms),
        ("groups_gained_daily", &mut limits.groups_gained_daily),
    ] {
        // A limit left empty is a fault: whether it stands for none or for the plan's is anyone's guess.
        let Some(value) = section.get(key) else {
            continue;
        };
        let what = "a whole number or \"unlimited\"";
        let quoted_word = value.is_text("unlimited");
        let read = if quoted_word {
            value.read(findings, what, scalar::limit)
        } else {
            value.read_plain(findings, what, scalar::limit)
        };
        *limit = read.unwrap_or(*limit);
    }
    if let Some(value) = section.get("av_rooms_are_groups") {
        let read = value.truth(findings);
        limits.av_rooms_are_groups = read.unwrap_or(limits.av_rooms_are_groups);
    }
    limits
}
