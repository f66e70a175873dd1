//! Random steps of members that share one limit, compared after each with a plain model of the counter.

use std::collections::{BTreeMap, BTreeSet};

use imquota::quota::Resource;
use imquota::store::{
    Ack, Cell, CellReport, Escrow, GiveBack, GivenBack, Take, Taken, Totals, View, Whose, Wish,
};
use proptest::prelude::*;

use crate::fixture::{
    Sidecar, app, app_report, cell_report, client, give_back, limits, options, take,
};
use crate::redis_server::RedisServer;

const ACCOUNTS: Cell = Cell::Live(Resource::Account);
const MEMBERS: usize = 3;
/// What members know as the limit: not all have the same settings.
const LIMITS: [u64; 3] = [60, 60, 45];

#[derive(Debug, Clone)]
enum Step {
    /// Creates from what it was lent.
    Spend {
        member: usize,
        units: u64,
    },
    /// Returns what it was lent.
    Return {
        member: usize,
    },
    /// Deletes from memory.
    Delete {
        member: usize,
        units: u64,
    },
    /// Settles, with a wish or none. Its answer may be lost; an older report may follow.
    Settle {
        member: usize,
        wish: Option<u64>,
        heard: bool,
        late: bool,
    },
    Take {
        member: usize,
        id: u8,
        limit: usize,
    },
    Answer {
        attempt: usize,
    },
    Abort {
        attempt: usize,
    },
    Release {
        member: usize,
        id: u8,
    },
    Gave {
        member: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let member = || 0..MEMBERS;
    let step = prop_oneof![
        4 => (member(), 1_u64..9).prop_map(|(member, units)| Step::Spend { member, units }),
        1 => member().prop_map(|member| Step::Return { member }),
        1 => (member(), 1_u64..6).prop_map(|(member, units)| Step::Delete { member, units }),
        5 => (member(), prop::option::weighted(0.7, 0_u64..50), prop::bool::weighted(0.8), prop::bool::weighted(0.2))
            .prop_map(|(member, wish, heard, late)| Step::Settle { member, wish, heard, late }),
        4 => (member(), 0_u8..8, 0..LIMITS.len())
            .prop_map(|(member, id, limit)| Step::Take { member, id, limit }),
        3 => (0_usize..8).prop_map(|attempt| Step::Answer { attempt }),
        2 => (0_usize..8).prop_map(|attempt| Step::Abort { attempt }),
        2 => (member(), 0_u8..4).prop_map(|(member, id)| Step::Release { member, id }),
        2 => member().prop_map(|member| Step::Gave { member }),
    ];
    prop::collection::vec(step, 1..70)
}

/// What one member says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    totals: Totals,
    sums: Escrow,
}

impl Sums {
    fn net(&self) -> i64 {
        self.sums.net(self.totals)
    }

    fn merge(&mut self, said: Self) {
        let (a, b) = (&mut self.totals, said.totals);
        a.consumed = a.consumed.max(b.consumed);
        a.released = a.released.max(b.released);
        let (a, b) = (&mut self.sums, said.sums);
        a.taken = a.taken.max(b.taken);
        a.given = a.given.max(b.given);
        a.granted = a.granted.max(b.granted);
        a.done = a.done.max(b.done);
    }
}

type Claim = (usize, u64);

#[derive(Debug, Clone, Default)]
struct Record {
    state: State,
    owner: Option<Claim>,
    claims: BTreeSet<Claim>,
    withdrawn: BTreeSet<Claim>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    None,
    Held,
    Pinned,
    Counted,
    Denied,
}

/// The counter as the ledger must have it.
#[derive(Debug, Default)]
struct Model {
    of: [Sums; MEMBERS],
    records: BTreeMap<u8, Record>,
    /// Which member released under an id, how many, and whether they are in its sums.
    releases: BTreeMap<u8, (usize, u32, bool)>,
    wishers: BTreeSet<usize>,
    lowest: Option<u64>,
    starved: bool,
}

/// What a take of `id` asks for.
fn amount(id: u8) -> u32 {
    u32::from(id % 4) + 1
}

