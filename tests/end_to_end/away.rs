//! Redis away: what is refused, what goes on, and that all of it is known when it is back.

use std::time::{Duration, Instant};

use imquota::grpc::proto::{CheckRequest, RecordActiveRequest, Resource, Source};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

use crate::client::{ALLOW, Client, GAIN_FULL, UNAVAILABLE, creation, deletion, used, verdict};
use crate::redis_server::{Persistence, RedisServer};
use crate::sidecar::Sidecar;
use crate::stores::beside;
use crate::wait::until;

pub const PRO: u64 = 1;
pub const TIGHT: u64 = 2;

/// The time that a check waits for the ledger is the default of half a second. Limits so tight that no
/// part of them is lent: each creation is asked of the ledger.
pub const SETTINGS: &str = "
store: { timeout: 500ms }
apps:
  - { app_id: 1, plan: pro, limits: { av_rooms: 7 } }
  - { app_id: 2, plan: pro, limits: { accounts: 7 } }
";

use Resource::{Account, AvRoom, Group};

/// A check of a hard limit is refused, honestly and in time.
pub async fn hard_limits_are_refused(client: &Client) {
    for (app, resource) in [(TIGHT, Account), (PRO, AvRoom)] {
        let began = Instant::now();
        let answer = client.create(app, resource).await;
        let took = began.elapsed();
        assert_eq!(verdict(&answer), UNAVAILABLE, "{answer:?}");
        assert_eq!(answer.source(), Source::Degraded);
        let retry = answer.retry_after.expect("it says when to ask again");
        assert!(retry.seconds > 0 || retry.nanos > 0, "{retry:?}");
        // Half a second, and what a busy machine takes to say so.
        assert!(took < Duration::from_millis(1500), "{took:?}");
    }
}

/// What no hard limit stands in the way of goes on, each answer from here alone.
pub async fn metered_resources_go_on(client: &Client, times: u64) {
    for resource in [Account, Group] {
        for _ in 0..times {
            let answer = client.create(PRO, resource).await;
            assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
            assert_eq!(answer.source(), Source::Degraded, "{answer:?}");
        }
    }
}

