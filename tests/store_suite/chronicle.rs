//! An app's past as a chronicler would keep it: all that happened, one line each, in the order in which the ledger heard
//! of it. Whatever is asked is found by reading it all again. Random histories are compared with it, month by month.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use imquota::billing::Peak;
use imquota::clock::{Day, Month};
use imquota::quota::{AppId, Resource};
use imquota::store::{Cell, DayHistory, MonthHistory};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::actives::user;
use super::property::seats;
use super::{LedgerUnderTest, Seat, limits, next_month, report, today, totals, zone};

const PLANS: [&str; 3] = ["trial", "pro", "flagship"];

#[derive(Debug, Clone)]
enum Op {
    /// A member makes groups, disbands some, and says so; maybe by a clock that has the day before.
    Settle {
        member: usize,
        moves: (u64, u64),
        late: bool,
    },
    /// A creation by a record, and what becomes of it: answered, withdrawn or left open.
    Take {
        member: usize,
        amount: u32,
        room: bool,
        answered: Option<bool>,
    },
    Release {
        member: usize,
        amount: u32,
        late: bool,
    },
    /// On the day before, today, or by a clock that is ahead.
    Login {
        member: usize,
        ahead: i32,
        users: Vec<u64>,
    },
    Increment {
        member: usize,
        by: u64,
    },
    Plan {
        member: usize,
        plan: usize,
    },
    Days(i32),
    NextMonth,
    Checkpoint,
}

fn op() -> impl Strategy<Value = Op> {
    let member = || 0..super::property::MEMBERS;
    let late = || proptest::bool::weighted(0.2);
    let answered = proptest::option::weighted(0.9, proptest::bool::weighted(0.7));
    prop_oneof![
        6 => (member(), (0..9_u64, 0..9_u64), late())
            .prop_map(|(member, moves, late)| Op::Settle { member, moves, late }),
        3 => (member(), 1..5_u32, any::<bool>(), answered).prop_map(
            |(member, amount, room, answered)| Op::Take { member, amount, room, answered }
        ),
        2 => (member(), 1..7_u32, late())
            .prop_map(|(member, amount, late)| Op::Release { member, amount, late }),
        4 => (member(), -1..2_i32, vec(0..9_u64, 1..5))
            .prop_map(|(member, ahead, users)| Op::Login { member, ahead, users }),
        1 => (member(), 1..4_u64).prop_map(|(member, by)| Op::Increment { member, by }),
        1 => (member(), 0..3_usize).prop_map(|(member, plan)| Op::Plan { member, plan }),
        4 => (1..4_i32).prop_map(Op::Days),
        1 => (4..40_i32).prop_map(Op::Days),
        1 => Just(Op::NextMonth),
        1 => Just(Op::Checkpoint),
    ]
}

/// A line of the chronicle: groups before it, at their highest, and after it.
type Line = (Day, [i64; 3]);

#[derive(Default)]
struct Chronicle {
    groups: Vec<Line>,
    /// Days, in the order in which they got another user.
    logins: Vec<(Day, Login)>,
    plans: Vec<(Day, &'static str)>,
    counted: i64,
    held: i64,
}

#[derive(Clone, Copy)]
enum Login {
    User(u64),
    Increment(u64),
}

impl Chronicle {
    /// What is heard of a day that is over is of the one in which it is heard.
    fn change(&mut self, day: Day, high: i64, by: i64) {
        let newest = self.groups.last().map_or(day, |line| line.0);
        let before = self.counted;
        self.counted += by;
        let line = [before, high, self.counted];
        self.groups.push((day.max(newest), line));
    }

