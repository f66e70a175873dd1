//! Apps that operators register in the ledger: known to every sidecar within two seconds, through restarts, and told
//! again to a Redis that has forgotten them.

use std::time::{Duration, Instant};

use imquota::grpc::proto::admin_service_client::AdminServiceClient;
use imquota::grpc::proto::{
    CheckMode, CheckRequest, Decision, DenyReason, ListAppsRequest, Resource,
};
use serde_json::{Value, json};

use crate::client::{
    ACCOUNTS_FULL, ALLOW, Client, DISABLED, UNAVAILABLE, UNKNOWN, creation, used, verdict,
};
use crate::process::Process;
use crate::recount::{fault, json, operators};
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::stores::{Store, beside, on_both_stores};
use crate::wait::until;

use Resource::{Account, AvRoom};

/// Within so long a change holds everywhere.
const EVERYWHERE: Duration = Duration::from_secs(2);

const FILED: u64 = 1;
const NEW: u64 = 5;

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: pro }
";

on_both_stores!(
    an_app_is_registered_changed_and_deleted,
    two_operators_do_not_undo_each_other,
    a_deleted_app_begins_anew_with_nothing,
    what_an_operator_says_is_checked,
    all_apps_are_listed_by_pages,
);

async fn start(url: &str, settings: &str) -> Sidecar {
    let mut sidecar = Sidecar::new(url, settings);
    let socket = operators(&sidecar);
    sidecar.set(&format!("{settings}admin_listen: \"{socket}\"\n"));
    sidecar.start_again().await;
    sidecar
}

