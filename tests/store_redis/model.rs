//! Random steps of two members, compared after each with a plain model of the ledger.

use std::collections::{BTreeMap, BTreeSet};

use imquota::quota::{Limits, Resource};
use imquota::store::{Cell, GivenBack, RecordKey, Take, Taken, Totals};
use proptest::prelude::*;

use crate::fixture::{Sidecar, app, client, give_back, limits, options, take};
use crate::redis_server::RedisServer;

/// Few ids and small limits, so that steps meet.
const ACCOUNTS_MAX: u64 = 6;
const ROOMS_MAX: u64 = 4;
const GAINED_MAX: u64 = 7;

#[derive(Debug, Clone)]
enum Step {
    Take {
        member: usize,
        id: u8,
        resource: Resource,
        amount: u32,
    },
    /// The outcome of one of the attempts so far is stated or withdrawn, by its place from the end.
    Answer {
        attempt: usize,
    },
    Abort {
        attempt: usize,
    },
    Repeat {
        attempt: usize,
    },
    Release {
        member: usize,
        id: u8,
        resource: Resource,
        amount: u32,
    },
    /// Totals of groups: what was created and released since, and whether an older report follows.
    Settle {
        member: usize,
        created: u64,
        released: u64,
        late: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let member = 0_usize..2;
    let id = 0_u8..4;
    let amount = 1_u32..4;
    let attempt = 0_usize..6;
    let resource = prop_oneof![
        Just(Resource::Account),
        Just(Resource::AvRoom),
        Just(Resource::Group)
    ];
    let step = prop_oneof![
        4 => (member.clone(), id.clone(), resource.clone(), amount.clone()).prop_map(|(member, id, resource, amount)| {
            Step::Take { member, id, resource, amount }
        }),
        2 => attempt.clone().prop_map(|attempt| Step::Answer { attempt }),
        2 => attempt.clone().prop_map(|attempt| Step::Abort { attempt }),
        1 => attempt.prop_map(|attempt| Step::Repeat { attempt }),
        1 => (member.clone(), id, resource, amount).prop_map(|(member, id, resource, amount)| {
            Step::Release { member, id, resource, amount }
        }),
        1 => (member, 0_u64..5, 0_u64..3, any::<bool>()).prop_map(|(member, created, released, late)| {
            Step::Settle { member, created, released, late }
        }),
    ];
    prop::collection::vec(step, 1..60)
}

#[derive(Debug, Clone, Default)]
struct Record {
    state: State,
    withdrawn: BTreeSet<(usize, u64)>,
}

#[derive(Debug, Clone, Default, PartialEq)]
enum State {
    #[default]
    None,
    Held {
        content: (Resource, u32),
        claims: BTreeSet<(usize, u64)>,
    },
    Counted {
        content: (Resource, u32),
    },
    Denied {
        content: (Resource, u32),
        counter: usize,
    },
    Released {
        content: (Resource, u32),
        number: u32,
    },
}

#[derive(Debug, Default)]
struct Model {
    records: BTreeMap<u8, Record>,
    released: [i64; 4],
    totals: [Totals; 2],
    peak: i64,
}

fn parts(resource: Resource) -> &'static [usize] {
    match resource {
        Resource::Account => &[0],
        Resource::Group => &[1, 3],
        Resource::AvRoom => &[2, 1, 3],
    }
}

fn limit(counter: usize) -> Option<i64> {
    let limits = [Some(ACCOUNTS_MAX), None, Some(ROOMS_MAX), Some(GAINED_MAX)];
    limits[counter].map(u64::cast_signed)
}

impl Model {
    fn net(&self, held_too: bool) -> [i64; 4] {
        let mut net = [0; 4];
        for (counter, released) in self.released.iter().enumerate() {
            net[counter] -= released;
        }
        net[1] += self.totals.iter().map(|totals| totals.net()).sum::<i64>();
        for record in self.records.values() {
            let content = match record.state {
                State::Held { content, .. } if held_too => content,
                State::Counted { content } => content,
                _ => continue,
            };
            for &counter in parts(content.0) {
                net[counter] += i64::from(content.1);
            }
        }
        net
    }

