//! A gateway: creates, one by one and several at a time, and releases through whichever sidecar, tells of users, asks again
//! what it does not know, and keeps the book.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use futures_util::future::join;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::asking::{Answer, Back, Call};
use crate::book::{SIDECARS, Sums, World};
use crate::cells::CELLS;
use crate::client::Client;
use crate::logins::Crowd;
use crate::together::Way;
use crate::wait::until;

/// How many ids with their answers a gateway keeps, to ask them again.
const REMEMBERED: usize = 100;
/// After so many steps a gateway changes between mostly creating and mostly releasing.
const TIDE: u64 = 80;
/// How many creations go together.
const TOGETHER: RangeInclusive<usize> = 2..=12;

/// An object that exists.
struct Object {
    amount: u32,
    /// The sidecar that allowed it.
    door: usize,
}

/// An id whose outcome is not known yet.
struct Open {
    cell: usize,
    call: Call,
    creates: bool,
}

/// An id whose outcome is known.
struct Known {
    call: Call,
    /// Whether a creation was allowed; `None`: it was a release.
    allowed: Option<bool>,
}

pub struct Gateway<'a> {
    number: usize,
    world: World<'a>,
    doors: Vec<Client>,
    rng: SmallRng,
    steps: u64,
    /// How many calls it made up.
    calls: u64,
    crowd: Crowd<'a>,
    objects: [Vec<Object>; CELLS.len()],
    open: VecDeque<Open>,
    known: VecDeque<Known>,
}

impl<'a> Gateway<'a> {
    /// One with a connection of its own to every sidecar.
    pub fn new(number: usize, seed: u64, doors: Vec<Client>, world: World<'a>) -> Self {
        Self {
            number,
            world,
            doors,
            rng: SmallRng::seed_from_u64(seed.wrapping_add(number as u64)),
            steps: 0,
            calls: 0,
            crowd: Crowd::new(world),
            objects: Default::default(),
            open: VecDeque::new(),
            known: VecDeque::new(),
        }
    }

    /// One thing at random.
    pub async fn step(&mut self) {
        self.steps += 1;
        if self.rng.random_ratio(1, 8) {
            return self.crowd.step(&mut self.rng, &self.doors).await;
        }
        if !self.open.is_empty() && self.rng.random_ratio(1, 3) {
            return self.ask_open_again().await;
        }
        if !self.known.is_empty() && self.rng.random_ratio(1, 12) {
            return self.ask_known_again().await;
        }
        let cell = self.rng.random_range(0..CELLS.len());
        let rising = (self.steps / TIDE + self.number as u64).is_multiple_of(2);
        let releases = self.rng.random_ratio(if rising { 1 } else { 4 }, 5);
        if releases && !self.objects[cell].is_empty() {
            let at = self.rng.random_range(0..self.objects[cell].len());
            let object = self.objects[cell].swap_remove(at);
            self.release(cell, object).await;
        } else if self.rng.random_ratio(1, 8) {
            self.create_together().await;
        } else {
            self.create(cell).await;
        }
    }

    /// Asks for every outcome that can still be known, until it is.
    pub async fn finish(&mut self) {
        self.crowd.finish(&mut self.rng, &self.doors).await;
        until("every id has an outcome", async || {
            for _ in 0..self.open.len() {
                self.ask_open_again().await;
            }
            if self.open.is_empty() {
                Ok(())
            } else {
                Err(self.open.len())
            }
        })
        .await;
    }

    fn call(&mut self, cell: usize, amount: u32) -> Call {
        self.calls += 1;
        let with_id = self.rng.random_ratio(CELLS[cell].with_ids, 10);
        let id = if with_id {
            format!("gateway-{}-{}", self.number, self.calls)
        } else {
            String::new()
        };
        let cell = &CELLS[cell];
        Call { cell, amount, id }
    }

    /// A creation that is about to be asked for.
    fn creation(&mut self, cell: usize) -> Call {
        let amount = self.rng.random_range(CELLS[cell].amounts.clone());
        self.write(cell, |sums| sums.maybe_allowed += u64::from(amount));
        self.call(cell, amount)
    }

