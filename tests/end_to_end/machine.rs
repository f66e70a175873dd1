//! What a machine does to a process: no descriptors left, no memory, no room on the disk; and a Redis
//! that says what no Redis says.

use std::process::Command;
use std::time::Duration;

use imquota::grpc::proto::{Decision, DenyReason, Resource};
use rustix::process::{Resource as Limited, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Client, creation};
use crate::http::get;
use crate::process::Process;
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::wait::{soon, until};
use crate::world::World;

const SETTINGS: &str = "
plans:
  any: {}
  small: { limits: { accounts: 10 } }
apps:
  - { app_id: 1, plan: any }
  - { app_id: 2, plan: small }
";

#[tokio::test]
async fn without_descriptors_those_who_are_there_are_served() {
    let mut sidecar = Sidecar::start("embedded", SETTINGS).await;
    let old = sidecar.client().await;
    assert_eq!(old.create(1, Resource::Account).await.used, 1);
    let all = sidecar.process().limit(Limited::Nofile, 0);
    let waiting = TcpStream::connect(sidecar.address()).await;
    let waiting = waiting.expect("the system accepts it, and the process cannot");
    sidecar
        .process()
        .says("no connection can be accepted")
        .await;
    for used in 2..=20 {
        assert_eq!(old.create(1, Resource::Account).await.used, used);
    }
    sidecar.process().limit(Limited::Nofile, all);
    drop(waiting);
    let new = sidecar.client().await;
    assert_eq!(new.create(1, Resource::Account).await.used, 21);
    sidecar.stop().await;
}

#[tokio::test]
async fn without_memory_nothing_that_was_answered_is_lost() {
    let mut sidecar = Sidecar::start("embedded", SETTINGS).await;
    let client = sidecar.client().await;
    assert_eq!(client.create(1, Resource::Account).await.used, 1);
    sidecar.process().may_panic();
    sidecar.process().limit(Limited::As, 0);
    let mut answered = 1;
    // Ids are remembered, which takes memory; a process that gets none may end.
    for number in 0..20_000 {
        let mut check = creation(1, Resource::Account);
        check.request_id = format!("{number:064}");
        match client.try_check(check).await {
            Ok(answer) if answer.decision() == Decision::Allow => answered += 1,
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => break,
        }
    }
    drop(client);
    sidecar.kill().await;
    sidecar.start_again().await;
    let client = sidecar.client().await;
    until("all that was answered is counted", async || {
        let used = client.used(1, Resource::Account).await;
        // The last one may have been counted, and its answer lost.
        (answered..=answered + 1)
            .contains(&used)
            .then_some(())
            .ok_or((used, answered))
    })
    .await;
    sidecar.stop().await;
}

#[tokio::test]
async fn a_disk_without_room_is_said_at_the_start() {
    let sidecar = Sidecar::new("embedded", SETTINGS);
    let mut command = Command::new("bash");
    // No file may be larger than a MiB, and who tries is told so, as by a full disk.
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$@\"";
    command.args(["-c", script, "bash", env!("CARGO_BIN_EXE_imquota"), "serve"]);
    command
        .args(["--listen", "127.0.0.1:0", "--config"])
        .arg(sidecar.settings());
    command.arg("--data-dir").arg(sidecar.data());
    command.args(["--store", "embedded"]);
    let ended = Process::spawn(command).ended().await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    let lines: Vec<_> = ended.stderr.lines().collect();
    let last = lines.last().expect("it says why");
    assert!(
        last.starts_with("imquota: ") && last.contains("large"),
        "{ended:?}"
    );
}

