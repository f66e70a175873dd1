//! How often marks were passed, by all apps together.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Subject;
use crate::quota::{COUNTERS, Counter};

/// What has marks: the counters with their limits, and what is billed by the month.
const SUBJECTS: usize = COUNTERS.len() + 2;
/// The most marks of one that are counted apart.
const MARKS_MAX: usize = 3;

/// The names of what is counted, and of its marks, each subject at its own place.
const NAMES: [(Subject, &str, &[&str]); SUBJECTS] = [
    (Subject::Limit(Counter::Accounts), "account", &["80", "95"]),
    (Subject::Limit(Counter::Groups), "group", &["80", "95"]),
    (Subject::Limit(Counter::AvRooms), "av_room", &["80", "95"]),
    (
        Subject::Limit(Counter::GroupsGained),
        "group_gain",
        &["70", "80", "95"],
    ),
    (Subject::Groups, "group", &["free", "block"]),
    (Subject::DailyActive, "daily_active", &["free", "block"]),
];

/// How often a mark was seen to be passed since the start, by any app. A count that jumps over several passes
/// the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passings {
    /// What was counted: as the contract names resources, `group_gain` or `daily_active`.
    pub of: &'static str,
    /// The mark: percent of a hard limit; `free` for the free quantity, with which the first block begins,
    /// `block` for each further one.
    pub mark: &'static str,
    /// How often.
    pub times: u64,
}

/// The counts of all marks.
#[derive(Debug, Default)]
pub(super) struct Times([[AtomicU64; MARKS_MAX]; SUBJECTS]);

impl Times {
    /// Counts that the mark of this number was passed; they begin at 1.
    pub(super) fn count(&self, subject: Subject, mark: u64) {
        let at = place(subject);
        let (_, _, marks) = NAMES[at];
        let mark = usize::try_from(mark).unwrap_or(usize::MAX);
        self.0[at][mark.clamp(1, marks.len()) - 1].fetch_add(1, Ordering::Relaxed);
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Passings> {
        let mut all = Vec::new();
        for ((_, of, marks), times) in NAMES.iter().zip(&self.0) {
            all.extend(marks.iter().zip(times).map(|(mark, times)| Passings {
                of,
                mark,
                times: times.load(Ordering::Relaxed),
            }));
        }
        all
    }
}

fn place(subject: Subject) -> usize {
    match subject {
        Subject::Limit(counter) => counter.index(),
        Subject::Groups => COUNTERS.len(),
        Subject::DailyActive => COUNTERS.len() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_has_the_name_of_its_place() {
        for (at, (subject, _, marks)) in NAMES.iter().enumerate() {
            assert_eq!(place(*subject), at);
            assert!((1..=MARKS_MAX).contains(&marks.len()));
        }
    }

    #[test]
    fn blocks_above_the_first_are_counted_together() {
        let times = Times::default();
        for mark in [1, 2, 3, 700] {
            times.count(Subject::Groups, mark);
        }
        let all = times.all();
        let groups: Vec<_> = all.iter().filter(|one| one.times > 0).collect();
        let of = |mark, times| Passings {
            of: "group",
            mark,
            times,
        };
        assert_eq!(groups, [&of("free", 1), &of("block", 3)]);
    }
}
