//! A server that is away, silent, full, demoted, locked or not ours: clear words, no effect, and back
//! to work when it is well again.

use std::time::{Duration, Instant};

use imquota::quota::Resource;
use imquota::store::redis::RedisStore;
use imquota::store::{
    Beat, LOGINS_MAX, Login, Operator, Recovery, Shard, Statement, Store, StoreFault, Taken,
};

use crate::fixture::{NOW, Sidecar, app, client, limits, options, take, today};
use crate::redis_server::{Persistence, RedisServer};

async fn try_take(sidecar: &Sidecar, attempt: u64) -> Result<Taken, StoreFault> {
    let rules = limits(1000, 0, 0);
    let key = client(&format!("id-{attempt}"));
    sidecar
        .take(&take(&key, attempt, Resource::Account, 1, &rules))
        .await
}

#[track_caller]
fn assert_away<T: std::fmt::Debug>(answer: Result<T, StoreFault>, word: &str) {
    match answer {
        Err(StoreFault::Away(words)) if words.contains(word) => {}
        other => panic!("{other:?} is not Away with {word:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_away_until_it_is() {
    let mut server = RedisServer::start();
    server.stop();
    let one = Sidecar::new(1, &server);
    assert_away(try_take(&one, 1).await, "not answered yet");
    assert_away(one.hello(None).await, "Redis at 127.0.0.1");
    server.start_again();
    one.hello(None).await.unwrap();
    assert!(try_take(&one, 2).await.is_ok());
}

#[tokio::test]
async fn a_silent_server_costs_one_wait_and_no_more() {
    // No busy machine takes so long for what must not fail.
    const WAIT: Duration = Duration::from_secs(3);
    let server = RedisServer::start();
    let mut impatient = options(&server.url());
    impatient.response_timeout = WAIT;
    let one = Sidecar::with(1, impatient);
    let known = one.hello(None).await.unwrap();
    server.suspend();
    let began = Instant::now();
    assert_away(try_take(&one, 1).await, "no answer within 3000 ms");
    let waited = began.elapsed();
    assert!(waited + Duration::from_millis(10) >= WAIT, "{waited:?}");
    let began = Instant::now();
    for attempt in 2..100 {
        assert_away(try_take(&one, attempt).await, "made anew");
    }
    assert!(began.elapsed() < WAIT, "{:?}", began.elapsed());
    assert_away(one.hello(Some(known)).await, "no answer");
    server.resume();
    one.hello(Some(known)).await.unwrap();
    // The call that was given up has been executed: its claim is there until it is withdrawn.
    let rules = limits(1000, 0, 0);
    let given_up = take(&client("id-1"), 1, Resource::Account, 1, &rules);
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
    one.abort(&given_up).await;
    assert_eq!(one.usage(app(1)).await.view.net[0], 0);
}

#[tokio::test]
async fn a_full_server_refuses_without_half_a_write() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    try_take(&one, 1).await.unwrap();
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_away(try_take(&one, 2).await, "OOM");
    assert_eq!(one.troubles("OOM"), 1);
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(try_take(&one, 3).await.is_ok());
}

#[tokio::test]
async fn a_master_that_may_not_write_alone_does_not() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    try_take(&one, 1).await.unwrap();
    server.command::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    assert_away(try_take(&one, 2).await, "NOREPLICAS");
    assert_eq!(one.usage(app(1)).await.view.net[0], 1);
    assert_eq!(one.troubles("NOREPLICAS"), 1);
    server.command::<()>(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert!(try_take(&one, 3).await.is_ok());
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_waited_for() {
    let mut server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    server.save();
    server.stop();
    server.start_loading(3000);
    let beaten = one.hello(Some(known)).await;
    assert_away(beaten, "loading its data");
    server.stop();
}

#[tokio::test]
async fn a_server_that_loads_its_data_anew_is_away_until_it_has() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    try_take(&one, 1).await.unwrap();
    // It looks up from loading after each so many bytes, and takes long for what is between them.
    server.command::<()>(&["DEBUG", "POPULATE", "1000"]);
    server.command::<()>(&[
        "CONFIG",
        "SET",
        "loading-process-events-interval-bytes",
        "1024",
        "key-load-delay",
        "5000",
    ]);
    let (mut reloads, mut other) = (server.connect(), server.connect());
    let reloaded = std::thread::spawn(move || {
        let mut reload = redis::cmd("DEBUG");
        reload.arg("RELOAD").query::<()>(&mut reloads)
    });
    // It loads once somebody is told so.
    while redis::cmd("PING").query::<String>(&mut other).is_ok() {}
    assert_away(try_take(&one, 2).await, "LOADING");
    assert_eq!(one.troubles("LOADING"), 1);
    redis::cmd("CONFIG")
        .arg(&["SET", "key-load-delay", "0"])
        .query::<()>(&mut other)
        .unwrap();
    reloaded.join().unwrap().unwrap();
    assert!(try_take(&one, 3).await.is_ok());
    assert_eq!(one.usage(app(1)).await.view.net[0], 2);
}

#[tokio::test]
async fn a_replica_is_no_ledger() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    server.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_away(try_take(&one, 1).await, "READONLY");
    assert_eq!(one.troubles("READONLY"), 1);
    assert_away(one.hello(Some(known)).await, "replica");
    server.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(one.hello(Some(known)).await, Ok(known));
}

