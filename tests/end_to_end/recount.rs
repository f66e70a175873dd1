//! An operator sets counts to the truth: by the program's verbs, with a token or without, and in the
//! face of `kill -9`.

use std::time::Duration;

use imquota::grpc::proto::admin_service_client::AdminServiceClient;
use imquota::grpc::proto::{CheckRequest, RecountRequest, Resource};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::sleep;

use crate::client::{ACCOUNTS_FULL, ALLOW, Client, UNAVAILABLE, creation, deletion, verdict};
use crate::process::{Ended, Process};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::soon;

use Resource::{Account, AvRoom};

const PRO: u64 = 1;
const TIGHT: u64 = 2;

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: pro }
  - { app_id: 2, plan: pro, limits: { accounts: 50 } }
";

/// How often the process is killed in the middle of a recount, and how much later each time.
const KILLS: u32 = 10;
const PACE: Duration = Duration::from_millis(1);

on_both_stores!(
    a_count_is_set_and_stays_set_whatever_happens,
    a_hard_limit_is_judged_by_the_new_count,
    the_truth_is_counted_under_a_token,
    a_dry_run_can_be_called_off,
    a_kill_leaves_the_old_count_or_the_new_one,
    the_list_of_members_is_told,
    only_operators_are_let_in,
);

/// A sidecar that operators reach over a socket beside its settings.
async fn start(store: &Store) -> Sidecar {
    let mut sidecar = Sidecar::new(&store.url(), SETTINGS);
    let socket = operators(&sidecar);
    sidecar.set(&format!("{SETTINGS}admin_listen: \"{socket}\"\n"));
    sidecar.start_again().await;
    sidecar
}

/// What `--admin-endpoint` is given.
pub fn operators(sidecar: &Sidecar) -> String {
    let socket = sidecar.settings().with_file_name("a");
    format!("unix:{}", socket.display())
}

async fn imquota(sidecar: &Sidecar, arguments: &str) -> Ended {
    let at = operators(sidecar);
    let words = arguments.split(' ').chain(["--admin-endpoint", &at]);
    Process::imquota(words).ended().await
}

/// What a verb prints for a script; it must be done.
pub async fn json(sidecar: &Sidecar, arguments: &str) -> Value {
    let ended = imquota(sidecar, &format!("{arguments} --json")).await;
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("it is JSON")
}

/// What a verb that is not done says.
pub async fn fault(sidecar: &Sidecar, arguments: &str) -> String {
    let ended = imquota(sidecar, arguments).await;
    assert_eq!((ended.code(), ended.stdout.as_str()), (1, ""), "{ended:?}");
    ended.stderr
}

async fn restarted(sidecar: &mut Sidecar) -> Client {
    sidecar.kill().await;
    sidecar.start_again().await;
    sidecar.client().await
}

async fn a_count_is_set_and_stays_set_whatever_happens(store: Store) {
    let mut sidecar = start(&store).await;
    let client = sidecar.client().await;
    for _ in 0..5 {
        assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
    }
    let set = "recount --app 1 --resource account --to 100 --reason migrated";
    let counted = json(&sidecar, set).await;
    assert_eq!((&counted["from"], &counted["to"]), (&5.into(), &100.into()));
    assert_eq!(
        (&counted["held"], &counted["all_told"]),
        (&0.into(), &true.into())
    );

    let client = restarted(&mut sidecar).await;
    assert_eq!(client.used(PRO, Account).await, 100, "right after it");
    assert_eq!(client.create(PRO, Account).await.used, 101);
    let client = restarted(&mut sidecar).await;
    assert_eq!(
        client.used(PRO, Account).await,
        101,
        "what came after it as well"
    );
    let freed = client.release(deletion(PRO, Account, 2)).await;
    assert_eq!((freed.released, freed.used), (2, 99));
    sidecar.stop().await;
    sidecar.start_again().await;
    let client = sidecar.client().await;
    assert_eq!(client.used(PRO, Account).await, 99);

    let audit = json(&sidecar, "audit --app 1").await;
    let entries = audit["entries"].as_array().expect("a list");
    assert_eq!(entries.len(), 1, "{audit}");
    assert_eq!(
        (&entries[0]["from"], &entries[0]["to"]),
        (&5.into(), &100.into())
    );
    assert_eq!(entries[0]["reason"], "migrated");
    let other = json(&sidecar, "audit --app 2").await;
    assert_eq!(other["entries"], Value::Array(Vec::new()));
}

