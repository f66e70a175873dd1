//! What a month costs, by another way: every event is kept, and amounts are added up in cents, block after block.

use std::collections::{BTreeMap, BTreeSet};

use imquota::clock::{Day, Month};

/// A fee by blocks.
pub struct Fee {
    pub free: u64,
    pub block: u64,
    pub cents: i64,
}

/// Prices from a day on.
pub struct List {
    pub from: (i16, i8, i8),
    pub plan_cents: i64,
    pub actives: Fee,
    pub groups: Fee,
}

/// A plan.
pub struct Fees {
    pub name: &'static str,
    pub at_end: bool,
    pub lists: &'static [List],
}

const fn fee(free: u64, block: u64, cents: i64) -> Fee {
    Fee { free, block, cents }
}

pub const PLANS: [Fees; 4] = [
    Fees {
        name: "free",
        at_end: false,
        lists: &[],
    },
    Fees {
        name: "small",
        at_end: false,
        lists: &[List {
            from: (2020, 1, 1),
            plan_cents: 14_999,
            actives: fee(100, 50, 999),
            groups: fee(300, 200, 1_499),
        }],
    },
    Fees {
        name: "dearer",
        at_end: false,
        lists: &[
            List {
                from: (2020, 1, 1),
                plan_cents: 0,
                actives: fee(0, 1, 1),
                groups: fee(1_000, 7, 33),
            },
            // From the middle of a month, and so from the next one on.
            List {
                from: (2028, 6, 15),
                plan_cents: 44_999,
                actives: fee(10, 3, 7),
                groups: fee(0, 1_000, 1),
            },
        ],
    },
    Fees {
        name: "at-end",
        at_end: true,
        lists: &[List {
            from: (2028, 1, 1),
            plan_cents: 1,
            actives: fee(400, 400, 100_000),
            groups: fee(50, 50, 5),
        }],
    },
];

/// A bill in cents.
#[derive(Debug, PartialEq, Eq)]
pub struct Plain {
    pub plan: i64,
    pub actives: i64,
    pub groups: i64,
    pub total: i64,
    pub actives_peak: Option<(u64, Option<Day>)>,
    pub groups_peak: Option<(u64, Option<Day>)>,
}

/// An app's past.
pub struct Oracle {
    plans: BTreeMap<Day, usize>,
    /// What was there after each change, in their order.
    groups: Vec<(Day, i64)>,
    /// What was there when each day ended.
    ends: BTreeMap<Day, i64>,
    logins: BTreeMap<Day, Logins>,
    there: i64,
    /// No plan fee is due until it is over.
    activated: Option<Month>,
}

/// A day's users: those that a gateway counted itself, and those by name.
#[derive(Default)]
struct Logins {
    counted: u64,
    named: BTreeSet<u64>,
}

impl Logins {
    fn users(&self) -> u64 {
        self.counted + self.named.len() as u64
    }
}

impl Oracle {
    pub fn new(day: Day, plan: usize, activated: Option<Month>) -> Self {
        Self {
            plans: [(day, plan)].into(),
            groups: Vec::new(),
            ends: BTreeMap::new(),
            logins: BTreeMap::new(),
            there: 0,
            activated,
        }
    }

    pub fn plan(&mut self, day: Day, plan: usize) {
        if self.plans.values().next_back() != Some(&plan) {
            self.plans.insert(day, plan);
        }
    }

    pub fn groups(&mut self, day: Day, by: i64) {
        self.there += by;
        self.groups.push((day, self.there));
    }

    pub fn logins(&mut self, day: Day, by: u64) {
        self.logins.entry(day).or_default().counted += by;
    }

    pub fn names(&mut self, day: Day, users: &[u64]) {
        self.logins.entry(day).or_default().named.extend(users);
    }

    pub fn ends(&mut self, day: Day) {
        self.ends.insert(day, self.there);
    }

    pub fn actives_on(&self, day: Day) -> u64 {
        self.logins.get(&day).map_or(0, Logins::users)
    }

    pub fn bill(&self, month: Month) -> Plain {
        let (first, last) = (month.first_day(), month.last_day());
        let mut actives = (0, None);
        for (day, logins) in self.logins.range(first..=last) {
            if logins.users() > actives.0 {
                actives = (logins.users(), Some(*day));
            }
        }
        let carried = self
            .ends
            .range(..first)
            .next_back()
            .map_or(0, |(_, there)| *there);
        let mut groups = (carried, None);
        for (day, there) in self.groups.iter().filter(|(day, _)| day.month() == month) {
            if *there > groups.0 {
                groups = (*there, Some(*day));
            }
        }
        let at_end = self
            .ends
            .range(..=last)
            .next_back()
            .map_or(0, |(_, there)| *there);
        let count = |there: i64| u64::try_from(there).expect("never below 0");
        let (peak, peak_day) = (count(groups.0), groups.1);

        let own = Self::list(self.on(last), month);
        let of_actives = Self::list(self.on(actives.1.unwrap_or(first)), month);
        let of_groups = self.on(peak_day.unwrap_or(first));
        let of_end = self.on(last);
        let (billed, list) = if !PLANS[of_groups].at_end && Self::list(of_groups, month).is_some() {
            ((peak, peak_day), Self::list(of_groups, month))
        } else if PLANS[of_end].at_end || Self::list(of_groups, month).is_some() {
            ((count(at_end), Some(last)), Self::list(of_end, month))
        } else {
            ((0, None), None)
        };
        let is_waived = self.activated.is_some_and(|activated| month <= activated);
        let own = own.filter(|_| !is_waived);
        let plan = own.map_or(0, |list| list.plan_cents);
        let due_actives = of_actives.map_or(0, |list| cents(actives.0, &list.actives));
        let due_groups = list.map_or(0, |list| cents(billed.0, &list.groups));
        Plain {
            plan,
            actives: due_actives,
            groups: due_groups,
            total: plan + due_actives + due_groups,
            actives_peak: of_actives.map(|_| actives),
            groups_peak: list.map(|_| billed),
        }
    }

    fn on(&self, day: Day) -> usize {
        let before = self.plans.range(..=day).next_back();
        before
            .or(self.plans.iter().next())
            .map_or(0, |(_, plan)| *plan)
    }

    fn list(plan: usize, month: Month) -> Option<&'static List> {
        let first = month.first_day().to_string();
        let from = |list: &&List| {
            let (year, month, day) = list.from;
            format!("{year:04}-{month:02}-{day:02}") <= first
        };
        PLANS[plan].lists.iter().rfind(from)
    }
}

/// One block after the other until nothing is left to pay for.
fn cents(count: u64, fee: &Fee) -> i64 {
    let mut left = i128::from(count) - i128::from(fee.free);
    let mut due = 0;
    while left > 0 {
        left -= i128::from(fee.block);
        due += fee.cents;
    }
    due
}
