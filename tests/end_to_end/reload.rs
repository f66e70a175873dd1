//! The settings file changes while a sidecar runs: all of it or nothing, and no check is refused for it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use imquota::grpc::proto::{Decision, DenyReason, Resource};
use rustix::process::Signal;

use crate::client::{ACCOUNTS_FULL, ALLOW, Client, UNKNOWN, verdict};
use crate::sidecar::{Sidecar, noon_zone};
use crate::stores::{Store, on_both_stores};
use crate::wait::until;

use Resource::Account;

const APP: u64 = 1;
const METERED: u64 = 2;
const NEW: u64 = 3;

const BEFORE: &str = "
apps:
  - { app_id: 1, plan: pro, limits: { accounts: 2 } }
  - { app_id: 2, plan: pro }
";
const AFTER: &str = "
apps:
  - { app_id: 1, plan: pro, limits: { accounts: 1 } }
  - { app_id: 2, plan: pro }
  - { app_id: 3, plan: own }
plans:
  own: { limits: { accounts: 1 } }
";

on_both_stores!(
    a_change_of_the_file_holds_without_a_restart,
    a_file_with_a_fault_changes_nothing,
    what_needs_a_restart_says_so,
);

async fn becomes(client: &Client, app: u64, expected: (Decision, DenyReason, u32)) {
    until("the settings hold", async || {
        match verdict(&client.create(app, Account).await) {
            said if said == expected => Ok(()),
            said => Err(said),
        }
    })
    .await;
}

async fn a_change_of_the_file_holds_without_a_restart(store: Store) {
    let sidecar = Sidecar::start(&store.url(), BEFORE).await;
    let client = sidecar.client().await;
    assert_eq!(verdict(&client.create(APP, Account).await), ALLOW);
    assert_eq!(verdict(&client.create(NEW, Account).await), UNKNOWN);
    // Somebody asks all the time, and is refused nothing.
    let stop = Arc::new(AtomicBool::new(false));
    let (busy, stopped) = (sidecar.client().await, stop.clone());
    let asking = tokio::spawn(async move {
        let mut asked = 0;
        while !stopped.load(Ordering::Relaxed) {
            assert_eq!(verdict(&busy.create(METERED, Account).await), ALLOW);
            asked += 1;
        }
        asked
    });
    sidecar.set(AFTER);
    becomes(&client, NEW, ALLOW).await;
    assert_eq!(verdict(&client.create(NEW, Account).await), ACCOUNTS_FULL);
    assert_eq!(verdict(&client.create(APP, Account).await), ACCOUNTS_FULL);
    // By a signal it holds at once, and an app that is gone is unknown.
    sidecar.set(BEFORE);
    sidecar.process().signal(Signal::HUP);
    becomes(&client, NEW, UNKNOWN).await;
    stop.store(true, Ordering::Relaxed);
    assert!(asking.await.expect("nothing was refused") > 0);
}

async fn a_file_with_a_fault_changes_nothing(store: Store) {
    let sidecar = Sidecar::start(&store.url(), BEFORE).await;
    let client = sidecar.client().await;
    sidecar.set(&AFTER.replace("plan: own", "plan: pwn"));
    let said = sidecar.process().says("the last good settings stay").await;
    assert!(
        said.contains("imquota.yaml:5: apps[2].plan: no plan is called"),
        "{said}"
    );
    assert_eq!(verdict(&client.create(NEW, Account).await), UNKNOWN);
    assert_eq!(verdict(&client.create(APP, Account).await), ALLOW);
    sidecar.set(AFTER);
    becomes(&client, NEW, ALLOW).await;
}

async fn what_needs_a_restart_says_so(store: Store) {
    let sidecar = Sidecar::start(&store.url(), BEFORE).await;
    sidecar.set(&format!("{BEFORE}health_listen: 127.0.0.1:0\n"));
    let said = sidecar.process().says("holds from the next start on").await;
    assert!(said.contains("health_listen"), "{said}");
}

/// Makes `folder/..data` show another folder, in one step, as a mounted ConfigMap does.
fn swap(folder: &Path, version: &str, settings: &str) {
    let files = folder.join(version);
    std::fs::create_dir(&files).expect("the folder is ours");
    let zone = noon_zone();
    let text = format!("{settings}billing: {{ zone: \"{zone}\" }}\n");
    std::fs::write(files.join("imquota.yaml"), text).expect("the folder is ours");
    symlink(version, folder.join("..data_tmp")).expect("the folder is ours");
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("the folder is ours");
}

#[tokio::test]
async fn a_mounted_config_map_that_is_swapped_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut sidecar = Sidecar::new("embedded", BEFORE);
    swap(folder.path(), "..one", BEFORE);
    symlink("..data/imquota.yaml", folder.path().join("imquota.yaml")).expect("the folder is ours");
    let settings = sidecar.settings();
    std::fs::remove_file(&settings).expect("it was written");
    symlink(folder.path().join("imquota.yaml"), &settings).expect("the folder is ours");
    sidecar.start_again().await;
    let client = sidecar.client().await;
    assert_eq!(verdict(&client.create(NEW, Account).await), UNKNOWN);
    swap(folder.path(), "..two", AFTER);
    becomes(&client, NEW, ALLOW).await;
}