async fn a_hard_limit_is_judged_by_the_new_count(store: Store) {
    let mut sidecar = start(&store).await;
    let mut client = sidecar.client().await;
    for _ in 0..3 {
        assert_eq!(verdict(&client.create(TIGHT, Account).await), ALLOW);
    }
    let with_id = |id: &str| CheckRequest {
        request_id: id.into(),
        ..creation(TIGHT, Account)
    };
    let set = |to: u64| format!("recount --app 2 --resource account --to {to}");
    let counted = json(&sidecar, &set(49)).await;
    assert_eq!((&counted["from"], &counted["held"]), (&3.into(), &0.into()));
    let last = client.check(with_id("last")).await;
    assert_eq!((verdict(&last), last.used), (ALLOW, 50));
    for _ in 0..2 {
        let one_more = client.create(TIGHT, Account).await;
        assert_eq!(verdict(&one_more), ACCOUNTS_FULL);
        client = restarted(&mut sidecar).await;
        assert_eq!(client.used(TIGHT, Account).await, 50);
    }
    let again = client.check(with_id("last")).await;
    assert!(again.replayed, "{again:?}");
    json(&sidecar, &set(10)).await;
    let next = client.create(TIGHT, Account).await;
    assert_eq!((verdict(&next), next.used), (ALLOW, 11));
}

async fn the_truth_is_counted_under_a_token(store: Store) {
    let sidecar = start(&store).await;
    let client = sidecar.client().await;
    assert_eq!(verdict(&client.create(TIGHT, Account).await), ALLOW);
    let dry = json(&sidecar, "recount --app 2 --resource account --dry-run").await;
    assert_eq!((&dry["from"], &dry["to"]), (&1.into(), &Value::Null));
    assert!(dry["frozen_until"].is_string(), "{dry}");
    let token = dry["token"].as_u64().expect("a number");
    let refused = client.create(TIGHT, Account).await;
    assert_eq!(verdict(&refused), UNAVAILABLE, "the truth is being counted");
    assert!(refused.retry_after.is_some());
    assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);

    let commit = format!("recount --app 2 --resource account --to 7 --token {token}");
    let counted = json(&sidecar, &commit).await;
    assert_eq!((&counted["from"], &counted["to"]), (&1.into(), &7.into()));
    let next = client.create(TIGHT, Account).await;
    assert_eq!((verdict(&next), next.used), (ALLOW, 8));
    let late = fault(&sidecar, &commit).await;
    assert!(late.contains("is not frozen under token"), "{late}");
    assert!(late.contains("imquota audit --app 2"), "{late}");
    assert_eq!(client.used(TIGHT, Account).await, 8);
}

async fn a_dry_run_can_be_called_off(store: Store) {
    let sidecar = start(&store).await;
    let client = sidecar.client().await;
    assert_eq!(verdict(&client.create(TIGHT, AvRoom).await), ALLOW);
    let dry = json(&sidecar, "recount --app 2 --resource av-room --dry-run").await;
    let token = dry["token"].as_u64().expect("a number");
    assert_eq!(verdict(&client.create(TIGHT, AvRoom).await), UNAVAILABLE);
    let off = format!("recount --app 2 --resource av-room --cancel --token {token}");
    let ended = imquota(&sidecar, &off).await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(ended.stdout.starts_with("CALLED OFF"), "{ended:?}");
    assert_eq!(verdict(&client.create(TIGHT, AvRoom).await), ALLOW);
    assert_eq!(client.used(TIGHT, AvRoom).await, 2);
    let entries = json(&sidecar, "audit").await;
    assert_eq!(entries["entries"], Value::Array(Vec::new()));
}

