//! Redis away: what is refused, what goes on, and that the books agree when it is back.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use imquota::grpc::proto::{CheckRequest, RecordActiveRequest, Resource, Source};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

use crate::client::{
    ACCOUNTS_FULL, ALLOW, Client, GAIN_FULL, UNAVAILABLE, creation, deletion, used, verdict,
};
use crate::redis_server::{Persistence, RedisServer};
use crate::sidecar::Sidecar;
use crate::stores::beside;
use crate::tally::{Objects, Progress, Shared};
use crate::wait::until;

const PRO: u64 = 1;
const TIGHT: u64 = 2;
const TIGHT_LIMIT: u64 = 300;

/// The time that a check waits for the ledger is the default of half a second.
const SETTINGS: &str = "
store: { timeout: 500ms }
apps:
  - { app_id: 1, plan: pro }
  - { app_id: 2, plan: pro, limits: { accounts: 300 } }
";

use Resource::{Account, AvRoom, Group};

/// A check of a hard limit is refused, honestly and in time.
async fn hard_limits_are_refused(client: &Client) {
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
async fn metered_resources_go_on(client: &Client, times: u64) {
    for resource in [Account, Group] {
        for _ in 0..times {
            let answer = client.create(PRO, resource).await;
            assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
            assert_eq!(answer.source(), Source::Degraded, "{answer:?}");
        }
    }
}

/// Waits until a creation under a hard limit is admitted.
async fn admitted(client: &Client, app: u64, resource: Resource) {
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
    let sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
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

/// What a load did, by its own book.
#[derive(Default)]
struct Book {
    accounts: Objects,
    groups: Objects,
    tight: Objects,
    users: u64,
    refused: u64,
}

type Load<'a> = (&'a Client, &'a Shared<Book>, &'a Progress);

async fn create(
    (client, book, progress): Load<'_>,
    app: u64,
    resource: Resource,
    objects: impl Fn(&mut Book) -> &mut Objects,
) {
    let check = CheckRequest {
        amount: 2,
        ..creation(app, resource)
    };
    let answer = client.check(check).await;
    let verdict = verdict(&answer);
    let by_limit = app == TIGHT && (verdict == UNAVAILABLE || verdict == ACCOUNTS_FULL);
    assert!(verdict == ALLOW || by_limit, "{answer:?}");
    book.with(|book| {
        if verdict == ALLOW {
            objects(book).created.answered += 2;
        }
        book.refused += u64::from(verdict == UNAVAILABLE);
    });
    progress.step();
}

/// Gives back one of what this task knows to be there, and books what came of it.
async fn delete(
    (client, book, progress): Load<'_>,
    app: u64,
    resource: Resource,
    objects: impl Fn(&mut Book) -> &mut Objects,
) {
    let freed = client.release(deletion(app, resource, 1)).await;
    assert_eq!(freed.released, 1, "{freed:?}");
    book.with(|book| objects(book).deleted.answered += 1);
    progress.step();
}

/// Every call is answered, so that the book is exact. Creates two for each one that it deletes.
async fn load(load: Load<'_>, number: usize, stop: &Shared<bool>) {
    let (client, book, progress) = load;
    for step in 0_u32.. {
        if stop.with(|stop| *stop) {
            return;
        }
        create(load, PRO, Account, |book| &mut book.accounts).await;
        delete(load, PRO, Account, |book| &mut book.accounts).await;
        create(load, PRO, Group, |book| &mut book.groups).await;
        let before = book.with(|book| book.tight.created.answered);
        create(load, TIGHT, Account, |book| &mut book.tight).await;
        if book.with(|book| book.tight.created.answered) > before && step % 4 == 0 {
            delete(load, TIGHT, Account, |book| &mut book.tight).await;
        }
        client.record(PRO, [format!("{number}-{step}")]).await;
        book.with(|book| book.users += 1);
        progress.step();
    }
}

/// Net objects by a book in which everything was answered.
fn net(objects: Objects) -> u64 {
    objects.created.answered - objects.deleted.answered
}

/// Runs a load through two sidecars while `hurt` does something to their Redis, and after it; then
/// compares the ledger with the books. Answers how many checks were refused for want of the ledger.
async fn under_load(
    redis: RedisServer,
    hurt: impl AsyncFnOnce(RedisServer, &Progress) -> RedisServer,
) -> u64 {
    let first = Sidecar::start(&redis.url(), SETTINGS).await;
    let second = Sidecar::start(&redis.url(), SETTINGS).await;
    let mut clients = Vec::new();
    for sidecar in [&first, &second, &first, &second] {
        clients.push(sidecar.client().await);
    }
    let (book, progress, stop) = (
        Shared::new(Book::default()),
        Progress::default(),
        Shared::new(false),
    );
    let loads = clients
        .iter()
        .enumerate()
        .map(|(number, client)| load((client, &book, &progress), number, &stop));
    let trouble = async {
        progress.after(60).await;
        let redis = hurt(redis, &progress).await;
        for client in &clients[..2] {
            until("the ledger answers", async || {
                match client.usage(TIGHT).await {
                    usage if usage.degraded => Err(usage),
                    _ => Ok(()),
                }
            })
            .await;
        }
        progress.after(60).await;
        stop.with(|stop| *stop = true);
        redis
    };
    let (_, _redis) = tokio::join!(join_all(loads), trouble);

    let expected = book.with(|book| {
        assert!(net(book.tight) <= TIGHT_LIMIT);
        [
            net(book.accounts),
            net(book.groups),
            net(book.tight),
            book.users,
        ]
    });
    for client in &clients[..2] {
        until("the books agree", async || {
            let (pro, tight) = (client.usage(PRO).await, client.usage(TIGHT).await);
            let gained = u64::try_from(pro.groups_gained_today).expect("only created");
            assert_eq!(gained, used(&pro, Group));
            let found = [
                used(&pro, Account),
                gained,
                used(&tight, Account),
                pro.daily_active,
            ];
            if found == expected {
                Ok(())
            } else {
                Err((found, expected))
            }
        })
        .await;
    }
    // What is left of the limit can be had, and not one place more.
    let mut all = expected[2];
    while verdict(&clients[0].create(TIGHT, Account).await) == ALLOW {
        all += 1;
    }
    assert_eq!(all, TIGHT_LIMIT);
    book.with(|book| book.refused)
}

#[tokio::test]
async fn a_redis_that_is_restarted_loses_nothing() {
    let redis = RedisServer::with(Persistence::AppendOnly, &[]);
    let refused = under_load(redis, async |redis, progress| {
        let redis = beside(redis, RedisServer::stop).await;
        progress.after(60).await;
        beside(redis, RedisServer::start_again).await
    });
    assert!(refused.await > 0);
}

#[tokio::test]
async fn a_redis_that_is_killed_loses_nothing_that_it_wrote() {
    let redis = RedisServer::with(Persistence::AppendOnly, &[]);
    let refused = under_load(redis, async |redis, progress| {
        let redis = beside(redis, RedisServer::kill).await;
        progress.after(60).await;
        beside(redis, RedisServer::start_again).await
    });
    assert!(refused.await > 0);
}

#[tokio::test]
async fn a_redis_that_hangs_for_a_while_loses_nothing() {
    let refused = under_load(RedisServer::start(), async |redis, progress| {
        redis.suspend();
        progress.after(60).await;
        redis.resume();
        redis
    });
    assert!(refused.await > 0);
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_loses_nothing() {
    let refused = under_load(RedisServer::start(), async |redis, progress| {
        redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
        progress.after(60).await;
        redis.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
        redis
    });
    assert!(refused.await > 0);
}

#[tokio::test]
async fn lost_connections_and_scripts_are_made_anew() {
    under_load(RedisServer::start(), async |redis, progress| {
        for _ in 0..5 {
            redis.command::<u64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            progress.after(20).await;
            redis.command::<()>(&["SCRIPT", "FLUSH"]);
            progress.after(20).await;
        }
        redis
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