    fn see_peak(&mut self, high: i64) {
        self.peak = self.peak.max(high);
    }

    /// What a take must be told.
    fn take(
        &mut self,
        id: u8,
        content: (Resource, u32),
        claim: (usize, u64),
    ) -> (Option<bool>, Option<usize>) {
        let net = self.net(true);
        let record = self.records.entry(id).or_default();
        if record.withdrawn.contains(&claim) {
            return (None, Some(99));
        }
        match &mut record.state {
            State::Held {
                content: old,
                claims,
            } if *old == content => {
                claims.insert(claim);
                (Some(true), None)
            }
            State::Counted { content: old } if *old == content => (Some(true), None),
            State::Denied {
                content: old,
                counter,
            } if *old == content => (Some(true), Some(*counter)),
            State::None => {
                let full = parts(content.0).iter().copied().find(|&counter| {
                    limit(counter).is_some_and(|limit| net[counter] + i64::from(content.1) > limit)
                });
                record.state = match full {
                    Some(counter) => State::Denied { content, counter },
                    None => State::Held {
                        content,
                        claims: BTreeSet::from([claim]),
                    },
                };
                (Some(false), full)
            }
            _ => (None, None),
        }
    }

    fn answer(&mut self, id: u8, content: (Resource, u32)) {
        let record = self.records.entry(id).or_default();
        if let State::Held { content: held, .. } = record.state
            && held == content
        {
            record.state = State::Counted { content };
            let high = self.net(false)[1];
            self.see_peak(high);
        }
    }

    fn abort(&mut self, id: u8, claim: (usize, u64)) {
        let record = self.records.entry(id).or_default();
        record.withdrawn.insert(claim);
        if let State::Held { claims, .. } = &mut record.state {
            claims.remove(&claim);
            if claims.is_empty() {
                record.state = State::None;
            }
        }
    }

    /// How many a release gives back, and whether it is a repetition; `None`: other content.
    fn release(&mut self, id: u8, content: (Resource, u32)) -> Option<(u32, bool)> {
        let before = self.net(false)[1];
        let net = self.net(true);
        let (room, groups) = (net[parts(content.0)[0]].max(0), net[1].max(0));
        let record = self.records.entry(id).or_default();
        match record.state {
            State::None => {
                let number = content.1.min(u32::try_from(room).unwrap());
                record.state = State::Released { content, number };
                let groups = number.min(u32::try_from(groups).unwrap());
                for &counter in parts(content.0) {
                    let follows = counter != parts(content.0)[0];
                    self.released[counter] += i64::from(if follows { groups } else { number });
                }
                self.see_peak(before);
                Some((number, false))
            }
            State::Released {
                content: old,
                number,
            } if old == content => Some((number, true)),
            _ => None,
        }
    }

    fn settle(&mut self, member: usize, totals: Totals, high: i64) {
        let old = self.totals[member];
        let merged = Totals {
            consumed: old.consumed.max(totals.consumed),
            released: old.released.max(totals.released),
        };
        if merged != old {
            let others = self.net(false)[1] - old.net();
            self.see_peak(others + old.net());
            self.see_peak(others + high);
            self.totals[member] = merged;
            let after = self.net(false)[1];
            self.see_peak(after);
        }
    }
}

fn told(taken: &Taken) -> (Option<bool>, Option<usize>) {
    match taken {
        Taken::Allowed { replayed, .. } => (Some(*replayed), None),
        Taken::Denied {
            counter, replayed, ..
        } => (Some(*replayed), Some(counter.index())),
        Taken::OtherContent => (None, None),
        Taken::Withdrawn => (None, Some(99)),
    }
}

/// One attempt that was made: by whom, for which id, with what content.
#[derive(Debug, Clone, Copy)]
struct Tried {
    member: usize,
    id: u8,
    content: (Resource, u32),
    attempt: u64,
}

/// Two sidecars on one ledger, and the model beside them.
struct Game {
    sidecars: [Sidecar; 2],
    rules: Limits,
    model: Model,
    tries: Vec<Tried>,
    totals: [Totals; 2],
}

