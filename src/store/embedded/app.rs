//! One app's counts, and how each step moves them. Pure: no lock, no file, no clock.

use super::peaks::MonthPeaks;
use super::record::Fell;
use super::totals::Told;
use crate::clock::Day;
use crate::quota::{COUNTERS, Charge, Counter, Resource};
use crate::store::{Cell, View};

/// An app's counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct App {
    /// Net counts of accounts, groups and AV rooms, by [`Counter`].
    pub(super) live: [i64; 3],
    /// What of `live` belongs to records not yet answered.
    pub(super) held: [i64; 3],
    /// The days that still take events, and those not yet moved to the history.
    pub(super) days: Vec<DayCounts>,
    /// What each member reported, at most one entry for a member and a cell.
    pub(super) told: Vec<Told>,
    /// The months that have open days, and the newest in any case; oldest first.
    pub(super) months: Vec<MonthPeaks>,
}

/// What is counted for one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DayCounts {
    pub(super) day: Day,
    /// Groups gained, net.
    pub(super) gained: i64,
    /// Distinct users who logged in.
    pub(super) actives: u64,
    /// Users that gateways counted themselves, over all members.
    pub(super) increment: u64,
}

/// What a record moves: which counters, and by how much each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    /// One bit for each [`Counter`], at its index.
    pub(super) counters: u8,
    /// At most [`crate::quota::AMOUNT_MAX`].
    pub(super) amount: u8,
}

impl Parts {
    /// What a release has: it is never taken back.
    pub(super) const NONE: Self = Self {
        counters: 0,
        amount: 0,
    };

    /// The parts of a charge.
    pub(super) fn of(charge: &Charge) -> Self {
        let bits = charge.parts().iter().map(|part| 1 << part.counter.index());
        Self {
            counters: bits.fold(0, |all, bit: u8| all | bit),
            // An amount is at most 100.
            amount: u8::try_from(charge.amount().get()).unwrap_or(u8::MAX),
        }
    }

    fn has(self, counter: Counter) -> bool {
        self.counters & (1 << counter.index()) != 0
    }

    fn amount(self) -> i64 {
        i64::from(self.amount)
    }
}

impl DayCounts {
    /// Active users, increments included.
    pub(super) fn daily_active(&self) -> u64 {
        self.actives.saturating_add(self.increment)
    }
}

impl App {
    /// The net count of `counter`; the gain is that of `day`.
    pub(super) fn net(&self, counter: Counter, day: Day) -> i64 {
        match counter {
            Counter::GroupsGained => self.day(day).map_or(0, |counts| counts.gained),
            live => self.live[live.index()],
        }
    }

    /// The counts, with what `member` contributes by its totals.
    pub(super) fn view(&self, member: u64, day: Day) -> View {
        let mut view = View {
            net: COUNTERS.map(|counter| self.net(counter, day)),
            ..View::default()
        };
        for told in self.told.iter().filter(|told| told.member == member) {
            match told.cell {
                Cell::Live(resource) => view.mine[resource.counter().index()] = told.totals,
                Cell::Gained(of) if of == day => {
                    view.mine[Counter::GroupsGained.index()] = told.totals;
                }
                Cell::Gained(_) | Cell::Increment(_) => {}
            }
        }
        view
    }

    /// The counts of `day`, if it has any.
    pub(super) fn day(&self, day: Day) -> Option<&DayCounts> {
        self.days.iter().find(|counts| counts.day == day)
    }

    /// The first part of `charge` that does not fit.
    pub(super) fn refuses(&self, charge: &Charge, day: Day) -> Option<Counter> {
        let amount = i64::from(charge.amount().get());
        let too_many = |net: i64, limit: u64| {
            // A limit beyond i64 cannot be reached.
            i64::try_from(limit).is_ok_and(|limit| net.saturating_add(amount) > limit)
        };
        let full = charge.parts().iter().find(|part| {
            let net = self.net(part.counter, day);
            part.limit.get().is_some_and(|limit| too_many(net, limit))
        });
        full.map(|part| part.counter)
    }

