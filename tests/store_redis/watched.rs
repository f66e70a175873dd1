//! Sentinels: the master is found by whoever knows it best, and found again by itself.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use imquota::config::{RedisUrl, Topology};
use imquota::quota::Resource;
use imquota::store::redis::RedisOptions;
use imquota::store::{Beat, Installation, Recovery, Shard, Statement, Store, StoreFault, Taken};
use rustix::process::Signal;

use crate::fixture::{Sidecar, app, client, limits, quick, take, today};
use crate::redis_server::Persistence;
use crate::sentinels::{MASTER, PATIENCE, Watched};

fn options_by(ports: &[u16], name: &str) -> RedisOptions {
    let urls = ports
        .iter()
        .map(|port| RedisUrl::parse(&format!("redis://127.0.0.1:{port}")).expect("a URL"));
    let mut options = quick("redis://unused");
    options.response_timeout = Duration::from_secs(2);
    options.topology = Topology::Sentinel {
        urls: urls.collect(),
        master_name: name.into(),
    };
    options
}

fn options(of: &Watched) -> RedisOptions {
    let ports: Vec<u16> = of.sentinels.iter().map(|sentinel| sentinel.port).collect();
    options_by(&ports, MASTER)
}

async fn takes(sidecar: &Sidecar, attempt: u64) -> Result<Taken, StoreFault> {
    let key = client(&format!("id-{attempt}"));
    let rules = limits(1000, 0, 0);
    let take = take(&key, attempt, Resource::Account, 1, &rules);
    sidecar.take(&take).await
}