    /// Several creations in one call, each of which is judged by itself.
    async fn create_together(&mut self) {
        let many = self.rng.random_range(TOGETHER);
        let cells: Vec<_> = (0..many)
            .map(|_| self.rng.random_range(0..CELLS.len()))
            .collect();
        let calls: Vec<_> = cells.iter().map(|cell| self.creation(*cell)).collect();
        let door = self.rng.random_range(0..SIDECARS);
        let way = if self.rng.random_ratio(1, 2) {
            Way::Batch
        } else {
            Way::Stream
        };
        let answers = way.check(&calls, &self.doors[door]).await;
        let judged = answers.iter().filter(|answer| answer.is_judged()).count() as u64;
        self.world.book.with(|book| match way {
            Way::Batch => book.in_batches += judged,
            Way::Stream => book.in_streams += judged,
        });
        for ((cell, call), answer) in cells.into_iter().zip(calls).zip(answers) {
            self.created(cell, door, call, answer);
        }
    }

    async fn create(&mut self, cell: usize) {
        let call = self.creation(cell);
        let door = self.rng.random_range(0..SIDECARS);
        let answer = call.check(&self.doors[door]);
        if self.world.ids_last && !call.id.is_empty() && self.rng.random_ratio(1, 8) {
            // The same through another sidecar at the same time, as an impatient gateway does.
            let other = self.rng.random_range(0..SIDECARS);
            let (one, two) = join(answer, call.check(&self.doors[other])).await;
            let both = agree(&call, one, two);
            let by_other = !matches!(one, Answer::Allowed { .. });
            let home = if by_other { other } else { door };
            return self.created(cell, home, call, both);
        }
        let answer = answer.await;
        self.created(cell, door, call, answer);
    }

    fn created(&mut self, cell: usize, door: usize, call: Call, answer: Answer) {
        let (amount, many) = (call.amount, u64::from(call.amount));
        self.count(answer);
        let judged = matches!(
            answer,
            Answer::Full { .. }
                | Answer::Allowed {
                    degraded: false,
                    ..
                }
        );
        if judged && !CELLS[cell].open_while_away {
            self.world.judged.step();
        }
        match answer {
            Answer::Lost if call.id.is_empty() || !self.world.ids_last => return,
            Answer::Lost => {
                let creates = true;
                self.open.push_back(Open {
                    cell,
                    call,
                    creates,
                });
                return;
            }
            Answer::Allowed { degraded, .. } => {
                self.write(cell, |sums| {
                    sums.maybe_allowed -= many;
                    sums.allowed += many;
                    sums.degraded += if degraded { many } else { 0 };
                });
                self.objects[cell].push(Object { amount, door });
            }
            Answer::Full { .. } | Answer::Unavailable | Answer::Unsent => {
                self.write(cell, |sums| sums.maybe_allowed -= many);
            }
        }
        match answer {
            Answer::Allowed { .. } => self.remember(call, Some(true)),
            // One that only stands because of units that are lent elsewhere is not remembered by the
            // ledger; one that was told again is.
            Answer::Full { replayed: true } => self.remember(call, Some(false)),
            _ => {}
        }
    }

    async fn release(&mut self, cell: usize, object: Object) {
        let mut call = self.call(cell, object.amount);
        if CELLS[cell].counts_alone() {
            // By memory: the ledger may not have heard of the creation, and would have less to give back.
            call.id.clear();
        }
        let door = if CELLS[cell].released_anywhere {
            self.rng.random_range(0..SIDECARS)
        } else {
            object.door
        };
        let many = u64::from(object.amount);
        self.write(cell, |sums| {
            sums.deleted += many;
            sums.maybe_released += many;
        });
        let back = call.release(&self.doors[door]).await;
        if back == Back::Unsent {
            // It is done another time.
            self.write(cell, |sums| {
                sums.deleted -= many;
                sums.maybe_released -= many;
            });
            self.objects[cell].push(object);
            return self.count(Answer::Unsent);
        }
        self.released(cell, call, back);
    }

