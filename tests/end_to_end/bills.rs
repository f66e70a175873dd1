//! Bills: how a month stands, through the gateways' door and through the program.

use imquota::grpc::proto::{
    CheckMode, CheckRequest, GetBillResponse, RecordActiveRequest, Resource,
};
use tonic::Code;

use crate::client::{ALLOW, Client, UNKNOWN as APP_UNKNOWN, creation, deletion, verdict};
use crate::process::Process;
use crate::recount::operators;
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::until;

const PRO: u64 = 1;
const NEW: u64 = 40;
const TRIAL: u64 = 41;
const EMPTY: u64 = 42;
const UNKNOWN: u64 = 99;

use Resource::{AvRoom, Group};

/// An app of plan `many` for each worked case: the editions without the guard of a day's gain.
fn settings() -> String {
    let mut text = "
plans:
  many:
    limits: {}
    fees:
      - effective_from: 2020-01-01
        plan: \"149.99\"
        daily_active: { free: 10000, block: 10000, price: \"149.99\" }
        groups: { free: 100000, block: 100000, price: \"149.99\" }
apps:
  - { app_id: 41, plan: trial }
  - { app_id: 42, plan: pro }
"
    .to_owned();
    for app in PRO..30 {
        let line = format!("  - {{ app_id: {app}, plan: many }}\n");
        text.push_str(&line);
    }
    text + &format!(
        "  - {{ app_id: {NEW}, plan: many, activated: {} }}\n",
        month() + "-01"
    )
}

/// The running month, in the zone in which it is about noon.
fn month() -> String {
    let zone = jiff::tz::TimeZone::get("UTC").expect("it is known");
    let zone = match crate::sidecar::noon_zone().as_str() {
        "UTC" => zone,
        offset => {
            let (hours, minutes) = offset[1..].split_once(':').expect("an offset");
            let seconds = hours.parse::<i32>().expect("hours") * 3600
                + minutes.parse::<i32>().expect("minutes") * 60;
            let seconds = if offset.starts_with('-') {
                -seconds
            } else {
                seconds
            };
            jiff::tz::TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds).expect("an offset"))
        }
    };
    let today = jiff::Timestamp::now().to_zoned(zone).date();
    format!("{:04}-{:02}", today.year(), today.month())
}

async fn active(client: &Client, app_id: u64, increment: u64) {
    let record = RecordActiveRequest {
        app_id,
        increment,
        ..Default::default()
    };
    client.try_record(record).await.expect("it is answered");
}

async fn create(client: &Client, app: u64, resource: Resource, mut many: u64) {
    while many > 0 {
        let amount = u32::try_from(many.min(100)).expect("at most 100");
        let check = CheckRequest {
            amount,
            ..creation(app, resource)
        };
        assert_eq!(verdict(&client.check(check).await), ALLOW);
        many -= u64::from(amount);
    }
}

/// The amount of an item, the month's total.
fn amounts(bill: &GetBillResponse, item: &str) -> (String, String) {
    let line = bill.lines.iter().find(|line| line.item == item);
    let amount = line.map_or("none".into(), |line| line.amount.clone());
    (amount, bill.total.clone())
}

/// Waits until the bill says so.
async fn says(client: &Client, app: u64, item: &str, amount: &str) -> GetBillResponse {
    until("the bill", async || {
        match client.try_bill(app, &month()).await {
            Ok(bill) if amounts(&bill, item).0 == amount => Ok(bill),
            other => Err(other),
        }
    })
    .await
}

