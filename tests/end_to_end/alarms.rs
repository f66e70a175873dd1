//! Alarms from usage: whoever watches the log and the figures hears that an app comes near a limit, passes a free
//! quantity, or begins another block, with the app, what is counted, and the numbers.

use std::path::PathBuf;

use imquota::grpc::proto::{DenyReason, RecordActiveRequest, Resource};
use serde_json::Value;

use crate::client::{ALLOW, Client, verdict};
use crate::http;
use crate::process::Process;
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::until;

use Resource::{Account, AvRoom, Group};

const APP: u64 = 1;
/// The first of many apps, and how many there are.
const MANY: (u64, u64) = (1_000, 100);
/// The most lines of a minute; a test may see two.
const LINES_MAX: usize = 30;

fn settings(pages: &str) -> String {
    let mut text = format!(
        "
http_listen: \"unix:{pages}\"
plans:
  small:
    limits: {{ accounts: 20, av_rooms: 20, groups_gained_daily: 10 }}
    fees:
      - effective_from: 2020-01-01
        daily_active: {{ free: 3, block: 2, price: \"1.00\" }}
        groups: {{ free: 4, block: 3, price: \"1.00\" }}
apps:
  - {{ app_id: {APP}, plan: small }}
"
    );
    for app in MANY.0..MANY.0 + MANY.1 {
        let line = format!("  - {{ app_id: {app}, plan: small }}\n");
        text.push_str(&line);
    }
    text
}

async fn start(store: &Store) -> (Sidecar, Client, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let pages = folder.path().join("pages");
    let sidecar = Sidecar::start(&store.url(), &settings(&pages.display().to_string())).await;
    let client = sidecar.client().await;
    (sidecar, client, pages, folder)
}

async fn create(client: &Client, resource: Resource, times: u64) {
    for _ in 0..times {
        until("it is created", async || {
            let answer = client.create(APP, resource).await;
            // On a busy machine a lease may end before it is renewed.
            assert_ne!(answer.reason(), DenyReason::LimitReached, "{answer:?}");
            if verdict(&answer) == ALLOW {
                Ok(())
            } else {
                Err(answer)
            }
        })
        .await;
    }
}

/// Some users more, whom the gateway told apart.
async fn log_in(client: &Client, app_id: u64, increment: u64) {
    let record = RecordActiveRequest {
        app_id,
        increment,
        ..RecordActiveRequest::default()
    };
    client.try_record(record).await.expect("it is answered");
}

/// The alarms that the log has of an app.
fn alarms(process: &Process, app: u64) -> Vec<Value> {
    let log = process.stderr();
    let lines = log.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let fields = line.get("fields").unwrap_or(&line).clone();
        let words = fields["message"].as_str()?;
        let is_alarm =
            words.starts_with("near a limit") || words.starts_with("above the free quantity");
        let is_of_app = fields["app"].as_str() == Some(&app.to_string());
        assert!(!is_alarm || line["level"] == "WARN", "{line}");
        (is_alarm && is_of_app).then_some(fields)
    });
    lines.collect()
}

/// Waits until an alarm has these fields, and answers it.
async fn is_told(sidecar: &Sidecar, fields: &[(&str, Value)]) -> Value {
    until("the alarm", async || {
        let all = alarms(sidecar.process(), APP);
        let has = |alarm: &&Value| fields.iter().all(|(key, worth)| alarm[*key] == *worth);
        all.iter().find(has).cloned().ok_or(all)
    })
    .await
}

async fn who_comes_near_a_limit_is_told(store: Store) {
    let (mut sidecar, client, pages, _folder) = start(&store).await;
    create(&client, Account, 15).await;
    assert_eq!(alarms(sidecar.process(), APP), [Value::Null; 0]);
    for (more, percent) in [(1, 80), (3, 95)] {
        create(&client, Account, more).await;
        let near = [
            ("counter", Value::from("Accounts")),
            ("limit", 20.into()),
            ("percent", percent.into()),
        ];
        let alarm = is_told(&sidecar, &near).await;
        assert_eq!(alarm["count"], 20 * percent / 100, "{alarm}");
    }
    // An AV room is a group, and is gained today.
    create(&client, Group, 6).await;
    create(&client, AvRoom, 1).await;
    let gain = [
        ("counter", Value::from("GroupsGained")),
        ("percent", 70.into()),
    ];
    let alarm = is_told(&sidecar, &gain).await;
    assert_eq!((&alarm["count"], &alarm["limit"]), (&7.into(), &10.into()));
    let page = until("each mark is counted", async || {
        let page = http::get(&pages, "/metrics").await;
        let of = |of, mark| {
            let name = format!("imquota_marks_passed_total{{of=\"{of}\",mark=\"{mark}\"}}");
            page.series(&name)
        };
        let counted = [of("account", 80), of("account", 95), of("group_gain", 70)];
        if counted == [Some(1.0); 3] {
            Ok(page)
        } else {
            Err(page.body)
        }
    })
    .await;
    assert_eq!(page.status, 200);
    sidecar.stop().await;
}

async fn who_passes_a_free_quantity_or_a_block_is_told(store: Store) {
    let (mut sidecar, client, pages, _folder) = start(&store).await;
    log_in(&client, APP, 3).await;
    create(&client, Group, 4).await;
    until("all is settled", async || {
        let usage = client.usage(APP).await;
        let all = (usage.daily_active, usage.month_peak_groups) == (3, 4);
        if all { Ok(()) } else { Err(usage) }
    })
    .await;
    assert_eq!(
        alarms(sidecar.process(), APP),
        [Value::Null; 0],
        "all is free"
    );
    let billed = |what: &str, count: u64, free: u64, blocks: u64, block: u64| {
        [
            ("billed", Value::from(what)),
            ("count", count.into()),
            ("free", free.into()),
            ("blocks", blocks.into()),
            ("block", block.into()),
        ]
    };
    log_in(&client, APP, 1).await;
    is_told(&sidecar, &billed("DailyActive", 4, 3, 1, 2)).await;
    log_in(&client, APP, 2).await;
    is_told(&sidecar, &billed("DailyActive", 6, 3, 2, 2)).await;
    create(&client, Group, 1).await;
    is_told(&sidecar, &billed("Groups", 5, 4, 1, 3)).await;
    create(&client, Group, 3).await;
    is_told(&sidecar, &billed("Groups", 8, 4, 2, 3)).await;
    let page = http::get(&pages, "/metrics").await;
    for of in ["daily_active", "group"] {
        for mark in ["free", "block"] {
            let name = format!("imquota_marks_passed_total{{of=\"{of}\",mark=\"{mark}\"}}");
            assert_eq!(page.series(&name), Some(1.0), "{name}: {}", page.body);
        }
    }
    sidecar.stop().await;
}

async fn a_storm_of_alarms_is_counted_and_does_not_flood_the_log(store: Store) {
    let (mut sidecar, client, pages, _folder) = start(&store).await;
    for app in MANY.0..MANY.0 + MANY.1 {
        log_in(&client, app, 4).await;
    }
    let free = "imquota_marks_passed_total{of=\"daily_active\",mark=\"free\"}";
    until("all are counted", async || {
        let page = http::get(&pages, "/metrics").await;
        let counted = page.series(free);
        if counted == Some(100.0) {
            Ok(())
        } else {
            Err(counted)
        }
    })
    .await;
    let apps = MANY.0..MANY.0 + MANY.1;
    let lines: usize = apps.map(|app| alarms(sidecar.process(), app).len()).sum();
    assert!(
        (LINES_MAX..=2 * LINES_MAX).contains(&lines),
        "{lines} lines"
    );
    sidecar.stop().await;
}

on_both_stores!(
    who_comes_near_a_limit_is_told,
    who_passes_a_free_quantity_or_a_block_is_told,
    a_storm_of_alarms_is_counted_and_does_not_flood_the_log,
);
