//! A Redis that no ledger can live in, or settings that lead to none: one line says what is wrong and what to do, before a
//! roll-out (`check-config --probe`), at the start or in the log; readiness says so, and what needs no ledger goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use imquota::grpc::proto::Resource::Account;
use tonic_health::pb::health_check_response::ServingStatus::NotServing;

use crate::certificates::{Authority, put};
use crate::client::{ALLOW, verdict};
use crate::http::get;
use crate::process::Process;
use crate::redis_server::{Persistence, RedisServer, free_port};
use crate::sentinels::{MASTER, Sentinel};
use crate::sidecar::Sidecar;

const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// Settings with that store, as a sidecar has them.
fn settings(store: &str, pages: &str) -> String {
    format!("store: {{ {store} }}\nhttp_listen: \"{pages}\"\napps: [{{ app_id: 1, plan: pro }}]\n")
}

/// What the probe says of it: one line, in which all the words stand.
async fn is_probed(sidecar: &Sidecar, words: &[&str]) {
    let file = sidecar.settings();
    let file = file.to_str().expect("it is text");
    let ended = Process::imquota(["check-config", "--probe", file]);
    let ended = ended.ended().await;
    assert_eq!(
        (ended.code(), ended.stderr.lines().count()),
        (1, 1),
        "{ended:?}"
    );
    for word in words {
        assert!(ended.stderr.contains(word), "{word}: {ended:?}");
    }
}

fn with(store: &str) -> Sidecar {
    let sidecar = Sidecar::new("", "");
    let pages = format!("unix:{}", sidecar.settings().with_file_name("p").display());
    sidecar.set(&settings(store, &pages));
    sidecar
}

/// It is of no use whatever happens: the start is refused.
async fn is_refused(store: &str, words: &[&str]) {
    let sidecar = with(store);
    is_probed(&sidecar, words).await;
    let line = sidecar.refuses(&ANY_PORT).await;
    for word in words {
        assert!(line.contains(word), "{word}: {line}");
    }
}

/// It may be mended while the sidecar runs: that waits, and says what for.
async fn is_waited_for(store: &str, words: &[&str]) {
    let mut sidecar = with(store);
    is_probed(&sidecar, words).await;
    sidecar.start_again().await;
    for word in words {
        sidecar.process().says(word).await;
    }
    let client = sidecar.client().await;
    assert_eq!(client.health("readiness").await, NotServing);
    let ready = get(&sidecar.settings().with_file_name("p"), "/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.body);
    let full = get(&sidecar.settings().with_file_name("p"), "/readyz?verbose").await;
    let told = full.body.contains(words[0]);
    assert!(told, "{}: {}", words[0], full.body);
    assert_eq!(verdict(&client.create(1, Account).await), ALLOW);
    let ended = sidecar.stop().await;
    // Tried again and again, it is said once.
    let said = ended.stderr.lines().filter(|line| line.contains(words[0]));
    assert_eq!(said.count(), 1, "{}", ended.stderr);
}

fn url(port: u16) -> String {
    format!("url: 'redis://127.0.0.1:{port}'")
}

#[tokio::test]
async fn a_url_with_a_typo() {
    let sidecar = with("url: 'reddis://127.0.0.1:6379'");
    let file = sidecar.settings();
    let place = format!("{}:1: store.url", file.display());
    is_typo(&sidecar, &place).await;
    let sidecar = with("url: 'redis://127.0.0.1:63790000'");
    let place = format!("{}:1: store.url", sidecar.settings().display());
    is_typo(&sidecar, &place).await;
}

/// The file is at fault: its line and key are named, and nothing is asked.
async fn is_typo(sidecar: &Sidecar, place: &str) {
    let file = sidecar.settings();
    let file = file.to_str().expect("it is text");
    for words in [
        &["check-config", "--probe", file][..],
        &["serve", "--config", file, "--listen", "127.0.0.1:0"],
    ] {
        let ended = Process::imquota(words).ended().await;
        assert_eq!(
            (ended.code(), ended.stderr.lines().count()),
            (2, 1),
            "{ended:?}"
        );
        assert!(ended.stderr.contains(place), "{place}: {ended:?}");
    }
}

#[tokio::test]
async fn a_wrong_password() {
    let redis = RedisServer::start();
    redis.command::<()>(&["ACL", "SETUSER", "imquota", "on", ">right", "~*", "+@all"]);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = put(folder.path(), "password", "s3cret-and-wrong\n");
    let store = format!(
        "{}, username: imquota, password_file: {}",
        url(redis.port()),
        path.display()
    );
    is_waited_for(&store, &["check user and password"]).await;
}

#[tokio::test]
async fn a_server_that_is_no_redis() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    is_waited_for(&url(port), &["what answers there is no Redis"]).await;
    // Nobody at all.
    is_waited_for(&url(free_port()), &["Connection refused"]).await;
}