/// What is counted has its room on the disk beforehand, and is found again.
#[tokio::test]
async fn a_disk_that_fills_up_while_it_serves_loses_nothing() {
    let world = World::new();
    let mut sidecar = Sidecar::new("embedded", SETTINGS);
    sidecar.run_by(&world.imquota());
    let data = sidecar.data();
    // Its journal twice, as after a kill, and a little more.
    world.disk(&data, 160);
    sidecar.start_again().await;
    let client = sidecar.client().await;
    assert_eq!(client.create(1, Resource::Account).await.used, 1);
    let rest = data.join("rest");
    let rest = rest.display();
    world.run(&format!("! dd if=/dev/zero of={rest} bs=64k"));
    for used in 2..=20 {
        assert_eq!(client.create(1, Resource::Account).await.used, used);
        let limited = client.create(2, Resource::Account).await;
        let expected = if used <= 11 {
            Decision::Allow
        } else {
            Decision::Deny
        };
        assert_eq!(limited.decision(), expected);
    }
    // Neither an end in good order nor a kill needs more room than there is.
    drop(client);
    let ended = sidecar.stop().await;
    assert!(
        ended.stderr.contains("the next start replays the journal"),
        "{}",
        ended.stderr
    );
    let refused = sidecar.refuses(&["--listen", "127.0.0.1:0"]).await;
    assert!(refused.contains("No space left on device"), "{refused}");
    world.run(&format!("rm {rest}"));
    sidecar.start_again().await;
    let client = sidecar.client().await;
    assert_eq!(client.create(1, Resource::Account).await.used, 21);
    let limited = client.create(2, Resource::Account).await;
    assert_eq!((limited.decision(), limited.used), (Decision::Deny, 10));
    sidecar.stop().await;
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_to_is_said_at_the_start() {
    let world = World::new();
    let mut sidecar = Sidecar::new("embedded", SETTINGS);
    sidecar.run_by(&world.imquota());
    let data = sidecar.data();
    world.disk(&data, 80);
    world.run(&format!("mount -o remount,ro {}", data.display()));
    let refused = sidecar.refuses(&["--listen", "127.0.0.1:0"]).await;
    assert!(refused.contains("Read-only file system"), "{refused}");
    world.run(&format!("mount -o remount,rw {}", data.display()));
    sidecar.start_again().await;
    let client = sidecar.client().await;
    assert_eq!(client.create(1, Resource::Account).await.used, 1);
    drop(client);
    sidecar.stop().await;
    // What was counted is there to be read, and nobody goes on without being able to write.
    world.run(&format!("mount -o remount,ro {}", data.display()));
    let refused = sidecar.refuses(&["--listen", "127.0.0.1:0"]).await;
    assert!(refused.contains("Read-only file system"), "{refused}");
}

/// How long a fellow may take to say that one has been silent for a minute.
const SAID_MAX: Duration = Duration::from_mins(3);

/// As on a machine that is moved to another host, or whose disk hangs.
#[tokio::test]
async fn who_stands_still_for_a_minute_passes_no_limit_and_loses_nothing() {
    let redis = RedisServer::start();
    let still = Sidecar::start(&redis.url(), SETTINGS).await;
    let mut fellow = Sidecar::new(&redis.url(), "");
    let pages = fellow.pages();
    fellow.set(&format!("http_listen: unix:{}{SETTINGS}", pages.display()));
    fellow.start_again().await;
    let (frozen, awake) = (still.client().await, fellow.client().await);
    let mut allowed = 0;
    for _ in 0..3 {
        let limited = frozen.create(2, Resource::Account).await;
        allowed += u64::from(limited.decision() == Decision::Allow);
        assert_eq!(
            frozen.create(1, Resource::Account).await.decision(),
            Decision::Allow
        );
    }
    still.process().suspend().await;
    for _ in 0..20 {
        let limited = awake.create(2, Resource::Account).await;
        allowed += u64::from(limited.decision() == Decision::Allow);
        let metered = awake.create(1, Resource::Account).await;
        assert_eq!(metered.decision(), Decision::Allow);
    }
    let said = async {
        let silent = async || {
            get(&pages, "/metrics")
                .await
                .series("imquota_members_silent")
        };
        while silent().await != Some(1.0) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let said = tokio::time::timeout(SAID_MAX, said).await;
    said.expect("after a minute its fellow says so");
    still.process().signal(Signal::CONT);
    until("all places are given, and no more", async || {
        for client in [&frozen, &awake] {
            let limited = client.create(2, Resource::Account).await;
            allowed += u64::from(limited.decision() == Decision::Allow);
        }
        let counts = [
            frozen.used(2, Resource::Account).await,
            awake.used(2, Resource::Account).await,
        ];
        if (allowed, counts) == (10, [10; 2]) {
            Ok(())
        } else {
            Err((allowed, counts))
        }
    })
    .await;
    assert_eq!(
        frozen.create(1, Resource::Account).await.decision(),
        Decision::Allow
    );
    until(
        "what was counted without a limit is known to both",
        async || {
            let counts = [
                frozen.used(1, Resource::Account).await,
                awake.used(1, Resource::Account).await,
            ];
            if counts == [24; 2] {
                Ok(())
            } else {
                Err(counts)
            }
        },
    )
    .await;
}

/// A server that answers every command with `answer`, whatever that is.
async fn liar(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let url = format!("redis://{}", listener.local_addr().expect("it listens"));
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            tokio::spawn(async move {
                let mut asked = vec![0; 65536];
                while stream.read(&mut asked).await.is_ok_and(|read| read > 0) {
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

async fn is_not_believed(name: &str, answer: &'static [u8]) {
    let mut sidecar = Sidecar::new(&liar(answer).await, SETTINGS);
    if let Err(ended) = sidecar.try_start().await {
        // Whoever is no ledger of ours may be refused at once, in words.
        assert_eq!(ended.status.code(), Some(1), "{name}: {ended:?}");
        assert!(ended.stderr.contains("imquota: "), "{name}: {ended:?}");
        return;
    }
    let before = sidecar.process().resident_kib();
    let client: Client = sidecar.client().await;
    for _ in 0..3 {
        let refused = client.create(2, Resource::Account).await;
        assert_eq!(refused.reason(), DenyReason::StoreUnavailable, "{name}");
        let metered = client.create(1, Resource::Account).await;
        assert_eq!(metered.decision(), Decision::Allow, "{name}");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let grown = sidecar.process().resident_kib().saturating_sub(before);
    assert!(grown < 64 * 1024, "{name}: {grown} KiB more");
    drop(client);
    soon(name, sidecar.stop()).await;
}

#[tokio::test]
async fn a_redis_that_lies_is_not_believed() {
    tokio::join!(
        is_not_believed("an error to all", b"-ERR no\r\n"),
        is_not_believed("OK to all", b"+OK\r\n"),
        is_not_believed("7 to all", b":7\r\n"),
        is_not_believed("nothing, in a list", b"*0\r\n"),
        is_not_believed("half an answer", b"*5\r\n:0\r\n:1\r\n"),
        is_not_believed("an answer of 4 GiB", b"$4294967295\r\nx"),
        is_not_believed("a list of 4 billion", b"*4294967295\r\n:0\r\n"),
        is_not_believed(
            "no protocol",
            b"\x16\x03\x01 HTTP/1.1 400 Bad Request\r\n\r\n"
        ),
    );
}