/// Waits until a creation under a hard limit is admitted.
pub async fn admitted(client: &Client, app: u64, resource: Resource) {
    until("the ledger is asked again", async || {
        let answer = client.create(app, resource).await;
        if verdict(&answer) == ALLOW {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_starts_without_redis() {
    let mut redis = RedisServer::start();
    redis.stop();
    let sidecar = Sidecar::start_alone(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for service in ["", "imquota.v1.QuotaService", "liveness"] {
        assert_eq!(client.health(service).await, Serving, "{service}");
    }
    assert_eq!(client.health("readiness").await, NotServing);

    hard_limits_are_refused(&client).await;
    metered_resources_go_on(&client, 5).await;
    let counted = RecordActiveRequest {
        app_id: PRO,
        increment: 3,
        ..Default::default()
    };
    let answer = client.try_record(counted).await.expect("it goes on");
    assert_eq!(
        (answer.daily_active, answer.source()),
        (3, Source::Degraded)
    );
    // Users by name need the ledger's key, which a new data folder does not have yet.
    let ann = RecordActiveRequest {
        app_id: PRO,
        user_ids: vec!["ann".into()],
        ..Default::default()
    };
    let status = client
        .try_record(ann)
        .await
        .expect_err("nobody knows the key");
    assert_eq!(status.code(), Code::Unavailable);
    let usage = client.usage(PRO).await;
    assert!(usage.degraded);
    assert_eq!(
        (
            used(&usage, Account),
            used(&usage, Group),
            usage.daily_active
        ),
        (5, 5, 3)
    );

    let redis = beside(redis, RedisServer::start_again).await;
    until("readiness serves", async || {
        match client.health("readiness").await {
            Serving => Ok(()),
            other => Err(other),
        }
    })
    .await;
    admitted(&client, TIGHT, Account).await;
    let usage = client.usage(PRO).await;
    assert!(!usage.degraded);
    assert_eq!(
        (
            used(&usage, Account),
            used(&usage, Group),
            usage.daily_active
        ),
        (5, 5, 3)
    );
    assert_eq!(client.used(TIGHT, Account).await, 1);
    assert_eq!(client.record(PRO, ["ann"]).await.daily_active, 4);

    // Another sidecar sees it all: it is in the ledger.
    let other = Sidecar::start(&redis.url(), SETTINGS).await;
    let usage = other.client().await.usage(PRO).await;
    assert_eq!(
        (
            used(&usage, Account),
            used(&usage, Group),
            usage.daily_active
        ),
        (5, 5, 4)
    );
    assert_eq!(usage.groups_gained_today, 5);
}

#[tokio::test]
async fn a_redis_that_hangs_is_noticed_in_time() {
    let redis = RedisServer::start();
    let sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    admitted(&client, TIGHT, Account).await;
    admitted(&client, PRO, AvRoom).await;
    client.record(PRO, ["ann"]).await;

    redis.suspend();
    hard_limits_are_refused(&client).await;
    metered_resources_go_on(&client, 5).await;
    let answer = client.record(PRO, ["bob", "cid"]).await;
    assert_eq!(
        (answer.newly_active, answer.source()),
        (2, Source::Degraded)
    );
    // Known to be away, it is not waited for any more: many are refused in the time of one wait.
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(verdict(&client.create(TIGHT, Account).await), UNAVAILABLE);
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        client.health("readiness").await,
        Serving,
        "it serves what it can"
    );

    redis.resume();
    admitted(&client, TIGHT, Account).await;
    // What was refused left nothing, though its step was executed when the server went on.
    until("the books agree", async || {
        let (tight, pro) = (client.usage(TIGHT).await, client.usage(PRO).await);
        let counts = [
            used(&tight, Account),
            used(&pro, Account),
            used(&pro, Group),
        ];
        let seen = (
            tight.degraded || pro.degraded,
            counts,
            used(&pro, AvRoom),
            pro.daily_active,
        );
        if seen == (false, [2, 5, 6], 1, 3) {
            Ok(())
        } else {
            Err(seen)
        }
    })
    .await;
}

#[tokio::test]
async fn a_callers_deadline_is_kept_while_redis_hangs() {
    let redis = RedisServer::start();
    let sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    admitted(&client, TIGHT, Account).await;
    redis.suspend();
    let mut in_time = 0;
    for _ in 0..20 {
        let mut check = tonic::Request::new(creation(TIGHT, Account));
        check.set_timeout(Duration::from_millis(100));
        if let Ok(answer) = client.try_check(check).await {
            assert_eq!(verdict(&answer), UNAVAILABLE, "{answer:?}");
            in_time += 1;
        }
    }
    // The rest was lost to a busy machine; a server that does not look at the deadline has none.
    assert!(in_time >= 10, "{in_time} of 20 were answered within 100 ms");
    redis.resume();
    admitted(&client, TIGHT, Account).await;
    until("the refused leave nothing", async || {
        match client.used(TIGHT, Account).await {
            2 => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_goes_away_is_charged_for_nothing() {
    let redis = RedisServer::start();
    let sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    admitted(&client, TIGHT, Account).await;
    redis.suspend();
    let check = CheckRequest {
        request_id: "asked-twice".into(),
        ..creation(TIGHT, Account)
    };
    // The call is begun, and given up before the ledger answers.
    let given_up = tokio::time::timeout(Duration::from_millis(100), client.check(check.clone()));
    given_up.await.expect_err("nobody answers yet");
    // The server has heard of it when it answers what was sent after it.
    assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
    redis.resume();
    until("the place is free again", async || {
        match client.used(TIGHT, Account).await {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let answer = client.check(check.clone()).await;
    assert_eq!(
        (verdict(&answer), answer.used, answer.replayed),
        (ALLOW, 2, false)
    );
    let answer = client.check(check).await;
    assert_eq!(
        (verdict(&answer), answer.used, answer.replayed),
        (ALLOW, 2, true)
    );
}

/// The gain of a day guards the platform, not the customer's purse: it stops nobody while the ledger
/// is away, and all of it is known afterwards.
#[tokio::test]
async fn the_daily_gain_stops_nobody_while_redis_is_away() {
    let settings = "apps: [{ app_id: 1, plan: pro, limits: { groups_gained_daily: 7 } }]\n";
    let mut redis = RedisServer::with(Persistence::AppendOnly, &[]);
    let first = Sidecar::start(&redis.url(), settings).await;
    let second = Sidecar::start(&redis.url(), settings).await;
    let clients = [first.client().await, second.client().await];
    for client in &clients {
        client.record(PRO, ["ann"]).await;
        admitted(client, PRO, Group).await;
    }
    redis = beside(redis, RedisServer::stop).await;
    for client in &clients {
        for _ in 0..10 {
            let answer = client.create(PRO, Group).await;
            assert_eq!(
                (verdict(&answer), answer.source()),
                (ALLOW, Source::Degraded),
                "{answer:?}"
            );
        }
        // The same users through both are still the same users.
        client.record(PRO, ["ann", "bob", "cid"]).await;
    }
    let _redis = beside(redis, RedisServer::start_again).await;
    let mut gained = 22;
    for client in &clients {
        let refusal = until("the ledger is asked again", async || {
            let answer = client.create(PRO, Group).await;
            if verdict(&answer) == ALLOW {
                assert_eq!(answer.source(), Source::Degraded, "{answer:?}");
                gained += 1;
                return Err(answer);
            }
            Ok(answer)
        })
        .await;
        assert_eq!((verdict(&refusal), refusal.limit), (GAIN_FULL, Some(7)));
    }
    for client in &clients {
        until("all is known", async || match client.usage(PRO).await {
            usage if (usage.groups_gained_today, usage.daily_active) == (gained, 3) => Ok(()),
            usage => Err((usage, gained)),
        })
        .await;
    }
}

/// What was created and deleted while Redis was away is nothing, in whichever order it is told.
#[tokio::test]
async fn what_comes_and_goes_while_redis_hangs_leaves_nothing() {
    let redis = RedisServer::start();
    let sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    admitted(&client, PRO, Group).await;
    for round in 0..3 {
        redis.suspend();
        for _ in 0..10 {
            assert_eq!(verdict(&client.create(PRO, Group).await), ALLOW);
        }
        for _ in 0..10 {
            // The last of them meet a ledger that is back and has not heard of what they delete.
            let freed = client.release(deletion(PRO, Group, 1)).await;
            assert_eq!(freed.released, 1, "{freed:?}");
            if round > 0 {
                redis.resume();
            }
        }
        redis.resume();
    }
    until("one is left", async || {
        let usage = client.usage(PRO).await;
        match (
            usage.degraded,
            used(&usage, Group),
            usage.groups_gained_today,
        ) {
            (false, 1, 1) => Ok(()),
            found => Err(found),
        }
    })
    .await;
}
