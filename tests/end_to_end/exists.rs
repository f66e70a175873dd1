//! Creations that happened anyway: counted once, whatever they exceed.

use imquota::grpc::proto::{CheckMode, CheckRequest, Decision, DenyReason, Resource, Source};

use crate::client::{ALLOW, GAIN_FULL, ROOMS_FULL, UNKNOWN, creation, deletion, used, verdict};
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::until;

const PRO: u64 = 1;
const OFF: u64 = 2;
const SLOW: u64 = 4;
const SETTINGS: &str = "
store: { timeout: 500ms }
apps:
  - { app_id: 1, plan: pro, limits: { av_rooms: 3 } }
  - { app_id: 2, plan: trial, disabled: true }
  - { app_id: 4, plan: pro, limits: { groups_gained_daily: 2 } }
";
/// Counted, and at its limit.
const OVER: (Decision, DenyReason, u32) = (Decision::Allow, DenyReason::LimitReached, 0);

use Resource::{Account, AvRoom, Group};

fn room(id: &str) -> CheckRequest {
    CheckRequest {
        request_id: id.into(),
        ..creation(PRO, AvRoom)
    }
}

fn exists(check: CheckRequest) -> CheckRequest {
    CheckRequest {
        mode: CheckMode::Record.into(),
        ..check
    }
}

async fn what_exists_is_counted_above_the_limit(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for id in ["1", "2", "3"] {
        let answer = client.check(exists(room(id))).await;
        assert_eq!((verdict(&answer), answer.replayed), (ALLOW, false));
    }
    assert_eq!(verdict(&client.check(room("4")).await), ROOMS_FULL);
    for (id, used) in [("4", 4), ("5", 5)] {
        let answer = client.check(exists(room(id))).await;
        assert_eq!(
            (verdict(&answer), answer.replayed),
            (OVER, false),
            "{answer:?}"
        );
        assert_eq!((answer.used, answer.remaining), (used, Some(0)));
    }
    // Told again it is not counted again, also behind a kill; nor is a check that asks for the same.
    for _ in 0..2 {
        let client = sidecar.client().await;
        for id in ["1", "2", "3", "4", "5"] {
            let answer = client.check(exists(room(id))).await;
            assert_eq!(answer.decision(), Decision::Allow, "{id}: {answer:?}");
            assert!(answer.replayed, "{id}: {answer:?}");
        }
        assert!(client.check(room("5")).await.replayed);
        assert_eq!(client.used(PRO, AvRoom).await, 5);
        sidecar.kill().await;
        sidecar.start_again().await;
    }
    // Nothing more is admitted until enough was deleted.
    let client = sidecar.client().await;
    assert_eq!(verdict(&client.create(PRO, AvRoom).await), ROOMS_FULL);
    assert_eq!(client.release(deletion(PRO, AvRoom, 3)).await.released, 3);
    until("a place is free", async || {
        let answer = client.create(PRO, AvRoom).await;
        if verdict(&answer) == ALLOW {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await;
    assert_eq!(client.used(PRO, AvRoom).await, 3);
}

/// What it says is which of its limits is passed: here that of the day.
async fn what_exists_is_counted_above_the_gain_of_a_day(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let group = |id: &str| CheckRequest {
        request_id: id.into(),
        ..creation(SLOW, Group)
    };
    for id in ["1", "2"] {
        assert_eq!(verdict(&client.check(exists(group(id))).await), ALLOW);
    }
    assert_eq!(verdict(&client.check(group("3")).await), GAIN_FULL);
    let told = client.check(exists(group("3"))).await;
    let beyond = (Decision::Allow, DenyReason::DailyGainReached, 0);
    assert_eq!((verdict(&told), told.replayed), (beyond, false), "{told:?}");
    assert!(client.check(exists(group("3"))).await.replayed);
    let usage = client.usage(SLOW).await;
    assert_eq!((used(&usage, Group), usage.groups_gained_today), (3, 3));
}

async fn a_disabled_app_has_what_it_has(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    assert_eq!(
        verdict(&client.check(exists(creation(OFF, Group))).await),
        ALLOW
    );
    assert_eq!(client.used(OFF, Group).await, 1);
    assert_eq!(
        verdict(&client.check(exists(creation(3, Group))).await),
        UNKNOWN
    );
    assert_eq!(
        verdict(&client.check(exists(creation(PRO, Account))).await),
        ALLOW
    );
}

on_both_stores!(
    what_exists_is_counted_above_the_limit,
    what_exists_is_counted_above_the_gain_of_a_day,
    a_disabled_app_has_what_it_has,
);

/// A gateway as they are: 20 ms for an answer, three tries under one id, then the room is let through
/// and told of.
#[tokio::test]
async fn what_a_gateway_let_through_while_redis_hung_is_counted_once() {
    let redis = RedisServer::start();
    let sidecars = [
        Sidecar::start(&redis.url(), SETTINGS).await,
        Sidecar::start(&redis.url(), SETTINGS).await,
    ];
    let client = sidecars[0].client().await;
    until("a room is admitted", async || {
        let answer = client.check(room("first")).await;
        if verdict(&answer) == ALLOW {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await;
    redis.suspend();
    for id in ["a", "b", "c", "d"] {
        for _ in 0..3 {
            let mut tried = tonic::Request::new(room(id));
            tried.set_timeout(std::time::Duration::from_millis(20));
            if let Ok(answer) = client.try_check(tried).await {
                assert_eq!(answer.reason(), DenyReason::StoreUnavailable, "{answer:?}");
            }
        }
        let answer = client.check(exists(room(id))).await;
        assert_eq!(answer.decision(), Decision::Allow, "{answer:?}");
        assert_eq!(answer.source(), Source::Degraded);
    }
    redis.resume();
    // Whatever of the tries was executed when Redis went on is withdrawn.
    for sidecar in &sidecars {
        let client = sidecar.client().await;
        until("five rooms are counted", async || {
            let usage = client.usage(PRO).await;
            match (usage.degraded, used(&usage, AvRoom)) {
                (false, 5) => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }
    let answer = client.check(exists(room("d"))).await;
    assert!(answer.replayed, "{answer:?}");
    assert_eq!(client.used(PRO, AvRoom).await, 5);
}