    fn month(&self, month: Month, today: Day) -> MonthHistory {
        let mut newest_first = self.groups.iter().rev();
        let before = newest_first.find(|(day, _)| *day < month.first_day());
        let mut there = unsigned(before.map_or(0, |(_, line)| line[2]));
        let mut told = MonthHistory {
            carried_in: there,
            groups: Peak {
                count: there,
                day: None,
            },
            plans: self.plans(month),
            daily_active: self.daily_active(month),
            ..MonthHistory::default()
        };
        for day in (1..=31).filter_map(|number| month.day(number)) {
            let lines = self.groups.iter().filter(|line| line.0 == day);
            let mut groups = there;
            for (_, line) in lines.clone() {
                let [before, high, after] = line.map(unsigned);
                let highest = before.max(high).max(after);
                groups = groups.max(highest);
                if highest > told.groups.count {
                    told.groups = Peak {
                        count: highest,
                        day: Some(day),
                    };
                }
                there = after;
            }
            let daily_active = self.users(day, self.logins.len());
            if daily_active > 0 || lines.count() > 0 {
                told.days.push(DayHistory {
                    day,
                    daily_active,
                    groups,
                    groups_at_end: there,
                });
            }
        }
        told.groups_at_end = if month == today.month() {
            unsigned(self.counted + self.held)
        } else {
            there
        };
        told
    }

    /// The users of a day, as of so many lines.
    fn users(&self, day: Day, lines: usize) -> u64 {
        let mut users = HashSet::new();
        let mut increments = 0;
        for (_, login) in self.logins[..lines].iter().filter(|(of, _)| *of == day) {
            match login {
                Login::User(number) => {
                    users.insert(*number);
                }
                Login::Increment(by) => increments += by,
            }
        }
        users.len() as u64 + increments
    }

    fn daily_active(&self, month: Month) -> Peak {
        let mut peak = Peak::default();
        for day in (1..=31).filter_map(|number| month.day(number)) {
            let count = self.users(day, self.logins.len());
            if count > peak.count {
                peak = Peak {
                    count,
                    day: Some(day),
                };
            }
        }
        peak
    }

    fn plans(&self, month: Month) -> Vec<(Day, imquota::quota::PlanName)> {
        // Of each day the last one; of several days with one plan the first.
        let mut plans: Vec<_> = BTreeMap::from_iter(self.plans.clone())
            .into_iter()
            .collect();
        plans.dedup_by_key(|(_, plan)| *plan);
        let ends = plans.iter().skip(1).map(|(day, _)| Some(*day));
        let ends: Vec<_> = ends.chain([None]).collect();
        let in_force = plans.into_iter().zip(ends).filter(|((from, _), until)| {
            let begins = *from <= month.last_day();
            begins && until.is_none_or(|until| until > month.first_day())
        });
        let named = |name| imquota::quota::PlanName::parse(name).unwrap();
        in_force
            .map(|((from, name), _)| (from, named(name)))
            .collect()
    }
}

fn unsigned(net: i64) -> u64 {
    u64::try_from(net).unwrap_or(0)
}

/// A member's own sums: groups made and disbanded, and users counted on a day.
#[derive(Default)]
struct Own {
    groups: (u64, u64),
    increments: HashMap<Day, u64>,
}

struct Play {
    app: AppId,
    first: Day,
    day: Day,
    chronicle: Chronicle,
    own: HashMap<usize, Own>,
}

impl Play {
    fn day_or_before(&self, late: bool) -> Day {
        let before = Day::from_number(self.day.number() - i32::from(late)).unwrap();
        before.max(self.first)
    }

