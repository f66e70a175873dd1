//! Marks that counts pass: parts of a limit, the free quantity, each block above it. Each is told in the log
//! when it is passed, and not again and again, and counted.

mod nearest;
mod times;

use std::cmp::Ordering;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use nearest::Ranks;
pub use nearest::{Active, Near};
pub use times::Passings;
use times::Times;

use super::lines::{Line, Lines};
use crate::billing;
use crate::clock::{Day, Millis};
use crate::quota::{AppId, AppRules, COUNTERS, Counter, MeteredFee};

/// The most counts of which it is kept which mark they have passed; about 60 bytes each. What comes on top is
/// not told.
pub const MARKS_MAX: usize = 100_000;
/// For how long a count that goes up and down around a mark is not told again.
const QUIET_MS: u64 = 10 * 60 * 1000;
/// The marks of a hard limit, and that of a day's gain, in percent (domain page).
const LIMIT_MARKS: [u64; 2] = [80, 95];
const GAIN_MARK: u64 = 70;

/// A count that has marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    /// Within its limit.
    Limit(Counter),
    /// Billed by the month: groups, daily active users.
    Groups,
    DailyActive,
}

/// How a count stands to its marks.
#[derive(Debug, Clone, Copy)]
struct Passed {
    /// How many lie below the count; of what is billed by the month, how many did.
    mark: u64,
    /// The highest that was told, and when.
    highest: u64,
    told: Millis,
    /// Of what is billed by the month, which; a limit knows none.
    month: i32,
}

impl Passed {
    fn first(mark: u64, month: i32, now: Millis) -> Self {
        Self {
            mark,
            highest: mark,
            told: now,
            month,
        }
    }

    /// Notes how many marks lie below the count now; whether that is news.
    fn pass(&mut self, mark: u64, now: Millis) -> bool {
        let rose = mark > self.mark;
        // What is billed by the month was reached once and for all.
        if rose || self.month == 0 {
            self.mark = mark;
        }
        let is_quiet = self.month == 0 && now.since(self.told) < QUIET_MS;
        let is_news = rose && (mark > self.highest || !is_quiet);
        if is_news {
            (self.highest, self.told) = (mark, now);
        }
        is_news
    }
}

/// Which marks were passed. Looked at with each answer of the ledger.
#[derive(Debug, Default)]
pub struct Marks {
    known: Mutex<Known>,
    times: Times,
    ranks: Ranks,
}

#[derive(Debug, Default)]
struct Known {
    passed: FxHashMap<(AppId, Subject), Passed>,
    lines: Lines,
}

impl Marks {
    /// Looks at an app's counts: the live ones, and the gain of `day`.
    pub fn look(&self, app: AppId, rules: &AppRules, counts: [i64; 4], day: Day, now: Millis) {
        for counter in COUNTERS {
            let count = u64::try_from(counts[counter.index()]).unwrap_or(0);
            let Some(limit) = rules.limits.of(counter).get().filter(|limit| *limit > 0) else {
                continue;
            };
            self.ranks.look(app, counter, count, limit, day);
            let mark = mark_of_limit(counter, count, limit);
            if let Some(line) = self.note(app, Subject::Limit(counter), mark, 0, now) {
                let percent = percent(count, limit);
                tracing::warn!(%app, ?counter, count, limit, percent, "near a limit{}", line.end());
            }
        }
        let groups = u64::try_from(counts[Counter::Groups.index()]).unwrap_or(0);
        let list = billing::prices(&rules.plan, day.month());
        if let Some((fee, _)) = list.and_then(|list| list.groups) {
            self.look_at_fee(app, Subject::Groups, groups, &fee, day, now);
        }
    }

    /// Looks at a day's active users.
    pub fn look_at_actives(&self, app: AppId, rules: &AppRules, count: u64, day: Day, now: Millis) {
        self.ranks.look_at_actives(app, count, day);
        let list = billing::prices(&rules.plan, day.month());
        if let Some(fee) = list.and_then(|list| list.daily_active) {
            self.look_at_fee(app, Subject::DailyActive, count, &fee, day, now);
        }
    }

    fn look_at_fee(
        &self,
        app: AppId,
        subject: Subject,
        count: u64,
        fee: &MeteredFee,
        day: Day,
        now: Millis,
    ) {
        let blocks = count.saturating_sub(fee.free).div_ceil(fee.block);
        if let Some(line) = self.note(app, subject, blocks, day.month().number(), now) {
            let (free, block) = (fee.free, fee.block);
            tracing::warn!(
                %app, billed = ?subject, count, free, blocks, block,
                "above the free quantity: each begun block is billed{}", line.end()
            );
        }
    }

    /// The counts that are nearest to their limits, the nearest first; of a day's gain only `today`'s.
    pub fn nearest(&self, most: usize, today: Day) -> Vec<Near> {
        self.ranks.nearest(most, today)
    }

    /// The apps with the most active users of `today`.
    pub fn most_active(&self, most: usize, today: Day) -> Vec<Active> {
        self.ranks.most_active(most, today)
    }

    /// How often which mark was passed, by any app.
    pub fn passings(&self) -> Vec<Passings> {
        self.times.all()
    }

