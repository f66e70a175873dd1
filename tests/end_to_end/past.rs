//! Months that are over: their bills are made, written once, corrected and compared with estimates. What was counted
//! then is told to the ledger by a member of that time, days of users by an operator's corrections.

use std::collections::BTreeMap;
use std::sync::Arc;

use imquota::clock::{Clock, Day, Month, Zone};
use imquota::quota::{AppId, PlanName, Resource};
use imquota::store::embedded::EmbeddedStore;
use imquota::store::redis::{Create, RedisOptions, RedisStore};
use imquota::store::{AppReport, Cell, CellReport, Member, Report, Shard, Store as Ledger, Totals};
use serde_json::Value;

use crate::process::{Ended, Process};
use crate::recount::operators;
use crate::sidecar::{Sidecar, noon_zone};
use crate::stores::{Store, on_both_stores};

/// A worked case of the domain page: active users of some days, the month's highest groups; what is due for each,
/// and in all.
struct Case {
    days: &'static [(i8, u64)],
    groups: u64,
    due: [&'static str; 3],
}

const fn case(days: &'static [(i8, u64)], groups: u64, due: [&'static str; 3]) -> Case {
    Case { days, groups, due }
}

const CASES: [Case; 12] = [
    case(
        &[(3, 8_000), (10, 25_000), (20, 9_000)],
        0,
        ["299.98", "0.00", "449.97"],
    ),
    case(&[(9, 9_999)], 0, ["0.00", "0.00", "149.99"]),
    case(&[(9, 10_000)], 0, ["0.00", "0.00", "149.99"]),
    case(&[(9, 10_001)], 0, ["149.99", "0.00", "299.98"]),
    case(&[(9, 20_000)], 0, ["149.99", "0.00", "299.98"]),
    case(&[(9, 20_001)], 0, ["299.98", "0.00", "449.97"]),
    case(&[(9, 22_000)], 0, ["299.98", "0.00", "449.97"]),
    case(&[], 100_000, ["0.00", "0.00", "149.99"]),
    case(&[], 100_001, ["0.00", "149.99", "299.98"]),
    case(&[], 130_000, ["0.00", "149.99", "299.98"]),
    case(&[], 202_000, ["0.00", "299.98", "449.97"]),
    case(&[(9, 22_000)], 202_000, ["299.98", "299.98", "749.95"]),
];

fn app(at: usize) -> AppId {
    AppId::new(at as u64 + 1).expect("not 0")
}

/// The month before last, which is over for good on every day.
fn month(zone: &Zone) -> Month {
    let today = zone.day(Clock::system());
    Month::from_number(today.month().number() - 2).expect("a month")
}

/// Tells the ledger what a member of that time counted: the plan from the month's first day on, and groups.
async fn fill(ledger: &dyn Ledger, month: Month) {
    let member = Member {
        name: "of-then".into(),
        incarnation: 7,
        boot: 1,
        leaves: false,
    };
    let hello = ledger.hello(&member, None, Clock::system()).await;
    hello.expect("it is a new ledger");
    let first = month.first_day();
    for (at, case) in CASES.iter().enumerate() {
        let plan = AppReport {
            plan: PlanName::parse("pro"),
            ..told(app(at), 0)
        };
        settle(ledger, plan, first).await;
        let day = month.day(5).expect("a day");
        settle(ledger, told(app(at), case.groups), day).await;
    }
    let sums = ledger.checkpoint(Clock::system()).await;
    sums.expect("it is kept");
    for (at, _) in CASES.iter().enumerate() {
        let folded = ledger.fold(Shard::of(app(at)), &[app(at)]).await;
        folded.expect("it is alone");
    }
    ledger.leave().await.expect("nobody waits for it");
}

fn told(app: AppId, groups: u64) -> AppReport {
    let cell = CellReport {
        cell: Cell::Live(Resource::Group),
        totals: Totals {
            consumed: groups,
            released: 0,
        },
        high: groups.cast_signed(),
        escrow: None,
        wish: None,
    };
    AppReport {
        app,
        cells: if groups > 0 { vec![cell] } else { Vec::new() },
        acks_freeze: None,
        plan: None,
    }
}