    async fn step(&mut self, seats: &[Seat], op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::Settle {
                member,
                moves,
                late,
            } => self.settle(&seats[*member], *member, *moves, *late).await,
            Op::Take {
                member,
                amount,
                room,
                answered,
            } => {
                self.take(&seats[*member], (*amount, *room), *answered)
                    .await;
            }
            Op::Release {
                member,
                amount,
                late,
            } => {
                let seat = &seats[*member];
                let mut back = seat.returns(self.app, None, (Resource::Group, *amount));
                back.day = self.day_or_before(*late);
                let there = (self.chronicle.counted + self.chronicle.held).max(0);
                let expected = i64::from(*amount).min(there);
                prop_assert_eq!(i64::from(seat.release(&back).await), expected);
                if expected > 0 {
                    let before = self.chronicle.counted;
                    self.chronicle.change(back.day, before, -expected);
                }
            }
            Op::Login {
                member,
                ahead,
                users,
            } => {
                let day = Day::from_number(self.day.number() + ahead).unwrap();
                let day = day.max(self.first);
                let hashes: Vec<u128> = users.iter().map(|number| user(*number)).collect();
                seats[*member].logins(self.app, day, &hashes).await;
                // A call is one step.
                let lines = users.iter().map(|number| (day, Login::User(*number)));
                self.chronicle.logins.extend(lines);
            }
            Op::Increment { member, by } => {
                let own = self.own.entry(*member).or_default();
                let total = own.increments.entry(self.day).or_default();
                *total += by;
                let told = [(Cell::Increment(self.day), totals(*total, 0), 0)];
                let told = report(self.app, &told);
                seats[*member].settle_on(self.app, &told, self.day).await;
                let line = (self.day, Login::Increment(*by));
                self.chronicle.logins.push(line);
            }
            Op::Plan { member, plan } => {
                seats[*member]
                    .has_plan(self.app, self.day, PLANS[*plan])
                    .await;
                self.chronicle.plans.push((self.day, PLANS[*plan]));
            }
            Op::Days(days) => self.day = Day::from_number(self.day.number() + days).unwrap(),
            Op::NextMonth => self.day = next_month(self.day),
            Op::Checkpoint => {
                let log_from = zone().start_of(self.day);
                let done = seats[0].store.checkpoint(log_from).await;
                prop_assert_eq!(done, Ok(()));
            }
        }
        Ok(())
    }

    async fn settle(&mut self, seat: &Seat, member: usize, (made, gone): (u64, u64), late: bool) {
        let own = self.own.entry(member).or_default();
        let before = own.groups.0.cast_signed() - own.groups.1.cast_signed();
        own.groups = (own.groups.0 + made, own.groups.1 + gone);
        let all = totals(own.groups.0, own.groups.1);
        // First it makes, then it disbands.
        let high = before + made.cast_signed();
        let told = report(self.app, &[(Cell::Live(Resource::Group), all, high)]);
        let day = self.day_or_before(late);
        seat.settle_on(self.app, &told, day).await;
        if made + gone > 0 {
            let highest = self.chronicle.counted + made.cast_signed();
            let by = made.cast_signed() - gone.cast_signed();
            self.chronicle.change(day, highest, by);
        }
    }

    async fn take(&mut self, seat: &Seat, (amount, room): (u32, bool), answered: Option<bool>) {
        let resource = if room {
            Resource::AvRoom
        } else {
            Resource::Group
        };
        let mut take = seat.wants(self.app, None, (resource, amount), &limits());
        take.day = self.day;
        seat.gets(&take).await;
        match answered {
            None => self.chronicle.held += i64::from(amount),
            Some(false) => seat.abort(&take).await,
            Some(true) => {
                seat.answered_on(&take, None, self.day).await;
                let before = self.chronicle.counted;
                self.chronicle.change(self.day, before, amount.into());
            }
        }
    }

    async fn compare(&self, seats: &[Seat]) -> Result<(), TestCaseError> {
        let months = self.first.month().number() - 1..=self.day.month().number() + 1;
        for month in months.filter_map(Month::from_number) {
            let told = seats[0].month(self.app, month, self.day).await;
            let expected = self.chronicle.month(month, self.day);
            prop_assert_eq!(told, expected, "{} on {}", month, self.day);
        }
        Ok(())
    }
}

/// Plays random histories, each of an app of its own and after the one before, on one ledger.
pub fn agrees<L: LedgerUnderTest>() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ledger = runtime.block_on(L::fresh());
    let seats = runtime.block_on(seats(&ledger));
    let (apps, from) = (AtomicU64::new(1), AtomicI32::new(today().number()));
    // PROPTEST_CASES asks for more of them.
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&vec(op(), 1..50), |ops| {
        let first = Day::from_number(from.load(Ordering::Relaxed)).unwrap();
        let mut play = Play {
            app: super::app(apps.fetch_add(1, Ordering::Relaxed)),
            first,
            day: first,
            chronicle: Chronicle::default(),
            own: HashMap::new(),
        };
        let played = runtime.block_on(async {
            for (at, op) in ops.iter().enumerate() {
                play.step(&seats, op).await?;
                if at % 10 == 0 {
                    play.compare(&seats).await?;
                }
            }
            play.compare(&seats).await
        });
        // Days that one of them closed are closed for all.
        from.store(play.day.number(), Ordering::Relaxed);
        played
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