    fn released(&mut self, cell: usize, call: Call, back: Back) {
        let many = u64::from(call.amount);
        if let Back::Given(released) = back {
            self.write(cell, |sums| {
                sums.maybe_released -= many;
                sums.released += released;
            });
            self.remember(call, None);
            self.count(Answer::Full { replayed: false });
        } else {
            self.count(Answer::Lost);
            if !call.id.is_empty() && self.world.ids_last {
                let creates = false;
                self.open.push_back(Open {
                    cell,
                    call,
                    creates,
                });
            }
        }
    }

    async fn ask_open_again(&mut self) {
        let Some(open) = self.open.pop_front() else {
            return;
        };
        // Any may answer, and is then the one that may have counted it from memory.
        let door = self.rng.random_range(0..SIDECARS);
        let Open {
            cell,
            call,
            creates,
        } = open;
        if creates {
            let answer = match call.check(&self.doors[door]).await {
                // This try counted nothing, but an earlier one may have.
                Answer::Unavailable | Answer::Unsent => Answer::Lost,
                answer => answer,
            };
            self.created(cell, door, call, answer);
        } else {
            let answer = call.release(&self.doors[door]).await;
            self.released(cell, call, answer);
        }
    }

    /// One id, one outcome: whatever is asked how often, and through whichever sidecar.
    async fn ask_known_again(&mut self) {
        let door = self.rng.random_range(0..SIDECARS);
        let at = self.rng.random_range(0..self.known.len());
        let Known { call, allowed } = &self.known[at];
        let answer = match allowed {
            Some(allowed) => {
                let answer = call.check(&self.doors[door]).await;
                match answer {
                    Answer::Allowed { replayed, .. } => {
                        let is_known = replayed || call.cell.counts_alone();
                        assert!(*allowed && is_known, "{call:?}: {answer:?} after {allowed}");
                    }
                    Answer::Full { replayed } => {
                        assert!(
                            !*allowed && replayed,
                            "{call:?}: {answer:?} after {allowed}"
                        );
                    }
                    Answer::Unavailable | Answer::Unsent | Answer::Lost => {}
                }
                answer
            }
            None => match call.release(&self.doors[door]).await {
                Back::Given(_) => Answer::Full { replayed: true },
                Back::Unsent => Answer::Unsent,
                Back::Lost => Answer::Lost,
            },
        };
        self.count(answer);
    }

    fn remember(&mut self, call: Call, allowed: Option<bool>) {
        if call.id.is_empty() || !self.world.ids_last {
            return;
        }
        if self.known.len() == REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back(Known { call, allowed });
    }

    fn count(&self, answer: Answer) {
        self.world.book.with(|book| match answer {
            Answer::Lost => book.lost += 1,
            Answer::Unavailable => book.unavailable += 1,
            Answer::Unsent => {}
            _ => book.answered += 1,
        });
        if !matches!(answer, Answer::Lost | Answer::Unsent) {
            self.world.progress.step();
        }
    }

    fn write(&self, cell: usize, change: impl Fn(&mut Sums)) {
        self.world.book.with(|book| book.write(cell, change));
    }
}

/// What two answers to one id say together.
#[expect(
    clippy::match_same_arms,
    reason = "an admission goes before a refusal, whichever was told first"
)]
fn agree(call: &Call, one: Answer, two: Answer) -> Answer {
    use Answer::{Allowed, Full, Lost, Unavailable, Unsent};
    match (one, two) {
        (Allowed { .. }, Full { replayed: true }) | (Full { replayed: true }, Allowed { .. }) => {
            panic!("{call:?}: {one:?} and {two:?}")
        }
        // A refusal beside it was told before what was lent elsewhere came back.
        (known @ Allowed { .. }, _) | (_, known @ Allowed { .. }) => known,
        (known @ Full { .. }, _) | (_, known @ Full { .. }) => known,
        (Lost, _) | (_, Lost) => Lost,
        (Unavailable | Unsent, Unavailable | Unsent) => Unavailable,
    }
}