async fn the_worked_cases_stand_on_the_bill(store: Store) {
    let sidecar = Sidecar::start(&store.url(), &settings()).await;
    let client = sidecar.client().await;
    let mut app = PRO;
    for (actives, amount) in [
        (9_999, "0.00"),
        (10_000, "0.00"),
        (10_001, "149.99"),
        (20_000, "149.99"),
        (20_001, "299.98"),
        (22_000, "299.98"),
    ] {
        active(&client, app, actives).await;
        let bill = says(&client, app, "daily_active", amount).await;
        let line = &bill.lines[1];
        assert_eq!((line.peak, line.free), (actives, 10_000), "{bill:?}");
        assert!(!line.peak_day.is_empty() && !bill.r#final);
        app += 1;
    }
    for (groups, amount) in [
        (100_000, "0.00"),
        (100_001, "149.99"),
        (130_000, "149.99"),
        (202_000, "299.98"),
    ] {
        create(&client, app, Group, groups).await;
        let bill = says(&client, app, "groups", amount).await;
        assert_eq!(bill.lines[2].peak, groups, "{bill:?}");
        app += 1;
    }
    // What was reached stays on the bill.
    app -= 1;
    for _ in 0..30 {
        client.release(deletion(app, Group, 100)).await;
    }
    active(&client, app, 22_000).await;
    let bill = says(&client, app, "daily_active", "299.98").await;
    assert_eq!(bill.lines[2].peak, 202_000);
    assert_eq!(bill.total, "749.95");
    assert!(bill.forecast.is_some());
    // The month of activation, a trial, and one that nobody used.
    let bill = client.bill(NEW, &month()).await;
    assert_eq!(amounts(&bill, "plan"), ("0.00".into(), "0.00".into()));
    active(&client, TRIAL, 1_000_000).await;
    let bill = client.bill(TRIAL, &month()).await;
    assert_eq!((bill.lines.len(), bill.total.as_str()), (0, "0.00"));
    let bill = client.bill(EMPTY, &month()).await;
    assert_eq!(amounts(&bill, "groups"), ("0.00".into(), "149.99".into()));
}

async fn rooms_are_billed_as_groups_and_reservations_are_not(store: Store) {
    let sidecar = Sidecar::start(&store.url(), &settings()).await;
    let client = sidecar.client().await;
    create(&client, PRO, AvRoom, 300).await;
    create(&client, PRO, Group, 99_700).await;
    let reserve = CheckRequest {
        amount: 100,
        request_id: "r".into(),
        mode: CheckMode::Reserve.into(),
        ..creation(PRO, Group)
    };
    assert_eq!(verdict(&client.check(reserve).await), ALLOW);
    let bill = until("all is told", async || {
        let bill = client.bill(PRO, &month()).await;
        if bill.lines[2].peak >= 100_000 {
            Ok(bill)
        } else {
            Err(bill)
        }
    })
    .await;
    assert_eq!(bill.lines[2].peak, 100_000, "{bill:?}");
    create(&client, PRO, Group, 1).await;
    says(&client, PRO, "groups", "149.99").await;
}

async fn a_month_is_what_it_is_after_a_kill(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), &settings()).await;
    let client = sidecar.client().await;
    active(&client, PRO, 10_001).await;
    create(&client, PRO, Group, 200).await;
    client.release(deletion(PRO, Group, 100)).await;
    let before = until("all is told", async || {
        let bill = client.bill(PRO, &month()).await;
        let peaks: Vec<u64> = bill.lines.iter().map(|line| line.peak).collect();
        if peaks == [0, 10_001, 200] {
            Ok(bill)
        } else {
            Err(bill)
        }
    })
    .await;
    for _ in 0..2 {
        sidecar.kill().await;
        sidecar.start_again().await;
        let client = sidecar.client().await;
        let after = until("it is there again", async || {
            client.try_bill(PRO, &month()).await
        })
        .await;
        assert_eq!(after.lines, before.lines);
        let days = client
            .try_days(PRO, &month())
            .await
            .expect("it is answered");
        let today = days.last().expect("today");
        assert_eq!((today.daily_active, today.r#final), (10_001, false));
        assert_eq!(days[0].day, month() + "-01");
    }
}

async fn what_cannot_be_billed_is_said(store: Store) {
    let sidecar = Sidecar::start(&store.url(), &settings()).await;
    let client = sidecar.client().await;
    let later = "2999-01";
    for (app, month, code) in [
        (0, "2026-01", Code::InvalidArgument),
        (PRO, "2026-1", Code::InvalidArgument),
        (PRO, "", Code::InvalidArgument),
        (PRO, later, Code::InvalidArgument),
        (UNKNOWN, &*month(), Code::NotFound),
        (PRO, "2010-01", Code::OutOfRange),
    ] {
        let problem = client.try_bill(app, month).await.unwrap_err();
        assert_eq!(problem.code(), code, "{month}: {problem:?}");
        let problem = client.try_days(app, month).await.unwrap_err();
        assert_eq!(problem.code(), code, "{month}: {problem:?}");
    }
}

async fn a_plan_is_told_without_an_event(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), &settings()).await;
    let client = sidecar.client().await;
    until("the plan is told", async || {
        let bill = client.bill(TRIAL, &month()).await;
        let unknown = bill.notes.iter().any(|note| note.contains("knows nothing"));
        if unknown { Err(bill) } else { Ok(()) }
    })
    .await;
    sidecar.stop().await;
    sidecar.set(&settings().replace("41, plan: trial", "41, plan: pro"));
    sidecar.start_again().await;
    let client = sidecar.client().await;
    let by_name = RecordActiveRequest {
        app_id: TRIAL,
        user_ids: vec!["ann".into()],
        ..Default::default()
    };
    client.try_record(by_name).await.expect("it is answered");
    sidecar.stop().await;
    // Of an app that is gone the ledger alone knows which plan it had.
    sidecar.set(&settings().replace("  - { app_id: 41, plan: trial }\n", ""));
    sidecar.start_again().await;
    let bill = sidecar.client().await.bill(TRIAL, &month()).await;
    assert_eq!(bill.plan, "pro", "{bill:?}");
    assert_eq!(amounts(&bill, "plan").0, "149.99");
}

