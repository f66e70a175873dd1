//! A ledger as one would explain it: plain maps, every count added up anew whenever it is asked for.

use std::collections::{BTreeMap, HashMap, HashSet};

use imquota::clock::Day;
use imquota::quota::{COUNTERS, Counter, Part, Resource};
use imquota::store::{
    Ack, Answered, Attempt, Cell, CellReport, GiveBack, GivenBack, RecordKey, Take, Taken, Totals,
    Usage, View, Whose,
};

/// A member, by its number.
pub type Who = u64;

#[derive(Debug, Clone)]
enum Outcome {
    Held(Claims),
    /// Answered by one who does not own it, in a shared ledger: charged until somebody counts it.
    Pinned(Claims),
    Counted,
    Denied(Counter),
}

#[derive(Debug, Clone, Default)]
struct Claims {
    all: HashSet<(Who, Attempt)>,
    owner: Option<(Who, Attempt)>,
}

#[derive(Debug, Clone)]
enum Record {
    Take(Take, Outcome),
    Release(GiveBack, u32, u32, Who),
}

/// One app of the ledger.
#[derive(Debug, Clone, Default)]
pub struct Model {
    shared: bool,
    /// The lowest limit that anybody stated of a counter; of the gain, of a day's.
    lowest: HashMap<(Counter, Option<Day>), u64>,
    records: HashMap<RecordKey, Record>,
    withdrawn: HashSet<(Who, Attempt)>,
    totals: HashMap<(Who, Cell), Totals>,
    /// What releases took, each from one counter on one day.
    given_back: Vec<(Counter, Day, i64)>,
    users: HashMap<Day, HashSet<u128>>,
    group_peaks: BTreeMap<i32, i64>,
    active_peaks: BTreeMap<i32, u64>,
}

impl Model {
    /// An app of a ledger that is shared or its member's own: see `LedgerUnderTest::SHARED`.
    pub fn new(shared: bool) -> Self {
        Self {
            shared,
            ..Self::default()
        }
    }

    fn net(&self, counter: Counter, day: Day) -> i64 {
        let of_totals = self.totals.iter().filter_map(|((_, cell), totals)| {
            let counts = match cell {
                Cell::Live(resource) => resource.counter() == counter,
                Cell::Gained(of) => counter == Counter::GroupsGained && *of == day,
                Cell::Increment(_) => false,
            };
            counts.then(|| totals.net())
        });
        let of_records = self.records.values().filter_map(|record| match record {
            Record::Take(take, Outcome::Held(_) | Outcome::Pinned(_) | Outcome::Counted) => {
                moves(take, counter, day)
            }
            _ => None,
        });
        let given_back = self.given_back.iter().filter_map(|(of, on, amount)| {
            let counts = *of == counter && (counter != Counter::GroupsGained || *on == day);
            counts.then_some(-amount)
        });
        of_totals.chain(of_records).chain(given_back).sum()
    }

    fn held_groups(&self, day: Day) -> i64 {
        let held = self.records.values().filter_map(|record| match record {
            Record::Take(take, Outcome::Held(_) | Outcome::Pinned(_)) => {
                moves(take, Counter::Groups, day)
            }
            _ => None,
        });
        held.sum()
    }

    pub fn view(&self, who: Who, day: Day) -> View {
        let mine = |cell| self.totals.get(&(who, cell)).copied().unwrap_or_default();
        View {
            net: COUNTERS.map(|counter| self.net(counter, day)),
            mine: [
                mine(Cell::Live(Resource::Account)),
                mine(Cell::Live(Resource::Group)),
                mine(Cell::Live(Resource::AvRoom)),
                mine(Cell::Gained(day)),
            ],
            ..View::default()
        }
    }

    /// Before the first change of groups in a month: what is carried in is its first value.
    fn begin_month(&mut self, day: Day) {
        let now = self.net(Counter::Groups, day) - self.held_groups(day);
        let month = day.month().number();
        self.group_peaks.entry(month).or_insert(now.max(0));
    }

    fn note_groups(&mut self, candidate: i64, day: Day) {
        let value = candidate.max(self.net(Counter::Groups, day)) - self.held_groups(day);
        let peak = self.group_peaks.entry(day.month().number()).or_insert(0);
        *peak = (*peak).max(value);
    }

    fn note_actives(&mut self, day: Day) {
        let count = self.daily_active(day);
        let peak = self.active_peaks.entry(day.month().number()).or_insert(0);
        *peak = (*peak).max(count);
    }