async fn settle(ledger: &dyn Ledger, told: AppReport, day: Day) {
    let shard = Shard::of(told.app);
    let report = Report {
        apps: vec![told],
        ..Report::default()
    };
    let now = Clock::system();
    let settled = ledger.settle(shard, &report, day, now).await;
    settled.expect("it is told");
}

/// A sidecar of now on a ledger of then, with an address for operators.
async fn sidecar(store: &Store) -> (Sidecar, Zone) {
    let zone_name = noon_zone();
    let zone = Zone::parse(&zone_name).expect("a zone");
    let apps = (0..CASES.len()).map(|at| format!("  - {{ app_id: {}, plan: pro }}\n", app(at)));
    let apps: String = apps.collect();
    let text = format!("billing: {{ zone: \"{zone_name}\" }}\napps:\n{apps}");
    let mut sidecar = Sidecar::new(&store.url(), &text);
    sidecar.set(&format!(
        "admin_listen: \"{}\"\n{text}",
        operators(&sidecar)
    ));
    let month = month(&zone);
    match store {
        Store::Embedded => {
            std::fs::create_dir(sidecar.data()).expect("the folder is ours");
            let file = sidecar.data().join("ledger.redb");
            let ledger = EmbeddedStore::open(&file, zone.clone()).expect("it is new");
            fill(&ledger, month).await;
        }
        Store::Redis(server) => {
            let mut options = RedisOptions::new(
                imquota::config::Topology::Single(
                    imquota::config::RedisUrl::parse(&server.url()).expect("a URL"),
                ),
                "imquota".into(),
                zone.clone(),
                Create::Auto,
            );
            // No busy machine takes so long.
            options.response_timeout = std::time::Duration::from_secs(10);
            let ledger = RedisStore::new(options, Arc::new(Clock::default())).expect("an address");
            fill(&ledger, month).await;
        }
    }
    sidecar.start_again().await;
    (sidecar, zone)
}

/// A verb of operators.
async fn does(sidecar: &Sidecar, words: &str) -> Ended {
    let at = operators(sidecar);
    let words = words.split(' ').chain(["--admin-endpoint", &at]);
    Process::imquota(words).ended().await
}

async fn corrects(sidecar: &Sidecar, at: usize, day: Day, count: u64) -> Ended {
    let words = format!(
        "bill correct --app {} --day {day} --daily-active {count} --reason recounted",
        app(at)
    );
    does(sidecar, &words).await
}