/// Waits until a creation is answered so, no longer than a change may take; it may be counted.
async fn comes(client: &Client, app: u64, answer: (Decision, DenyReason, u32)) {
    let since = Instant::now();
    loop {
        let dry = CheckRequest {
            mode: CheckMode::DryRun.into(),
            ..creation(app, Account)
        };
        let said = client.check(dry).await;
        if verdict(&said) == answer {
            return;
        }
        assert!(since.elapsed() < EVERYWHERE, "{said:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn an_app_is_registered_changed_and_deleted(store: Store) {
    let mut sidecar = start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    assert_eq!(verdict(&client.create(NEW, Account).await), UNKNOWN);

    let put = json(
        &sidecar,
        "apps put --app 5 --plan trial --accounts 2 --reason new",
    )
    .await;
    assert_eq!(
        put["app"]["limits"]["accounts"],
        json!({ "at_most": 2 }),
        "{put}"
    );
    assert_eq!(put["app"]["source"], "APP_SOURCE_LEDGER");
    for _ in 0..2 {
        assert_eq!(verdict(&client.create(NEW, Account).await), ALLOW);
    }
    assert_eq!(verdict(&client.create(NEW, Account).await), ACCOUNTS_FULL);

    // What no flag names stays; a limit that is raised holds at once.
    json(&sidecar, "apps put --app 5 --plan pro --accounts 3").await;
    comes(&client, NEW, ALLOW).await;
    assert_eq!(client.usage(NEW).await.plan, "pro");
    assert_eq!(verdict(&client.create(NEW, Account).await), ALLOW);
    assert_eq!(verdict(&client.create(NEW, Account).await), ACCOUNTS_FULL);
    json(&sidecar, "apps put --app 5 --accounts 1").await;
    json(&sidecar, "apps put --app 5 --disabled true").await;
    assert_eq!(verdict(&client.create(NEW, Account).await), DISABLED);

    // A restart changes nothing of it.
    sidecar.kill().await;
    sidecar.start_again().await;
    let client = sidecar.client().await;
    assert_eq!(verdict(&client.create(NEW, Account).await), DISABLED);
    let got = json(&sidecar, "apps get --app 5").await;
    assert_eq!(
        (&got["app"]["plan"], &got["app"]["disabled"]),
        (&json!("pro"), &json!(true))
    );

    json(&sidecar, "apps delete --app 5 --reason over").await;
    assert_eq!(verdict(&client.create(NEW, Account).await), UNKNOWN);
    let listed = json(&sidecar, "apps list").await;
    assert_eq!(listed["apps"].as_array().map(Vec::len), Some(1), "{listed}");
    // What it had in this month is billed.
    let bill = client
        .try_bill(NEW, &this_month())
        .await
        .expect("it is known");
    assert_eq!(bill.plan, "pro", "{bill:?}");

    let audit = json(&sidecar, "audit --app 5").await;
    let entries = audit["entries"].as_array().expect("a list");
    let whats: Vec<_> = entries
        .iter()
        .map(|entry| entry["what"].as_str().expect("text"))
        .collect();
    assert_eq!(whats, ["delete", "change", "change", "change", "create"]);
    assert_eq!(entries[0]["reason"], "over");
}

fn this_month() -> String {
    let zone = crate::sidecar::noon_zone();
    let hours: i8 = zone[..3].parse().expect("an offset");
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::Offset::constant(hours).to_time_zone());
    now.strftime("%Y-%m").to_string()
}

async fn two_operators_do_not_undo_each_other(store: Store) {
    let sidecar = start(&store.url(), SETTINGS).await;
    let first = json(&sidecar, "apps put --app 5 --plan trial").await;
    let version = first["app"]["version"].as_u64().expect("a number");
    json(
        &sidecar,
        &format!("apps put --app 5 --av-rooms 7 --version {version}"),
    )
    .await;
    let aborted = fault(
        &sidecar,
        &format!("apps put --app 5 --plan pro --version {version}"),
    )
    .await;
    for part in [
        "ABORTED",
        "app 5 was changed meanwhile by uid",
        "plan trial -> pro",
    ] {
        assert!(aborted.contains(part), "{part:?} in {aborted}");
    }
    let gone = fault(
        &sidecar,
        &format!("apps delete --app 5 --version {version}"),
    )
    .await;
    assert!(gone.contains("ABORTED"), "{gone}");
    let new = fault(&sidecar, "apps put --app 5 --plan pro --version 0").await;
    assert!(new.contains("ABORTED"), "{new}");
    let there = json(&sidecar, "apps get --app 5").await;
    assert_eq!(there["app"]["plan"], "trial");
    assert_eq!(there["app"]["limits"]["av_rooms"], json!({ "at_most": 7 }));
}

async fn a_deleted_app_begins_anew_with_nothing(store: Store) {
    let settings = format!("unknown_app_plan: pro\n{SETTINGS}");
    let sidecar = start(&store.url(), &settings).await;
    let client = sidecar.client().await;
    json(
        &sidecar,
        "apps put --app 5 --plan trial --accounts 2 --av-rooms 2",
    )
    .await;
    let room = || CheckRequest {
        resource_id: "room".into(),
        ..creation(NEW, AvRoom)
    };
    assert_eq!(verdict(&client.create(NEW, Account).await), ALLOW);
    assert_eq!(verdict(&client.create(NEW, Account).await), ALLOW);
    assert_eq!(verdict(&client.check(room()).await), ALLOW);
    json(&sidecar, "apps delete --app 5").await;
    // Not the plan of apps that nobody names.
    assert_eq!(verdict(&client.create(NEW, Account).await), UNKNOWN);

    json(
        &sidecar,
        "apps put --app 5 --plan trial --accounts 2 --av-rooms 2",
    )
    .await;
    let usage = client.usage(NEW).await;
    assert_eq!(
        (used(&usage, Account), used(&usage, AvRoom)),
        (0, 0),
        "{usage:?}"
    );
    assert_eq!(verdict(&client.create(NEW, Account).await), ALLOW);
    let again = client.check(room()).await;
    assert_eq!(
        (verdict(&again), again.already_counted),
        (ALLOW, false),
        "{again:?}"
    );
    assert_eq!(used(&client.usage(NEW).await, AvRoom), 1);
}

async fn what_an_operator_says_is_checked(store: Store) {
    let sidecar = start(&store.url(), SETTINGS).await;
    let filed = fault(&sidecar, "apps put --app 1 --plan trial").await;
    assert!(
        filed.contains("FAILED_PRECONDITION") && filed.contains("settings file"),
        "{filed}"
    );
    let filed = fault(&sidecar, "apps delete --app 1").await;
    assert!(filed.contains("FAILED_PRECONDITION"), "{filed}");
    let plan = fault(&sidecar, "apps put --app 5 --plan gold").await;
    assert!(
        plan.contains("INVALID_ARGUMENT") && plan.contains("app.plan"),
        "{plan}"
    );
    let plan = fault(&sidecar, "apps put --app 5 --plan Gold!").await;
    assert!(
        plan.contains("INVALID_ARGUMENT") && plan.contains("app.plan"),
        "{plan}"
    );
    let absent = fault(&sidecar, "apps delete --app 5").await;
    assert!(absent.contains("NOT_FOUND"), "{absent}");
    let absent = fault(&sidecar, "apps get --app 5").await;
    assert!(absent.contains("NOT_FOUND"), "{absent}");
    let shown = json(&sidecar, &format!("apps get --app {FILED}")).await;
    assert_eq!(shown["app"]["source"], "APP_SOURCE_FILE");
    assert_eq!(shown["app"]["version"], Value::Null);
}

async fn all_apps_are_listed_by_pages(store: Store) {
    let sidecar = start(&store.url(), SETTINGS).await;
    for app in 10..15 {
        json(&sidecar, &format!("apps put --app {app} --plan pro")).await;
    }
    json(&sidecar, "apps delete --app 12").await;
    let channel =
        tonic::transport::Endpoint::from_shared(operators(&sidecar).replace("unix:", "unix://"))
            .expect("a URI")
            .connect()
            .await
            .expect("somebody listens");
    let mut admin = AdminServiceClient::new(channel);
    let (mut ids, mut after_app_id) = (Vec::new(), 0);
    loop {
        let page = admin
            .list_apps(ListAppsRequest {
                after_app_id,
                page_size: 2,
                show_deleted: false,
            })
            .await
            .expect("it is answered")
            .into_inner();
        assert!(page.apps.len() <= 2);
        ids.extend(page.apps.iter().map(|app| app.app_id));
        after_app_id = page.next_after_app_id;
        if after_app_id == 0 {
            break;
        }
    }
    assert_eq!(ids, [1, 10, 11, 13, 14]);
}

#[tokio::test]
async fn every_sidecar_knows_within_two_seconds_and_a_flushed_redis_is_told_again() {
    let redis = RedisServer::start();
    let here = start(&redis.url(), SETTINGS).await;
    let mut there = start(&redis.url(), SETTINGS).await;
    let (asked, other) = (here.client().await, there.client().await);
    json(&here, "apps put --app 5 --plan trial --accounts 2").await;
    comes(&other, NEW, ALLOW).await;
    for client in [&asked, &other] {
        assert_eq!(verdict(&client.create(NEW, Account).await), ALLOW);
    }
    assert_eq!(verdict(&other.create(NEW, Account).await), ACCOUNTS_FULL);

    // A limit that is raised is nobody's lower one any more, whoever has heard of it first.
    json(&there, "apps put --app 5 --accounts 3").await;
    comes(&asked, NEW, ALLOW).await;
    assert_eq!(verdict(&asked.create(NEW, Account).await), ALLOW);
    json(&there, "apps delete --app 5").await;
    comes(&asked, NEW, UNKNOWN).await;
    json(&here, "apps put --app 6 --plan trial --accounts 1").await;
    comes(&other, 6, ALLOW).await;

    redis.flush_all();
    here.process().says("all sidecars tell it").await;
    until("apps are known and served again", async || {
        match verdict(&asked.create(6, Account).await) {
            ALLOW => Ok(()),
            answer => Err(answer),
        }
    })
    .await;
    // A newcomer hears of them from the ledger alone, also of what was deleted.
    there.stop().await;
    let newcomer = start(&redis.url(), &format!("unknown_app_plan: pro\n{SETTINGS}")).await;
    let client = newcomer.client().await;
    assert_eq!(verdict(&client.create(6, Account).await), ACCOUNTS_FULL);
    assert_eq!(verdict(&client.create(NEW, Account).await), UNKNOWN);
}

#[tokio::test]
async fn a_start_without_redis_goes_by_what_was_known_and_guesses_nothing() {
    let redis = RedisServer::start();
    let mut sidecar = start(&redis.url(), SETTINGS).await;
    json(&sidecar, "apps put --app 5 --plan flagship").await;
    sidecar.kill().await;
    let url = redis.url();
    let _redis = beside(redis, RedisServer::stop).await;
    sidecar.start_again().await;
    let client = sidecar.client().await;
    assert_eq!(
        verdict(&client.create(NEW, Account).await),
        ALLOW,
        "metered"
    );
    assert_eq!(verdict(&client.create(9, Account).await), UNKNOWN);
    // One that never read the register does not say that nobody knows the app.
    let fresh = start(&url, SETTINGS).await;
    let answer = fresh.client().await.create(NEW, Account).await;
    assert_eq!(verdict(&answer), UNAVAILABLE, "{answer:?}");
}

#[tokio::test]
async fn what_a_file_would_change_is_told_before_it_is_rolled_out() {
    let sidecar = start("embedded", SETTINGS).await;
    json(&sidecar, "apps put --app 5 --plan trial").await;
    let file = sidecar.settings().with_file_name("next.yaml");
    let next = "
apps:
  - { app_id: 5, plan: trial, limits: { accounts: 7 } }
  - { app_id: 8, plan: own }
plans:
  own: { limits: { accounts: 3 } }
  pro: { limits: { av_rooms: 60, groups_gained_daily: 10000 } }
outage: { accounts: admit }
";
    std::fs::write(&file, next).expect("the folder is ours");
    let at = operators(&sidecar);
    let file = file.to_str().expect("text");
    let ended = Process::imquota(["check-config", file, "--against", &at])
        .ended()
        .await;
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""), "{ended:?}");
    for line in [
        "ok",
        "~ outage.accounts: deny -> admit",
        "~ plans.pro.limits.av_rooms: 50 -> 60",
        "- plans.pro.fees.2020-01-01.plan: 149.99",
        "+ plans.own.limits.accounts: 3",
        "- app 1: plan pro",
        "+ app 8: plan own",
        "~ app 5: plan trial (registered in the ledger) -> plan trial, accounts 7 (the file goes before the ledger)",
    ] {
        assert!(
            ended.stdout.lines().any(|said| said == line),
            "{line:?} in {}",
            ended.stdout
        );
    }
    // The same again, with what is registered left out.
    std::fs::write(file, SETTINGS).expect("the folder is ours");
    let ended = Process::imquota(["check-config", file, "--against", &at])
        .ended()
        .await;
    assert_eq!(
        ended.stdout, "ok\nnothing would change of limits, prices and apps",
        "{ended:?}"
    );
}
