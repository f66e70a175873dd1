//! `kill -9` at the moments at which files are made, saved and removed: in a start, in an end, right
//! after a checkpoint. Every call before was answered, so that the counts are exact.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join_all;
use imquota::grpc::proto::{RecordActiveRequest, Resource};
use rustix::process::Signal;
use tokio::time::sleep;

use crate::client::{ALLOW, Client, used, verdict};
use crate::redis_server::{Persistence, RedisServer};
use crate::sidecar::Sidecar;
use crate::stores::{Store, beside, on_both_stores};
use crate::wait::until;

const FLAGSHIP: u64 = 1;
const TIGHT: u64 = 2;

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: flagship, limits: { groups_gained_daily: unlimited } }
  - { app_id: 2, plan: pro, limits: { accounts: 1000000 } }
";

/// How many moments of a start, and of an end, are tried.
const MOMENTS: u32 = 16;
/// Between two of them: all of them together last as long as a start on a busy machine.
const BETWEEN: Duration = Duration::from_millis(9);
/// A checkpoint is made when a change is half a minute old.
const CHECKPOINT_MAX: Duration = Duration::from_mins(1);

use Resource::{Account, AvRoom, Group};

/// How many rounds were counted, by the gateway's book.
#[derive(Default)]
struct Book(u64);

impl Book {
    /// One of everything, and a release.
    async fn count(&mut self, client: &Client) {
        self.0 += 1;
        for (app, resource) in [
            (FLAGSHIP, Account),
            (FLAGSHIP, Group),
            (FLAGSHIP, Group),
            (FLAGSHIP, AvRoom),
            (TIGHT, Account),
            (TIGHT, Account),
            (TIGHT, Group),
        ] {
            assert_eq!(verdict(&client.create(app, resource).await), ALLOW);
        }
        for (app, resource) in [(FLAGSHIP, Group), (TIGHT, Account)] {
            let freed = client
                .release(crate::client::deletion(app, resource, 1))
                .await;
            assert_eq!(freed.released, 1, "{freed:?}");
        }
        client
            .record(FLAGSHIP, [format!("user-{}", self.0), "ann".into()])
            .await;
        let increment = RecordActiveRequest {
            app_id: TIGHT,
            increment: 3,
            ..Default::default()
        };
        client.try_record(increment).await.expect("it is answered");
    }

    /// The sidecar knows exactly what was counted.
    async fn check(&self, client: &Client) {
        let (one, two) = (client.usage(FLAGSHIP).await, client.usage(TIGHT).await);
        let times = |number: u64| self.0 * number;
        assert_eq!(
            [Account, Group, AvRoom].map(|what| used(&one, what)),
            [1, 2, 1].map(times)
        );
        assert_eq!(
            [Account, Group, AvRoom].map(|what| used(&two, what)),
            [1, 1, 0].map(times)
        );
        assert_eq!(
            (one.daily_active, two.daily_active),
            (times(1) + 1, times(3))
        );
        let gained = (
            one.groups_gained_today.unsigned_abs(),
            two.groups_gained_today.unsigned_abs(),
        );
        assert_eq!(gained, (times(2), times(1)));
        assert!(!one.degraded && !two.degraded);
    }
}

async fn a_kill_in_a_start(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let mut book = Book::default();
    for moment in 0..MOMENTS {
        book.count(&sidecar.client().await).await;
        sidecar.kill().await;
        let starting = sidecar.launch();
        sleep(BETWEEN * moment).await;
        starting.signal(Signal::KILL);
        starting.ended().await;
        sidecar.start_again().await;
        book.check(&sidecar.client().await).await;
    }
}

async fn a_kill_in_an_end(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let mut book = Book::default();
    for moment in 0..MOMENTS {
        book.count(&sidecar.client().await).await;
        sidecar.process().signal(Signal::TERM);
        sleep(BETWEEN / 5 * moment).await;
        sidecar.kill().await;
        sidecar.start_again().await;
        book.check(&sidecar.client().await).await;
    }
}

async fn a_kill_after_a_checkpoint(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let first = sidecar.data().join("log-0000000001.imq");
    assert!(first.exists());
    let mut book = Book::default();
    let counted = async {
        while first.exists() {
            book.count(&client).await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(CHECKPOINT_MAX, counted).await;
    in_time.expect("a checkpoint cuts the log");
    sidecar.kill().await;
    sidecar.start_again().await;
    book.check(&sidecar.client().await).await;
    book.count(&sidecar.client().await).await;
    sidecar.stop().await;
    sidecar.start_again().await;
    book.check(&sidecar.client().await).await;
}

on_both_stores!(
    a_kill_in_a_start,
    a_kill_in_an_end,
    a_kill_after_a_checkpoint
);

/// While Redis is away the same users are journaled with each call: the log fills up, is turned, and
/// is cut by a checkpoint, all of it under the load.
#[tokio::test]
async fn a_kill_after_the_log_was_full() {
    let mut redis = RedisServer::with(Persistence::AppendOnly, &[]);
    let mut sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let clients = [sidecar.client().await, sidecar.client().await];
    clients[0].record(FLAGSHIP, ["ann"]).await;
    redis = beside(redis, RedisServer::stop).await;
    let first = sidecar.data().join("log-0000000001.imq");
    let counted = Cell::new(0);
    let load = clients.iter().map(|client| async {
        while first.exists() {
            client
                .record(FLAGSHIP, (0..1000).map(|user| format!("user-{user}")))
                .await;
            for resource in [Account, Group] {
                assert_eq!(verdict(&client.create(FLAGSHIP, resource).await), ALLOW);
            }
            counted.set(counted.get() + 1);
        }
    });
    join_all(load).await;
    sidecar.kill().await;
    let _redis = beside(redis, RedisServer::start_again).await;
    sidecar.start_again().await;
    let client = sidecar.client().await;
    until("the ledger was told", async || {
        let usage = client.usage(FLAGSHIP).await;
        let counts = [Account, Group].map(|resource| used(&usage, resource));
        let told = (usage.degraded, counts, usage.daily_active);
        if told == (false, [counted.get(); 2], 1001) {
            Ok(())
        } else {
            Err(told)
        }
    })
    .await;
}
