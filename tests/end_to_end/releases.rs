//! What a release gives back: at most what was counted, once for each id, and never a place that
//! was not there.

use futures_util::future::join_all;
use imquota::grpc::proto::{ReleaseRequest, Resource};
use tonic::Code;

use crate::client::{
    ACCOUNTS_FULL, ALLOW, Client, GAIN_FULL, ROOMS_FULL, creation, deletion, used, verdict,
};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};

const TRIAL: u64 = 1;
const PRO: u64 = 2;
const SEVEN_GAINED: u64 = 3;

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: trial }
  - { app_id: 2, plan: pro }
  - { app_id: 3, plan: flagship, limits: { groups_gained_daily: 7 } }
";

use Resource::{Account, AvRoom, Group};

async fn start(store: &Store) -> (Sidecar, Client) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    (sidecar, client)
}

/// How many creations in a row are allowed, of more than any limit here.
async fn allowed(client: &Client, app: u64, resource: Resource) -> u64 {
    let mut allowed = 0;
    while allowed < 200 {
        let answer = client.create(app, resource).await;
        if verdict(&answer) != ALLOW {
            println!("after {allowed} of {resource:?} in app {app}: {answer:?}");
            break;
        }
        allowed += 1;
    }
    allowed
}

/// Releases a thousand times, many at once; answers how many were given back.
async fn release_a_thousand(client: &Client, app: u64, resource: Resource) -> u64 {
    let mut released = 0;
    for _ in 0..5 {
        let at_once = (0..200).map(|_| client.release(deletion(app, resource, 1)));
        let answers = join_all(at_once).await;
        released += answers.iter().map(|answer| answer.released).sum::<u64>();
    }
    released
}

async fn what_was_never_counted_is_not_released(store: Store) {
    let (_sidecar, client) = start(&store).await;
    for (app, resource) in [
        (TRIAL, Account),
        (TRIAL, AvRoom),
        (PRO, Account),
        (PRO, Group),
    ] {
        let freed = client.release(deletion(app, resource, 100)).await;
        assert_eq!((freed.released, freed.used), (0, 0), "{app} {resource:?}");
    }
    let usage = client.usage(PRO).await;
    assert_eq!((used(&usage, Group), usage.groups_gained_today), (0, 0));
}

async fn more_is_released_than_there_is(store: Store) {
    let (_sidecar, client) = start(&store).await;
    for (app, resource) in [
        (TRIAL, Account),
        (TRIAL, AvRoom),
        (PRO, Account),
        (PRO, Group),
    ] {
        for _ in 0..3 {
            assert_eq!(verdict(&client.create(app, resource).await), ALLOW);
        }
        let freed = client.release(deletion(app, resource, 2)).await;
        assert_eq!((freed.released, freed.used), (2, 1), "{app} {resource:?}");
        let freed = client.release(deletion(app, resource, 100)).await;
        assert_eq!((freed.released, freed.used), (1, 0), "{app} {resource:?}");
        assert_eq!(client.used(app, resource).await, 0);
    }
}

async fn a_thousand_releases_make_no_place(store: Store) {
    let (_sidecar, client) = start(&store).await;
    assert_eq!(release_a_thousand(&client, TRIAL, Account).await, 0);
    assert_eq!(allowed(&client, TRIAL, Account).await, 100);
    assert_eq!(verdict(&client.create(TRIAL, Account).await), ACCOUNTS_FULL);

    // Also while there is something to release.
    assert_eq!(release_a_thousand(&client, TRIAL, Account).await, 100);
    assert_eq!(allowed(&client, TRIAL, Account).await, 100);

    assert_eq!(release_a_thousand(&client, PRO, AvRoom).await, 0);
    assert_eq!(allowed(&client, PRO, AvRoom).await, 50);
    assert_eq!(verdict(&client.create(PRO, AvRoom).await), ROOMS_FULL);

    // Nor room for groups that are gained in the day.
    for resource in [Group, AvRoom] {
        assert_eq!(release_a_thousand(&client, SEVEN_GAINED, resource).await, 0);
    }
    assert_eq!(allowed(&client, SEVEN_GAINED, Group).await, 7);
    assert_eq!(
        verdict(&client.create(SEVEN_GAINED, Group).await),
        GAIN_FULL
    );
}

