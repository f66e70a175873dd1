//! Mistakes in how the answers of a batch are put together, made on their way from a real server: what is looked at in
//! every batch rejects each, and nothing that is right. The simulation asks one check at a time, so they are no mistakes
//! of its `mutants_of_repeats`.

use imquota::grpc::proto::{
    BatchCheckRequest, CheckRequest, CheckResponse, Decision, DenyReason, Resource,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::common::{Server, soon};

/// So many batches a mistake may survive.
const BATCHES_MAX: u64 = 50;
/// The most checks of one.
const SIZE_MAX: usize = 12;

/// What an item of a batch hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// It is counted.
    Allowed,
    /// App 2 is unknown.
    Unknown,
    /// The field that is wrong.
    Fault(&'static str),
}

/// App 1 is known, and may create what it likes.
fn item(rng: &mut StdRng) -> (CheckRequest, Word) {
    let good = CheckRequest {
        app_id: 1,
        resource: Resource::Account.into(),
        ..Default::default()
    };
    let bad = |field, change: fn(&mut CheckRequest)| {
        let mut check = good.clone();
        change(&mut check);
        (check, Word::Fault(field))
    };
    match rng.random_range(0..9) {
        0..3 => (good, Word::Allowed),
        3 => (CheckRequest { app_id: 2, ..good }, Word::Unknown),
        4 => bad("amount", |check| check.amount = 101),
        5 => bad("app_id", |check| check.app_id = 0),
        6 => bad("resource", |check| check.resource = 77),
        7 => bad("request_id", |check| check.request_id = "\n".into()),
        _ => bad("mode", |check| check.mode = 77),
    }
}

/// What is promised of a batch: an answer to each check, in order, by what that one asks for alone. `counted`: how many
/// accounts there were before it.
fn fault_of(asked: &[Word], answers: &[CheckResponse], mut counted: u64) -> Result<u64, String> {
    if answers.len() != asked.len() {
        return Err(format!("{} answers to {asked:?}", answers.len()));
    }
    for (place, (word, answer)) in asked.iter().zip(answers).enumerate() {
        let fault = answer.fault.as_ref();
        let heard = match (answer.decision(), answer.reason(), fault) {
            (Decision::Allow, DenyReason::Unspecified, None) => {
                counted += 1;
                (answer.used == counted).then_some(Word::Allowed)
            }
            (Decision::Deny, DenyReason::AppUnknown, None) => Some(Word::Unknown),
            (Decision::Unspecified, DenyReason::Unspecified, Some(fault)) if fault.code == 3 => {
                let same = matches!(word, Word::Fault(field) if *field == fault.field);
                same.then_some(*word)
            }
            _ => None,
        };
        if heard != Some(*word) {
            return Err(format!("item {place} of {asked:?} hears {answer:?}"));
        }
    }
    Ok(counted)
}

type Mistake = fn(&mut [CheckResponse]);

/// Asks batches until one shows that something is wrong.
async fn first_fault(mistake: Mistake) -> Option<String> {
    let server = Server::start_met().await;
    let mut client = server.quota().await;
    let mut counted = 0;
    for seed in 0..BATCHES_MAX {
        let mut rng = StdRng::seed_from_u64(seed);
        let size = rng.random_range(1..=SIZE_MAX);
        let (checks, asked): (Vec<_>, Vec<_>) = (0..size).map(|_| item(&mut rng)).unzip();
        let answer = soon(client.batch_check(BatchCheckRequest { checks })).await;
        let mut answers = answer.expect("it is answered").into_inner().results;
        mistake(&mut answers);
        match fault_of(&asked, &answers, counted) {
            Ok(now) => counted = now,
            Err(fault) => return Some(fault),
        }
    }
    None
}

async fn is_rejected(mistake: Mistake) {
    let fault = first_fault(mistake).await;
    println!("{}", fault.expect("it survived all batches"));
}

#[tokio::test]
async fn what_is_right_is_not_rejected() {
    assert_eq!(first_fault(|_| ()).await, None);
}

#[tokio::test]
async fn the_first_fault_is_taken_for_all_items() {
    is_rejected(|answers| {
        let bad = answers.iter().find(|answer| answer.fault.is_some());
        if let Some(bad) = bad.cloned() {
            answers.fill(bad);
        }
    })
    .await;
}

#[tokio::test]
async fn the_first_fault_is_taken_for_all_faults() {
    is_rejected(|answers| {
        let first = answers.iter().find_map(|answer| answer.fault.clone());
        for answer in answers.iter_mut().filter(|answer| answer.fault.is_some()) {
            answer.fault.clone_from(&first);
        }
    })
    .await;
}

#[tokio::test]
async fn the_items_behind_a_fault_are_left_out() {
    is_rejected(|answers| {
        if let Some(first) = answers.iter().position(|answer| answer.fault.is_some()) {
            let bad = answers[first].clone();
            answers[first..].fill(bad);
        }
    })
    .await;
}

#[tokio::test]
async fn faults_are_answered_first() {
    is_rejected(|answers| answers.sort_by_key(|answer| answer.fault.is_none())).await;
}
