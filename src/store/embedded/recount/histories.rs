//! Histories at random: whatever comes before a kill and whatever after it, the journal's replay ends
//! at the count that was there.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::broken_disk::{Disk, NOW};
use super::tests::{Seat, give_back};
use crate::store::{Abort, GivenBack, Report, Store, Take};

#[derive(Debug, Clone)]
enum Step {
    Take,
    /// Of the oldest take under way.
    Answer,
    Withdraw,
    /// Accounts counted from memory and settled at once.
    Settle(u64),
    Release(u32),
    Recount(u64),
    Checkpoint,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Take),
        2 => Just(Step::Answer),
        1 => Just(Step::Withdraw),
        2 => (1..4_u64).prop_map(Step::Settle),
        2 => (1..4_u32).prop_map(Step::Release),
        2 => (0..9_u64).prop_map(Step::Recount),
        1 => Just(Step::Checkpoint),
        2 => Just(Step::Kill),
    ]
}

/// What the member's journal has, and what the count must be.
#[derive(Default)]
struct Journal {
    consumed: u64,
    answered: Vec<Take>,
    open: Vec<Take>,
    withdrawn: Vec<Take>,
    released: Vec<(u64, u32)>,
    numbers: u64,
    /// What is counted and answered.
    settled: i64,
}

impl Journal {
    fn count(&self) -> i64 {
        self.settled + i64::try_from(self.open.len()).unwrap()
    }

    async fn step(&mut self, seat: Seat, step: Step) -> Seat {
        match step {
            Step::Take => {
                self.numbers += 1;
                let id = format!("r-{}", self.numbers);
                self.open.push(seat.take(&id, self.numbers).await);
            }
            Step::Answer if !self.open.is_empty() => {
                let take = self.open.remove(0);
                seat.answered(&take).await;
                self.answered.push(take);
                self.settled += 1;
            }
            Step::Withdraw if !self.open.is_empty() => {
                let take = self.open.remove(0);
                withdraw(&seat, &take).await;
                self.withdrawn.push(take);
            }
            Step::Answer | Step::Withdraw => {}
            Step::Settle(many) => {
                self.consumed += many;
                self.settled += many.cast_signed();
                seat.totals(self.consumed, 0).await;
            }
            // A gateway deletes what was created; one that does not may leave less than nothing.
            Step::Release(many) if i64::from(many) > self.settled => {}
            Step::Release(many) => {
                self.numbers += 1;
                let back = give_back(self.numbers, many, None);
                let done = seat.store.release(&back, NOW).await.unwrap();
                let GivenBack::Released { released, .. } = done else {
                    panic!("{done:?}");
                };
                self.released.push((self.numbers, released));
                self.settled -= i64::from(released);
            }
            Step::Recount(to) => {
                let held = self.open.len() as u64;
                assert_eq!(seat.recount(to).await, (self.settled, held));
                self.settled = to.cast_signed();
            }
            Step::Checkpoint => seat.store.checkpoint(NOW).await.unwrap(),
            Step::Kill => return self.replayed(seat.killed().await).await,
        }
        seat
    }

    /// As a start does: sums, answers and withdrawals, releases. What was under way is withdrawn.
    async fn replayed(&mut self, seat: Seat) -> Seat {
        self.withdrawn.append(&mut self.open);
        seat.totals(self.consumed, 0).await;
        for take in &self.answered {
            seat.answered(take).await;
        }
        for take in &self.withdrawn {
            withdraw(&seat, take).await;
        }
        for (number, released) in &self.released {
            // It was asked for as much as was given, or for more: the record knows its content.
            let back = give_back(*number, 3, Some(*released));
            seat.store.release(&back, NOW).await.unwrap();
        }
        seat
    }
}

async fn withdraw(seat: &Seat, take: &Take) {
    let abort = Abort::of(take);
    let report = Report {
        aborts: vec![abort],
        ..Report::default()
    };
    seat.settle(report).await;
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_replay_ends_at_the_count_that_was_there(steps in vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut seat = Seat::on(Disk::default()).await;
            let mut journal = Journal::default();
            for step in steps {
                seat = journal.step(seat, step).await;
                assert_eq!(seat.count().await, journal.count());
            }
        });
    }
}
