//! A ledger as one would explain it: plain maps, every count added up anew whenever it is asked for.

use std::collections::{BTreeMap, HashMap, HashSet};

use imquota::clock::Day;
use imquota::quota::{COUNTERS, Counter, Resource};
use imquota::store::{
    Answered, Attempt, Cell, CellReport, GiveBack, GivenBack, RecordKey, Take, Taken, Totals,
    Usage, View,
};

/// A member, by its number.
pub type Who = u64;

#[derive(Debug, Clone)]
enum Outcome {
    Held(HashSet<(Who, Attempt)>),
    Counted,
    Denied(Counter),
}

#[derive(Debug, Clone)]
enum Record {
    Take(Take, Outcome),
    Release(GiveBack, u32),
}

/// One app of the ledger.
#[derive(Debug, Clone, Default)]
pub struct Model {
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
            Record::Take(take, Outcome::Held(_) | Outcome::Counted) => moves(take, counter, day),
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
            Record::Take(take, Outcome::Held(_)) => moves(take, Counter::Groups, day),
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
        }
    }

    /// The first touch of a month: what is carried in is its first value.
    fn begin_month(&mut self, day: Day) {
        let month = day.month().number();
        // A month that is told of after a later one had begun is from before the first group.
        let late = self.group_peaks.keys().any(|known| *known > month);
        let now = self.net(Counter::Groups, day) - self.held_groups(day);
        let carried = if late { 0 } else { now.max(0) };
        self.group_peaks.entry(month).or_insert(carried);
    }

    fn note_groups(&mut self, candidate: i64, day: Day) {
        let value = candidate.max(self.net(Counter::Groups, day)) - self.held_groups(day);
        let peak = self.group_peaks.entry(day.month().number()).or_insert(0);
        *peak = (*peak).max(value);
    }

    fn note_actives(&mut self, day: Day) {
        self.begin_month(day);
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
            let denied = match outcome {
                Outcome::Held(claims) => {
                    claims.insert((who, take.attempt));
                    None
                }
                Outcome::Counted => None,
                Outcome::Denied(counter) => Some(*counter),
            };
            return self.taken(who, take.day, denied, true);
        }
        let amount = i64::from(take.charge.amount().get());
        let full = take.charge.parts().iter().find(|part| {
            let limit = part.limit.get().map_or(i64::MAX, u64::cast_signed);
            self.net(part.counter, take.day) + amount > limit
        });
        let denied = full.map(|part| part.counter);
        if denied.is_none() && moves(take, Counter::Groups, take.day).is_some() {
            self.begin_month(take.day);
        }
        let outcome = denied.map_or_else(
            || Outcome::Held(HashSet::from([(who, take.attempt)])),
            Outcome::Denied,
        );
        if denied.is_none() || matches!(take.key, RecordKey::Client(_)) {
            let record = Record::Take(take.clone(), outcome);
            self.records.insert(take.key.clone(), record);
        }
        self.taken(who, take.day, denied, false)
    }

    fn taken(&self, who: Who, day: Day, denied: Option<Counter>, replayed: bool) -> Taken {
        let view = self.view(who, day);
        match denied {
            None => Taken::Allowed { view, replayed },
            Some(counter) => Taken::Denied {
                counter,
                view,
                replayed,
            },
        }
    }

    pub fn answered(&mut self, answered: &Answered, today: Day) {
        let Some(Record::Take(first, Outcome::Held(_))) = self.records.get(&answered.take.key)
        else {
            return;
        };
        if answered.refused.is_some() {
            return;
        }
        // What was held stays as it was, though a later try may have come on another day.
        let first = first.clone();
        let groups = moves(&first, Counter::Groups, first.day).is_some();
        if groups {
            self.begin_month(today);
        }
        let counted = Record::Take(first, Outcome::Counted);
        self.records.insert(answered.take.key.clone(), counted);
        if groups {
            self.note_groups(i64::MIN, today);
        }
    }

    pub fn abort(&mut self, who: Who, key: &RecordKey, attempt: Attempt) {
        self.withdrawn.insert((who, attempt));
        if let Some(Record::Take(_, Outcome::Held(claims))) = self.records.get_mut(key) {
            claims.remove(&(who, attempt));
            if claims.is_empty() {
                self.records.remove(key);
            }
        }
    }

    pub fn release(&mut self, who: Who, give_back: &GiveBack) -> GivenBack {
        let (released, replayed) = match self.records.get(&give_back.key) {
            Some(Record::Release(first, released))
                if first.fingerprint == give_back.fingerprint =>
            {
                (*released, true)
            }
            Some(_) => return GivenBack::OtherContent,
            None => (self.give_back(give_back), false),
        };
        if !replayed {
            let record = Record::Release(give_back.clone(), released);
            self.records.insert(give_back.key.clone(), record);
        }
        GivenBack::Released {
            released,
            view: self.view(who, give_back.day),
            replayed,
        }
    }

    fn give_back(&mut self, give_back: &GiveBack) -> u32 {
        let (day, own) = (give_back.day, give_back.resource.counter());
        if own != Counter::Accounts {
            self.begin_month(day);
        }
        let counted = self.net(own, day).max(0);
        let released = i64::from(give_back.amount.get()).min(counted);
        let groups = match give_back.resource {
            Resource::Account => 0,
            Resource::Group => released,
            Resource::AvRoom => released.min(self.net(Counter::Groups, day).max(0)),
        };
        self.given_back.push((own, day, released));
        if give_back.resource == Resource::AvRoom {
            self.given_back.push((Counter::Groups, day, groups));
        }
        self.given_back.push((Counter::GroupsGained, day, groups));
        u32::try_from(released).unwrap()
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