impl Model {
    fn shown(&self) -> i64 {
        let charged = self
            .records
            .iter()
            .filter(|(_, record)| matches!(record.state, State::Held | State::Pinned));
        let held: i64 = charged.map(|(&id, _)| i64::from(amount(id))).sum();
        let back = self.releases.values().filter(|(_, _, told)| !told);
        let back: i64 = back.map(|(_, number, _)| i64::from(*number)).sum();
        self.of.iter().map(Sums::net).sum::<i64>() + held - back
    }

    fn out(&self) -> i64 {
        let spare = |sums: &Sums| sums.sums.spare().cast_signed();
        self.of.iter().map(spare).sum()
    }

    fn state_limit(&mut self, asked: u64) -> i64 {
        let lowest = self.lowest.map_or(asked, |lowest| lowest.min(asked));
        self.lowest = Some(lowest);
        lowest.cast_signed()
    }

    /// Whether it is allowed, replayed, owned, and worth a recall; `None`: withdrawn.
    fn take(&mut self, claim: Claim, id: u8, limit: u64) -> Option<(bool, bool, bool, bool)> {
        let (shown, out) = (self.shown(), self.out());
        let record = self.records.entry(id).or_default();
        if record.withdrawn.contains(&claim) {
            return None;
        }
        match record.state {
            State::Denied => return Some((false, true, false, false)),
            State::None => {}
            _ => {
                record.claims.insert(claim);
                return Some((true, true, record.owner == Some(claim), false));
            }
        }
        let limit = self.state_limit(limit);
        let wanted = shown + i64::from(amount(id));
        let record = self.records.entry(id).or_default();
        if wanted > limit {
            record.state = State::Denied;
            return Some((false, false, false, false));
        }
        if wanted + out > limit {
            self.starved = true;
            return Some((false, false, false, true));
        }
        record.state = State::Held;
        record.owner = Some(claim);
        record.claims = BTreeSet::from([claim]);
        Some((true, false, true, false))
    }

    fn answered(&mut self, claim: Claim, id: u8, contained: bool) -> Ack {
        let record = self.records.entry(id).or_default();
        if !matches!(record.state, State::Held | State::Pinned) {
            return Ack::Counted;
        }
        if contained {
            record.state = State::Counted;
            return Ack::Counted;
        }
        record.state = State::Pinned;
        record.claims.insert(claim);
        if record.owner.is_some_and(|owner| owner != claim) {
            return Ack::Again;
        }
        record.owner = Some(claim);
        Ack::Yours
    }

    fn abort(&mut self, claim: Claim, id: u8) {
        let record = self.records.entry(id).or_default();
        record.withdrawn.insert(claim);
        record.claims.remove(&claim);
        record.owner = record.owner.filter(|owner| *owner != claim);
        if record.state == State::Held && record.claims.is_empty() {
            record.state = State::None;
        }
    }

    fn lend(&mut self, member: usize, wish: Wish) {
        let limit = self.state_limit(wish.limit);
        self.wishers.insert(member);
        // While somebody starves, as much as one creation may need is kept for it.
        let kept = if self.starved { 100 } else { 0 };
        let free = limit - self.shown() - self.out() - kept;
        let ways = 2 * i64::try_from(self.wishers.len()).unwrap();
        let spare = self.of[member].sums.spare().cast_signed();
        let more = (wish.units.cast_signed() - spare).min(free.div_euclid(ways));
        if more > 0 && spare + more >= 4 {
            self.of[member].sums.granted += more.cast_unsigned();
        } else if wish.units > 0 && spare == 0 && self.out() > 0 {
            self.starved = true;
        }
    }
}

/// Three sidecars on one ledger, what each knows of itself, and the model beside them.
struct Game {
    sidecars: Vec<Sidecar>,
    own: [Sums; MEMBERS],
    /// What each reported before its last report.
    before: [Sums; MEMBERS],
    /// Releases of each that the ledger was not told to be in its sums.
    gave: [Vec<(u8, GiveBack)>; MEMBERS],
    tries: Vec<(usize, u8, Take, Option<bool>)>,
    model: Model,
}

impl Game {
    async fn begin(server: &RedisServer, prefix: &str) -> Self {
        let mut settings = options(&server.unix_url());
        settings.key_prefix = prefix.to_owned();
        let mut sidecars = Vec::new();
        for number in 1..=MEMBERS {
            let number = u64::try_from(number).unwrap();
            let sidecar = Sidecar::with(number, settings.clone());
            sidecar.hello(None).await.unwrap();
            sidecars.push(sidecar);
        }
        Self {
            sidecars,
            own: Default::default(),
            before: Default::default(),
            gave: Default::default(),
            tries: Vec::new(),
            model: Model::default(),
        }
    }

