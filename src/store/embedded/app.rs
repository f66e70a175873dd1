//! One app's counts, and how each step moves them. Pure: no lock, no file, no clock.

use super::objects::Kind;
use super::peaks::MonthPeaks;
use super::record::Fell;
use super::totals::Told;
use crate::clock::Day;
use crate::quota::{COUNTERS, Charge, Counter, PlanName, RESOURCES, Resource};
use crate::store::{Cell, View};

/// Where a record is in the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// In none.
    Nowhere,
    /// Counted, and not known to be answered.
    Held,
    /// Counted, and reserved.
    Reserved,
    /// Counted for good.
    Counted,
}

/// An app's counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct App {
    /// Net counts of accounts, groups and AV rooms, by [`Counter`].
    pub(super) live: [i64; 3],
    /// What of `live` belongs to records not yet answered.
    pub(super) held: [i64; 3],
    /// What of `live` reservations hold.
    pub(super) reserved: [i64; 3],
    /// What of `live` belongs to objects by name.
    pub(super) named: [i64; 3],
    /// The number of the tombstones that are valid: see [`Place::Tomb`](super::objects::Place::Tomb).
    pub(super) tombs: u32,
    /// How many there are, at most.
    pub(super) buried: u64,
    /// The days that still take events, and those not yet moved to the history.
    pub(super) days: Vec<DayCounts>,
    /// What each member reported, at most one entry for a member and a cell.
    pub(super) told: Vec<Told>,
    /// The months that have open days, and the newest in any case; oldest first.
    pub(super) months: Vec<MonthPeaks>,
    /// The newest day on which a group came or went.
    pub(super) changed_on: Option<Day>,
    /// The plans that it had, each from a day on, oldest first.
    pub(super) plans: Vec<(Day, PlanName)>,
}

