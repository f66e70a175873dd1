//! Random histories: every answer of a store is compared with the model's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use imquota::clock::Day;
use imquota::quota::{AppId, Counter, Limit, Limits, RESOURCES, Resource};
use imquota::store::{
    Abort, Answered, Cell, CellReport, GivenBack, Login, Report, Shard, Take, Taken, Totals,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::actives::user;
use super::model::Model;
use super::{LedgerUnderTest, Seat, app_report, cell_report, next_month, now, plain, today};

/// Members that take part.
pub const MEMBERS: usize = 3;

/// One step of a history. Numbers pick from what is there, modulo its length.
#[derive(Debug, Clone)]
pub enum Op {
    /// A creation, under one of a few client ids or an own key. An id asks for the same every time,
    /// but for an odd one.
    Take {
        member: usize,
        id: Option<u8>,
        odd: bool,
        what: usize,
        amount: u32,
        rules: usize,
    },
    /// The answer to an earlier take went out.
    Answer(usize),
    /// An attempt is withdrawn.
    Abort(usize),
    /// An attempt is withdrawn before it is made.
    AbortFirst {
        member: usize,
        id: Option<u8>,
    },
    Release {
        member: usize,
        id: Option<u8>,
        odd: bool,
        what: usize,
        amount: u32,
    },
    /// A member creates and releases from memory, and reports it.
    Settle {
        member: usize,
        moves: Vec<(usize, u64, u64)>,
        delivery: Delivery,
    },
    Login {
        member: usize,
        tomorrow: bool,
        users: Vec<u64>,
    },
    NextDay,
    NextMonth,
    Checkpoint,
}

/// What becomes of a report.
#[derive(Debug, Clone, Copy)]
pub enum Delivery {
    Once,
    Lost,
    /// It arrives, but its answer does not.
    Unacknowledged,
    Twice,
    /// It arrives, and after it the one before.
    Reordered,
}

/// A random step.
pub fn op() -> impl Strategy<Value = Op> {
    let member = || 0..MEMBERS;
    let id = || proptest::option::of(0_u8..5);
    let odd = || proptest::bool::weighted(0.1);
    prop_oneof![
        8 => (member(), id(), odd(), 0..3_usize, 1..4_u32, 0..4_usize).prop_map(
            |(member, id, odd, what, amount, rules)| Op::Take { member, id, odd, what, amount, rules }
        ),
        4 => any::<usize>().prop_map(Op::Answer),
        3 => any::<usize>().prop_map(Op::Abort),
        1 => (member(), id()).prop_map(|(member, id)| Op::AbortFirst { member, id }),
        3 => (member(), id(), odd(), 0..3_usize, 1..6_u32).prop_map(
            |(member, id, odd, what, amount)| Op::Release { member, id, odd, what, amount }
        ),
        5 => (member(), vec((0..5_usize, 0..5_u64, 0..5_u64), 1..4), delivery()).prop_map(
            |(member, moves, delivery)| Op::Settle { member, moves, delivery }
        ),
        3 => (member(), any::<bool>(), vec(0..12_u64, 1..5)).prop_map(
            |(member, tomorrow, users)| Op::Login { member, tomorrow, users }
        ),
        1 => Just(Op::NextDay),
        1 => Just(Op::NextMonth),
        1 => Just(Op::Checkpoint),
    ]
}

fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        4 => Just(Delivery::Once),
        1 => Just(Delivery::Lost),
        1 => Just(Delivery::Unacknowledged),
        1 => Just(Delivery::Twice),
        1 => Just(Delivery::Reordered),
    ]
}

/// A member's own sums of one cell, as its memory has them.
#[derive(Debug, Clone, Copy, Default)]
struct Own {
    totals: Totals,
    high: i64,
}