    fn report(said: Sums, wish: Option<Wish>) -> CellReport {
        CellReport {
            escrow: Some(said.sums),
            wish,
            ..cell_report(ACCOUNTS, said.totals.consumed, said.totals.released)
        }
    }

    /// Compares a view that `member` was given.
    fn compare(&self, member: usize, view: &View) -> Result<(), TestCaseError> {
        prop_assert_eq!(view.net[0], self.model.shown());
        prop_assert_eq!(view.outstanding[0].cast_signed(), self.model.out());
        prop_assert_eq!(view.mine[0], self.model.of[member].totals);
        prop_assert_eq!(view.escrow[0], self.model.of[member].sums);
        prop_assert_eq!(view.recalled, self.model.starved);
        Ok(())
    }

    async fn settle(
        &mut self,
        member: usize,
        wish: Option<u64>,
        heard: bool,
        late: bool,
    ) -> Result<(), TestCaseError> {
        let wish = wish.map(|units| Wish {
            edition: 0,
            units,
            limit: LIMITS[member],
        });
        let said = self.own[member];
        let mut reports = vec![(said, wish)];
        if late {
            reports.push((self.before[member], None));
        }
        self.before[member] = said;
        for (said, wish) in reports {
            let cell = Self::report(said, wish);
            let view = self.sidecars[member].tell_cells(app(1), vec![cell]).await;
            self.model.of[member].merge(said);
            if let Some(wish) = wish {
                // What the member itself has heard of may be older.
                let granted = self.model.of[member].sums.granted;
                self.model.lend(member, wish);
                let charged = self.model.shown() + self.model.out();
                let lowest = self.model.lowest.unwrap().cast_signed();
                let lent = self.model.of[member].sums.granted > granted;
                prop_assert!(!lent || charged <= lowest);
            }
            self.compare(member, &view)?;
            if heard {
                self.own[member].merge(Sums {
                    totals: view.mine[0],
                    sums: view.escrow[0],
                });
            }
        }
        Ok(())
    }

    async fn take(&mut self, member: usize, id: u8, limit: usize) -> Result<(), TestCaseError> {
        let attempt = self.tries.len() as u64;
        let (key, rules) = (client(&format!("id-{id}")), limits(LIMITS[limit], 0, 0));
        let ask = take(&key, attempt, Resource::Account, amount(id), &rules);
        let told = self.sidecars[member].take(&ask).await.unwrap();
        let expected = self.model.take((member, attempt), id, LIMITS[limit]);
        let (told, owned) = match told {
            Taken::Allowed {
                view,
                replayed,
                whose,
                ..
            } => {
                self.compare(member, &view)?;
                let mine = whose == Whose::Asker;
                (Some((true, replayed, mine, false)), Some(mine))
            }
            Taken::Denied {
                view,
                replayed,
                recallable,
                ..
            } => {
                self.compare(member, &view)?;
                (Some((false, replayed, false, recallable)), None)
            }
            other => {
                prop_assert_eq!(other, Taken::Withdrawn);
                (None, None)
            }
        };
        prop_assert_eq!(told, expected);
        self.tries.push((member, id, ask, owned));
        Ok(())
    }

    async fn answer(&mut self, at: usize) -> Result<(), TestCaseError> {
        let (member, id, ask, Some(owned)) = self.tries[at].clone() else {
            return Ok(());
        };
        let claim = (member, ask.attempt.0);
        // Its own is in its sums with the answer; another's, when it is told so.
        let mut contained = owned;
        if owned && self.model.records[&id].owner == Some(claim) && !self.is_in(id) {
            self.own[member].sums.taken += u64::from(amount(id));
        }
        for _ in 0..2 {
            let said = self.own[member];
            let apps = vec![app_report(app(1), vec![Self::report(said, None)])];
            let ack = self.sidecars[member]
                .says_answered(&ask, contained.then_some(0), apps)
                .await;
            self.model.of[member].merge(said);
            prop_assert_eq!(ack, self.model.answered(claim, id, contained));
            if ack != Ack::Yours {
                break;
            }
            self.own[member].sums.taken += u64::from(amount(id));
            contained = true;
            self.tries[at].3 = Some(true);
        }
        Ok(())
    }

