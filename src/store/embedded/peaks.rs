//! The months of an app: their peaks, from which the bill is made, and their way to the history.

use super::app::{App, DayCounts};
use crate::clock::Day;
use crate::quota::Counter;

/// How many months without a touch are written down when the next touch comes.
const MONTHS_FILLED_MAX: i32 = 120;

/// The highest counts of a month, and their days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MonthPeaks {
    /// The month's number.
    pub(super) month: i32,
    pub(super) groups: u64,
    /// `None`: carried in from the month before.
    pub(super) groups_day: Option<Day>,
    pub(super) actives: u64,
    /// `None`: nobody was active yet.
    pub(super) actives_day: Option<Day>,
}

impl MonthPeaks {
    fn carrying(month: i32, groups: u64) -> Self {
        Self {
            month,
            groups,
            groups_day: None,
            actives: 0,
            actives_day: None,
        }
    }
}

impl App {
    /// Counts one more distinct user of `day`.
    pub(super) fn add_active(&mut self, day: Day) {
        self.day_mut(day).actives += 1;
        self.note_actives(day);
    }

    /// The month's highest group count up to now, and its highest daily active users; `None` if the
    /// month is older than what the app carries with it.
    pub(super) fn peaks(&self, day: Day) -> Option<(u64, u64)> {
        let month = day.month().number();
        let groups = Counter::Groups.index();
        let now = unsigned(self.live[groups] - self.reserved[groups]);
        match self.months.last() {
            Some(newest) if newest.month == month => Some((newest.groups.max(now), newest.actives)),
            Some(newest) if newest.month > month => {
                let found = self.months.iter().find(|kept| kept.month == month);
                found.map(|kept| (kept.groups, kept.actives))
            }
            _ => Some((now, 0)),
        }
    }

    /// Raises the peak of today's month to `net`, which may contain held and reserved records: they are
    /// no part of it. Around midnight the next month may have begun already, by the login of somebody whose clock
    /// is ahead.
    pub(super) fn note_groups(&mut self, net: i64, today: Day) {
        let groups = Counter::Groups.index();
        let open = self.held[groups] + self.reserved[groups];
        let value = unsigned(net.saturating_sub(open));
        self.begin_month(today);
        let at = self.place(today);
        let peaks = &mut self.months[at];
        if value > peaks.groups {
            peaks.groups = value;
            peaks.groups_day = Some(today);
        }
    }

    pub(super) fn note_actives(&mut self, day: Day) {
        let count = self.day(day).map_or(0, DayCounts::daily_active);
        self.begin_month(day);
        let at = self.place(day);
        let peaks = &mut self.months[at];
        if count > peaks.actives {
            peaks.actives = count;
            peaks.actives_day = Some(day);
        }
    }

    /// Where the month of `day` stands, which is not later than the newest.
    fn place(&mut self, day: Day) -> usize {
        let month = day.month().number();
        let known = self.months.iter().position(|kept| kept.month == month);
        known.unwrap_or_else(|| {
            // A month before the app's first touch: the app had no groups then.
            let at = self.months.partition_point(|kept| kept.month < month);
            self.months.insert(at, MonthPeaks::carrying(month, 0));
            at
        })
    }

    /// Makes sure that the month of `day` has begun, with the count carried in, and so has every
    /// month before it. The newest may be a later one.
    pub(super) fn begin_month(&mut self, day: Day) {
        let month = day.month().number();
        let carried = unsigned(self.answered()[Counter::Groups.index()]);
        let first = self.months.last().map_or(month, |newest| newest.month + 1);
        for missing in first.max(month - MONTHS_FILLED_MAX)..=month {
            self.months.reserve_exact(1);
            self.months.push(MonthPeaks::carrying(missing, carried));
        }
    }

    /// How many of the months, from the oldest on, have no open day. The newest stays, since the next
    /// month begins with what it ends with.
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
