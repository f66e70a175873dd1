//! The limits of the editions and what a refusal says, on both stores.

use imquota::grpc::proto::{CheckRequest, Decision, Resource, Source};

use crate::client::{
    ACCOUNTS_FULL, ALLOW, Client, GAIN_FULL, GROUPS_FULL, ROOMS_FULL, creation, deletion, used,
    verdict,
};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};

const TRIAL: u64 = 1_400_000_001;
const PRO: u64 = 1_400_000_002;
const FLAGSHIP: u64 = 1_400_000_003;
const EIGHTY_ROOMS: u64 = 1_400_000_004;
const SEVEN_GAINED: u64 = 1_400_000_005;
const FIVE_GROUPS: u64 = 1_400_000_006;

const SETTINGS: &str = "
apps:
  - { app_id: 1400000001, plan: trial }
  - { app_id: 1400000002, plan: pro }
  - { app_id: 1400000003, plan: flagship }
  - { app_id: 1400000004, plan: pro, limits: { av_rooms: 80 } }
  - { app_id: 1400000005, plan: flagship, limits: { groups_gained_daily: 7 } }
  - { app_id: 1400000006, plan: flagship, limits: { groups: 5 } }
";

use Resource::{Account, AvRoom, Group};

async fn start(store: &Store) -> (Sidecar, Client) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    (sidecar, client)
}

/// Creates one by one up to `limit`, then one more: that one is refused with `full`.
async fn fill(client: &Client, store: &Store, app: u64, resource: Resource, from: u64, limit: u64) {
    for used in from + 1..=limit {
        let answer = client.create(app, resource).await;
        assert_eq!(verdict(&answer), ALLOW, "{used}: {answer:?}");
        assert_eq!((answer.used, answer.limit), (used, Some(limit)));
        assert_eq!(answer.remaining, Some(limit - used));
        // From what was lent, or by the ledger: the answer is the same.
        let sources = [store.source(), Source::Memory];
        assert!(sources.contains(&answer.source()), "{answer:?}");
        assert!(!answer.replayed && answer.retry_after.is_none());
    }
}

/// One more is refused, however often it is asked.
async fn is_full(
    client: &Client,
    (app, resource): (u64, Resource),
    refusal: (Decision, imquota::grpc::proto::DenyReason, u32),
    limit: u64,
) {
    for _ in 0..3 {
        let answer = client.create(app, resource).await;
        assert_eq!(verdict(&answer), refusal, "{answer:?}");
        assert_eq!((answer.used, answer.limit), (limit, Some(limit)));
        assert_eq!(answer.remaining, Some(0));
        assert!(answer.retry_after.is_none());
    }
}

async fn a_trial_app_has_100_accounts(store: Store) {
    let (_sidecar, client) = start(&store).await;
    fill(&client, &store, TRIAL, Account, 0, 100).await;
    is_full(&client, (TRIAL, Account), ACCOUNTS_FULL, 100).await;

    let freed = client.release(deletion(TRIAL, Account, 1)).await;
    assert_eq!((freed.released, freed.used), (1, 99));
    assert_eq!((freed.remaining, freed.replayed), (Some(1), false));
    fill(&client, &store, TRIAL, Account, 99, 100).await;
    is_full(&client, (TRIAL, Account), ACCOUNTS_FULL, 100).await;

    let usage = client.usage(TRIAL).await;
    assert_eq!((usage.app_id, usage.plan.as_str()), (TRIAL, "trial"));
    assert!(!usage.degraded);
    let shown: Vec<_> = usage
        .resources
        .iter()
        .map(|of| (of.resource(), of.limit))
        .collect();
    assert_eq!(
        shown,
        [(Account, Some(100)), (Group, None), (AvRoom, Some(10))]
    );
    let accounts = &usage.resources[0];
    assert_eq!(
        (accounts.used, accounts.held, accounts.remaining),
        (100, 0, Some(0))
    );
}