async fn a_thousand_releases_of_unlimited_objects_leave_none_below_zero(store: Store) {
    let (_sidecar, client) = start(&store).await;
    for _ in 0..5 {
        assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
    }
    assert_eq!(release_a_thousand(&client, PRO, Account).await, 5);
    let answer = client.create(PRO, Account).await;
    assert_eq!((verdict(&answer), answer.used), (ALLOW, 1));
    assert_eq!(client.used(PRO, Account).await, 1);
}

async fn a_release_of_one_id_is_done_once(store: Store) {
    let (_sidecar, client) = start(&store).await;
    for _ in 0..10 {
        assert_eq!(verdict(&client.create(TRIAL, Account).await), ALLOW);
    }
    let release = ReleaseRequest {
        request_id: "delete-7".into(),
        ..deletion(TRIAL, Account, 2)
    };
    let first = client.release(release.clone()).await;
    assert_eq!((first.released, first.used, first.replayed), (2, 8, false));
    for _ in 0..5 {
        let again = client.release(release.clone()).await;
        assert_eq!((again.released, again.used, again.replayed), (2, 8, true));
    }
    let other = ReleaseRequest {
        amount: 3,
        ..release
    };
    let status = client
        .try_release(other)
        .await
        .expect_err("the id is taken");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(client.used(TRIAL, Account).await, 8);
}

async fn an_id_belongs_to_one_request_of_all_verbs(store: Store) {
    let (_sidecar, client) = start(&store).await;
    let mut check = creation(TRIAL, Account);
    check.request_id = "7".into();
    assert_eq!(verdict(&client.check(check.clone()).await), ALLOW);
    let again = client.check(check.clone()).await;
    assert_eq!(
        (verdict(&again), again.used, again.replayed),
        (ALLOW, 1, true)
    );

    check.amount = 2;
    let status = client.try_check(check).await.expect_err("the id is taken");
    assert_eq!(status.code(), Code::InvalidArgument);
    let release = ReleaseRequest {
        request_id: "7".into(),
        ..deletion(TRIAL, Account, 1)
    };
    let status = client
        .try_release(release)
        .await
        .expect_err("the id is taken");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(client.used(TRIAL, Account).await, 1);

    // Another app's ids are its own.
    let mut check = creation(PRO, AvRoom);
    check.request_id = "7".into();
    let answer = client.check(check).await;
    assert_eq!((verdict(&answer), answer.replayed), (ALLOW, false));
}

async fn a_refusal_is_remembered_by_its_id(store: Store) {
    let (_sidecar, client) = start(&store).await;
    assert_eq!(allowed(&client, TRIAL, AvRoom).await, 10);
    let mut check = creation(TRIAL, AvRoom);
    check.request_id = "late".into();
    assert_eq!(verdict(&client.check(check.clone()).await), ROOMS_FULL);
    client.release(deletion(TRIAL, AvRoom, 1)).await;
    let again = client.check(check).await;
    assert_eq!((verdict(&again), again.replayed), (ROOMS_FULL, true));
    assert_eq!(allowed(&client, TRIAL, AvRoom).await, 1);
}

on_both_stores!(
    what_was_never_counted_is_not_released,
    more_is_released_than_there_is,
    a_thousand_releases_make_no_place,
    a_thousand_releases_of_unlimited_objects_leave_none_below_zero,
    a_release_of_one_id_is_done_once,
    an_id_belongs_to_one_request_of_all_verbs,
    a_refusal_is_remembered_by_its_id,
);