async fn no_bill_is_written_of_what_nobody_knows(store: Store) {
    let mut sidecar = Sidecar::new(&store.url(), &settings());
    let socket = operators(&sidecar);
    sidecar.set(&format!("{}admin_listen: \"{socket}\"\n", settings()));
    sidecar.start_again().await;
    let long_ago = "2026-01";
    let words = [
        "bill",
        "run",
        "--month",
        long_ago,
        "--csv",
        "--admin-endpoint",
        &socket,
    ];
    let ended = Process::imquota(words).ended().await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert_eq!(ended.stdout.lines().count(), 1, "{ended:?}");
    assert!(ended.stdout.starts_with("app_id,month,"), "{ended:?}");
    let words = format!("app {PRO}: month: the ledger knows nothing of app {PRO} in {long_ago}");
    assert!(ended.stderr.contains(&words), "{ended:?}");
    // It was activated later, and has no bill of that month.
    assert!(!ended.stderr.contains(&format!("app {NEW}:")), "{ended:?}");
    let words = [
        "bill",
        "run",
        "--month",
        &month(),
        "--admin-endpoint",
        &socket,
    ];
    let ended = Process::imquota(words).ended().await;
    assert_eq!((ended.code(), &*ended.stdout), (1, ""), "{ended:?}");
    assert!(ended.stderr.contains("49 hours after its end"), "{ended:?}");
}

/// What it had stays with it when it moves to another edition, and is billed when it is gone.
async fn an_app_that_moves_and_goes_is_billed_for_what_it_had(store: Store) {
    let mut sidecar = Sidecar::new(&store.url(), &settings());
    let socket = operators(&sidecar);
    sidecar.set(&format!("{}admin_listen: \"{socket}\"\n", settings()));
    sidecar.start_again().await;
    let client = sidecar.client().await;
    let does = async |words: &str| {
        let words = words.split(' ').chain(["--admin-endpoint", &*socket]);
        let ended = Process::imquota(words).ended().await;
        assert_eq!(ended.code(), 0, "{ended:?}");
    };
    does("apps put --app 70 --plan pro --reason new").await;
    active(&client, 70, 22_000).await;
    let bill = says(&client, 70, "daily_active", "299.98").await;
    assert_eq!(bill.total, "449.97");
    let days = client.try_days(70, &month()).await;
    does("apps put --app 70 --plan flagship --reason larger").await;
    let bill = says(&client, 70, "plan", "449.99").await;
    assert_eq!(bill.lines[1].peak, 22_000);
    assert_eq!((&*bill.plan, &*bill.total), ("flagship", "749.97"));
    does("apps delete --app 70 --reason ended").await;
    let gone = until("it is gone", async || {
        let denied = client.create(70, Group).await;
        if verdict(&denied) == APP_UNKNOWN {
            Ok(())
        } else {
            Err(denied)
        }
    });
    gone.await;
    let bill = client.bill(70, &month()).await;
    assert_eq!((&*bill.plan, &*bill.total), ("flagship", "749.97"));
    let after = client.try_days(70, &month()).await;
    assert_eq!(
        after.expect("it is answered"),
        days.expect("it is answered")
    );
}

on_both_stores!(
    an_app_that_moves_and_goes_is_billed_for_what_it_had,
    a_plan_is_told_without_an_event,
    no_bill_is_written_of_what_nobody_knows,
    the_worked_cases_stand_on_the_bill,
    rooms_are_billed_as_groups_and_reservations_are_not,
    a_month_is_what_it_is_after_a_kill,
    what_cannot_be_billed_is_said,
);

#[tokio::test]
async fn any_sidecar_gives_the_same_bill() {
    let redis = RedisServer::start();
    let one = Sidecar::start(&redis.url(), &settings()).await;
    let two = Sidecar::start(&redis.url(), &settings()).await;
    let (a, b) = (one.client().await, two.client().await);
    active(&a, PRO, 6_000).await;
    active(&b, PRO, 6_000).await;
    create(&a, PRO, Group, 60_000).await;
    create(&b, PRO, Group, 60_000).await;
    let first = says(&a, PRO, "groups", "149.99").await;
    let first = if first.lines[1].peak == 12_000 {
        first
    } else {
        says(&a, PRO, "daily_active", "149.99").await
    };
    let second = says(&b, PRO, "groups", "149.99").await;
    assert_eq!(first.lines, second.lines);
    assert_eq!(
        (first.lines[1].peak, first.lines[2].peak),
        (12_000, 120_000)
    );
}

#[tokio::test]
async fn the_program_shows_a_bill_and_writes_none_too_early() {
    let sidecar = Sidecar::start("embedded", &settings()).await;
    let client = sidecar.client().await;
    active(&client, PRO, 22_000).await;
    says(&client, PRO, "daily_active", "299.98").await;
    let endpoint = format!("http://{}", sidecar.address());
    let (app, of) = (PRO.to_string(), month());
    let show = [
        "bill",
        "--app",
        &app,
        "--month",
        &of,
        "--endpoint",
        &endpoint,
    ];
    let shown = Process::imquota(show).ended().await;
    assert!(shown.status.success(), "{}", shown.stderr);
    let words = "10,000 free · 12,000 over → 2 blocks of 10,000 × 149.99 = 299.98 USD";
    assert!(shown.stdout.contains(words), "{}", shown.stdout);
    assert!(shown.stdout.contains("forecast"), "{}", shown.stdout);
}