async fn a_trial_app_has_10_rooms_which_are_groups(store: Store) {
    let (_sidecar, client) = start(&store).await;
    fill(&client, &store, TRIAL, AvRoom, 0, 10).await;
    is_full(&client, (TRIAL, AvRoom), ROOMS_FULL, 10).await;
    let usage = client.usage(TRIAL).await;
    assert_eq!((used(&usage, AvRoom), used(&usage, Group)), (10, 10));
    assert_eq!(
        (usage.groups_gained_today, usage.groups_gained_limit),
        (10, Some(10_000))
    );
    assert_eq!(usage.month_peak_groups, 10);

    // Groups of other kinds are not rooms.
    let answer = client.create(TRIAL, Group).await;
    assert_eq!(
        (verdict(&answer), answer.used, answer.limit),
        (ALLOW, 11, None)
    );
    is_full(&client, (TRIAL, AvRoom), ROOMS_FULL, 10).await;
}

async fn a_pro_app_has_50_rooms_net(store: Store) {
    let (_sidecar, client) = start(&store).await;
    for _ in 0..3 {
        assert_eq!(verdict(&client.create(PRO, AvRoom).await), ALLOW);
    }
    for left in (0..3).rev() {
        let freed = client.release(deletion(PRO, AvRoom, 1)).await;
        assert_eq!(
            (freed.released, freed.used, freed.remaining),
            (1, left, Some(50 - left))
        );
    }
    let usage = client.usage(PRO).await;
    assert_eq!(usage.resources[2].remaining, Some(50));
    assert_eq!((used(&usage, Group), usage.groups_gained_today), (0, 0));

    fill(&client, &store, PRO, AvRoom, 0, 50).await;
    is_full(&client, (PRO, AvRoom), ROOMS_FULL, 50).await;
}

async fn an_app_may_have_limits_of_its_own(store: Store) {
    let (_sidecar, client) = start(&store).await;
    fill(&client, &store, EIGHTY_ROOMS, AvRoom, 0, 80).await;
    is_full(&client, (EIGHTY_ROOMS, AvRoom), ROOMS_FULL, 80).await;
}

async fn rooms_count_among_limited_groups(store: Store) {
    let (_sidecar, client) = start(&store).await;
    for used in 1..=3 {
        let answer = client.create(FIVE_GROUPS, Group).await;
        assert_eq!(
            (verdict(&answer), answer.used, answer.limit),
            (ALLOW, used, Some(5))
        );
    }
    for used in 1..=2 {
        let answer = client.create(FIVE_GROUPS, AvRoom).await;
        assert_eq!(
            (verdict(&answer), answer.used, answer.limit),
            (ALLOW, used, None)
        );
    }
    is_full(&client, (FIVE_GROUPS, Group), GROUPS_FULL, 5).await;
    // The room itself would fit; the groups that it is one of do not.
    is_full(&client, (FIVE_GROUPS, AvRoom), GROUPS_FULL, 5).await;
    client.release(deletion(FIVE_GROUPS, AvRoom, 1)).await;
    assert_eq!(verdict(&client.create(FIVE_GROUPS, Group).await), ALLOW);
    is_full(&client, (FIVE_GROUPS, Group), GROUPS_FULL, 5).await;
}

async fn groups_gained_in_a_day_are_net_and_of_all_kinds(store: Store) {
    let (_sidecar, client) = start(&store).await;
    let app = SEVEN_GAINED;
    for resource in [Group, AvRoom, Group, AvRoom, Group, AvRoom, Group] {
        let answer = client.create(app, resource).await;
        assert_eq!(
            (verdict(&answer), answer.limit),
            (ALLOW, None),
            "{answer:?}"
        );
    }
    is_full(&client, (app, Group), GAIN_FULL, 7).await;
    is_full(&client, (app, AvRoom), GAIN_FULL, 7).await;
    let usage = client.usage(app).await;
    assert_eq!(
        (usage.groups_gained_today, usage.groups_gained_limit),
        (7, Some(7))
    );

    // Disbanding frees room for the same day, whichever kind goes.
    for gone in [Group, AvRoom] {
        let freed = client.release(deletion(app, gone, 1)).await;
        assert_eq!((freed.released, freed.remaining), (1, None));
        assert_eq!(verdict(&client.create(app, Group).await), ALLOW);
        is_full(&client, (app, Group), GAIN_FULL, 7).await;
    }
    let usage = client.usage(app).await;
    assert_eq!((used(&usage, Group), used(&usage, AvRoom)), (7, 2));
    // Accounts have nothing to do with it.
    assert_eq!(verdict(&client.create(app, Account).await), ALLOW);
}

