//! For how long our largest calls hold the server, which serves nobody else meanwhile: as a ratio to a yardstick, a script of
//! known work that the same server does in turn with them. Of each the shortest counts: the server's clock goes on while it
//! waits for a core, and the yardstick waits as often as the calls.

use imquota::quota::{AppId, Resource};
use imquota::store::{
    AppReport, Beat, Cell, CellReport, Escrow, LOGINS_MAX, Login, REPORT_APPS_MAX,
    REPORT_RECORDS_MAX, Report, Shard, Statement, Store as _, Wish,
};

use crate::asks::{answer, object};
use crate::fixture::{
    NOW, Sidecar, app, app_report, cell_report, client, limits, quick, take, today,
};
use crate::redis_server::RedisServer;

/// A script of known work: it takes 1.5 ms on the machine of the README's figures.
const YARDSTICK: &str = "for i = 1, 1000 do redis.call('HINCRBY', KEYS[1], i % 100, 1) end";
/// How long a call may take, in yardsticks, of a hundred parts each.
const CALL_MAX: u64 = 150;
/// The same of a thousand users of one app, who log in for the first time on their day.
const USERS_MAX: u64 = 500;
const TURNS: usize = 7;
/// How many apps there are in a shard, and how many members in all, where there are 100,000 apps and 500 members.
const APPS: usize = 390;
const MEMBERS: u64 = 500;

/// A server that notes how long each call takes.
fn server() -> RedisServer {
    let server = RedisServer::start();
    server.command::<()>(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    server.command::<()>(&["CONFIG", "SET", "slowlog-max-len", "100000"]);
    server
}

/// How long a `call` took that was made since this was asked last, in µs: of several like each other the one in the middle.
fn call_time(server: &RedisServer, call: &str) -> u64 {
    type Entry = (u64, u64, u64, Vec<String>, String, String);
    let entries: Vec<Entry> = server.command(&["SLOWLOG", "GET", "-1"]);
    let calls = entries.iter().filter(|entry| entry.3[0] == call);
    let mut took: Vec<u64> = calls.map(|entry| entry.2).collect();
    took.sort_unstable();
    took[took.len() / 2]
}

/// Makes a call in some turns, each of which it is told, and looks for how long the server was held.
async fn holds_for(server: &RedisServer, what: &str, call: impl AsyncFnMut(usize)) {
    holds_for_at_most(CALL_MAX, server, what, call).await;
}

async fn holds_for_at_most(
    most: u64,
    server: &RedisServer,
    what: &str,
    mut call: impl AsyncFnMut(usize),
) {
    let (mut took, mut yardsticks) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        server.command::<()>(&["SLOWLOG", "RESET"]);
        server.command::<()>(&["EVAL", YARDSTICK, "1", "yardstick"]);
        server.command::<()>(&["DEL", "yardstick"]);
        yardsticks.push(call_time(server, "EVAL"));
        server.command::<()>(&["SLOWLOG", "RESET"]);
        call(turn).await;
        took.push(call_time(server, "EVALSHA"));
    }
    took.sort_unstable();
    yardsticks.sort_unstable();
    println!("{what}: {took:?} us, yardstick {yardsticks:?} us");
    assert!(
        took[0] * 100 <= most * yardsticks[0],
        "{what}: {took:?} us, yardstick {yardsticks:?} us"
    );
}

/// Some apps of one shard.
fn apps(many: usize) -> Vec<AppId> {
    let shard = Shard::of(app(1));
    (1..)
        .map(app)
        .filter(|app| Shard::of(*app) == shard)
        .take(many)
        .collect()
}

/// All that one report may say of an app: each counter, with what was lent, and a wish.
fn whole(app: AppId, sum: u64) -> AppReport {
    let live = [Resource::Account, Resource::Group, Resource::AvRoom].map(Cell::Live);
    let cells = live.into_iter().chain([Cell::Gained(today())]);
    let cells = cells.map(|cell| CellReport {
        escrow: Some(Escrow {
            done: sum,
            ..Escrow::default()
        }),
        wish: Some(Wish {
            units: 10,
            limit: 1_000_000,
            edition: 0,
        }),
        ..cell_report(cell, sum, 0)
    });
    app_report(app, cells.collect())
}

fn report(apps: &[AppId], sum: u64) -> Report {
    Report {
        apps: apps.iter().map(|app| whole(*app, sum)).collect(),
        ..Report::default()
    }
}

