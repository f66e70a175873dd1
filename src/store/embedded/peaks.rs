//! The months of an app and their days: their peaks, from which the bill is made, and their way to the history.

use super::app::{App, DayCounts};
use crate::clock::Day;
use crate::quota::Counter;
use crate::store::past::LATE_DAYS;

/// What is kept of a month, from the first event in it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MonthPeaks {
    /// The month's number.
    pub(super) month: i32,
    /// `None`: no group came or went.
    pub(super) groups: Option<MonthGroups>,
    /// The highest daily active users.
    pub(super) actives: u64,
    /// `None`: nobody was active yet.
    pub(super) actives_day: Option<Day>,
}

/// A month's net groups, in the order of settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MonthGroups {
    /// What the month began with.
    pub(super) carried_in: u64,
    pub(super) highest: u64,
    /// `None`: the highest was carried in.
    pub(super) day: Option<Day>,
    /// As of the last change.
    pub(super) last: u64,
}

impl App {
    /// Counts one more distinct user of `day`.
    pub(super) fn add_active(&mut self, day: Day) {
        self.day_mut(day).actives += 1;
        self.note_actives(day);
    }

    /// What is kept of a month, unless the history has it.
    pub(super) fn month(&self, month: i32) -> Option<&MonthPeaks> {
        self.months.iter().find(|kept| kept.month == month)
    }

    /// Whether no group came or went after a month.
    pub(super) fn is_newest(&self, month: i32) -> bool {
        let changed = self.changed_on;
        changed.is_none_or(|day| day.month().number() <= month)
    }

    /// The groups that are there, without what is not answered yet.
    pub(super) fn counted_groups(&self) -> u64 {
        unsigned(self.answered()[Counter::Groups.index()])
    }

    /// The same with what is not answered yet, without what is reserved.
    pub(super) fn groups(&self) -> u64 {
        let groups = Counter::Groups.index();
        unsigned(self.live[groups] - self.reserved[groups])
    }

    /// Books what became of the groups, if there were `before` and are not any more.
    pub(super) fn note_groups(&mut self, before: i64, on: Day) {
        if self.answered()[Counter::Groups.index()] != before {
            self.book_groups(before, before, on);
        }
    }

    /// Books a change of the groups, which were `before` and in between as many as `high`. What comes after midnight is of
    /// the day on which it comes: of the newest, if it is said to be of an earlier one. But a newest day that is
    /// far ahead was a clock's fault.
    pub(super) fn book_groups(&mut self, before: i64, high: i64, on: Day) {
        let day = match self.changed_on {
            Some(newest) if on.number().saturating_add(LATE_DAYS) >= newest.number() => {
                on.max(newest)
            }
            _ => on,
        };
        let (first, last) = (unsigned(before), self.counted_groups());
        let top = first.max(last).max(unsigned(high));
        let counts = self.day_mut(day);
        let highest = counts.groups.map_or(top, |(highest, _)| highest.max(top));
        counts.groups = Some((highest, last));
        let begun = MonthGroups {
            carried_in: first,
            highest: first,
            day: None,
            last,
        };
        let groups = self.month_mut(day).groups.get_or_insert(begun);
        groups.last = last;
        if top > groups.highest {
            groups.highest = top;
            groups.day = Some(day);
        }
        self.changed_on = Some(day);
    }

    pub(super) fn note_actives(&mut self, day: Day) {
        let count = self.day(day).map_or(0, DayCounts::daily_active);
        let peaks = self.month_mut(day);
        // Of days that had as many it is the first, also if that has them from a late event.
        let before = |peak: Day| day < peak;
        let ties = count == peaks.actives && peaks.actives_day.is_some_and(before);
        if count > peaks.actives || ties {
            peaks.actives = count;
            peaks.actives_day = Some(day);
        }
    }

    fn month_mut(&mut self, day: Day) -> &mut MonthPeaks {
        let month = day.month().number();
        let at = self.months.partition_point(|kept| kept.month < month);
        if self.months.get(at).is_none_or(|kept| kept.month != month) {
            self.months.reserve_exact(1);
            let new = MonthPeaks {
                month,
                groups: None,
                actives: 0,
                actives_day: None,
            };
            self.months.insert(at, new);
        }
        &mut self.months[at]
    }

    /// How many of the months, from the oldest on, have no open day. The newest stays.
    pub(super) fn past_months(&self, open_from: Day) -> usize {
        let open = open_from.month().number();
        let past = self.months.partition_point(|kept| kept.month < open);
        past.min(self.months.len().saturating_sub(1))
    }

    /// Forgets what the history has: days before `open_from`, and months without an open day.
    pub(super) fn move_to_history(&mut self, open_from: Day) {
        self.months.drain(..self.past_months(open_from));
        self.days.retain(|counts| counts.day >= open_from);
        self.told
            .retain(|told| told.cell.day().is_none_or(|day| day >= open_from));
    }
}

fn unsigned(net: i64) -> u64 {
    u64::try_from(net).unwrap_or(0)
}
