//! The log's filter, which an operator changes while the server runs.

use std::process::Command;

use crate::client::Client;
use crate::process::{Ended, Process};
use crate::sidecar::Sidecar;
use crate::wait::until;

const APPS: &str = "apps: [{ app_id: 1, plan: pro, limits: { accounts: 1 } }]\n";

/// A sidecar with a listener for operators, and where that is.
async fn sidecar(folder: &tempfile::TempDir) -> (Sidecar, String) {
    let admin = format!("unix:{}", folder.path().join("admin").display());
    let settings = format!("{APPS}admin_listen: \"{admin}\"\n");
    (Sidecar::start("embedded", &settings).await, admin)
}

async fn log_filter(admin: &str, arguments: &[&str]) -> Ended {
    let verb = ["log-filter", "--admin-endpoint", admin];
    Process::imquota([&verb, arguments].concat()).ended().await
}

/// How many lines of decisions there are after another refusal.
async fn refused(client: &Client, sidecar: &Sidecar) -> usize {
    client
        .create(1, imquota::grpc::proto::Resource::Account)
        .await;
    let stderr = sidecar.process().stderr();
    stderr.matches("imquota::decision").count()
}

#[tokio::test]
async fn the_filter_changes_while_the_server_runs_and_ends_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sidecar, admin) = sidecar(&folder).await;
    let client = sidecar.client().await;
    refused(&client, &sidecar).await;
    let off = log_filter(&admin, &["info,imquota::decision=off", "--lasts", "24h"]).await;
    assert_eq!(off.code(), 0, "{off:?}");
    assert!(
        off.stdout
            .starts_with("SET: info,imquota::decision=off until "),
        "{off:?}"
    );
    sidecar.process().says("the log's filter was changed").await;
    let before = refused(&client, &sidecar).await;
    for _ in 0..10 {
        assert_eq!(refused(&client, &sidecar).await, before);
    }
    let on = log_filter(&admin, &[]).await;
    assert_eq!(
        (on.code(), on.stdout.trim()),
        (0, "SET: info, as the server began")
    );
    until("refusals are logged again", async || {
        let now = refused(&client, &sidecar).await;
        if now > before { Ok(()) } else { Err(now) }
    })
    .await;
    // Its time ends by itself.
    let soon = log_filter(&admin, &["warn,imquota=info", "--lasts", "1s"]).await;
    assert_eq!(soon.code(), 0, "{soon:?}");
    sidecar
        .process()
        .says("the log's filter is again what it was")
        .await;
}

#[tokio::test]
async fn a_filter_that_is_none_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sidecar, admin) = sidecar(&folder).await;
    let wrong = log_filter(&admin, &["imquota=loud"]).await;
    assert_eq!(wrong.code(), 1, "{wrong:?}");
    assert!(
        wrong
            .stderr
            .contains("filter: must have the form of RUST_LOG"),
        "{wrong:?}"
    );
    for lasts in ["0s", "25h"] {
        let wrong = log_filter(&admin, &["debug", "--lasts", lasts]).await;
        assert_eq!(wrong.code(), 2, "{wrong:?}");
    }
    assert!(!sidecar.process().stderr().contains("filter was changed"));
}

#[tokio::test]
async fn a_server_does_not_start_with_a_filter_that_is_none() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imquota"));
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("RUST_LOG", "imquota=loud");
    let ended = Process::spawn(command).ended().await;
    assert_eq!(ended.code(), 2, "{ended:?}");
    assert!(ended.stderr.starts_with("RUST_LOG: "), "{ended:?}");
}
