//! The end in good order: calls in flight are answered, nothing is lost, and nobody holds it up.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use imquota::grpc::proto::Resource;
use rustix::process::Signal;
use tokio::net::TcpStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};
use tonic_health::pb::health_client::HealthClient;

use crate::client::{ALLOW, Client, UNAVAILABLE, creation, used, verdict};
use crate::redis_server::{Persistence, RedisServer};
use crate::sidecar::Sidecar;
use crate::stores::{Store, beside, on_both_stores};
use crate::tally::{Calls, Progress, Shared};
use crate::wait::{soon, until};

const TRIAL: u64 = 1;
const PRO: u64 = 2;

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: trial, limits: { accounts: 1000000 } }
  - { app_id: 2, plan: pro }
";
/// Calls in flight have 5 seconds, the ledger 3, and a busy machine what it takes.
const END_MAX: Duration = Duration::from_secs(12);

use Resource::{Account, Group};

/// Stops the sidecar, which must end well and in time.
async fn stop(sidecar: &mut Sidecar) -> Duration {
    let began = Instant::now();
    sidecar.stop().await;
    assert!(began.elapsed() < END_MAX, "{:?}", began.elapsed());
    began.elapsed()
}

/// Creates until the server is gone, and books what was answered.
async fn create(
    client: &Client,
    app: u64,
    resource: Resource,
    book: &Shared<Calls>,
    progress: &Progress,
) {
    loop {
        book.with(|calls| calls.sent += 1);
        let Ok(answer) = client.try_check(creation(app, resource)).await else {
            return;
        };
        assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
        book.with(|calls| calls.answered += 1);
        progress.step();
    }
}

async fn calls_in_flight_are_answered(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let books = [(TRIAL, Account), (PRO, Account), (PRO, Group)]
        .map(|what| (what, Shared::new(Calls::default())));
    for _ in 0..3 {
        let progress = Progress::default();
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(sidecar.client().await);
        }
        let loads = books.iter().flat_map(|((app, resource), book)| {
            let progress = &progress;
            // Each connection has several calls in flight.
            let clients = clients.iter().cycle().take(8);
            clients.map(move |client| create(client, *app, *resource, book, progress))
        });
        let end = async {
            progress.after(200).await;
            stop(&mut sidecar).await;
        };
        tokio::join!(join_all(loads), end);

        sidecar.start_again().await;
        let client = sidecar.client().await;
        for ((app, resource), book) in &books {
            // What was begun was answered: the books agree to the last call.
            let Calls { sent, answered } = book.with(|calls| *calls);
            let found = client.used(*app, *resource).await;
            assert_eq!(found, answered, "{app} {resource:?}: {sent} were sent");
        }
    }
}

async fn nobody_holds_up_the_end(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let idle = sidecar.client().await;
    assert_eq!(verdict(&idle.create(PRO, Account).await), ALLOW);
    let _never_used = sidecar.unix_client().await;
    let _silent = TcpStream::connect(sidecar.address())
        .await
        .expect("somebody listens");
    let took = stop(&mut sidecar).await;
    assert!(took < Duration::from_secs(4), "{took:?}");
}

async fn those_who_watch_are_told(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let mut health = HealthClient::new(client.channel.clone());
    let service = "readiness".to_owned();
    let watched = soon("a watch", health.watch(HealthCheckRequest { service })).await;
    let mut told = watched.expect("it can be watched").into_inner();
    let mut next = async || {
        let next = soon("a word", told.message())
            .await
            .expect("the stream has no fault");
        next.map(|answer| answer.status())
    };
    while next().await != Some(Serving) {}
    let (stopped, told) = tokio::join!(stop(&mut sidecar), async { [next().await, next().await] });
    assert_eq!(told, [Some(NotServing), None]);
    assert!(stopped < Duration::from_secs(4), "{stopped:?}");
}

async fn an_interrupt_ends_it_too(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    sidecar.process().signal(Signal::INT);
    sidecar.process().says("stopped").await;
}

on_both_stores!(
    calls_in_flight_are_answered,
    nobody_holds_up_the_end,
    those_who_watch_are_told,
    an_interrupt_ends_it_too,
);

#[tokio::test]
async fn a_redis_that_hangs_does_not_hold_up_the_end() {
    let redis = RedisServer::start();
    let mut sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for resource in [Account, Group] {
        assert_eq!(verdict(&client.create(PRO, resource).await), ALLOW);
    }
    redis.suspend();
    // Two calls that wait for the ledger while the end comes.
    let hard = tokio::spawn({
        let client = client.clone();
        async move { client.try_check(creation(TRIAL, Account)).await }
    });
    let metered = tokio::spawn({
        let client = client.clone();
        async move { client.try_check(creation(PRO, Group)).await }
    });
    // They are on their way: the call that comes after them is answered from memory.
    assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
    stop(&mut sidecar).await;
    let hard = hard.await.expect("no task panics").expect("it is answered");
    assert_eq!(verdict(&hard), UNAVAILABLE, "{hard:?}");
    let metered = metered
        .await
        .expect("no task panics")
        .expect("it is answered");
    assert_eq!(verdict(&metered), ALLOW, "{metered:?}");

    redis.resume();
    sidecar.start_again().await;
    let client = sidecar.client().await;
    let usage = client.usage(PRO).await;
    assert_eq!((used(&usage, Account), used(&usage, Group)), (2, 2));
    assert_eq!(client.used(TRIAL, Account).await, 0);
}

#[tokio::test]
async fn what_a_redis_that_is_away_has_not_heard_is_told_by_the_next_start() {
    let mut redis = RedisServer::with(Persistence::AppendOnly, &[]);
    let mut sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    client.record(PRO, ["ann"]).await;
    redis = beside(redis, RedisServer::stop).await;
    for resource in [Account, Group, Group] {
        assert_eq!(verdict(&client.create(PRO, resource).await), ALLOW);
    }
    client.record(PRO, ["bob", "cid"]).await;
    stop(&mut sidecar).await;

    // Not even a second start without Redis, which ends by a kill, loses it.
    sidecar.start_again().await;
    let client = sidecar.client().await;
    let usage = client.usage(PRO).await;
    assert_eq!(
        (usage.degraded, used(&usage, Account), used(&usage, Group)),
        (true, 1, 2)
    );
    assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
    sidecar.kill().await;

    redis = beside(redis, RedisServer::start_again).await;
    sidecar.start_again().await;
    let other = Sidecar::start(&redis.url(), SETTINGS).await;
    for sidecar in [&sidecar, &other] {
        // A Redis that was started anew is told what its members know first, if it kept its data or not.
        let client = sidecar.client().await;
        until("the ledger was told", async || {
            let usage = client.usage(PRO).await;
            let told = (
                used(&usage, Account),
                used(&usage, Group),
                usage.daily_active,
            );
            if (usage.degraded, told) == (false, (2, 2, 3)) {
                Ok(())
            } else {
                Err(usage)
            }
        })
        .await;
    }
}
