//! Random calls through the door of one sidecar, compared with the plain model after each; now and
//! then the sidecar is killed.

use std::cell::RefCell;
use std::env;

use imquota::grpc::proto::{
    CheckMode, CheckRequest, RecordActiveRequest, ReleaseRequest, Resource,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tonic::Code;

use crate::client::{Client, creation, deletion};
use crate::plain::{App, Released, Rules, Taken, Verdict};
use crate::sidecar::Sidecar;
use crate::stores::Store;

/// How many sequences are tried, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 32;
/// The most calls in a sequence.
const CALLS_MAX: usize = 60;
/// Tries to make a sequence that fails shorter.
const SHRINKS_MAX: u32 = 500;

const fn rules(limits: [Option<u64>; 4], rooms_are_groups: bool) -> Rules {
    Rules {
        limits,
        rooms_are_groups,
    }
}

/// Small limits in all ways that they can stand in each other's way.
const RULES: [Rules; 5] = [
    rules([Some(7), Some(9), Some(4), Some(12)], true),
    rules([None, None, Some(4), None], true),
    rules([Some(5), Some(6), None, Some(8)], true),
    rules([None, Some(6), Some(3), Some(5)], false),
    rules([None, None, None, None], true),
];

/// The id, if there is one, is honoured where the resource has a limit.
#[derive(Debug, Clone)]
enum Call {
    Check(Resource, u32, Option<u8>),
    DryRun(Resource, u32),
    Release(Resource, u32, Option<u8>),
    Record(Vec<u8>),
    Increment(u64),
    Kill,
}

fn call() -> impl Strategy<Value = Call> {
    let resource =
        || prop::sample::select(vec![Resource::Account, Resource::Group, Resource::AvRoom]);
    let amount = || prop_oneof![8 => 1..=4_u32, 1 => 5..=100_u32];
    let id = || prop::option::weighted(0.4, 0..6_u8);
    prop_oneof![
        40 => (resource(), amount(), id()).prop_map(|(what, many, id)| Call::Check(what, many, id)),
        6 => (resource(), amount()).prop_map(|(what, many)| Call::DryRun(what, many)),
        25 => (resource(), amount(), id()).prop_map(|(what, many, id)| Call::Release(what, many, id)),
        8 => vec(0..8_u8, 1..5).prop_map(Call::Record),
        4 => (1..9_u64).prop_map(Call::Increment),
        1 => Just(Call::Kill),
    ]
}

/// What `found` is and `expected` says it should be.
fn agree<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), TestCaseError> {
    if found == expected {
        return Ok(());
    }
    Err(TestCaseError::fail(format!(
        "{what}: found {found:?}, expected {expected:?}"
    )))
}

fn outcome<T>(answer: Result<T, tonic::Status>) -> Result<T, Taken> {
    answer.map_err(|status| {
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        Taken
    })
}

async fn check(client: &Client, check: CheckRequest) -> Result<Verdict, Taken> {
    let answer = outcome(client.try_check(check).await)?;
    let remaining = answer.limit.map(|limit| limit.saturating_sub(answer.used));
    assert_eq!(answer.remaining, remaining, "{answer:?}");
    Ok(Verdict {
        decision: answer.decision(),
        reason: answer.reason(),
        code: answer.im_error_code,
        limit: answer.limit,
        used: answer.used,
        replayed: answer.replayed,
    })
}

async fn release(client: &Client, release: ReleaseRequest) -> Result<Released, Taken> {
    let answer = outcome(client.try_release(release).await)?;
    Ok(Released {
        amount: answer.released,
        used: answer.used,
        replayed: answer.replayed,
    })
}

/// The name of a request.
fn name(id: Option<u8>) -> String {
    id.map_or(String::new(), |id| format!("id-{id}"))
}

/// One app of one sequence.
struct Case<'a> {
    app_id: u64,
    model: App,
    sidecar: &'a mut Sidecar,
    client: Client,
}