async fn a_kill_leaves_the_old_count_or_the_new_one(store: Store) {
    let mut sidecar = start(&store).await;
    let mut known = 0_u64;
    let mut done = 0;
    for round in 0..KILLS {
        let client = sidecar.client().await;
        // Some are settled by the time of the kill, and some are in the journal alone.
        for _ in 0..3 {
            assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
            known += 1;
        }
        let to = 1000 * u64::from(round + 1);
        let uri = operators(&sidecar).replacen("unix:", "unix://", 1);
        let channel = Client::connect(uri).await.channel;
        let asking = tokio::spawn(async move {
            let recount = RecountRequest {
                app_id: PRO,
                resource: Account.into(),
                to: Some(to),
                ..Default::default()
            };
            AdminServiceClient::new(channel).recount(recount).await
        });
        sleep(PACE * round).await;
        sidecar.process().signal(Signal::KILL);
        sidecar.kill().await;
        let answer = soon("an answer, or none", asking).await.expect("no panic");
        sidecar.start_again().await;
        let used = sidecar.client().await.used(PRO, Account).await;
        let audit = json(&sidecar, "audit --limit 1").await;
        let last = audit["entries"][0]["to"].as_u64();
        if used == to {
            assert_eq!(last, Some(to));
        } else {
            assert_eq!(used, known, "{answer:?}");
            assert_ne!(last, Some(to));
            assert!(answer.is_err(), "{answer:?}");
        }
        done += u64::from(answer.is_ok());
        known = used;
    }
    eprintln!("{done} of {KILLS} recounts were answered before the kill");
}

async fn the_list_of_members_is_told(store: Store) {
    let sidecar = start(&store).await;
    let list = json(&sidecar, "members list").await;
    let members = list["members"].as_array().expect("a list");
    assert_eq!(members.len(), 1, "{list}");
    assert_eq!(members[0]["standing"], "MEMBER_STANDING_PRESENT");
    let name = members[0]["name"].as_str().expect("text");
    let alive = fault(&sidecar, &format!("members retire {name}")).await;
    assert!(alive.contains("is alive"), "{alive}");
    let nobody = fault(&sidecar, "members retire nobody").await;
    assert!(nobody.contains("no member is called"), "{nobody}");
}

async fn only_operators_are_let_in(store: Store) {
    let settings = format!("{SETTINGS}admin_listen: \"127.0.0.1:0\"\n");
    let sidecar = Sidecar::start(&store.url(), &settings).await;
    let ready = sidecar.process().says("ready to answer").await;
    let ready: Value = serde_json::from_str(&ready).expect("the log is JSON");
    let fields = ready.get("fields").unwrap_or(&ready);
    let at = fields["admin_listen"].as_str().expect("it says where");
    let audit = |token: &str| {
        let words = ["audit", "--admin-endpoint", at, "--token-file", token];
        Process::imquota(words).ended()
    };
    let token = sidecar.data().join("admin.token");
    let ended = audit(token.to_str().expect("text")).await;
    assert_eq!(
        (ended.code(), ended.stdout.as_str()),
        (0, "nothing was done yet")
    );
    let wrong = sidecar.settings().with_file_name("wrong");
    std::fs::write(&wrong, "x".repeat(64)).expect("the folder is ours");
    let ended = audit(wrong.to_str().expect("text")).await;
    assert_eq!(ended.code(), 1);
    assert!(ended.stderr.contains("UNAUTHENTICATED"), "{ended:?}");
    let ended = audit("/nowhere/token").await;
    assert_eq!(ended.code(), 1);
    assert!(ended.stderr.contains("no token to show"), "{ended:?}");
}
