//! What is admitted while Redis is away is the operator's choice, resource by resource.

use std::time::{Duration, Instant};

use imquota::grpc::proto::{CheckResponse, RecordActiveRequest, Resource, Source};

use crate::client::{ACCOUNTS_FULL, ALLOW, Client, UNAVAILABLE, creation, used, verdict};
use crate::redis_server::{Persistence, RedisServer};
use crate::sidecar::Sidecar;
use crate::stores::beside;
use crate::wait::until;

const PRO: u64 = 1;
const TIGHT: u64 = 2;
const TIGHT_LIMIT: u64 = 3;

use Resource::{Account, AvRoom, Group};

/// Two apps: one with unlimited accounts and a gain of 7 groups a day, one with three accounts.
fn settings(outage: &str) -> String {
    format!(
        "outage: {outage}
apps:
  - {{ app_id: {PRO}, plan: pro, limits: {{ groups_gained_daily: 7 }} }}
  - {{ app_id: {TIGHT}, plan: pro, limits: {{ accounts: {TIGHT_LIMIT} }} }}
"
    )
}

/// A running sidecar that has met its ledger.
async fn start(outage: &str) -> (RedisServer, Sidecar, Client) {
    let redis = RedisServer::with(Persistence::AppendOnly, &[]);
    let sidecar = Sidecar::start(&redis.url(), &settings(outage)).await;
    let client = sidecar.client().await;
    back(&client).await;
    (redis, sidecar, client)
}

/// Waits until the ledger is asked again.
async fn back(client: &Client) {
    until("the ledger answers", async || {
        match client.usage(TIGHT).await {
            usage if usage.degraded => Err(usage),
            _ => Ok(()),
        }
    })
    .await;
}

fn is_beyond(answer: &CheckResponse) -> bool {
    (verdict(answer), answer.source()) == (ALLOW, Source::Degraded)
}

fn is_refused(answer: &CheckResponse, limit: Option<u64>) -> bool {
    let refused = (verdict(answer), answer.source()) == (UNAVAILABLE, Source::Degraded);
    refused && answer.limit == limit && answer.retry_after.is_some()
}

/// Waits until `app` shows so many of `resource`, all of them in the ledger.
async fn settled(client: &Client, app: u64, resource: Resource, count: u64) {
    until("all is settled", async || match client.usage(app).await {
        usage if !usage.degraded && used(&usage, resource) == count => Ok(()),
        usage => Err(usage),
    })
    .await;
}

#[tokio::test]
async fn limits_are_kept_unless_somebody_chose_otherwise() {
    let (redis, mut sidecar, client) = start("{}").await;
    let _redis = beside(redis, RedisServer::stop).await;
    for _ in 0..5 {
        let answer = client.create(TIGHT, Account).await;
        assert!(is_refused(&answer, Some(TIGHT_LIMIT)), "{answer:?}");
        let answer = client.create(PRO, AvRoom).await;
        assert!(is_refused(&answer, Some(50)), "{answer:?}");
    }
    let said = sidecar.kill().await.stderr;
    assert!(!said.contains("limits are lifted"), "{said}");
}

#[tokio::test]
async fn what_is_admitted_beyond_a_limit_is_counted_and_named() {
    let (redis, mut sidecar, client) = start("{ accounts: admit }").await;
    assert_eq!(verdict(&client.create(TIGHT, Account).await), ALLOW);
    let redis = beside(redis, RedisServer::stop).await;
    for count in 2..=11 {
        let answer = client.create(TIGHT, Account).await;
        assert!(is_beyond(&answer), "{answer:?}");
        let seen = (answer.limit, answer.used, answer.remaining);
        let left = TIGHT_LIMIT.saturating_sub(count);
        assert_eq!(seen, (Some(TIGHT_LIMIT), count, Some(left)));
    }
    // Other limits are kept.
    let answer = client.create(PRO, AvRoom).await;
    assert!(is_refused(&answer, Some(50)), "{answer:?}");
    let lifted = sidecar.process().says("limits are lifted").await;
    assert!(
        lifted.contains("WARN") && lifted.contains("Accounts"),
        "{lifted}"
    );

    // It outlives the process that admitted it.
    sidecar.kill().await;
    let redis = beside(redis, RedisServer::start_again).await;
    sidecar.start_again().await;
    let client = sidecar.client().await;
    settled(&client, TIGHT, Account, 11).await;
    let all = 11 + until_full(&client).await;
    settled(&client, TIGHT, Account, all).await;
    let other = Sidecar::start(&redis.url(), &settings("{}")).await;
    settled(&other.client().await, TIGHT, Account, all).await;
}

/// Creates until the ledger says that the limit is passed. Answers how many were admitted until then: one
/// that comes back may take a while before it judges again.
async fn until_full(client: &Client) -> u64 {
    let mut admitted = 0;
    until("the ledger judges", async || {
        let answer = client.create(TIGHT, Account).await;
        if verdict(&answer) == ACCOUNTS_FULL {
            return Ok(());
        }
        admitted += u64::from(is_beyond(&answer));
        Err(answer)
    })
    .await;
    admitted
}

