//! A Redis that has forgotten something: its silence is never read as an empty ledger, and its members
//! tell it what they know. Nobody else has to do anything.

use std::time::Duration;

use futures_util::future::join_all;
use imquota::grpc::proto::{Decision, Resource, Source};
use tokio::time::Instant;

use crate::client::{ACCOUNTS_FULL, ALLOW, Client, UNAVAILABLE, used, verdict};
use crate::http;
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::stores::beside;
use crate::wait::until;

const TRIAL: u64 = 1;
const PRO: u64 = 2;

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: trial }
  - { app_id: 2, plan: pro }
";

use Resource::{Account, AvRoom, Group};

/// A lease's time: a recovery is open for so long at least, since somebody may still spend what was lent.
const LEASE: Duration = Duration::from_secs(5);

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

/// Everything that [`create_some`] created in `times` rounds is counted, by whoever is asked.
async fn are_counted(clients: &[&Client], times: u64) {
    for client in clients {
        until("the ledger was told", async || {
            let (trial, pro) = (client.usage(TRIAL).await, client.usage(PRO).await);
            let counts = [
                used(&trial, Account),
                used(&pro, AvRoom),
                used(&pro, Account),
                used(&pro, Group),
            ];
            let all = [times, times, times, 2 * times];
            if (trial.degraded || pro.degraded, counts) == (false, all) {
                Ok(())
            } else {
                Err((trial, pro, times))
            }
        })
        .await;
    }
}

/// Fills the trial app through all clients until nobody gets one any more: 100 in all, `had` included.
async fn is_filled(clients: &[&Client], mut had: u64) {
    until("every place is given", async || {
        let answers = join_all(clients.iter().map(|client| client.create(TRIAL, Account))).await;
        had += answers
            .iter()
            .filter(|answer| verdict(answer) == ALLOW)
            .count() as u64;
        let full = answers
            .iter()
            .all(|answer| verdict(answer) == ACCOUNTS_FULL);
        if full && had >= 100 {
            Ok(())
        } else {
            Err((had, answers))
        }
    })
    .await;
    assert_eq!(had, 100);
}

#[tokio::test]
async fn a_flushed_redis_is_not_an_empty_one() {
    let redis = RedisServer::start();
    let (mut first, one) = start(&redis).await;
    let (_second, two) = start(&redis).await;
    create_some(&one, 3).await;
    create_some(&two, 2).await;
    let flushed = Instant::now();
    redis.flush_all();
    // A newcomer that never saw what was there is told, too: by the one that brought the ledger back.
    first.process().says("all sidecars tell it").await;
    let newcomer = Sidecar::start_alone(&redis.url(), SETTINGS).await;
    let stranger = newcomer.client().await;
    assert_eq!(verdict(&stranger.create(TRIAL, Account).await), UNAVAILABLE);
    are_counted(&[&one, &two, &stranger], 5).await;
    assert!(flushed.elapsed() >= LEASE, "what was lent may be spent");
    // Nor does a restart change anything.
    first.kill().await;
    first.start_again().await;
    let one = first.client().await;
    are_counted(&[&one, &two], 5).await;
    is_filled(&[&one, &two, &stranger], 5).await;
}

#[tokio::test]
async fn a_redis_that_was_flushed_between_two_runs_is_told() {
    let redis = RedisServer::start();
    let (mut sidecar, client) = start(&redis).await;
    create_some(&client, 5).await;
    sidecar.kill().await;
    redis.flush_all();
    sidecar.start_again().await;
    let client = sidecar.client().await;
    sidecar.process().says("all sidecars tell it").await;
    let (_newcomer, stranger) = start(&redis).await;
    are_counted(&[&client, &stranger], 5).await;
    is_filled(&[&client, &stranger], 5).await;
}

#[tokio::test]
async fn what_an_older_snapshot_lacks_is_told() {
    let mut redis = RedisServer::start();
    let (_first, one) = start(&redis).await;
    create_some(&one, 5).await;
    let old = redis.save();
    create_some(&one, 2).await;
    // Registered after the snapshot: nothing in it knows this one.
    let (_second, two) = start(&redis).await;
    create_some(&two, 3).await;
    redis = beside(redis, RedisServer::stop).await;
    redis.restore(&old);
    let redis = beside(redis, RedisServer::start_again).await;
    let (_newcomer, stranger) = start(&redis).await;
    are_counted(&[&one, &two, &stranger], 10).await;
    is_filled(&[&one, &two, &stranger], 10).await;
}

