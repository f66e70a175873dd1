//! Trouble with Redis under a load, through two sidecars: when it is over, the ledger says what the
//! clients' own books say, and no limit was passed.

use futures_util::future::join_all;
use imquota::grpc::proto::{CheckRequest, Resource};

use crate::client::{ACCOUNTS_FULL, ALLOW, Client, UNAVAILABLE, creation, deletion, used, verdict};
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

use Resource::{Account, Group};

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
    // What is left of the limit can be had, also what is lent to the other, and not one place more.
    let mut all = expected[2];
    until("every place is given", async || {
        while verdict(&clients[0].create(TIGHT, Account).await) == ALLOW {
            all += 1;
        }
        if all < TIGHT_LIMIT { Err(all) } else { Ok(()) }
    })
    .await;
    assert_eq!(all, TIGHT_LIMIT);
    for client in &clients[..2] {
        assert_eq!(verdict(&client.create(TIGHT, Account).await), ACCOUNTS_FULL);
    }
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
