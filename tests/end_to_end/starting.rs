//! Starts that cannot succeed: one clear line, the right exit status, and nothing harmed.

use std::fs;

use imquota::clock::{Clock, Zone};
use imquota::grpc::proto::Resource;
use rustix::process::Signal;

use crate::client::{ALLOW, verdict};
use crate::process::Process;
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: trial }
";
const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];

async fn still_serves(sidecar: &Sidecar) {
    for client in [sidecar.client().await, sidecar.unix_client().await] {
        assert_eq!(verdict(&client.create(1, Resource::Account).await), ALLOW);
    }
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let serving = Sidecar::start("embedded", SETTINGS).await;
    let other = Sidecar::new("embedded", SETTINGS);
    let address = serving.address().to_string();
    let line = other.refuses(&["--listen", &address]).await;
    assert!(
        line.contains(&format!("{address}: the port is in use")),
        "{line}"
    );
    assert!(
        !other.data().exists(),
        "a start that fails leaves nothing behind"
    );
    still_serves(&serving).await;
}

#[tokio::test]
async fn a_live_socket_is_left_alone_and_a_stale_one_is_replaced() {
    let mut serving = Sidecar::start("embedded", SETTINGS).await;
    let other = Sidecar::new("embedded", SETTINGS);
    let socket = format!("unix:{}", serving.socket().display());
    let line = other.refuses(&["--listen", &socket]).await;
    assert!(
        line.contains(&socket) && line.contains("another process is listening"),
        "{line}"
    );
    still_serves(&serving).await;

    // A process that hangs is alive, too.
    serving.process().signal(Signal::STOP);
    other.refuses(&["--listen", &socket]).await;
    serving.process().signal(Signal::CONT);
    still_serves(&serving).await;

    serving.kill().await;
    assert!(
        serving.socket().exists(),
        "a killed process leaves its socket behind"
    );
    serving.start_again().await;
    still_serves(&serving).await;
    serving.stop().await;
    assert!(!serving.socket().exists());
}

async fn a_second_process_on_one_data_folder_is_refused(store: Store) {
    let serving = Sidecar::start(&store.url(), SETTINGS).await;
    let line = serving.refuses(&ANY_PORT).await;
    let folder = serving.data().display().to_string();
    assert!(
        line.contains(&folder) && line.contains("in use by another process"),
        "{line}"
    );
    still_serves(&serving).await;
}

async fn a_data_folder_that_cannot_be_made_is_told(store: Store) {
    let sidecar = Sidecar::new(&store.url(), SETTINGS);
    let file = sidecar.data();
    fs::write(&file, "precious").expect("the folder is ours");
    for folder in [
        file.clone(),
        file.join("below"),
        file.with_file_name("missing/data"),
    ] {
        let folder = folder.to_str().expect("it is text");
        let mut flags = vec!["--data-dir", folder];
        flags.extend(ANY_PORT);
        let line = refuses_without_data_dir(&sidecar, &store, &flags).await;
        assert!(line.contains(folder), "{line}");
    }
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "precious");
    assert!(
        !file.with_file_name("missing").exists(),
        "only the folder itself is made"
    );
}

/// As [`Sidecar::refuses`], with a data folder among the flags.
async fn refuses_without_data_dir(sidecar: &Sidecar, store: &Store, flags: &[&str]) -> String {
    let (settings, url) = (sidecar.settings(), store.url());
    let settings = settings.to_str().expect("it is text");
    let common = ["serve", "--config", settings, "--store", &url];
    let ended = Process::imquota([&common[..], flags].concat())
        .ended()
        .await;
    assert_eq!(
        (ended.code(), ended.stderr.lines().count()),
        (1, 1),
        "{ended:?}"
    );
    ended.stderr
}

/// New settings take effect with a month, and old ones do not undo it.
async fn another_billing_zone_takes_effect_with_a_month(store: Store) {
    let zone = |zone: &str| format!("billing: {{ zone: \"{zone}\" }}{SETTINGS}");
    let mut sidecar = Sidecar::start(&store.url(), &zone("+08:00")).await;
    still_serves(&sidecar).await;
    let mut told = Vec::new();
    for settings in ["Europe/Berlin", "+08:00"] {
        sidecar.stop().await;
        sidecar.set(&zone(settings));
        sidecar.start_again().await;
        let line = sidecar.process().says("+08:00 2").await;
        let from = line.split("+08:00 ").nth(1).expect("the schedule");
        let (month, rest) = from.split_at(7);
        assert!(rest.starts_with(" Europe/Berlin"), "{line}");
        told.push(month.to_owned());
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(sidecar.client().await.used(1, Resource::Account).await, 2);
    // The month that ends with it says so on its bill.
    let running = Zone::parse("+08:00")
        .expect("a zone")
        .day(Clock::system())
        .month();
    let bill = sidecar.client().await.bill(1, &running.to_string()).await;
    let said = bill
        .notes
        .iter()
        .any(|note| note.contains("days are counted in Europe/Berlin"));
    assert_eq!(said, told[0] == running.next().to_string(), "{bill:?}");
}

on_both_stores!(
    a_second_process_on_one_data_folder_is_refused,
    a_data_folder_that_cannot_be_made_is_told,
    another_billing_zone_takes_effect_with_a_month,
);

#[tokio::test]
async fn a_ledger_that_may_not_be_made_must_be_there() {
    let redis = RedisServer::start();
    let never = format!("store: {{ create: never }}{SETTINGS}");
    let careful = Sidecar::new(&redis.url(), &never);
    let line = careful.refuses(&ANY_PORT).await;
    assert!(line.contains("store.create is never"), "{line}");

    let _maker = Sidecar::start(&redis.url(), SETTINGS).await;
    careful.set(&format!(
        "billing: {{ zone: \"{}\" }}\n{never}",
        crate::sidecar::noon_zone()
    ));
    let mut careful = careful;
    careful.start_again().await;
    still_serves(&careful).await;
}

#[tokio::test]
async fn a_fault_in_the_settings_names_file_line_and_key() {
    let sidecar = Sidecar::new("embedded", SETTINGS);
    let file = sidecar.settings();
    fs::write(
        &file,
        "workers: none\napps:\n  - { app_id: 1, plan: gold }\n",
    )
    .expect("it is ours");
    let file = file.to_str().expect("it is text");
    let ended = Process::imquota(["serve", "--config", file, "--listen", "nowhere"])
        .ended()
        .await;
    assert_eq!(ended.code(), 2, "{ended:?}");
    for fault in [
        &format!("{file}:1: workers"),
        &format!("{file}:3: apps"),
        "--listen",
    ] {
        assert!(ended.stderr.contains(fault), "{fault}: {}", ended.stderr);
    }
    assert!(!sidecar.data().exists());
}
