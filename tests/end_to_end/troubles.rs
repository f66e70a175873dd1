//! Ways in which a Redis that is there does not serve: each is told from an answer, costs nobody more than
//! a bounded wait, and leaves nothing behind.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use imquota::grpc::proto::Resource::{Account, AvRoom, Group};

use crate::away::{
    PRO, SETTINGS, TIGHT, admitted, hard_limits_are_refused, metered_resources_go_on,
};
use crate::client::{ALLOW, Client, UNAVAILABLE, used, verdict};
use crate::redis_server::{Persistence, RedisServer};
use crate::relay::Relay;
use crate::sidecar::Sidecar;
use crate::stores::beside;
use crate::wait::until;

/// A Redis behind a relay, and a sidecar that has met it.
struct Scene {
    redis: RedisServer,
    relay: Relay,
    _sidecar: Sidecar,
    client: Client,
}

impl Scene {
    async fn new() -> Self {
        let redis = RedisServer::with(Persistence::AppendOnly, &["--busy-reply-threshold", "100"]);
        let relay = Relay::to(redis.port()).await;
        let sidecar = Sidecar::start(&relay.url(), SETTINGS).await;
        let client = sidecar.client().await;
        admitted(&client, TIGHT, Account).await;
        admitted(&client, PRO, AvRoom).await;
        Self {
            redis,
            relay,
            _sidecar: sidecar,
            client,
        }
    }

    /// What is seen while Redis does not serve.
    async fn is_honest(&self) {
        hard_limits_are_refused(&self.client).await;
        metered_resources_go_on(&self.client, 5).await;
        // Known not to serve, it is not waited for any more: many are refused in the time of one wait.
        let began = Instant::now();
        for _ in 0..50 {
            let answer = self.client.create(TIGHT, Account).await;
            assert_eq!(verdict(&answer), UNAVAILABLE, "{answer:?}");
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }

    /// Nobody does anything, and all is counted once.
    async fn recovers(&self) {
        self.recovers_with(2).await;
    }

    /// As [`Scene::recovers`], with one creation more under the limit, which is then of so many.
    async fn recovers_with(&self, limited: u64) {
        let client = &self.client;
        admitted(client, TIGHT, Account).await;
        until("the books agree", async || {
            let (tight, pro) = (client.usage(TIGHT).await, client.usage(PRO).await);
            let counts = [
                used(&tight, Account),
                used(&pro, Account),
                used(&pro, Group),
                used(&pro, AvRoom),
            ];
            let seen = (tight.degraded || pro.degraded, counts);
            if seen == (false, [limited, 5, 6, 1]) {
                Ok(())
            } else {
                Err(seen)
            }
        })
        .await;
    }
}

/// Packets that nobody answers, on connections that stay open.
#[tokio::test]
async fn a_network_that_swallows_all() {
    let scene = Scene::new().await;
    scene.relay.swallow();
    scene.is_honest().await;
    scene.relay.lead_to(scene.redis.port());
    scene.recovers().await;
}

/// By how much: a fifth of how long a check waits.
const LATE: Duration = Duration::from_millis(100);

/// Every answer comes late, and none too late: nobody is refused for that, and what needs no answer does not wait.
#[tokio::test]
async fn a_redis_that_is_slow() {
    let scene = Scene::new().await;
    scene.relay.is_late(scene.redis.port(), LATE);
    admitted(&scene.client, TIGHT, Account).await;
    for resource in [Account, Group] {
        for _ in 0..5 {
            let answer = scene.client.create(PRO, resource).await;
            assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
        }
    }
    scene.relay.lead_to(scene.redis.port());
    scene.recovers_with(3).await;
}

#[tokio::test]
async fn a_redis_without_memory() {
    let scene = Scene::new().await;
    let memory = |bytes| {
        let set = ["CONFIG", "SET", "maxmemory", bytes];
        scene.redis.command::<()>(&set);
    };
    memory("1");
    scene.is_honest().await;
    memory("0");
    scene.recovers().await;
}

#[tokio::test]
async fn a_replica_that_takes_no_writes() {
    let scene = Scene::new().await;
    let other = RedisServer::start();
    let port = other.port().to_string();
    // A replica whose master is not reached keeps what it had.
    drop(other);
    let follow = ["REPLICAOF", "127.0.0.1", port.as_str()];
    scene.redis.command::<()>(&follow);
    scene.is_honest().await;
    scene.redis.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    scene.recovers().await;
}

/// Somebody's script that does not end; it runs.
async fn run_for_ever(redis: &RedisServer) -> JoinHandle<()> {
    let (mut connection, mut other) = (redis.connect(), redis.connect());
    let script = std::thread::spawn(move || {
        let script = redis::cmd("EVAL").arg("while true do end").arg(0).clone();
        let ended = script.query::<()>(&mut connection);
        ended.expect_err("it is killed");
    });
    until("the script runs", async || {
        match redis::cmd("PING").query::<String>(&mut other) {
            Err(busy) if busy.code() == Some("BUSY") => Ok(()),
            answer => Err(answer),
        }
    })
    .await;
    script
}

#[tokio::test]
async fn a_redis_that_is_busy_with_a_script() {
    let scene = Scene::new().await;
    let script = run_for_ever(&scene.redis).await;
    scene.is_honest().await;
    scene.redis.command::<()>(&["SCRIPT", "KILL"]);
    script.join().expect("its end is as expected");
    scene.recovers().await;
}

/// So many keys, and so many microseconds for each: some seconds.
const KEYS: &str = "10000";
const LOAD_MICROS: u32 = 500;

#[tokio::test]
async fn a_redis_that_is_loading() {
    let mut scene = Scene::new().await;
    scene.redis.command::<()>(&["DEBUG", "POPULATE", KEYS]);
    scene.redis.command::<()>(&["BGREWRITEAOF"]);
    let redis = &scene.redis;
    until("the file is short", async || {
        let info: String = redis.command(&["INFO", "persistence"]);
        let done = info.contains("aof_rewrite_in_progress:0")
            && info.contains("aof_last_bgrewrite_status:ok");
        let begun = !info.contains("aof_last_rewrite_time_sec:-1");
        if done && begun { Ok(()) } else { Err(info) }
    })
    .await;
    scene.redis = beside(scene.redis, |redis| {
        redis.kill();
        redis.start_loading(LOAD_MICROS);
    })
    .await;
    scene.is_honest().await;
    scene.recovers().await;
}