    /// Notes the marks that lie below a count; whether the highest is news.
    fn note(
        &self,
        app: AppId,
        subject: Subject,
        mark: u64,
        month: i32,
        now: Millis,
    ) -> Option<Line> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if mark == 0 && known.passed.is_empty() {
            return None;
        }
        let full = known.passed.len() >= MARKS_MAX;
        let told = match known.passed.entry((app, subject)) {
            Slot::Occupied(mut slot) => {
                let before = *slot.get();
                match month.cmp(&before.month) {
                    // What comes late for the month before is no news in this one.
                    Ordering::Less => false,
                    Ordering::Equal => slot.get_mut().pass(mark, now),
                    // A new month begins anew.
                    Ordering::Greater => {
                        slot.insert(Passed::first(mark, month, now));
                        mark > 0
                    }
                }
            }
            Slot::Vacant(_) if mark == 0 || full => false,
            Slot::Vacant(slot) => {
                slot.insert(Passed::first(mark, month, now));
                true
            }
        };
        if !told {
            return None;
        }
        self.times.count(subject, mark);
        known.lines.line(now)
    }
}

/// How many of a limit's marks lie at or below a count.
fn mark_of_limit(counter: Counter, count: u64, limit: u64) -> u64 {
    let reached = |mark: &&u64| percent(count, limit) >= **mark;
    let marks = LIMIT_MARKS.iter().filter(reached).count() as u64;
    if counter == Counter::GroupsGained {
        // It has one of its own, below the others.
        return marks + u64::from(percent(count, limit) >= GAIN_MARK);
    }
    marks
}

/// Whole percent of `limit`, rounded down.
fn percent(count: u64, limit: u64) -> u64 {
    let percent = u128::from(count) * 100 / u128::from(limit.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_760_000_000_000);

    fn app() -> AppId {
        AppId::new(1).expect("not 0")
    }

    fn note(marks: &Marks, mark: u64, month: i32, now: Millis) -> Option<Line> {
        marks.note(app(), Subject::Groups, mark, month, now)
    }

    #[test]
    fn the_marks_of_a_limit_lie_where_the_domain_page_says() {
        let marks = |counter, count| mark_of_limit(counter, count, 100);
        for (count, of) in [
            (0, 0),
            (79, 0),
            (80, 1),
            (94, 1),
            (95, 2),
            (100, 2),
            (250, 2),
        ] {
            assert_eq!(marks(Counter::Accounts, count), of, "{count}");
        }
        for (count, of) in [(69, 0), (70, 1), (80, 2), (95, 3)] {
            assert_eq!(marks(Counter::GroupsGained, count), of, "{count}");
        }
        assert_eq!(mark_of_limit(Counter::Groups, u64::MAX, 1), 2);
    }

    #[test]
    fn a_mark_is_told_once_and_the_next_one_is_news() {
        let marks = Marks::default();
        assert_eq!(note(&marks, 0, 0, NOW), None);
        assert_eq!(note(&marks, 1, 0, NOW), Some(Line::default()));
        assert_eq!(note(&marks, 1, 0, NOW), None);
        assert_eq!(note(&marks, 2, 0, NOW), Some(Line::default()));
        // Up and down around it is no news for a while.
        assert_eq!(note(&marks, 0, 0, NOW.plus(1_000)), None);
        assert_eq!(note(&marks, 1, 0, NOW.plus(2_000)), None);
        assert_eq!(note(&marks, 0, 0, NOW.plus(3_000)), None);
        let later = NOW.plus(11 * 60_000);
        assert_eq!(note(&marks, 1, 0, later), Some(Line::default()));
        // Nor around a higher one.
        assert_eq!(note(&marks, 2, 0, later), Some(Line::default()));
        for second in 1..10_i64 {
            let mark = 1 + second.rem_euclid(2).unsigned_abs();
            assert_eq!(note(&marks, mark, 0, later.plus(second * 1_000)), None);
        }
    }

    #[test]
    fn a_block_is_billed_once_a_month() {
        let marks = Marks::default();
        assert_eq!(note(&marks, 2, 5, NOW), Some(Line::default()));
        let later = NOW.plus(86_400_000);
        assert_eq!(note(&marks, 0, 5, later), None);
        assert_eq!(note(&marks, 2, 5, later), None);
        assert_eq!(note(&marks, 3, 5, later), Some(Line::default()));
        assert_eq!(note(&marks, 1, 6, later), Some(Line::default()));
        // What comes late is no news, and the new month goes on.
        assert_eq!(note(&marks, 4, 5, later), None);
        assert_eq!(note(&marks, 1, 6, later), None);
        assert_eq!(note(&marks, 2, 6, later), Some(Line::default()));
    }

    #[test]
    fn a_storm_is_cut_and_said_to_be() {
        let marks = Marks::default();
        let of = |id: u64| {
            let app = AppId::new(id).expect("not 0");
            marks.note(app, Subject::DailyActive, 1, 5, NOW)
        };
        let told = (1..=100).filter(|id| of(*id).is_some()).count();
        assert_eq!(told, 30);
        let later = NOW.plus(60_000);
        let next = marks.note(app(), Subject::DailyActive, 2, 5, later);
        assert!(next.expect("a new minute").end().contains("70 more"));
        // All are counted, told or not.
        let counted: Vec<_> = marks.passings();
        let counted: Vec<_> = counted.iter().filter(|one| one.times > 0).collect();
        let of = |mark, times| Passings {
            of: "daily_active",
            mark,
            times,
        };
        assert_eq!(counted, [&of("free", 100), &of("block", 1)]);
    }
}