    /// Counts a record that is not answered yet.
    pub(super) fn hold(&mut self, parts: Parts, day: Day) {
        if parts.has(Counter::Groups) {
            self.begin_month(day);
        }
        self.shift_held(parts, parts.amount());
        self.shift(parts, parts.amount(), day);
    }

    /// Takes a held record out again.
    pub(super) fn free(&mut self, parts: Parts, day: Day) {
        self.shift_held(parts, -parts.amount());
        self.shift(parts, -parts.amount(), day);
    }

    /// Keeps a held record for good: from now on it is part of the month's peak.
    pub(super) fn confirm(&mut self, parts: Parts, today: Day) {
        if parts.has(Counter::Groups) {
            self.begin_month(today);
        }
        self.shift_held(parts, -parts.amount());
        if parts.has(Counter::Groups) {
            self.note_groups(self.live[Counter::Groups.index()], today);
        }
    }

    /// Counts a record for good that was not there.
    pub(super) fn count(&mut self, parts: Parts, day: Day, today: Day) {
        if parts.has(Counter::Groups) {
            self.begin_month(today);
        }
        self.shift(parts, parts.amount(), day);
        if parts.has(Counter::Groups) {
            self.note_groups(self.live[Counter::Groups.index()], today);
        }
    }

    /// Gives back up to `amount` of `resource`, and answers how many it was: never more than are
    /// counted, on any counter but the gain, which alone may fall below zero.
    pub(super) fn give_back(
        &mut self,
        resource: Resource,
        amount: u32,
        groups_follow: bool,
        day: Day,
    ) -> Fell {
        let counted = |net: i64| u32::try_from(net.max(0)).unwrap_or(u32::MAX);
        let own = resource.counter().index();
        let released = amount.min(counted(self.live[own]));
        if resource == Resource::Group || groups_follow {
            self.begin_month(day);
        }
        self.live[own] -= i64::from(released);
        let mut groups = 0;
        if groups_follow && released > 0 {
            groups = released;
            if resource != Resource::Group {
                groups = released.min(counted(self.live[Counter::Groups.index()]));
                self.live[Counter::Groups.index()] -= i64::from(groups);
            }
            self.day_mut(day).gained -= i64::from(groups);
        }
        Fell::of(released, groups)
    }

    fn shift(&mut self, parts: Parts, by: i64, day: Day) {
        for counter in COUNTERS.into_iter().filter(|counter| parts.has(*counter)) {
            match counter {
                Counter::GroupsGained => self.day_mut(day).gained += by,
                live => self.live[live.index()] += by,
            }
        }
    }

    fn shift_held(&mut self, parts: Parts, by: i64) {
        for counter in COUNTERS.into_iter().filter(|counter| parts.has(*counter)) {
            if let Some(held) = self.held.get_mut(counter.index()) {
                *held += by;
            }
        }
    }

    /// The live counts without what is not answered yet.
    pub(super) fn answered(&self) -> [i64; 3] {
        std::array::from_fn(|k| self.live[k] - self.held[k])
    }

    /// Moves a live count by what a recount found. What is counted is never taken from a month's peak,
    /// and what is found is a part of it.
    pub(super) fn correct(&mut self, resource: Resource, by: i64, today: Day) {
        if resource == Resource::Group {
            self.begin_month(today);
        }
        self.live[resource.counter().index()] += by;
        if resource == Resource::Group {
            self.note_groups(self.live[Counter::Groups.index()], today);
        }
    }

    pub(super) fn day_mut(&mut self, day: Day) -> &mut DayCounts {
        let at = self.days.iter().position(|counts| counts.day == day);
        let at = at.unwrap_or_else(|| {
            self.days.reserve_exact(1);
            self.days.push(DayCounts {
                day,
                gained: 0,
                actives: 0,
                increment: 0,
            });
            self.days.len() - 1
        });
        &mut self.days[at]
    }
}