#[tokio::test]
async fn a_busy_server_is_away() {
    let server = RedisServer::with(Persistence::None, &["--busy-reply-threshold", "50"]);
    let (one, _) = Sidecar::fresh(1, &server).await;
    let mut endless = server.connect();
    let blocked = std::thread::spawn(move || {
        redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .query::<()>(&mut endless)
    });
    // The script is running once somebody is told so.
    let mut other = server.connect();
    while redis::cmd("PING").query::<String>(&mut other).is_ok() {}
    assert_away(try_take(&one, 1).await, "BUSY");
    assert_eq!(one.troubles("BUSY"), 1);
    redis::cmd("SCRIPT")
        .arg("KILL")
        .query::<()>(&mut other)
        .unwrap();
    assert!(blocked.join().unwrap().is_err());
    assert!(try_take(&one, 2).await.is_ok());
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_given_them_again() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    server.command::<()>(&["SCRIPT", "FLUSH"]);
    assert!(try_take(&one, 1).await.is_ok());
    assert_eq!(one.troubles("NOSCRIPT"), 1);
    // So is one that is asked for many steps at once, as a new run makes every shard state itself.
    server.command::<()>(&["SCRIPT", "FLUSH"]);
    server.command::<()>(&["DEBUG", "CHANGE-REPL-ID"]);
    assert_eq!(one.hello(Some(known)).await, Ok(known));
}

#[tokio::test]
async fn a_server_that_may_evict_is_refused_with_the_line_to_change() {
    let settings = ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"];
    let server = RedisServer::with(Persistence::None, &settings);
    let refused = Sidecar::new(1, &server).hello(None).await;
    assert!(
        matches!(&refused, Err(StoreFault::Unusable(words)) if words.contains("maxmemory-policy noeviction")),
        "{refused:?}"
    );
    server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    assert!(Sidecar::new(1, &server).hello(None).await.is_ok());
}

#[tokio::test]
async fn passwords_open_the_server_and_are_never_shown() {
    let server = RedisServer::start();
    // What the module's page says a user needs: CONFIG is not among it.
    let needed = "~{imquota}:* ~{imquota:* +@connection +eval +evalsha +script|load +script|exists +info +time +expireat +del +@hash +@set +@sortedset +@list";
    let mut acl = vec!["ACL", "SETUSER", "quota", "on", ">s3cret"];
    acl.extend(needed.split(' '));
    server.command::<()>(&acl);
    let url = |password: &str| {
        server
            .url()
            .replace("redis://", &format!("redis://quota:{password}@"))
    };
    let good = Sidecar::with(1, options(&url("s3cret")));
    good.hello(None).await.unwrap();
    assert!(try_take(&good, 1).await.is_ok());
    let rules = limits(1000, 0, 0);
    good.answered(&take(&client("id-1"), 1, Resource::Account, 1, &rules))
        .await;
    good.abort(&take(&client("id-2"), 2, Resource::Account, 1, &rules))
        .await;
    let logins: Vec<Login> = (0..LOGINS_MAX)
        .map(|number| Login {
            app: app(1),
            day: today(),
            user: number as u128,
        })
        .collect();
    let shard = Shard::of(app(1));
    let active = good.store.record_active(shard, &logins, NOW).await;
    assert_eq!(active.unwrap()[0].daily_active, LOGINS_MAX as u64);
    assert!(good.beats().await.leased);
    good.store.recall(app(1)).await.unwrap();
    let frozen = good.store.freeze(app(1), Resource::Account).await.unwrap();
    good.store.unfreeze(app(1), frozen.token).await.unwrap();
    good.store.bases(shard, 0).await.unwrap();
    assert_eq!(good.usage(app(1)).await.view.net[0], 1);
    // A ledger that forgot is brought back by the same commands.
    let known = good.hello(None).await.unwrap();
    server.flush_all();
    good.hello(Some(known)).await.unwrap_err();
    assert_eq!(good.beats().await.recovery, Recovery::Open);
    good.states(&Statement::default()).await;
    let bad = Sidecar::with(2, options(&url("w0rd")));
    let refused = bad.hello(None).await;
    assert_away(refused.clone(), "check user and password");
    let shown = format!(
        "{refused:?} {bad:?} {:?}",
        options(&url("w0rd")),
        bad = bad.store
    );
    assert!(!shown.contains("w0rd"), "{shown}");
}