/// What is counted for one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DayCounts {
    pub(super) day: Day,
    /// Groups gained, net.
    pub(super) gained: i64,
    /// What of `gained` reservations hold.
    pub(super) reserved: i64,
    /// Distinct users who logged in.
    pub(super) actives: u64,
    /// Users that gateways counted themselves, over all members.
    pub(super) increment: u64,
    /// If groups came or went: the highest number of them, and the last. Records that are not answered yet are no
    /// part of it.
    pub(super) groups: Option<(u64, u64)>,
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

    /// What one object of `kind` moves, for the sums of names.
    fn of_kind(kind: Kind) -> Self {
        let counters = match kind {
            Kind::Account => 1 << Counter::Accounts.index(),
            Kind::Group => 1 << Counter::Groups.index(),
            Kind::Room => 1 << Counter::AvRooms.index(),
            Kind::RoomAndGroup => 1 << Counter::AvRooms.index() | 1 << Counter::Groups.index(),
        };
        Self {
            counters,
            amount: 1,
        }
    }

    /// What an object is that was created with these.
    pub(super) fn kind(self) -> Kind {
        match (self.has(Counter::AvRooms), self.has(Counter::Groups)) {
            (true, true) => Kind::RoomAndGroup,
            (true, false) => Kind::Room,
            (false, true) => Kind::Group,
            (false, false) => Kind::Account,
        }
    }

    /// By how much the groups and the gain of its day fall when it is gone.
    pub(super) fn groups(self) -> u32 {
        if self.has(Counter::GroupsGained) {
            self.amount.into()
        } else {
            0
        }
    }

    pub(super) fn has(self, counter: Counter) -> bool {
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

    fn reserved(&self, counter: Counter, day: Day) -> u64 {
        let reserved = match counter {
            Counter::GroupsGained => self.day(day).map_or(0, |counts| counts.reserved),
            live => self.reserved[live.index()],
        };
        u64::try_from(reserved).unwrap_or(0)
    }

    /// The counts, with what `member` contributes by its totals.
    pub(super) fn view(&self, member: u64, day: Day) -> View {
        let mut view = View {
            net: COUNTERS.map(|counter| self.net(counter, day)),
            reserved: COUNTERS.map(|counter| self.reserved(counter, day)),
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

    /// The first part of `charge` that does not fit; the counters of `but` have their place.
    pub(super) fn refuses(&self, charge: &Charge, day: Day, but: Parts) -> Option<Counter> {
        let amount = i64::from(charge.amount().get());
        let too_many = |net: i64, limit: u64| {
            // A limit beyond i64 cannot be reached.
            i64::try_from(limit).is_ok_and(|limit| net.saturating_add(amount) > limit)
        };
        let mut asked = charge.parts().iter().filter(|part| !but.has(part.counter));
        let full = asked.find(|part| {
            let net = self.net(part.counter, day);
            part.limit.get().is_some_and(|limit| too_many(net, limit))
        });
        full.map(|part| part.counter)
    }

    /// Moves a record that is `parts` of `day` from one place in the counts to another. What is counted for
    /// good is part of the peaks of `on` and its month.
    pub(super) fn pass(&mut self, (parts, day): (Parts, Day), by: (Standing, Standing), on: Day) {
        let (from, to) = by;
        let before = self.answered()[Counter::Groups.index()];
        let change = |is: fn(Standing) -> bool| i64::from(is(to)) - i64::from(is(from));
        let amount = parts.amount();
        for counter in COUNTERS.into_iter().filter(|counter| parts.has(*counter)) {
            let charged = amount * change(|at| at != Standing::Nowhere);
            let held = amount * change(|at| at == Standing::Held);
            let reserved = amount * change(|at| at == Standing::Reserved);
            match counter {
                Counter::GroupsGained if charged == 0 && reserved == 0 => {}
                Counter::GroupsGained => {
                    let counts = self.day_mut(day);
                    counts.gained += charged;
                    counts.reserved += reserved;
                }
                live => {
                    self.live[live.index()] += charged;
                    self.held[live.index()] += held;
                    self.reserved[live.index()] += reserved;
                }
            }
        }
        self.note_groups(before, on);
    }

    /// Takes note that one more object has a name, or one less.
    pub(super) fn name(&mut self, kind: Kind, by: i64) {
        for counter in COUNTERS {
            if Parts::of_kind(kind).has(counter) {
                self.named[counter.index()] += by;
            }
        }
    }

    /// The number of its tombstones, if it has any.
    pub(super) fn tombs(&self) -> Option<u32> {
        (self.buried > 0).then_some(self.tombs)
    }

    /// Forgets all tombstones if nothing is left that a release of an unknown name could take. Answers
    /// whether there were any.
    pub(super) fn forget_tombs(&mut self) -> bool {
        let none_left = RESOURCES.iter().all(|of| self.nameless(*of) <= 0);
        let forgets = none_left && self.buried > 0;
        if forgets {
            self.tombs = self.tombs.wrapping_add(1);
            self.buried = 0;
        }
        forgets
    }

    /// How many of `resource` are counted without a name. What is reserved does not exist yet.
    pub(super) fn nameless(&self, resource: Resource) -> i64 {
        let own = resource.counter().index();
        self.live[own] - self.named[own] - self.reserved[own]
    }

    /// Gives back up to `amount` of `resource`, and answers how many it was: never more than are
    /// counted, on any counter but the gain, which alone may fall below zero. The gain is that of `day`, the peaks
    /// are those of `on`.
    pub(super) fn give_back(
        &mut self,
        resource: Resource,
        amount: u32,
        groups_follow: bool,
        (day, on): (Day, Day),
    ) -> Fell {
        let counted = |net: i64| u32::try_from(net.max(0)).unwrap_or(u32::MAX);
        let own = resource.counter().index();
        let released = amount.min(counted(self.live[own]));
        let before = self.answered()[Counter::Groups.index()];
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
        self.note_groups(before, on);
        Fell::of(resource, released, groups)
    }

    /// The live counts without what is not answered yet, and what is reserved.
    pub(super) fn answered(&self) -> [i64; 3] {
        std::array::from_fn(|k| self.live[k] - self.held[k] - self.reserved[k])
    }

    /// Moves a live count by what a recount found. What is counted is never taken from a month's peak,
    /// and what is found is a part of it.
    pub(super) fn correct(&mut self, resource: Resource, by: i64, today: Day) {
        let before = self.answered()[Counter::Groups.index()];
        self.live[resource.counter().index()] += by;
        self.note_groups(before, today);
    }

    pub(super) fn day_mut(&mut self, day: Day) -> &mut DayCounts {
        let at = self.days.iter().position(|counts| counts.day == day);
        let at = at.unwrap_or_else(|| {
            self.days.reserve_exact(1);
            self.days.push(DayCounts {
                day,
                gained: 0,
                reserved: 0,
                actives: 0,
                increment: 0,
                groups: None,
            });
            self.days.len() - 1
        });
        &mut self.days[at]
    }
}