async fn every_edition_gains_10_000_groups_a_day(store: Store) {
    let (_sidecar, client) = start(&store).await;
    for app in [TRIAL, PRO, FLAGSHIP] {
        let hundred = CheckRequest {
            amount: 100,
            ..creation(app, Group)
        };
        for used in 1..=100 {
            let answer = client.check(hundred.clone()).await;
            assert_eq!((verdict(&answer), answer.used), (ALLOW, used * 100));
        }
        is_full(&client, (app, Group), GAIN_FULL, 10_000).await;
        is_full(&client, (app, AvRoom), GAIN_FULL, 10_000).await;
        let usage = client.usage(app).await;
        assert_eq!(
            (used(&usage, Group), usage.groups_gained_today),
            (10_000, 10_000)
        );
    }
}

async fn an_amount_is_counted_whole_or_not_at_all(store: Store) {
    let (_sidecar, client) = start(&store).await;
    let some = |amount, app, resource| CheckRequest {
        amount,
        ..creation(app, resource)
    };
    assert_eq!(
        verdict(&client.check(some(95, TRIAL, Account)).await),
        ALLOW
    );
    let answer = client.check(some(6, TRIAL, Account)).await;
    assert_eq!((verdict(&answer), answer.used), (ACCOUNTS_FULL, 95));
    assert_eq!((answer.limit, answer.remaining), (Some(100), Some(5)));
    assert_eq!(verdict(&client.check(some(5, TRIAL, Account)).await), ALLOW);
    is_full(&client, (TRIAL, Account), ACCOUNTS_FULL, 100).await;

    // Nor in parts: the rooms would fit, the groups gained do not.
    let answer = client.check(some(8, SEVEN_GAINED, AvRoom)).await;
    assert_eq!(
        (verdict(&answer), answer.used, answer.limit),
        (GAIN_FULL, 0, Some(7))
    );
    let usage = client.usage(SEVEN_GAINED).await;
    assert_eq!((used(&usage, AvRoom), used(&usage, Group)), (0, 0));
    assert_eq!(usage.groups_gained_today, 0);
}

async fn a_flagship_app_has_no_limit(store: Store) {
    let (_sidecar, client) = start(&store).await;
    for resource in [Account, AvRoom] {
        for used in 1..=20 {
            let hundred = CheckRequest {
                amount: 100,
                ..creation(FLAGSHIP, resource)
            };
            let answer = client.check(hundred).await;
            assert_eq!((verdict(&answer), answer.used), (ALLOW, used * 100));
            assert_eq!((answer.limit, answer.remaining), (None, None));
        }
    }
    let usage = client.usage(FLAGSHIP).await;
    assert_eq!(
        (
            used(&usage, Account),
            used(&usage, AvRoom),
            used(&usage, Group)
        ),
        (2000, 2000, 2000)
    );
}

on_both_stores!(
    a_trial_app_has_100_accounts,
    a_trial_app_has_10_rooms_which_are_groups,
    a_pro_app_has_50_rooms_net,
    an_app_may_have_limits_of_its_own,
    rooms_count_among_limited_groups,
    groups_gained_in_a_day_are_net_and_of_all_kinds,
    every_edition_gains_10_000_groups_a_day,
    an_amount_is_counted_whole_or_not_at_all,
    a_flagship_app_has_no_limit,
);
