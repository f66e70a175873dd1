//! Apps and their editions: unknown, disabled, on another plan; and what counts nothing.

use imquota::grpc::proto::{CheckMode, CheckRequest, Resource};
use tonic::Code;

use crate::client::{
    ACCOUNTS_FULL, ALLOW, Client, DISABLED, ROOMS_FULL, UNKNOWN, creation, deletion, used, verdict,
};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};

const TRIAL: u64 = 1_400_000_001;
const PRO: u64 = 1_400_000_002;
const OFF: u64 = 1_400_000_007;
const NOBODY: u64 = 1_400_000_099;

const SETTINGS: &str = "
apps:
  - { app_id: 1400000001, plan: trial }
  - { app_id: 1400000002, plan: pro }
  - { app_id: 1400000007, plan: trial, disabled: true }
";

use Resource::{Account, AvRoom, Group};

async fn start(store: &Store) -> (Sidecar, Client) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    (sidecar, client)
}

/// Creates up to `limit` rooms, which is how many there may be.
async fn fill_rooms(client: &Client, app: u64, limit: u64) {
    for used in 1..=limit {
        let answer = client.create(app, AvRoom).await;
        assert_eq!(
            (verdict(&answer), answer.used, answer.limit),
            (ALLOW, used, Some(limit))
        );
    }
    let answer = client.create(app, AvRoom).await;
    assert_eq!(
        (verdict(&answer), answer.used, answer.limit),
        (ROOMS_FULL, limit, Some(limit))
    );
}

async fn a_disabled_app_creates_nothing(store: Store) {
    let (mut sidecar, _) = start(&store).await;
    sidecar.stop().await;
    sidecar.set(&SETTINGS.replace("disabled: true", "disabled: false"));
    sidecar.start_again().await;
    let client = sidecar.client().await;
    for resource in [Account, AvRoom] {
        assert_eq!(verdict(&client.create(OFF, resource).await), ALLOW);
    }
    sidecar.stop().await;
    sidecar.set(SETTINGS);
    sidecar.start_again().await;

    let client = sidecar.client().await;
    for resource in [Account, AvRoom, Group] {
        let answer = client.create(OFF, resource).await;
        assert_eq!(verdict(&answer), DISABLED, "{answer:?}");
    }
    // What is there can still be deleted.
    let freed = client.release(deletion(OFF, Account, 1)).await;
    assert_eq!((freed.released, freed.used), (1, 0));
    let usage = client.usage(OFF).await;
    assert_eq!(
        (
            used(&usage, Account),
            used(&usage, AvRoom),
            used(&usage, Group)
        ),
        (0, 1, 1)
    );
}

async fn an_unknown_app_creates_nothing(store: Store) {
    let (_sidecar, client) = start(&store).await;
    for resource in [Account, AvRoom, Group] {
        let answer = client.create(NOBODY, resource).await;
        assert_eq!(verdict(&answer), UNKNOWN);
        assert_eq!((answer.limit, answer.used), (None, 0));
    }
    assert_eq!(
        client.release(deletion(NOBODY, Account, 1)).await.released,
        0
    );
    let status = client.try_usage(NOBODY).await.expect_err("nobody knows it");
    assert_eq!(status.code(), Code::NotFound);
}

async fn an_unknown_app_may_get_a_plan(store: Store) {
    let settings = format!("unknown_app_plan: trial\n{SETTINGS}");
    let sidecar = Sidecar::start(&store.url(), &settings).await;
    let client = sidecar.client().await;
    fill_rooms(&client, NOBODY, 10).await;
    assert_eq!(client.usage(NOBODY).await.plan, "trial");
    // Each is an app of its own, and the listed ones keep their rules.
    fill_rooms(&client, NOBODY + 1, 10).await;
    fill_rooms(&client, PRO, 50).await;
    assert_eq!(verdict(&client.create(OFF, Account).await), DISABLED);
}

