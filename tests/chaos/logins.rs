//! Users who log in, again and again, through whichever sidecar: each counts once a day.

use std::collections::{HashSet, VecDeque};
use std::ops::RangeInclusive;

use futures_util::future::join_all;
use imquota::grpc::proto::{RecordActiveRequest, RecordActiveResponse, Source};
use rand::RngExt as _;
use rand::rngs::SmallRng;
use tonic::Status;

use crate::asking::{DEADLINE, unsent};
use crate::book::{Book, SIDECARS, World};
use crate::client::Client;
use crate::tally::Shared;
use crate::wait::until;

/// The app that they log in to.
const APP: u64 = 8;
/// How many there may be: as many as a sidecar remembers in little memory, however long a run is.
const USERS: u32 = 200_000;
/// How many of them log in all the time.
const REGULARS: u32 = 200;
/// How many log in with one call, and how many are told with one at the end.
const TOGETHER: RangeInclusive<u32> = 1..=4;
const TOGETHER_MAX: usize = 1_000;

/// What all gateways together were answered of users.
#[derive(Debug, Default)]
pub struct Logins {
    /// Whoever was sent, and may be counted.
    sent: HashSet<u32>,
    /// Whoever is counted, whatever happened since.
    certain: HashSet<u32>,
    /// Whom the ledger called new.
    new: u64,
}

impl Logins {
    /// How many can be counted.
    fn possible(&self) -> RangeInclusive<u64> {
        self.certain.len() as u64..=self.sent.len() as u64
    }

    /// A ledger that `keeps` everything calls nobody new twice.
    fn answered(&mut self, answer: &RecordActiveResponse, keeps: bool) {
        if keeps && answer.source() == Source::Ledger {
            self.new += answer.newly_active;
            let sent = self.sent.len() as u64;
            assert!(self.new <= sent, "{sent} users, {} times new", self.new);
        }
    }
}

/// The users of one gateway.
pub struct Crowd<'a> {
    world: World<'a>,
    /// Those of calls without an answer.
    open: VecDeque<Vec<u32>>,
}

impl<'a> Crowd<'a> {
    pub fn new(world: World<'a>) -> Self {
        let open = VecDeque::new();
        Self { world, open }
    }

    /// Some users log in, or are told of again.
    pub async fn step(&mut self, rng: &mut SmallRng, doors: &[Client]) {
        let again = rng.random_ratio(1, 2);
        let open = again.then(|| self.open.pop_front()).flatten();
        let users = open.unwrap_or_else(|| some(rng));
        let door = rng.random_range(0..SIDECARS);
        self.record(users, door, &doors[door]).await;
    }

    /// Tells of whoever is not answered, until everybody is.
    pub async fn finish(&mut self, rng: &mut SmallRng, doors: &[Client]) {
        until("every user is told of", async || {
            for _ in 0..self.open.len() {
                let users = self.open.pop_front().unwrap_or_default();
                let door = rng.random_range(0..SIDECARS);
                self.record(users, door, &doors[door]).await;
            }
            if self.open.is_empty() {
                Ok(())
            } else {
                Err(self.open.len())
            }
        })
        .await;
    }

    async fn record(&mut self, users: Vec<u32>, number: usize, door: &Client) {
        let (world, mut is_lost) = (self.world, false);
        world.book.with(|book| book.logins.sent.extend(&users));
        let answer = tell(door, &users).await;
        world.book.with(|book| match &answer {
            Ok(answer) => {
                book.answered += 1;
                book.logins.answered(answer, world.remember_from == 0);
                if number >= world.remember_from {
                    book.logins.certain.extend(&users);
                }
            }
            Err(status) => {
                is_lost = true;
                book.lost += u64::from(!unsent(status));
            }
        });
        if is_lost {
            self.open.push_back(users);
        } else {
            world.progress.step();
        }
    }
}

/// Users who log in together.
fn some(rng: &mut SmallRng) -> Vec<u32> {
    let many = rng.random_range(TOGETHER);
    let one = |_| {
        let all = if rng.random_ratio(1, 2) {
            USERS
        } else {
            REGULARS
        };
        rng.random_range(0..all)
    };
    (0..many).map(one).collect()
}

async fn tell(door: &Client, users: &[u32]) -> Result<RecordActiveResponse, Status> {
    let mut request = tonic::Request::new(RecordActiveRequest {
        app_id: APP,
        user_ids: users.iter().map(|user| format!("user-{user}")).collect(),
        ..Default::default()
    });
    request.set_timeout(DEADLINE);
    door.try_record(request).await
}

/// Every sidecar counts the distinct users of the books.
pub async fn everybody_is_known(doors: &[Client], book: &Shared<Book>) {
    until("the sidecars count whom the gateways told of", async || {
        let readings = join_all(doors.iter().map(|door| door.try_usage(APP))).await;
        let counts = readings.iter().map(|reading| match reading {
            Ok(usage) if !usage.degraded => Some(usage.daily_active),
            _ => None,
        });
        let counts: Vec<_> = counts.collect();
        let possible = book.with(|book| book.logins.possible());
        match counts.first() {
            Some(Some(found))
                if possible.contains(found)
                    && counts.iter().all(|count| *count == Some(*found)) =>
            {
                println!("active users: {found} are counted, the books say {possible:?}");
                Ok(())
            }
            _ => Err(format!("active users: {counts:?}, not {possible:?}")),
        }
    })
    .await;
}

/// All of them log in once more: then each is counted, also those whom a ledger forgot together with the process that had told it.
pub async fn everybody_counts_once(doors: &[Client], book: &Shared<Book>) {
    let all: Vec<u32> = book.with(|book| book.logins.sent.iter().copied().collect());
    assert!(!all.is_empty(), "somebody logged in");
    let last = doors.last().expect("there are some");
    for users in all.chunks(TOGETHER_MAX) {
        until("they are told of", async || tell(last, users).await).await;
    }
    book.with(|book| book.logins.certain.extend(&all));
    everybody_is_known(doors, book).await;
}
