//! For how long our largest calls hold the server, which serves nobody else meanwhile: the time for which it has a core, as a
//! ratio to a yardstick, a script of known work that it does in turn with them.

use std::time::Duration;

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
use crate::server_load::{busy, scripts};

/// A script of known work: it takes 1.5 ms on the machine of the README's figures.
const YARDSTICK: &str = "for i = 1, 1000 do redis.call('HINCRBY', KEYS[1], i % 100, 1) end";
/// How long the shortest of some like each other may take, in hundredths of the shortest yardstick. That is more than the
/// server's own clock says of a call: it reads what it is asked as well.
const CALL_MAX: u32 = 250;
/// The same of a thousand users of one app, who log in for the first time on their day.
const USERS_MAX: u32 = 500;
const TURNS: usize = 7;
/// How many apps there are in a shard, and how many members in all, where there are 100,000 apps and 500 members.
const APPS: usize = 390;
const MEMBERS: u64 = 500;

/// For how long the server had a core for what `call` makes.
async fn held(server: &RedisServer, call: impl Future) -> Duration {
    let before = busy(server);
    call.await;
    busy(server).saturating_sub(before)
}

/// Makes a call in some turns, each of which it is told, and looks for how long the server was held.
async fn holds_for(server: &RedisServer, what: &str, call: impl AsyncFnMut(usize)) {
    holds_for_at_most(CALL_MAX, server, what, call).await;
}

async fn holds_for_at_most(
    most: u32,
    server: &RedisServer,
    what: &str,
    mut call: impl AsyncFnMut(usize),
) {
    let (mut took, mut yardsticks) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let yardstick = async {
            server.command::<()>(&["EVAL", YARDSTICK, "1", "yardstick"]);
        };
        yardsticks.push(held(server, yardstick).await);
        let before = scripts(server);
        let all = held(server, call(turn)).await;
        // Several are like each other: a member tells each shard the same.
        let steps = u32::try_from(scripts(server) - before).expect("they are few");
        took.push(all / steps);
    }
    took.sort_unstable();
    yardsticks.sort_unstable();
    println!("{what}: {took:?}, yardstick {yardsticks:?}");
    assert!(
        took[0] * 100 <= yardsticks[0] * most,
        "{what}: {took:?}, yardstick {yardsticks:?}"
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
    let server = RedisServer::start();
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
    for number in (0..TURNS).flat_map(takes) {
        one.take(&taken(number)).await.unwrap();
    }
    holds_for(&server, "answers", async |turn| {
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
    let server = RedisServer::start();
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
    let server = RedisServer::start();
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
    let server = RedisServer::start();
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
    let server = RedisServer::start();
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
        tokio::time::sleep(Duration::from_millis(250)).await;
        all[turn].beat(&restated).await.unwrap();
    })
    .await;
}