/// Says hello, beats and restates as a sidecar does, until a take is done; how long that was. The servers find out that
/// one is gone and elect another meanwhile.
pub async fn comes_back(sidecar: &Sidecar, known: Installation, attempt: u64) -> Duration {
    let begun = Instant::now();
    let mut why = String::new();
    loop {
        assert!(begun.elapsed() < PATIENCE, "{why}");
        match goes_on(sidecar, known, attempt).await {
            Ok(()) => return begun.elapsed(),
            Err(fault) => why = fault.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn goes_on(sidecar: &Sidecar, known: Installation, attempt: u64) -> Result<(), StoreFault> {
    if let Err(fault @ StoreFault::Away(_)) = sidecar.hello(Some(known)).await {
        return Err(fault);
    }
    let beaten = sidecar.store.beat(&Beat::default()).await?;
    if beaten.recovery == Recovery::Open {
        for shard in Shard::all() {
            let nothing = Statement::default();
            sidecar.store.restate(shard, &nothing, today()).await?;
        }
        let restated = Beat {
            restated: beaten.epoch,
            ..Beat::default()
        };
        sidecar.store.beat(&restated).await?;
        return Err(StoreFault::Frozen("it recovers".into()));
    }
    takes(sidecar, attempt).await.map(drop)
}

#[tokio::test]
async fn a_master_that_dies_hangs_or_hands_over_is_followed() {
    let mut watched = Watched::start(Persistence::None, &[]);
    let one = Sidecar::with(1, options(&watched));
    let known = one.hello(None).await.unwrap();
    takes(&one, 1).await.unwrap();

    watched.servers[0].kill();
    let died = comes_back(&one, known, 2).await;
    watched.successor(0);
    watched.servers[0].start_again();
    let second = watched.settled();

    // It hangs, and would go on as a master when it wakes.
    watched.servers[second].suspend();
    let hung = comes_back(&one, known, 3).await;
    watched.servers[second].resume();
    watched.successor(second);
    let third = watched.settled();

    watched.fail_over();
    watched.successor(third);
    let handed = comes_back(&one, known, 4).await;
    println!("back after a death {died:?}, a hang {hung:?}, a hand-over {handed:?}");
    // What was taken is there: by the id it is the same take.
    assert!(one.usage(app(1)).await.view.net[0] >= 1);
}

#[tokio::test]
async fn sentinels_that_are_gone_or_tell_old_news_mislead_nobody() {
    let mut watched = Watched::start(Persistence::None, &[]);
    let (old, nobody) = (watched.servers[0].port(), crate::redis_server::free_port());
    let liar = tells_old_news(old);
    watched.fail_over();
    let present = watched.successor(0);
    watched.sentinels[0].kill();
    watched.sentinels[1].signal(Signal::STOP);
    let ports = [
        nobody,
        liar,
        watched.sentinels[0].port,
        watched.sentinels[1].port,
        watched.sentinels[2].port,
    ];
    let one = Sidecar::with(1, options_by(&ports, MASTER));
    one.hello(None).await.unwrap();
    takes(&one, 1).await.unwrap();
    let writes = watched.servers[present].command::<u64>(&["DBSIZE"]);
    assert!(writes > 0, "the ledger is at the master");
    watched.sentinels[1].signal(Signal::CONT);
}

#[tokio::test]
async fn a_master_that_is_cut_off_from_its_sentinels_is_left() {
    let watched = Watched::start(Persistence::None, &[]);
    let one = Sidecar::with(1, options(&watched));
    let known = one.hello(None).await.unwrap();
    takes(&one, 1).await.unwrap();
    // It goes on answering us, and nobody tells it that another has its place.
    let cut = [
        "ACL",
        "SETUSER",
        "default",
        "-ping",
        "-multi",
        "-replicaof",
        "-slaveof",
    ];
    watched.servers[0].command::<()>(&cut);
    let second = watched.successor(0);
    let left = until_left(&one).await;
    assert!(left.contains("is no longer the master"), "{left}");
    comes_back(&one, known, 2).await;
    assert_eq!(watched.role(second), "master");
}

/// Beats until it is told why the master is no more one.
async fn until_left(sidecar: &Sidecar) -> String {
    let begun = Instant::now();
    loop {
        if let Err(fault) = sidecar.store.beat(&Beat::default()).await {
            return fault.to_string();
        }
        assert!(begun.elapsed() < PATIENCE, "it stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_cannot_be_found_is_said_in_one_line() {
    let watched = Watched::start(Persistence::None, &[]);
    let ports: Vec<u16> = watched.sentinels.iter().map(|one| one.port).collect();
    let asked = async |ports: &[u16], name: &str| {
        let one = Sidecar::with(1, options_by(ports, name));
        let fault = one.hello(None).await.unwrap_err().to_string();
        assert!(!fault.contains('\n'), "{fault}");
        fault
    };
    let unknown = asked(&ports, "quote").await;
    assert!(unknown.contains("knows no master \"quote\"; store.master_name"));
    let redis = asked(&[watched.servers[0].port()], MASTER).await;
    assert!(redis.contains("is no Sentinel; store.urls must name Sentinels"));
    let nobody = asked(&[crate::redis_server::free_port()], MASTER).await;
    assert!(nobody.contains("Connection refused"), "{nobody}");
}

/// A Sentinel that was left behind: it names `master`, by a fail-over before the present one.
fn tells_old_news(master: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let words = [
        "ip",
        "127.0.0.1",
        "port",
        &master.to_string(),
        "config-epoch",
        "0",
    ]
    .map(|word| format!("${}\r\n{word}\r\n", word.len()))
    .concat();
    let answer = format!("*6\r\n{words}");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0; 4096];
            while let Ok(1..) = stream.read(&mut buffer) {
                let asked = String::from_utf8_lossy(&buffer).to_ascii_uppercase();
                let answered = if asked.contains("SENTINEL") {
                    answer.clone()
                } else {
                    "-ERR unknown\r\n".repeat(asked.matches("CLIENT\r\n").count().max(1))
                };
                if stream.write_all(answered.as_bytes()).is_err() {
                    break;
                }
                buffer = [0; 4096];
            }
        }
    });
    port
}