impl Case<'_> {
    async fn make(&mut self, call: &Call) -> Result<(), TestCaseError> {
        match call {
            Call::Check(resource, amount, id) => {
                let (id, request_id) = (*id, name(*id));
                let request = CheckRequest {
                    amount: *amount,
                    request_id,
                    ..creation(self.app_id, *resource)
                };
                let found = check(&self.client, request).await;
                agree("check", &found, &self.model.check(*resource, *amount, id))
            }
            Call::DryRun(resource, amount) => {
                let request = CheckRequest {
                    amount: *amount,
                    mode: CheckMode::DryRun.into(),
                    ..creation(self.app_id, *resource)
                };
                let found = check(&self.client, request).await;
                agree("dry run", &found, &Ok(self.model.judge(*resource, *amount)))
            }
            Call::Release(resource, amount, id) => {
                let (id, request_id) = (*id, name(*id));
                // A room that is deleted as a group is bounded by what is settled, which is another
                // test's matter; here gateways tell the two apart.
                if *resource == Resource::Group && !self.model.has_plain_groups(*amount) {
                    return Ok(());
                }
                let request = ReleaseRequest {
                    request_id,
                    ..deletion(self.app_id, *resource, *amount)
                };
                let found = release(&self.client, request).await;
                agree(
                    "release",
                    &found,
                    &self.model.release(*resource, *amount, id),
                )
            }
            // How many there are is left to the look that follows: an answer may cross the settling of
            // increments.
            Call::Record(users) => {
                let ids = users.iter().map(|user| format!("user-{user}"));
                let answer = self.client.record(self.app_id, ids).await;
                agree("record", &answer.newly_active, &self.model.record(users))
            }
            Call::Increment(by) => {
                let record = RecordActiveRequest {
                    app_id: self.app_id,
                    increment: *by,
                    ..Default::default()
                };
                let answer = self.client.try_record(record).await;
                self.model.increment(*by);
                agree(
                    "increment",
                    &answer.map(|answer| answer.newly_active).ok(),
                    &Some(*by),
                )
            }
            Call::Kill => {
                self.sidecar.kill().await;
                self.sidecar.start_again().await;
                self.client = self.sidecar.client().await;
                Ok(())
            }
        }
    }

    async fn look(&self) -> Result<(), TestCaseError> {
        let usage = self.client.usage(self.app_id).await;
        for shown in &usage.resources {
            let resource = shown.resource();
            let expected = (self.model.used(resource), self.model.limit(resource));
            agree(
                &format!("{resource:?}"),
                &(shown.used, shown.limit),
                &expected,
            )?;
        }
        let active = self.model.daily_active();
        agree("gained", &usage.groups_gained_today, &self.model.gained())?;
        agree("active", &usage.daily_active, &active)?;
        agree(
            "peak of the active",
            &usage.month_peak_daily_active,
            &active,
        )?;
        agree("degraded", &usage.degraded, &false)
    }
}

fn cases() -> u32 {
    let wanted = env::var("PROPTEST_CASES").ok();
    wanted.map_or(CASES, |cases| {
        cases.parse().expect("PROPTEST_CASES is a number")
    })
}

fn settings(apps: u64) -> String {
    let mut settings = "plans: { model: { limits: {} } }\napps:\n".to_owned();
    for app in 1..=apps {
        let limits = rules_of(app).yaml();
        settings += &[
            "  - { app_id: ",
            &app.to_string(),
            ", plan: model, limits: ",
            &limits,
            " }\n",
        ]
        .concat();
    }
    settings
}

/// The rules of an app; all have their turn.
fn rules_of(app: u64) -> Rules {
    RULES[usize::try_from(app).expect("few") % RULES.len()]
}

fn the_counts_are_the_models(store: &Store) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime can be made");
    let apps = u64::from(cases() + SHRINKS_MAX + 1) * RULES.len() as u64;
    let sidecar = runtime.block_on(Sidecar::start(&store.url(), &settings(apps)));
    let state = RefCell::new((sidecar, 0_u64));
    let config = Config {
        cases: cases(),
        max_shrink_iters: SHRINKS_MAX,
        failure_persistence: None,
        ..Config::default()
    };
    let sequences = (0..RULES.len() as u64, vec(call(), 1..CALLS_MAX));
    let outcome = TestRunner::new(config).run(&sequences, |(kind, calls)| {
        let (sidecar, tried) = &mut *state.borrow_mut();
        // Each try has an app of its own, so that it begins with nothing.
        *tried += 1;
        let app_id = *tried * RULES.len() as u64 + kind;
        runtime.block_on(async {
            let rules = rules_of(app_id);
            let client = sidecar.client().await;
            let mut case = Case {
                app_id,
                model: App::new(rules),
                sidecar,
                client,
            };
            for (number, call) in calls.iter().enumerate() {
                let made = case.make(call).await;
                let seen = match made {
                    Ok(()) => case.look().await,
                    fault => fault,
                };
                seen.map_err(|fault| {
                    TestCaseError::fail(format!("after call {number}, {call:?}: {fault}"))
                })?;
            }
            Ok(())
        })
    });
    if let Err(fault) = outcome {
        panic!("{fault}");
    }
}

#[test]
fn embedded() {
    the_counts_are_the_models(&Store::Embedded);
}

#[test]
fn redis() {
    the_counts_are_the_models(&Store::redis());
}