/// One app's history as it is being played: against a store, and against the model.
pub struct Play {
    pub app: AppId,
    pub model: Model,
    pub day: Day,
    first_day: Day,
    /// Takes that can be answered or withdrawn, with what they were refused for.
    takes: Vec<(usize, Take, Option<Counter>)>,
    /// How many of `takes`, from the first on, were answered in order.
    closed: usize,
    own: HashMap<(usize, Cell), Own>,
    last_report: HashMap<usize, Vec<CellReport>>,
}

impl Play {
    pub fn new(app: AppId, shared: bool) -> Self {
        Self {
            app,
            model: Model::new(shared),
            day: today(),
            first_day: today(),
            takes: Vec::new(),
            closed: 0,
            own: HashMap::new(),
            last_report: HashMap::new(),
        }
    }

    /// Plays one step against both.
    pub async fn step(&mut self, seats: &[Seat], op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::Take {
                member,
                id,
                odd,
                what,
                amount,
                rules,
            } => {
                let what = asked(*id, (RESOURCES[*what], *amount), *odd);
                let name = id.map(|id| format!("id-{id}"));
                let seat = &seats[*member];
                let mut take = seat.wants(self.app, name.as_deref(), what, &limits(*rules));
                take.day = self.day;
                self.take(seats, *member, take).await?;
            }
            Op::Answer(pick) => {
                if let Some((member, take, refused)) = self.pick(*pick) {
                    let seat = &seats[member];
                    let told = seat.answered_on(&take, refused, self.day).await;
                    let answered = Answered {
                        take,
                        refused,
                        contained: None,
                    };
                    let who = seat.member.incarnation;
                    let expected = self.model.answered(who, &answered, self.day);
                    prop_assert_eq!(told, expected);
                }
            }
            Op::Abort(pick) => {
                // What was answered may be withdrawn as well: in vain.
                if let Some((member, take, _)) = self.pick(*pick) {
                    self.abort(seats, member, &take).await;
                    let at = self
                        .takes
                        .iter()
                        .position(|(_, kept, _)| kept.attempt == take.attempt);
                    if let Some(at) = at {
                        self.takes.remove(at);
                        self.closed -= usize::from(at < self.closed);
                    }
                }
            }
            Op::AbortFirst { member, id } => {
                let what = asked(*id, (Resource::Group, 1), false);
                let name = id.map(|id| format!("id-{id}"));
                let seat = &seats[*member];
                let take = seat.wants(self.app, name.as_deref(), what, &limits(0));
                self.abort(seats, *member, &take).await;
                self.take(seats, *member, take).await?;
            }
            Op::Release {
                member,
                id,
                odd,
                what,
                amount,
            } => {
                // Some ids are shared with the creations.
                let name = id.map(|id| format!("id-{}", id + 3));
                let what = asked(id.map(|id| id + 3), (RESOURCES[*what], *amount), *odd);
                let seat = &seats[*member];
                let mut back = seat.returns(self.app, name.as_deref(), what);
                back.day = self.day;
                let expected = self.model.release(seat.member.incarnation, &back);
                let given = seat.give_back(&back).await;
                prop_assert!(
                    is_as_expected(&given, &expected),
                    "{:?}, not {:?}",
                    given,
                    expected
                );
            }
            Op::Settle {
                member,
                moves,
                delivery,
            } => self.settle(seats, *member, moves, *delivery).await?,
            Op::Login {
                member,
                tomorrow,
                users,
            } => self.login(&seats[*member], *tomorrow, users).await?,
            Op::NextDay => self.day = self.day.next(),
            Op::NextMonth => self.day = next_month(self.day),
            Op::Checkpoint => {
                let done = seats[0].store.checkpoint(now()).await;
                prop_assert_eq!(done, Ok(()));
            }
        }
        Ok(())
    }

    /// A take that was not handed out by this before, to be answered.
    pub fn next_open(&mut self) -> Option<usize> {
        let open = self.closed;
        (open < self.takes.len()).then(|| {
            self.closed += 1;
            open
        })
    }

    fn pick(&self, pick: usize) -> Option<(usize, Take, Option<Counter>)> {
        let at = pick.checked_rem(self.takes.len())?;
        self.takes.get(at).cloned()
    }

    async fn take(
        &mut self,
        seats: &[Seat],
        member: usize,
        take: Take,
    ) -> Result<(), TestCaseError> {
        let seat = &seats[member];
        let expected = self.model.take(seat.member.incarnation, &take);
        let taken = plain_taken(seat.take(&take).await);
        prop_assert_eq!(&taken, &expected, "{:?}", take);
        match expected {
            Taken::Allowed { .. } => self.takes.push((member, take, None)),
            Taken::Denied { counter, .. } => self.takes.push((member, take, Some(counter))),
            Taken::OtherContent | Taken::Withdrawn => {}
            other => prop_assert!(false, "{:?}", other),
        }
        Ok(())
    }

    async fn abort(&mut self, seats: &[Seat], member: usize, take: &Take) {
        let seat = &seats[member];
        let who = seat.member.incarnation;
        self.model.abort(who, &take.key, take.attempt);
        let report = Report {
            aborts: vec![Abort::of(take)],
            ..Report::default()
        };
        self.report(seat, report).await;
    }

    async fn report(&self, seat: &Seat, report: Report) {
        seat.settle_on(self.app, &report, self.day).await;
    }

    async fn settle(
        &mut self,
        seats: &[Seat],
        member: usize,
        moves: &[(usize, u64, u64)],
        delivery: Delivery,
    ) -> Result<(), TestCaseError> {
        let mut cells: Vec<CellReport> = Vec::new();
        for (cell, consumed, released) in moves {
            let cell = self.cell(*cell);
            let own = self.own.entry((member, cell)).or_default();
            // First it creates, then it releases: in between it is at its highest.
            own.totals.consumed += consumed;
            own.high = own.high.max(own.totals.net());
            // Users counted by a gateway are never taken back: that half of the totals is not used.
            if !matches!(cell, Cell::Increment(_)) {
                own.totals.released += released;
            }
            cells.retain(|report| report.cell != cell);
            cells.push(cell_report(cell, own.totals, own.high));
        }
        let before = self.last_report.insert(member, cells.clone());
        let deliveries = match delivery {
            Delivery::Lost => vec![],
            Delivery::Once | Delivery::Unacknowledged => vec![cells.clone()],
            Delivery::Twice => vec![cells.clone(), cells.clone()],
            Delivery::Reordered => vec![cells.clone(), before.unwrap_or_default()],
        };
        let seat = &seats[member];
        for cells in deliveries {
            let expected = self.model.settle(seat.member.incarnation, &cells, self.day);
            let report = Report {
                apps: vec![app_report(self.app, cells)],
                ..Report::default()
            };
            let views = seat.settle_on(self.app, &report, self.day).await;
            prop_assert_eq!(views, [expected]);
        }
        if !matches!(delivery, Delivery::Lost | Delivery::Unacknowledged) {
            for report in &cells {
                let own = self.own.entry((member, report.cell)).or_default();
                own.high = own.totals.net();
            }
        }
        Ok(())
    }

    fn cell(&self, number: usize) -> Cell {
        match number {
            0 => Cell::Live(Resource::Account),
            1 => Cell::Live(Resource::Group),
            2 => Cell::Live(Resource::AvRoom),
            3 => Cell::Gained(self.day),
            _ => Cell::Increment(self.day),
        }
    }

    async fn login(
        &mut self,
        seat: &Seat,
        tomorrow: bool,
        users: &[u64],
    ) -> Result<(), TestCaseError> {
        let day = if tomorrow { self.day.next() } else { self.day };
        let logins: Vec<Login> = users
            .iter()
            .map(|number| Login {
                app: self.app,
                day,
                user: user(*number),
            })
            .collect();
        let newly: Vec<bool> = logins
            .iter()
            .map(|login| self.model.login(day, login.user))
            .collect();
        let shard = Shard::of(self.app);
        let recorded = seat.store.record_active(shard, &logins, now()).await;
        let recorded = recorded.unwrap();
        let told: Vec<bool> = recorded.iter().map(|active| active.newly).collect();
        prop_assert_eq!(told, newly);
        let count = self.model.daily_active(day);
        prop_assert!(recorded.iter().all(|active| active.daily_active == count));
        Ok(())
    }

    /// Compares what each member reads of the first, the last and the coming day.
    pub async fn compare(&self, seats: &[Seat]) -> Result<(), TestCaseError> {
        self.compare_once(seats).await?;
        // Releases leave `back` for their owners' sums, and nothing changes by that.
        for seat in seats {
            seat.contain(self.app, self.day).await;
        }
        self.compare_once(seats).await
    }

    async fn compare_once(&self, seats: &[Seat]) -> Result<(), TestCaseError> {
        for day in [self.first_day, self.day, self.day.next()] {
            for seat in seats {
                let expected = self.model.usage(seat.member.incarnation, day);
                let usage = seat.usage_on(self.app, day).await;
                prop_assert_eq!(usage, expected, "on {} of {}", day, self.day);
            }
        }
        Ok(())
    }
}