    pub fn daily_active(&self, day: Day) -> u64 {
        let increments = self.totals.iter().filter_map(|((_, cell), totals)| {
            (*cell == Cell::Increment(day)).then_some(totals.consumed)
        });
        let users = self.users.get(&day).map_or(0, HashSet::len);
        u64::try_from(users).unwrap() + increments.sum::<u64>()
    }

    pub fn take(&mut self, who: Who, take: &Take) -> Taken {
        if self.withdrawn.contains(&(who, take.attempt)) {
            return Taken::Withdrawn;
        }
        if let Some(record) = self.records.get_mut(&take.key) {
            let Record::Take(first, outcome) = record else {
                return Taken::OtherContent;
            };
            if first.fingerprint != take.fingerprint {
                return Taken::OtherContent;
            }
            let claim = (who, take.attempt);
            let mut mine = false;
            let denied = match outcome {
                Outcome::Held(claims) | Outcome::Pinned(claims) => {
                    claims.all.insert(claim);
                    mine = self.shared && claims.owner == Some(claim);
                    None
                }
                Outcome::Counted => None,
                Outcome::Denied(counter) => Some(*counter),
            };
            return self.taken(who, take.day, denied, true, mine);
        }
        let amount = i64::from(take.charge.amount().get());
        let parts: Vec<Part> = take.charge.parts().to_vec();
        let limits: Vec<i64> = parts
            .iter()
            .map(|part| self.limit(part, take.day))
            .collect();
        let full = parts
            .iter()
            .zip(limits)
            .find(|(part, limit)| self.net(part.counter, take.day) + amount > *limit);
        let denied = full.map(|(part, _)| part.counter);
        let claims = Claims {
            all: HashSet::from([(who, take.attempt)]),
            owner: Some((who, take.attempt)),
        };
        let outcome = denied.map_or(Outcome::Held(claims), Outcome::Denied);
        if denied.is_none() || matches!(take.key, RecordKey::Client(_)) {
            let record = Record::Take(take.clone(), outcome);
            self.records.insert(take.key.clone(), record);
        }
        self.taken(who, take.day, denied, false, self.shared)
    }

    /// What the part is judged by, and states.
    fn limit(&mut self, part: &Part, day: Day) -> i64 {
        let Some(asked) = part.limit.get() else {
            return i64::MAX;
        };
        if !self.shared {
            return asked.cast_signed();
        }
        let day = (part.counter == Counter::GroupsGained).then_some(day);
        let lowest = self.lowest.entry((part.counter, day)).or_insert(asked);
        *lowest = asked.min(*lowest);
        lowest.cast_signed()
    }

    fn taken(
        &self,
        who: Who,
        day: Day,
        denied: Option<Counter>,
        replayed: bool,
        mine: bool,
    ) -> Taken {
        let view = self.view(who, day);
        match denied {
            None => Taken::Allowed {
                view,
                replayed,
                whose: if mine { Whose::Asker } else { Whose::Another },
                beside: imquota::store::Beside::default(),
            },
            Some(counter) => Taken::Denied {
                counter,
                view,
                replayed,
                recallable: false,
            },
        }
    }

    /// What the reporter is told in the end, when it has put into its sums what it was told to.
    pub fn answered(&mut self, who: Who, answered: &Answered, today: Day) -> Ack {
        let shared = self.shared;
        let record = self.records.get_mut(&answered.take.key);
        let (None, Some(Record::Take(first, outcome))) = (answered.refused, record) else {
            return Ack::Counted;
        };
        let (Outcome::Held(claims) | Outcome::Pinned(claims)) = outcome else {
            return Ack::Counted;
        };
        let claim = (who, answered.take.attempt);
        claims.all.insert(claim);
        if shared && claims.owner.is_some_and(|owner| owner != claim) {
            *outcome = Outcome::Pinned(claims.clone());
            return Ack::Again;
        }
        // What was held stays as it was, though a later try may have come on another day: but in whose
        // sums it ends, that one's day it is.
        let mut first = first.clone();
        if shared {
            first.day = answered.take.day;
        }
        let groups = moves(&first, Counter::Groups, first.day).is_some();
        if groups {
            self.begin_month(today);
        }
        let counted = Record::Take(first, Outcome::Counted);
        self.records.insert(answered.take.key.clone(), counted);
        if groups {
            self.note_groups(i64::MIN, today);
        }
        Ack::Counted
    }