#[tokio::test]
async fn metered_resources_go_on_while_members_tell_what_they_know() {
    let redis = RedisServer::start();
    let (_sidecar, client) = start(&redis).await;
    create_some(&client, 2).await;
    redis.flush_all();
    let mut counted = 2;
    until("the ledger answers", async || {
        let answer = client.create(PRO, Account).await;
        assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
        counted += 1;
        match client.create(TRIAL, Account).await {
            answer if answer.decision() == Decision::Allow => {
                // What was lent may be spent as long as the lease is valid.
                let lent = answer.source() == Source::Memory;
                if lent { Err(answer) } else { Ok(()) }
            }
            answer => Err(answer),
        }
    })
    .await;
    until("all is known", async || {
        let usage = client.usage(PRO).await;
        if (usage.degraded, used(&usage, Account)) == (false, counted) {
            Ok(())
        } else {
            Err((usage, counted))
        }
    })
    .await;
}

/// Who was active is told again by whoever recorded it, and what may be missing is said: by the figures, in the log,
/// on the bill.
#[tokio::test]
async fn active_users_are_told_again_and_the_bill_says_that_some_may_be_missing() {
    let redis = RedisServer::start();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let pages = folder.path().join("pages");
    let settings = format!("http_listen: \"unix:{}\"{SETTINGS}", pages.display());
    let mut first = Sidecar::start(&redis.url(), &settings).await;
    let one = first.client().await;
    let (_second, two) = start(&redis).await;
    one.record(PRO, ["ann", "bob", "cid"]).await;
    // Of those whom two sidecars know each is one.
    two.record(PRO, ["cid", "dan"]).await;
    redis.flush_all();
    first.process().says("all sidecars tell it").await;
    let line = first.process().says("told again who was active").await;
    assert!(line.contains("\"users\":3"), "{line}");
    until("all are there again", async || {
        let (a, b) = (one.usage(PRO).await, two.usage(PRO).await);
        let counts = (a.daily_active, b.daily_active);
        if (counts, a.degraded || b.degraded) == ((4, 4), false) {
            Ok(())
        } else {
            Err((a, b))
        }
    })
    .await;
    // Who is there again is not new.
    let answer = two.record(PRO, ["ann", "eve"]).await;
    until("one more is active", async || {
        let usage = one.usage(PRO).await;
        if (usage.daily_active, usage.degraded) == (5, false) {
            Ok(())
        } else {
            Err(usage)
        }
    })
    .await;
    let page = http::get(&pages, "/metrics").await;
    for (name, worth) in [
        ("imquota_active_users_told_again_total", 3.0),
        ("imquota_active_users_not_remembered", 0.0),
    ] {
        assert_eq!(page.series(name), Some(worth), "{name}: {}", page.body);
    }
    assert!(page.series("imquota_ledger_epoch_changes_total") >= Some(1.0));
    let today = &answer.day;
    let bill = one.bill(PRO, &today[..7]).await;
    let note = format!(
        "the ledger was told again what it had forgotten, on {today}: active users of that time may be missing"
    );
    assert!(bill.notes.contains(&note), "{bill:?}");
    assert_eq!(bill.lines[1].peak, 5);
    first.stop().await;
}

#[tokio::test]
async fn a_copy_of_a_data_folder_is_no_second_member() {
    let redis = RedisServer::start();
    let (mut sidecar, client) = start(&redis).await;
    create_some(&client, 5).await;
    // Killed, not stopped: a member that left in good order is another one when it starts again.
    sidecar.kill().await;
    let mut copy = Sidecar::new(&redis.url(), SETTINGS);
    copy.take_data_of(&sidecar);
    sidecar.start_again().await;
    let client = sidecar.client().await;
    create_some(&client, 1).await;

    copy.start_again().await;
    let of_copy = copy.client().await;
    for (app, resource) in [(TRIAL, Account), (TRIAL, AvRoom), (PRO, AvRoom)] {
        let answer = of_copy.create(app, resource).await;
        assert_eq!(verdict(&answer), UNAVAILABLE, "{answer:?}");
    }
    copy.process().says("another process runs on a copy").await;
    // The one that was there goes on, and knows nothing of what the copy did.
    create_some(&client, 1).await;
    are_counted(&[&client], 7).await;
}