/// A store's answer as the model gives it.
fn plain_taken(taken: Taken) -> Taken {
    match taken {
        Taken::Allowed {
            view,
            replayed,
            whose,
            beside,
        } => Taken::Allowed {
            view: plain(&view),
            replayed,
            whose,
            beside,
        },
        Taken::Denied {
            counter,
            view,
            replayed,
            recallable,
        } => Taken::Denied {
            counter,
            view: plain(&view),
            replayed,
            recallable,
        },
        other => other,
    }
}

/// Whether a release was answered as the model says. A repetition of what is in the owner's sums by now
/// need not be its own any more.
fn is_as_expected(given: &GivenBack, expected: &GivenBack) -> bool {
    let GivenBack::Released {
        released,
        resource,
        groups,
        view,
        replayed,
        mine,
    } = given
    else {
        return given == expected;
    };
    let plainly = |mine| GivenBack::Released {
        released: *released,
        resource: *resource,
        groups: *groups,
        view: plain(view),
        replayed: *replayed,
        mine,
    };
    plainly(*mine) == *expected || *replayed && !*mine && plainly(true) == *expected
}

/// What an id stands for; an odd request uses it for something else.
fn asked(id: Option<u8>, what: (Resource, u32), odd: bool) -> (Resource, u32) {
    let Some(id) = id else { return what };
    let resource = RESOURCES[usize::from(id) % 3];
    (resource, u32::from(id) % 3 + 1 + u32::from(odd))
}