    pub fn abort(&mut self, who: Who, key: &RecordKey, attempt: Attempt) {
        self.withdrawn.insert((who, attempt));
        let Some(Record::Take(_, outcome)) = self.records.get_mut(key) else {
            return;
        };
        let held = matches!(outcome, Outcome::Held(_));
        if let Outcome::Held(claims) | Outcome::Pinned(claims) = outcome {
            claims.all.remove(&(who, attempt));
            claims.owner = claims.owner.filter(|owner| *owner != (who, attempt));
            if held && claims.all.is_empty() {
                self.records.remove(key);
            }
        }
    }

    pub fn release(&mut self, who: Who, give_back: &GiveBack) -> GivenBack {
        let (released, groups, owner, replayed) = match self.records.get(&give_back.key) {
            Some(Record::Release(first, released, groups, owner))
                if first.fingerprint == give_back.fingerprint =>
            {
                (*released, *groups, *owner, true)
            }
            Some(_) => return GivenBack::OtherContent,
            None => {
                let (released, groups) = self.give_back(give_back);
                (released, groups, who, false)
            }
        };
        if !replayed {
            let record = Record::Release(give_back.clone(), released, groups, who);
            self.records.insert(give_back.key.clone(), record);
        }
        GivenBack::Released {
            released,
            resource: give_back.resource,
            groups,
            view: self.view(who, give_back.day),
            replayed,
            mine: self.shared && owner == who,
        }
    }

    /// How many, and how many groups with them.
    fn give_back(&mut self, give_back: &GiveBack) -> (u32, u32) {
        let (day, own) = (give_back.day, give_back.resource.counter());
        let counted = self.net(own, day).max(0);
        let released = i64::from(give_back.amount.get()).min(counted);
        let groups = match give_back.resource {
            Resource::Account => 0,
            Resource::Group => released,
            Resource::AvRoom => released.min(self.net(Counter::Groups, day).max(0)),
        };
        if groups > 0 {
            self.begin_month(day);
        }
        self.given_back.push((own, day, released));
        if give_back.resource == Resource::AvRoom {
            self.given_back.push((Counter::Groups, day, groups));
        }
        self.given_back.push((Counter::GroupsGained, day, groups));
        (
            u32::try_from(released).unwrap(),
            u32::try_from(groups).unwrap(),
        )
    }

    pub fn settle(&mut self, who: Who, cells: &[CellReport], today: Day) -> View {
        for report in cells {
            let told = self.totals.entry((who, report.cell)).or_default();
            let old = *told;
            let new = Totals {
                consumed: old.consumed.max(report.totals.consumed),
                released: old.released.max(report.totals.released),
            };
            if new == old {
                continue;
            }
            let groups = report.cell == Cell::Live(Resource::Group);
            if groups {
                self.begin_month(today);
            }
            let others = self.net(Counter::Groups, today) - old.net();
            self.totals.insert((who, report.cell), new);
            if groups {
                self.note_groups(others + report.high, today);
            }
            if let Cell::Increment(day) = report.cell {
                self.note_actives(day);
            }
        }
        self.view(who, today)
    }

    /// Whether the user was new.
    pub fn login(&mut self, day: Day, user: u128) -> bool {
        let newly = self.users.entry(day).or_default().insert(user);
        if newly {
            self.note_actives(day);
        }
        newly
    }

    pub fn usage(&self, who: Who, day: Day) -> Usage {
        let month = day.month().number();
        let newest = self.group_peaks.keys().max().is_none_or(|m| *m <= month);
        let kept = self.group_peaks.get(&month).copied().unwrap_or(0);
        let now = if newest {
            self.net(Counter::Groups, day)
        } else {
            0
        };
        let mine = self.totals.get(&(who, Cell::Increment(day)));
        Usage {
            view: self.view(who, day),
            daily_active: self.daily_active(day),
            my_increment: mine.map_or(0, |totals| totals.consumed),
            month_peak_daily_active: self.active_peaks.get(&month).copied().unwrap_or(0),
            month_peak_groups: kept.max(now).max(0).cast_unsigned(),
        }
    }
}

/// How much of `counter` the take creates; of the gain, on `day`.
fn moves(take: &Take, counter: Counter, day: Day) -> Option<i64> {
    let of_the_day = counter != Counter::GroupsGained || take.day == day;
    let part = take.charge.parts().iter().any(|p| p.counter == counter);
    (part && of_the_day).then(|| i64::from(take.charge.amount().get()))
}