#[tokio::test]
async fn a_cluster_that_is_given_as_a_single_server() {
    let node = RedisServer::with(Persistence::None, &["--cluster-enabled", "yes"]);
    is_refused(&url(node.port()), &["set store.mode: cluster"]).await;
    let alone = RedisServer::start();
    let store = format!(
        "mode: cluster, urls: ['redis://127.0.0.1:{}']",
        alone.port()
    );
    is_refused(&store, &["set store.mode: single"]).await;
}

#[tokio::test]
async fn a_sentinel_that_does_not_know_the_name() {
    let master = RedisServer::start();
    let sentinel = Sentinel::start(master.port());
    let asks = |port: u16, name: &str| {
        format!("mode: sentinel, urls: ['redis://127.0.0.1:{port}'], master_name: {name}")
    };
    let named = asks(sentinel.port, "quote");
    is_waited_for(&named, &["knows no master", "store.master_name must be"]).await;
    let no_sentinel = asks(master.port(), MASTER);
    is_waited_for(
        &no_sentinel,
        &["is no Sentinel; store.urls must name Sentinels"],
    )
    .await;
}

#[tokio::test]
async fn a_certificate_of_another_authority() {
    let (authority, another) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder can be made");
    put(folder.path(), "ca.crt", &authority.pem());
    let wrong = put(folder.path(), "other.crt", &another.pem());
    let (cert, key) = authority.issue(&["127.0.0.1"]).write(folder.path(), "s");
    let port = free_port();
    let path = |path: &std::path::Path| path.display().to_string();
    let tls = [
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &path(&cert),
        "--tls-key-file",
        &path(&key),
        "--tls-ca-cert-file",
        &path(&folder.path().join("ca.crt")),
        "--tls-auth-clients",
        "no",
    ];
    let _redis = RedisServer::with(Persistence::None, &tls);
    let store = format!(
        "url: 'rediss://127.0.0.1:{port}', tls: {{ ca_file: {} }}",
        path(&wrong)
    );
    is_waited_for(&store, &["store.tls.ca_file"]).await;
}

#[tokio::test]
async fn a_key_of_another_kind_under_the_prefix() {
    let redis = RedisServer::start();
    redis.command::<()>(&["SET", "{imquota}:v3:meta", "theirs"]);
    is_refused(
        &url(redis.port()),
        &["its prefix is shared with another program"],
    )
    .await;
    assert_eq!(redis.command::<u64>(&["DBSIZE"]), 1);
}

#[tokio::test]
async fn a_ledger_that_a_later_version_wrote() {
    let redis = RedisServer::start();
    redis.command::<()>(&["HSET", "{imquota}:v4:meta", "inst", "1"]);
    is_refused(
        &url(redis.port()),
        &["format 4", "run the version that made it"],
    )
    .await;
    assert_eq!(redis.command::<u64>(&["DBSIZE"]), 1);
}