fn key(id: u8) -> RecordKey {
    client(&format!("id-{id}"))
}

impl Game {
    async fn begin(server: &RedisServer, prefix: &str) -> Self {
        let mut settings = options(&server.unix_url());
        settings.key_prefix = prefix.to_owned();
        let sidecars = [
            Sidecar::with(1, settings.clone()),
            Sidecar::with(2, settings),
        ];
        let known = sidecars[0].hello(None).await.unwrap();
        sidecars[1].hello(Some(known)).await.unwrap();
        Self {
            sidecars,
            rules: limits(ACCOUNTS_MAX, ROOMS_MAX, GAINED_MAX),
            model: Model::default(),
            tries: Vec::new(),
            totals: [Totals::default(); 2],
        }
    }

    fn take_of(&self, tried: Tried) -> Take {
        let (resource, amount) = tried.content;
        take(&key(tried.id), tried.attempt, resource, amount, &self.rules)
    }

    /// The attempt that was made `back` attempts before the last one.
    fn picked(&self, back: usize) -> Option<Tried> {
        self.tries.iter().rev().nth(back).copied()
    }

    async fn send(&mut self, tried: Tried) -> Result<(), TestCaseError> {
        let a_take = self.take_of(tried);
        let taken = self.sidecars[tried.member].take(&a_take).await.unwrap();
        let claim = (tried.member, tried.attempt);
        let expected = self.model.take(tried.id, tried.content, claim);
        prop_assert_eq!(told(&taken), expected);
        Ok(())
    }

    async fn settle(
        &mut self,
        member: usize,
        created: u64,
        released: u64,
        late: bool,
    ) -> Result<(), TestCaseError> {
        let before = self.totals[member];
        let totals = Totals {
            consumed: before.consumed + created,
            released: before.released + released,
        };
        self.totals[member] = totals;
        let mut reports = vec![(totals, before.net() + created.cast_signed())];
        if late {
            reports.push((before, before.net()));
        }
        for (report, high) in reports {
            let cell = Cell::Live(Resource::Group);
            let view = self.sidecars[member]
                .tell(app(1), cell, report.consumed, report.released, high)
                .await;
            self.model.settle(member, report, high);
            prop_assert_eq!(view.mine[1], totals);
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Take {
                member,
                id,
                resource,
                amount,
            } => {
                let tried = Tried {
                    member,
                    id,
                    content: (resource, amount),
                    attempt: self.tries.len() as u64,
                };
                self.tries.push(tried);
                self.send(tried).await?;
            }
            Step::Repeat { attempt } => {
                if let Some(tried) = self.picked(attempt) {
                    self.send(tried).await?;
                }
            }
            Step::Answer { attempt } => {
                if let Some(tried) = self.picked(attempt) {
                    let answered = self.take_of(tried);
                    self.sidecars[tried.member].answered(&answered).await;
                    self.model.answer(tried.id, tried.content);
                }
            }
            Step::Abort { attempt } => {
                if let Some(tried) = self.picked(attempt) {
                    let aborted = self.take_of(tried);
                    self.sidecars[tried.member].abort(&aborted).await;
                    self.model.abort(tried.id, (tried.member, tried.attempt));
                }
            }
            Step::Release {
                member,
                id,
                resource,
                amount,
            } => {
                let back = give_back(&key(id), resource, amount);
                let given = match self.sidecars[member].release(&back).await.unwrap() {
                    GivenBack::Released {
                        released, replayed, ..
                    } => Some((released, replayed)),
                    GivenBack::OtherContent => None,
                };
                prop_assert_eq!(given, self.model.release(id, (resource, amount)));
            }
            Step::Settle {
                member,
                created,
                released,
                late,
            } => self.settle(member, created, released, late).await?,
        }
        self.compare().await
    }

    async fn compare(&self) -> Result<(), TestCaseError> {
        let usage = self.sidecars[0].usage(app(1)).await;
        let net = self.model.net(true);
        prop_assert_eq!(usage.view.net, net);
        let peak = self.model.peak.max(net[1]).max(0);
        prop_assert_eq!(usage.month_peak_groups, peak.cast_unsigned());
        Ok(())
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
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
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
