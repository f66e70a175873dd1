//! A Redis that loses writes under a load: members tell it what they know, and no operator does anything.

use crate::fleet::{Book, Fleet};
use crate::redis_server::{Persistence, RedisServer};
use crate::relay::Relay;
use crate::stores::beside;
use crate::wait::until;

/// Runs a load through `sidecars` while `hurt` makes their Redis forget something. All that was answered is
/// known afterwards.
async fn survives(sidecars: usize, hurt: impl AsyncFnOnce(RedisServer, &Book) -> RedisServer) {
    let redis = RedisServer::start();
    let fleet = Fleet::start(&redis.url(), sidecars).await;
    let book = Book::default();
    let _redis = fleet
        .under_load(&book, async |book| {
            let redis = hurt(redis, book).await;
            // Until then the loss may not have been seen.
            fleet.sidecars[0]
                .process()
                .says("all sidecars tell it")
                .await;
            redis
        })
        .await;
    fleet.agrees(&book).await;
    fleet.fills_up(&book).await;
}

#[tokio::test]
async fn a_flush_through_two_sidecars() {
    survives(2, async |redis, _| {
        redis.flush_all();
        redis
    })
    .await;
}

#[tokio::test]
async fn a_flush_through_three_sidecars() {
    survives(3, async |redis, _| {
        redis.flush_all();
        redis
    })
    .await;
}

/// The server goes on, in the same run, with what it had some calls ago.
#[tokio::test]
async fn an_older_state_of_the_same_run() {
    survives(2, async |redis, book| {
        redis.save();
        book.progress.after(100).await;
        redis.command::<()>(&["DEBUG", "RELOAD", "NOSAVE"]);
        redis
    })
    .await;
}

#[tokio::test]
async fn an_older_snapshot_of_a_killed_server() {
    survives(3, async |redis, book| {
        let old = redis.save();
        book.progress.after(100).await;
        let redis = beside(redis, RedisServer::kill).await;
        redis.restore(&old);
        beside(redis, RedisServer::start_again).await
    })
    .await;
}

/// What was told is forgotten again, before all have told it.
#[tokio::test]
async fn a_second_flush_while_members_tell() {
    let redis = RedisServer::start();
    let fleet = Fleet::start(&redis.url(), 3).await;
    let book = Book::default();
    fleet
        .under_load(&book, async |_| {
            redis.flush_all();
            fleet.sidecars[1]
                .process()
                .says("all sidecars tell it")
                .await;
            redis.flush_all();
            let epochs = || {
                let log = fleet.sidecars[1].process().stderr();
                log.matches("all sidecars tell it").count()
            };
            until("the second loss is seen", async || {
                if epochs() >= 2 { Ok(()) } else { Err(epochs()) }
            })
            .await;
        })
        .await;
    fleet.agrees(&book).await;
    fleet.fills_up(&book).await;
}

/// A fail-over to a replica that lacks the last writes, a member among them.
#[tokio::test]
async fn a_replica_that_lacks_the_last_writes_is_promoted() {
    let master = RedisServer::start();
    let port = master.port().to_string();
    let replica = RedisServer::with(Persistence::None, &["--replicaof", "127.0.0.1", &port]);
    until("the replica has everything", async || {
        let info: String = replica.command(&["INFO", "replication"]);
        if info.contains("master_link_status:up") {
            Ok(())
        } else {
            Err(info)
        }
    })
    .await;
    let relay = Relay::to(master.port()).await;
    let mut fleet = Fleet::start(&relay.url(), 2).await;
    let book = Book::default();
    fleet.under_load(&book, async |_| {}).await;
    replica.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    // Of this one the replica never hears.
    fleet.join(&relay.url()).await;
    fleet
        .under_load(&book, async |book| {
            book.progress.after(100).await;
            relay.lead_to(replica.port());
            fleet.sidecars[0]
                .process()
                .says("all sidecars tell it")
                .await;
        })
        .await;
    fleet.agrees(&book).await;
    fleet.fills_up(&book).await;
}

/// The pod that died is gone with its data: what it had not told is refused, honestly, and the log says what
/// to do. Its silence is not taken for an answer before that.
#[tokio::test]
async fn a_member_that_never_comes_back_is_waited_for() {
    let redis = RedisServer::start();
    let mut fleet = Fleet::start(&redis.url(), 2).await;
    let book = Book::default();
    fleet.under_load(&book, async |_| {}).await;
    let mut lost = fleet.take(1);
    lost.kill().await;
    redis.flush_all();
    fleet.sidecars[0]
        .process()
        .says("all sidecars tell it")
        .await;
    // It is open as long as somebody is missing: nothing is admitted under the limit.
    let until_open = tokio::time::Instant::now() + std::time::Duration::from_secs(7);
    while tokio::time::Instant::now() < until_open {
        let before = book.from_memory.get();
        if book.create(&fleet.clients[0]).await {
            assert!(
                book.from_memory.get() > before,
                "only what was lent, within its lease"
            );
        }
    }
    assert!(!book.create(&fleet.clients[0]).await);
    // With its folder it is as if nothing had been.
    lost.start_again().await;
    fleet.put(lost).await;
    fleet.answers().await;
    fleet.agrees(&book).await;
    fleet.fills_up(&book).await;
}