#[tokio::test]
async fn the_end_of_the_outage_closes_the_window() {
    let (redis, sidecar, client) = start("{ accounts: admit }").await;
    let redis = beside(redis, RedisServer::stop).await;
    for _ in 0..7 {
        assert!(is_beyond(&client.create(TIGHT, Account).await));
    }
    let _redis = beside(redis, RedisServer::start_again).await;
    let closed = sidecar.process().says("limits hold again").await;
    assert!(closed.contains("\"admitted\":7"), "{closed}");
    settled(&client, TIGHT, Account, 7).await;
    let said = sidecar.process().stderr();
    for words in ["limits are lifted", "limits hold again"] {
        assert_eq!(said.matches(words).count(), 1, "{words} in {said}");
    }
    until_full(&client).await;
}

/// Creates until it is refused, as fast as it is answered. Answers how many were admitted, and when that
/// ended.
async fn until_refused(client: &Client) -> (u64, Instant) {
    let mut admitted = 0;
    until("the window ends", async || {
        let answer = client.create(TIGHT, Account).await;
        if is_refused(&answer, Some(TIGHT_LIMIT)) {
            return Ok(());
        }
        assert!(is_beyond(&answer), "{answer:?}");
        admitted += 1;
        Err(answer)
    })
    .await;
    (admitted, Instant::now())
}

#[tokio::test]
async fn a_window_lasts_as_long_as_it_says_from_the_first_failure() {
    const WINDOW: Duration = Duration::from_secs(2);
    let (mut redis, sidecar, client) = start("{ accounts: 2s }").await;
    let mut all = 0;
    for _ in 0..2 {
        let began = Instant::now();
        redis = beside(redis, RedisServer::stop).await;
        let (admitted, ended) = until_refused(&client).await;
        assert!(admitted > 0);
        assert!(ended - began >= WINDOW, "{:?}", ended - began);
        all += admitted;
        // Each probe of the ledger fails meanwhile, and none of them begins another window.
        while ended.elapsed() < WINDOW {
            let answer = client.create(TIGHT, Account).await;
            assert!(is_refused(&answer, Some(TIGHT_LIMIT)), "{answer:?}");
        }
        sidecar.process().says("limits hold again").await;
        redis = beside(redis, RedisServer::start_again).await;
        settled(&client, TIGHT, Account, all).await;
        all += until_full(&client).await;
    }
    settled(&client, TIGHT, Account, all).await;
}

#[tokio::test]
async fn the_daily_gain_can_be_guarded_too() {
    let (redis, _sidecar, client) = start("{ groups_gained_daily: deny }").await;
    assert_eq!(verdict(&client.create(PRO, Group).await), ALLOW);
    let redis = beside(redis, RedisServer::stop).await;
    for _ in 0..5 {
        let answer = client.create(PRO, Group).await;
        assert!(is_refused(&answer, Some(7)), "{answer:?}");
        assert!(is_beyond(&until_degraded(&client, PRO, Account).await));
    }
    let _redis = beside(redis, RedisServer::start_again).await;
    settled(&client, PRO, Group, 1).await;
}

/// A creation that meets a ledger known to be away: one that is counted from memory does not find out.
async fn until_degraded(client: &Client, app: u64, resource: Resource) -> CheckResponse {
    until("the ledger is missed", async || {
        match client.create(app, resource).await {
            answer if answer.source() == Source::Degraded => Ok(answer),
            answer => Err(answer),
        }
    })
    .await
}

#[tokio::test]
async fn what_is_metered_can_be_stopped_and_what_has_happened_is_kept() {
    let (redis, _sidecar, client) = start("{ metered: deny, accounts: admit }").await;
    assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
    settled(&client, PRO, Account, 1).await;
    let redis = beside(redis, RedisServer::stop).await;
    // Where a limit is lifted nothing is metered; and by this creation the outage is found.
    assert!(is_beyond(&client.create(TIGHT, Account).await));
    for _ in 0..5 {
        let answer = client.create(PRO, Account).await;
        assert!(is_refused(&answer, None), "{answer:?}");
        // No limit stops a group but the day's, and it is metered as well.
        let answer = client.create(PRO, Group).await;
        assert!(is_refused(&answer, None), "{answer:?}");
    }
    let counted = RecordActiveRequest {
        app_id: PRO,
        increment: 3,
        ..Default::default()
    };
    let answer = client.try_record(counted).await.expect("it has happened");
    assert_eq!(answer.source(), Source::Degraded);
    let _redis = beside(redis, RedisServer::start_again).await;
    settled(&client, TIGHT, Account, 1).await;
    settled(&client, PRO, Account, 1).await;
    assert_eq!(client.usage(PRO).await.daily_active, 3);
    assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
}

#[tokio::test]
async fn a_callers_own_deadline_lifts_no_limit() {
    let (redis, _sidecar, client) = start("{ accounts: admit }").await;
    redis.suspend();
    let mut check = tonic::Request::new(creation(TIGHT, Account));
    check.set_timeout(Duration::from_millis(200));
    // The ledger is waited for longer than that: nobody knows yet that it is away.
    if let Ok(answer) = client.try_check(check).await {
        assert!(is_refused(&answer, Some(TIGHT_LIMIT)), "{answer:?}");
    }
    redis.resume();
    settled(&client, TIGHT, Account, 0).await;
}