async fn a_dry_run_counts_nothing(store: Store) {
    let (_sidecar, client) = start(&store).await;
    let dry = |app, resource, amount| CheckRequest {
        amount,
        mode: CheckMode::DryRun.into(),
        ..creation(app, resource)
    };
    for (app, resource) in [
        (TRIAL, Account),
        (TRIAL, AvRoom),
        (PRO, Account),
        (PRO, Group),
    ] {
        for _ in 0..20 {
            let answer = client.check(dry(app, resource, 1)).await;
            assert_eq!((verdict(&answer), answer.used), (ALLOW, 0), "{answer:?}");
        }
        assert_eq!(client.used(app, resource).await, 0);
    }
    let answer = client.check(dry(TRIAL, AvRoom, 11)).await;
    assert_eq!(
        (verdict(&answer), answer.used, answer.limit),
        (ROOMS_FULL, 0, Some(10))
    );
    fill_rooms(&client, TRIAL, 10).await;
    let answer = client.check(dry(TRIAL, AvRoom, 1)).await;
    assert_eq!((verdict(&answer), answer.used), (ROOMS_FULL, 10));
    assert_eq!(
        verdict(&client.check(dry(NOBODY, Account, 1)).await),
        UNKNOWN
    );
    assert_eq!(verdict(&client.check(dry(OFF, Account, 1)).await), DISABLED);
    assert_eq!(client.used(TRIAL, AvRoom).await, 10);
}

async fn a_smaller_edition_keeps_what_exists(store: Store) {
    let (mut sidecar, client) = start(&store).await;
    for resource in [Account, AvRoom] {
        let some = CheckRequest {
            amount: 15,
            ..creation(PRO, resource)
        };
        assert_eq!(verdict(&client.check(some).await), ALLOW);
    }
    let hundred = CheckRequest {
        amount: 100,
        ..creation(PRO, Account)
    };
    assert_eq!(verdict(&client.check(hundred).await), ALLOW);
    sidecar.stop().await;
    sidecar.set(&SETTINGS.replace(
        "app_id: 1400000002, plan: pro",
        "app_id: 1400000002, plan: trial",
    ));
    sidecar.start_again().await;

    let client = sidecar.client().await;
    let answer = client.create(PRO, Account).await;
    assert_eq!(
        (verdict(&answer), answer.used, answer.limit),
        (ACCOUNTS_FULL, 115, Some(100))
    );
    assert_eq!(answer.remaining, Some(0));
    let answer = client.create(PRO, AvRoom).await;
    assert_eq!(
        (verdict(&answer), answer.used, answer.limit),
        (ROOMS_FULL, 15, Some(10))
    );
    let freed = client.release(deletion(PRO, Account, 16)).await;
    assert_eq!((freed.released, freed.used), (16, 99));
    assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
    let answer = client.create(PRO, Account).await;
    assert_eq!((verdict(&answer), answer.used), (ACCOUNTS_FULL, 100));
}

async fn a_bad_request_counts_nothing(store: Store) {
    let (_sidecar, client) = start(&store).await;
    for bad in [
        CheckRequest {
            amount: 101,
            ..creation(TRIAL, Account)
        },
        CheckRequest {
            request_id: "ü".into(),
            ..creation(TRIAL, Account)
        },
        CheckRequest {
            resource_id: "a".repeat(49),
            ..creation(TRIAL, Account)
        },
        CheckRequest {
            resource_id: "two accounts".into(),
            amount: 2,
            ..creation(TRIAL, Account)
        },
        CheckRequest {
            mode: CheckMode::Reserve.into(),
            ..creation(TRIAL, Account)
        },
    ] {
        let status = client.try_check(bad).await.expect_err("it is bad");
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    assert_eq!(client.used(TRIAL, Account).await, 0);
}

on_both_stores!(
    a_disabled_app_creates_nothing,
    an_unknown_app_creates_nothing,
    an_unknown_app_may_get_a_plan,
    a_dry_run_counts_nothing,
    a_smaller_edition_keeps_what_exists,
    a_bad_request_counts_nothing,
);
