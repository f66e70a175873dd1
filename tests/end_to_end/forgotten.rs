//! A Redis that has forgotten: its silence is never read as an empty ledger.

use imquota::grpc::proto::{Resource, Source};

use crate::client::{ALLOW, Client, UNAVAILABLE, verdict};
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::stores::beside;

const TRIAL: u64 = 1;
const PRO: u64 = 2;

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: trial }
  - { app_id: 2, plan: pro }
";

use Resource::{Account, AvRoom, Group};

async fn start(redis: &RedisServer) -> (Sidecar, Client) {
    let sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    (sidecar, client)
}

/// Creates some of everything.
async fn create_some(client: &Client, times: u64) {
    for _ in 0..times {
        for (app, resource) in [
            (TRIAL, Account),
            (PRO, AvRoom),
            (PRO, Account),
            (PRO, Group),
        ] {
            assert_eq!(verdict(&client.create(app, resource).await), ALLOW);
        }
    }
}

/// Hard limits are refused, whatever is asked how often; the rest goes on.
async fn is_frozen(client: &Client) {
    for _ in 0..10 {
        for (app, resource) in [(TRIAL, Account), (TRIAL, AvRoom), (PRO, AvRoom)] {
            let answer = client.create(app, resource).await;
            assert_eq!(verdict(&answer), UNAVAILABLE, "{answer:?}");
            assert!(answer.retry_after.is_some());
        }
    }
    for resource in [Account, Group] {
        let answer = client.create(PRO, resource).await;
        assert_eq!(
            (verdict(&answer), answer.source()),
            (ALLOW, Source::Degraded)
        );
    }
    assert!(client.usage(TRIAL).await.degraded);
}

#[tokio::test]
async fn a_flushed_redis_is_not_an_empty_one() {
    let redis = RedisServer::start();
    let (mut sidecar, client) = start(&redis).await;
    create_some(&client, 5).await;
    redis.flush_all();
    // From the first call on: no place of the limit is given again.
    assert_eq!(verdict(&client.create(TRIAL, Account).await), UNAVAILABLE);
    sidecar.process().says("forgotten").await;
    is_frozen(&client).await;

    // A newcomer that never saw what was there is told.
    let (_newcomer, stranger) = start(&redis).await;
    is_frozen(&stranger).await;

    // Nor does a restart help, of either kind.
    sidecar.kill().await;
    sidecar.start_again().await;
    is_frozen(&sidecar.client().await).await;
    sidecar.stop().await;
    sidecar.start_again().await;
    is_frozen(&sidecar.client().await).await;
}

#[tokio::test]
async fn a_redis_that_was_flushed_between_two_runs_is_found_out() {
    let redis = RedisServer::start();
    let (mut sidecar, client) = start(&redis).await;
    create_some(&client, 5).await;
    sidecar.stop().await;
    redis.flush_all();
    sidecar.start_again().await;
    let client = sidecar.client().await;
    is_frozen(&client).await;
    let (_newcomer, stranger) = start(&redis).await;
    is_frozen(&stranger).await;
    // What this sidecar counted from memory is not forgotten.
    assert_eq!(client.used(PRO, Account).await, 5 + 1);
}

#[tokio::test]
async fn an_older_snapshot_is_found_out() {
    let mut redis = RedisServer::start();
    let (sidecar, client) = start(&redis).await;
    create_some(&client, 5).await;
    let old = redis.save();
    create_some(&client, 5).await;
    redis = beside(redis, RedisServer::stop).await;
    redis.restore(&old);
    let redis = beside(redis, RedisServer::start_again).await;
    sidecar.process().says("lost writes").await;
    let (_newcomer, stranger) = start(&redis).await;
    for client in [&client, &stranger] {
        for _ in 0..10 {
            for (app, resource) in [(TRIAL, Account), (TRIAL, AvRoom), (PRO, AvRoom)] {
                let answer = client.create(app, resource).await;
                assert_eq!(verdict(&answer), UNAVAILABLE, "{answer:?}");
            }
        }
        assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
    }
}

#[tokio::test]
async fn a_copy_of_a_data_folder_is_no_second_member() {
    let redis = RedisServer::start();
    let (mut sidecar, client) = start(&redis).await;
    create_some(&client, 5).await;
    sidecar.stop().await;
    let mut copy = Sidecar::new(&redis.url(), SETTINGS);
    copy.take_data_of(&sidecar);
    sidecar.start_again().await;
    let client = sidecar.client().await;
    create_some(&client, 1).await;

    copy.start_again().await;
    is_frozen(&copy.client().await).await;
    // The one that was there goes on, and knows nothing of what the copy did.
    create_some(&client, 1).await;
    assert_eq!(client.used(TRIAL, Account).await, 7);
    assert_eq!(client.used(PRO, Account).await, 7);
}