#[tokio::test]
async fn what_members_settle() {
    let server = server();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    let apps = apps(REPORT_APPS_MAX * TURNS);
    let some = |turn: usize| &apps[REPORT_APPS_MAX * turn..REPORT_APPS_MAX * (turn + 1)];
    for (what, sum) in [("apps that are new", 1), ("apps that are known", 2)] {
        holds_for(&server, what, async |turn| {
            one.settle(&report(some(turn), sum), today()).await.unwrap();
        })
        .await;
    }

    // Answers of takes, as many as one report has.
    let rules = limits(1_000_000, 0, 0);
    let takes = |turn: usize| {
        let first = REPORT_RECORDS_MAX * turn + 1;
        (first..first + REPORT_RECORDS_MAX).map(|number| number as u64)
    };
    let taken = |number: u64| {
        let key = client(&format!("id-{number}"));
        take(&key, number, Resource::Account, 1, &rules)
    };
    holds_for(&server, "answers", async |turn| {
        for number in takes(turn) {
            one.take(&taken(number)).await.unwrap();
        }
        server.command::<()>(&["SLOWLOG", "RESET"]);
        let answered = takes(turn).map(|number| answer(&taken(number), true));
        let report = Report {
            answered: answered.collect(),
            ..Report::default()
        };
        one.settle(&report, today()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn who_is_active() {
    let server = server();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    let apps = apps(APPS);
    let shard = Shard::of(apps[0]);
    let login = |turn: usize, number: usize, app: AppId| Login {
        app,
        day: today(),
        user: object((turn * LOGINS_MAX + number) as u64).0,
    };
    // The one exception: a gateway's thousand users are one step.
    holds_for_at_most(USERS_MAX, &server, "users of one app", async |turn| {
        let logins = (0..LOGINS_MAX).map(|number| login(turn, number, apps[0]));
        let logins: Vec<_> = logins.collect();
        one.store.record_active(shard, &logins, NOW).await.unwrap();
    })
    .await;
    holds_for(&server, "users of many apps", async |turn| {
        let logins = (0..LOGINS_MAX).map(|number| login(turn, number, apps[number % APPS]));
        let logins: Vec<_> = logins.collect();
        one.store.record_active(shard, &logins, NOW).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_members_tell_again() {
    let server = server();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    let apps = apps(REPORT_APPS_MAX * TURNS);
    let shard = Shard::of(apps[0]);
    server.flush_all();
    one.beats().await;
    holds_for(&server, "apps that were forgotten", async |turn| {
        let some = &apps[REPORT_APPS_MAX * turn..REPORT_APPS_MAX * (turn + 1)];
        let statement = Statement {
            apps: report(some, 5).apps,
            ..Statement::default()
        };
        one.store.restate(shard, &statement, today()).await.unwrap();
    })
    .await;
    let rules = limits(1_000_000, 0, 0);
    holds_for(&server, "answers that were forgotten", async |turn| {
        let answered = (0..REPORT_RECORDS_MAX).map(|number| {
            let number = (turn * REPORT_RECORDS_MAX + number) as u64 + 1;
            let key = client(&format!("id-{number}"));
            answer(&take(&key, number, Resource::Account, 1, &rules), false)
        });
        let statement = Statement {
            answered: answered.collect(),
            ..Statement::default()
        };
        one.store.restate(shard, &statement, today()).await.unwrap();
    })
    .await;
}

/// Members that left, each of which had counted in all apps: a snapshot of before has their sums still.
#[tokio::test]
async fn who_is_gone() {
    let server = server();
    let apps = apps(APPS);
    let shard = Shard::of(apps[0]);
    let gone = (2..).take(TURNS * 2);
    for number in gone.clone() {
        let one = Sidecar::quick(number, &server, None).await;
        one.beats().await;
        for some in apps.chunks(REPORT_APPS_MAX) {
            one.settle(&report(some, 3), today()).await.unwrap();
        }
    }
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    let gone: Vec<u64> = gone.collect();
    let mut gone = gone.chunks(gone.len() / TURNS);
    holds_for(&server, "members that are gone", async |_| {
        let statement = Statement {
            gone: gone
                .next()
                .expect("a part for each turn")
                .iter()
                .copied()
                .collect(),
            ..Statement::default()
        };
        one.store.restate(shard, &statement, today()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn who_is_there() {
    let server = server();
    let mut options = quick(&server.unix_url());
    options.pace.silence = 3_600_000;
    let mut all = Vec::new();
    for number in 1..=MEMBERS {
        let one = Sidecar::with(number, options.clone());
        one.hello(None).await.unwrap();
        one.beats().await;
        all.push(one);
    }
    holds_for(&server, "a beat of one of many", async |turn| {
        all[turn].beats().await;
    })
    .await;
    holds_for(&server, "a beat of a newcomer", async |turn| {
        let one = Sidecar::with(MEMBERS + 1 + turn as u64, options.clone());
        one.hello(None).await.unwrap();
        one.beats().await;
    })
    .await;
    server.flush_all();
    let begun = all[0].beats().await;
    let restated = Beat {
        restated: begun.epoch,
        ..Beat::default()
    };
    for one in &all {
        one.beats().await;
    }
    holds_for(&server, "a beat in a recovery", async |turn| {
        // All are looked at, each fifth of a second.
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        all[turn].beat(&restated).await.unwrap();
    })
    .await;
}