fn json(ended: &Ended) -> Value {
    assert_eq!(ended.code(), 0, "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("it is JSON")
}

/// The amounts of a bill in JSON: users, groups, total.
fn amounts(bill: &Value) -> [String; 3] {
    let text = |value: &Value| value.as_str().expect("a decimal string").to_owned();
    let lines = bill["lines"].as_array().expect("lines");
    let of = |item: &str| {
        let line = lines.iter().find(|line| line["item"] == item);
        text(&line.expect("it is billed")["amount"])
    };
    [of("daily_active"), of("groups"), text(&bill["total"])]
}

async fn shown(sidecar: &Sidecar, at: usize, month: Month) -> Value {
    let endpoint = format!("http://{}", sidecar.address());
    let words = format!(
        "bill --app {} --month {month} --json --endpoint {endpoint}",
        app(at)
    );
    json(&Process::imquota(words.split(' ')).ended().await)
}

async fn a_month_that_is_over_is_billed_once_and_corrected_by_a_note(store: Store) {
    let (sidecar, zone) = sidecar(&store).await;
    let month = month(&zone);
    for (at, case) in CASES.iter().enumerate() {
        for (day, count) in case.days {
            let day = month.day(*day).expect("a day");
            let ended = corrects(&sidecar, at, day, *count).await;
            assert_eq!(ended.code(), 0, "{ended:?}");
            assert!(ended.stdout.starts_with("CORRECTED: "), "{}", ended.stdout);
        }
    }
    // By the gateways' door, and by an estimate without any server.
    for (at, case) in CASES.iter().enumerate() {
        let bill = shown(&sidecar, at, month).await;
        assert_eq!(amounts(&bill), case.due, "{bill}");
        assert_eq!(bill["final"], true);
        let highest = case.days.iter().map(|(_, count)| count).max().unwrap_or(&0);
        let words = format!(
            "bill estimate --plan pro --month {month} --daily-active {highest} --groups {} --json",
            case.groups
        );
        let estimate = json(&Process::imquota(words.split(' ')).ended().await);
        assert_eq!(amounts(&estimate), case.due, "{estimate}");
        assert_eq!(estimate["due_date"], bill["due_date"]);
    }
    let peak = &shown(&sidecar, 0, month).await["lines"][1];
    assert_eq!(
        (&peak["peak"], &peak["blocks"]),
        (&25_000.into(), &2.into())
    );
    assert_eq!(peak["peak_day"], month.day(10).expect("a day").to_string());

    // Written once, for the finance system.
    let ended = does(&sidecar, &format!("bill run --month {month} --csv")).await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    let rows: Vec<Vec<&str>> = ended
        .stdout
        .lines()
        .map(|row| row.split(',').collect())
        .collect();
    assert_eq!(rows[0][..4], ["app_id", "month", "plan", "item"]);
    let mut due: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for row in &rows[1..] {
        assert_eq!((row[1], row[14]), (&*month.to_string(), "true"));
        due.insert((row[0], row[3]), row[11]);
    }
    assert_eq!(due.len(), 3 * CASES.len());
    for (at, case) in CASES.iter().enumerate() {
        let app = app(at).to_string();
        let of = |item| due[&(&*app, item)];
        assert_eq!([of("daily_active"), of("groups")], case.due[..2]);
        assert_eq!(of("plan"), "149.99");
    }
    let again = does(&sidecar, &format!("bill run --month {month}")).await;
    let words = format!(
        "{month}: 0 bills written, {} were written before",
        CASES.len()
    );
    assert_eq!((again.code(), &*again.stdout), (0, &*words), "{again:?}");

    // A written bill stays; what was corrected after it is said, with the difference.
    let day = month.day(10).expect("a day");
    let ended = corrects(&sidecar, 0, day, 20_000).await;
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(ended.stdout.contains("25000 → 20000"), "{}", ended.stdout);
    assert!(ended.stdout.contains("-149.99 USD"), "{}", ended.stdout);
    let bill = shown(&sidecar, 0, month).await;
    assert_eq!(amounts(&bill), CASES[0].due, "{bill}");
    let note = "by their counts it would come to 299.98 USD, 149.99 less";
    assert!(bill["notes"].to_string().contains(note), "{bill}");
    let days = sidecar.client().await.try_days(1, &month.to_string()).await;
    let days = days.expect("it is answered");
    assert_eq!((days[9].daily_active, days[9].r#final), (20_000, true));

    // Who did it is on the list.
    let listed = json(&does(&sidecar, "audit --app 1 --json").await);
    let listed: Vec<_> = listed["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .collect();
    assert_eq!(listed.len(), 5, "{listed:?}");
    assert_eq!(listed[0]["what"], "correct");
    assert_eq!(listed[0]["subject"], format!("{day} daily_active"));
    assert_eq!(
        (&listed[0]["from"], &listed[0]["to"]),
        (&25_000.into(), &20_000.into())
    );
    assert_eq!(listed[0]["reason"], "recounted");
    assert_eq!(listed[1]["what"], "bill");

    // A day that counts by itself still, one that keeps no days any more, an app that nobody knows.
    let today = zone.day(Clock::system());
    let ended = corrects(&sidecar, 0, today, 1).await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.stderr.contains("is not sealed yet"), "{ended:?}");
    let long_ago = Month::from_number(month.number() - 24).expect("a month");
    let ended = corrects(&sidecar, 0, long_ago.first_day(), 1).await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(
        ended.stderr.contains("is older than what is kept"),
        "{ended:?}"
    );
    let ended = corrects(&sidecar, 98, day, 1).await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.stderr.contains("app 99 is not known"), "{ended:?}");
}

on_both_stores!(a_month_that_is_over_is_billed_once_and_corrected_by_a_note);