#[tokio::test]
async fn a_key_of_another_kind_under_our_prefix_is_damage() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let key = format!("{{imquota:{:02x}}}:v3:a:1", Shard::of(app(1)).number());
    server.command::<()>(&["SET", &key, "theirs"]);
    let refused = try_take(&one, 1).await;
    assert!(
        matches!(&refused, Err(StoreFault::Unusable(words)) if words.contains("shared with another program")),
        "{refused:?}"
    );
}

#[test]
fn a_prefix_of_no_use_is_refused_before_anything_is_tried() {
    let refused = |prefix: &str| {
        let mut options = options("redis://host:1/0");
        options.key_prefix = prefix.to_owned();
        match RedisStore::new(options, std::sync::Arc::default()) {
            Err(StoreFault::Unusable(words)) => words,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused("im{quota").contains("key_prefix"));
    assert!(refused("").contains("key_prefix"));
}

#[tokio::test]
async fn a_ledger_of_a_later_version_is_left_alone() {
    let server = RedisServer::start();
    server.command::<()>(&["HSET", "{imquota}:v4:meta", "inst", "1"]);
    let one = Sidecar::new(1, &server);
    let Err(StoreFault::Unusable(words)) = one.hello(None).await else {
        panic!("it would count anew beside it");
    };
    assert!(words.contains("format 4"), "{words}");
    assert_eq!(server.command::<u64>(&["DBSIZE"]), 1);
}

#[tokio::test]
async fn what_is_no_redis_is_said_to_be_none() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let one = Sidecar::with(1, options(&format!("redis://127.0.0.1:{port}")));
    assert_away(one.hello(None).await, "what answers there is no Redis");
}

#[tokio::test]
async fn many_that_come_back_at_once_tell_the_server_its_scripts_once() {
    let server = RedisServer::start();
    let sidecars: Vec<_> = (1..=500)
        .map(|number| Sidecar::with(number, options(&server.unix_url())))
        .collect();
    let (first, others) = sidecars.split_first().expect("there are many");
    first.hello(None).await.unwrap();
    let calls = |command: &str| {
        let info: String = server.command(&["INFO", "commandstats"]);
        let line = format!("cmdstat_{command}:calls=");
        let calls = info.lines().find_map(|of| of.strip_prefix(line.as_str()));
        calls.and_then(|calls| calls.split(',').next()?.parse().ok())
    };
    let once: Option<u64> = calls("script|load");
    let begun = Instant::now();
    let met = others.iter().map(|one| one.hello(None));
    for met in futures_util::future::join_all(met).await {
        met.unwrap();
    }
    println!("499 said hello in {:?}", begun.elapsed());
    assert_eq!(calls("script|load"), once, "the first one told it");
    let info: String = server.command(&["INFO", "stats"]);
    let bytes = info
        .lines()
        .find_map(|line| line.strip_prefix("total_net_input_bytes:"));
    let bytes: u64 = bytes.unwrap().trim().parse().unwrap();
    println!("{} bytes from each", bytes / 500);
    assert!(bytes / 500 < 8192, "{bytes}");
}

#[tokio::test]
async fn a_newcomer_has_no_lease_before_the_replicas_know_of_it() {
    let server = RedisServer::start();
    let replica = RedisServer::start();
    let port = server.url().rsplit([':', '/']).nth(1).unwrap().to_owned();
    replica.command::<()>(&["REPLICAOF", "127.0.0.1", &port]);
    let connected = || {
        let info: String = server.command(&["INFO", "replication"]);
        info.contains("connected_slaves:1") && info.contains("state=online")
    };
    let began = Instant::now();
    while !connected() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "it never follows"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    replica.suspend();
    let one = Sidecar::new(1, &server);
    one.hello(None).await.unwrap();
    // It is the only member, and would have one at once.
    for _ in 0..2 {
        assert!(!one.beats().await.leased);
    }
    let left = one.store.leave().await;
    assert_away(left, "replica");
    replica.resume();
    let two = Sidecar::new(2, &server);
    two.hello(None).await.unwrap();
    two.until(&Beat::default(), |beaten| beaten.leased).await;
}
