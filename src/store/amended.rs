//! What operators' corrections make of a month. The counts stay as they were counted, and the corrections lie
//! beside them: whoever reads a month reads both.

use super::past::KeptDay;
use super::{Amendment, Correction, DayHistory, MonthHistory};
use crate::billing::Peak;
use crate::clock::{Day, Millis};

/// What lies beside the counts of a month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// Users of whom the ledger was told too late, by day.
    pub(super) too_late: Vec<(Day, u64)>,
    /// In the order of the days, one for each.
    pub(super) corrections: Vec<Correction>,
    /// How often anything was corrected.
    pub(super) revision: u64,
}

impl Notes {
    /// Takes note of users who came too late.
    pub(super) fn too_late(&mut self, day: Day, users: u64) {
        let at = self.too_late.partition_point(|(known, _)| *known < day);
        match self.too_late.get_mut(at) {
            Some((known, all)) if *known == day => *all = all.saturating_add(users),
            _ => self.too_late.insert(at, (day, users)),
        }
    }

    /// Corrects a day, on top of what was corrected of it before. Answers `false` if that is not what the caller
    /// knows.
    pub(super) fn amend(&mut self, by: &Amendment, at: Millis) -> bool {
        if by.revision != self.revision {
            return false;
        }
        self.revision += 1;
        let place = self.corrections.partition_point(|of| of.day < by.day);
        let before = self.corrections.get(place).filter(|of| of.day == by.day);
        let corrected = Correction {
            day: by.day,
            daily_active: by.daily_active.map(|change| change.to),
            groups: by.groups.map(|change| change.to),
            at,
            why: by.why.clone(),
        };
        match before.cloned() {
            Some(before) => self.corrections[place] = corrected.after(&before),
            None => self.corrections.insert(place, corrected),
        }
        true
    }
}

impl Correction {
    /// What this one says, and where it says nothing what was said before.
    fn after(self, before: &Self) -> Self {
        Self {
            daily_active: self.daily_active.or(before.daily_active),
            groups: self.groups.or(before.groups),
            ..self
        }
    }
}

/// A month as it was counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) carried_in: u64,
    pub(super) groups: Peak,
    pub(super) daily_active: Peak,
    /// In order.
    pub(super) days: Vec<KeptDay>,
}

impl Counted {
    /// The month as it is told: its days, its peaks, and with how many groups it ended by them.
    pub(super) fn told(mut self, notes: Notes) -> MonthHistory {
        let corrections = &notes.corrections;
        for correction in corrections {
            let at = self.days.partition_point(|kept| kept.day < correction.day);
            if self
                .days
                .get(at)
                .is_none_or(|kept| kept.day != correction.day)
            {
                self.days.insert(at, KeptDay::new(correction.day));
            }
        }
        let of = |day| corrections.iter().find(|of| of.day == day);
        // The first day began with what was carried in.
        if let Some(first) = corrections.first()
            && first.day == first.day.month().first_day()
            && let Some(groups) = first.groups
        {
            self.carried_in = self.carried_in.min(groups);
        }
        let mut there = self.carried_in;
        let days = self.days.into_iter().map(|kept| {
            let day = day_after(there, kept, of(kept.day));
            there = day.groups_at_end;
            day
        });
        let days: Vec<_> = days.collect();
        let (groups, daily_active) = if corrections.is_empty() {
            (self.groups, self.daily_active)
        } else {
            peaks(self.carried_in, &days)
        };
        MonthHistory {
            carried_in: self.carried_in,
            groups,
            groups_at_end: there,
            daily_active,
            days,
            too_late: notes.too_late,
            corrections: notes.corrections,
            revision: notes.revision,
            ..MonthHistory::default()
        }
    }
}

/// A day as it is told. One on which no group came or went is as the one before it ended, with so many.
fn day_after(there: u64, kept: KeptDay, correction: Option<&Correction>) -> DayHistory {
    let (highest, last) = kept.groups.unwrap_or((there, there));
    let groups = correction.and_then(|of| of.groups).unwrap_or(highest);
    DayHistory {
        day: kept.day,
        daily_active: correction
            .and_then(|of| of.daily_active)
            .unwrap_or(kept.daily_active),
        groups,
        groups_at_end: last.min(groups),
    }
}

/// The highest groups and the highest active users of days that are all there, each on the first day that had them.
fn peaks(carried_in: u64, days: &[DayHistory]) -> (Peak, Peak) {
    let mut groups = Peak {
        count: carried_in,
        day: None,
    };
    let mut actives = Peak::default();
    let raise = |peak: &mut Peak, count, day| {
        if count > peak.count {
            *peak = Peak {
                count,
                day: Some(day),
            };
        }
    };
    for day in days {
        raise(&mut groups, day.groups, day.day);
        raise(&mut actives, day.daily_active, day.day);
    }
    (groups, actives)
}