    fn is_in(&self, id: u8) -> bool {
        self.model.records[&id].state == State::Counted
    }

    async fn release(&mut self, member: usize, id: u8) -> Result<(), TestCaseError> {
        let back = give_back(
            &client(&format!("back-{id}")),
            Resource::Account,
            amount(id),
        );
        let given = self.sidecars[member].release(&back).await.unwrap();
        // What the caller itself holds unspent does not exist.
        let spare = self.model.of[member].sums.spare().cast_signed();
        let most = (self.model.shown() + self.model.out() - spare).max(0);
        let known = self.model.releases.get(&id).copied();
        let number = amount(id).min(u32::try_from(most).unwrap());
        let (owner, number, told) = known.unwrap_or((member, number, false));
        self.model.releases.insert(id, (owner, number, told));
        let GivenBack::Released {
            released,
            groups,
            view,
            replayed,
            mine,
            ..
        } = given
        else {
            panic!("{given:?}");
        };
        prop_assert_eq!((released, groups, replayed), (number, 0, known.is_some()));
        prop_assert_eq!(mine, owner == member && !told);
        if known.is_none() {
            self.own[member].sums.given += u64::from(number);
            self.gave[member].push((id, back));
        }
        self.compare(member, &view)
    }

    async fn gave(&mut self, member: usize) -> Result<(), TestCaseError> {
        let said = self.own[member];
        for (id, back) in std::mem::take(&mut self.gave[member]) {
            // Those that follow are in the sums as well: the ledger counts them twice until told so.
            let apps = vec![app_report(app(1), vec![Self::report(said, None)])];
            let settled = self.sidecars[member].gave(&back, apps).await;
            self.model.of[member].merge(said);
            self.model.releases.get_mut(&id).unwrap().2 = true;
            self.compare(member, &settled.views[0])?;
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let last = |tries: &[_], back: usize| tries.len().checked_sub(back + 1);
        match step {
            Step::Spend { member, units } => {
                let own = &mut self.own[member];
                let units = units.min(own.sums.spare());
                own.totals.consumed += units;
                own.sums.done += units;
            }
            Step::Return { member } => {
                let own = &mut self.own[member];
                own.sums.done = own.sums.granted;
            }
            Step::Delete { member, units } => {
                let own = &mut self.own[member];
                let has = own.totals.consumed - own.totals.released;
                own.totals.released += units.min(has);
            }
            Step::Settle {
                member,
                wish,
                heard,
                late,
            } => {
                // What was given is told together with its releases.
                self.gave(member).await?;
                self.settle(member, wish, heard, late).await?;
            }
            Step::Take { member, id, limit } => self.take(member, id, limit).await?,
            Step::Answer { attempt } => {
                if let Some(at) = last(&self.tries, attempt) {
                    let member = self.tries[at].0;
                    self.gave(member).await?;
                    self.answer(at).await?;
                }
            }
            Step::Abort { attempt } => {
                if let Some(at) = last(&self.tries, attempt) {
                    let (member, id, ask, _) = self.tries.remove(at);
                    let claim = (member, ask.attempt.0);
                    self.sidecars[member].abort(&ask).await;
                    self.model.abort(claim, id);
                    // Its number is used: another take of the same would be a copy.
                    self.tries.push((member, id, ask, None));
                }
            }
            Step::Release { member, id } => self.release(member, id).await?,
            Step::Gave { member } => self.gave(member).await?,
        }
        let view = self.sidecars[0].usage(app(1)).await.view;
        self.compare(0, &view)
    }
}

#[test]
fn random_steps_and_a_plain_model_agree() {
    let server = RedisServer::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let case = std::cell::Cell::new(0_u32);
    // PROPTEST_CASES asks for more of them.
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        config.cases
    } else {
        150
    };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..config });
    runner
        .run(&steps(), |steps| {
            case.set(case.get() + 1);
            runtime.block_on(async {
                let mut game = Game::begin(&server, &format!("case-{}", case.get())).await;
                for step in steps {
                    game.step(step).await?;
                }
                Ok(())
            })
        })
        .unwrap();
}