/// Rules that are met now and then.
fn limits(number: usize) -> Limits {
    let mut limits = Limits::UNLIMITED;
    match number {
        0 => {}
        1 => {
            limits.accounts = Limit::AtMost(4);
            limits.av_rooms = Limit::AtMost(3);
        }
        2 => limits.groups_gained_daily = Limit::AtMost(5),
        _ => {
            limits.groups = Limit::AtMost(8);
            limits.accounts = Limit::AtMost(10);
            limits.av_rooms = Limit::AtMost(6);
        }
    }
    limits
}

/// All members of a history.
pub async fn seats(ledger: &impl LedgerUnderTest) -> Vec<Seat> {
    let mut seats = Vec::new();
    for number in 0..MEMBERS {
        let seat = Seat::at(ledger, u64::try_from(number).unwrap()).await;
        seats.push(seat);
    }
    seats
}

/// Plays random histories, each of an app of its own, on one ledger.
pub fn agrees_with_the_model<L: LedgerUnderTest>() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ledger = runtime.block_on(L::fresh());
    let seats = runtime.block_on(seats(&ledger));
    let apps = AtomicU64::new(1);
    // PROPTEST_CASES asks for more of them.
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&vec(op(), 1..60), |ops| {
        let app = super::app(apps.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(async {
            let mut play = Play::new(app, L::SHARED);
            for op in &ops {
                play.step(&seats, op).await?;
            }
            play.compare(&seats).await
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
