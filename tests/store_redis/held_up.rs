//! For how long our largest calls hold the server, which serves nobody else meanwhile: the time for which it has a core, as a
//! ratio to a yardstick, a script of known work that it does in turn with them.

use std::time::Duration;

use imquota::quota::{AppId, Resource};
use imquota::store::redis::RedisOptions;
use imquota::store::{
    AppReport, Beat, Cell, CellReport, Escrow, LOGINS_MAX, Login, REPORT_APPS_MAX,
    REPORT_RECORDS_MAX, Recovery, Report, Shard, Statement, Store as _, Wish,
};

use crate::asks::{answer, object};
use crate::fixture::{
    NOW, Sidecar, app, app_report, cell_report, client, header, limits, quick, roll_of, take,
    today, try_take, with_roll,
};
use crate::redis_server::RedisServer;
use crate::server_load::{busy, scripts};

/// A script of known work: it takes 1.5 ms on the machine of the README's figures.
const YARDSTICK: &str = "for i = 1, 1000 do redis.call('HINCRBY', KEYS[1], i % 100, 1) end";
/// How long half of some like each other may take, in hundredths of the yardstick beside each: 2 ms are 133 of them. It is more
/// than the server's own clock says of a call: to read what it is asked, and to say for how long it had a core, takes some as well.
const CALL_MAX: u128 = 150;
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

/// What calls took, and the yardstick in turn with them.
#[derive(Default)]
struct Compared {
    took: Vec<Duration>,
    yardsticks: Vec<Duration>,
    steps: Vec<u32>,
}

impl Compared {
    async fn measure(&mut self, server: &RedisServer) {
        let yardstick = async {
            server.command::<()>(&["EVAL", YARDSTICK, "1", "yardstick"]);
        };
        self.yardsticks.push(held(server, yardstick).await);
    }

    /// Looks for how long the server was held, by each call and the yardstick beside it: whoever shares the cores with the
    /// server has both take longer.
    #[track_caller]
    fn compare(&self, what: &str) {
        let Self {
            took,
            yardsticks,
            steps,
        } = self;
        let mut ratios: Vec<u128> = took
            .iter()
            .zip(yardsticks)
            .map(|(took, yardstick)| took.as_nanos() * 100 / yardstick.as_nanos())
            .collect();
        ratios.sort_unstable();
        let told = format!(
            "{what}: {ratios:?} of 100; took {took:?}, yardstick {yardsticks:?}, steps {steps:?}"
        );
        println!("{told}");
        assert!(ratios[ratios.len() / 2] <= CALL_MAX, "{told}");
    }
}

/// Makes a call in some turns, each of which it is told, and looks for how long the server was held.
async fn holds_for(server: &RedisServer, what: &str, mut call: impl AsyncFnMut(usize)) {
    let mut yardsticks = Compared::default();
    for turn in 0..TURNS {
        yardsticks.measure(server).await;
        let before = scripts(server);
        let all = held(server, call(turn)).await;
        // Several are like each other: a member tells each shard the same.
        let steps = u32::try_from(scripts(server) - before).expect("they are few");
        yardsticks.took.push(all / steps);
        yardsticks.steps.push(steps);
    }
    yardsticks.compare(what);
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
    holds_for(&server, "users of one app", async |turn| {
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

/// Many members, who wait for each other for ever.
async fn many(server: &RedisServer) -> (RedisOptions, Vec<Sidecar>) {
    let mut options = quick(&server.unix_url());
    (options.pace.patience, options.pace.silence) = (3_600_000, 3_600_000);
    let mut all = Vec::new();
    for number in 1..=MEMBERS {
        let one = Sidecar::with(number, options.clone());
        one.hello(None).await.unwrap();
        one.beats().await;
        all.push(one);
    }
    (options, all)
}

/// All are looked at each fifth of a second, while something is waited for.
async fn until_looked_at_again() {
    tokio::time::sleep(Duration::from_millis(250)).await;
}

#[tokio::test]
async fn who_is_there() {
    let server = RedisServer::start();
    let (options, all) = many(&server).await;
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
    holds_for(&server, "one that leaves", async |turn| {
        all[TURNS + turn].store.leave().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn who_tells_again() {
    let server = RedisServer::start();
    let (_, all) = many(&server).await;
    server.flush_all();
    for one in &all {
        one.beats().await;
    }
    let epoch = all[0].beats().await.epoch;
    let everybody: Vec<u64> = (1..=MEMBERS).collect();
    let with_roll = Beat {
        restated: epoch,
        ..with_roll(roll_of(3, &everybody))
    };
    holds_for(&server, "a beat that tells the roll", async |turn| {
        all[turn].beat(&with_roll).await.unwrap();
    })
    .await;
    holds_for(&server, "a beat in a recovery", async |turn| {
        until_looked_at_again().await;
        all[TURNS + turn].beats().await;
    })
    .await;
}

#[tokio::test]
async fn the_last_one_who_tells_again() {
    let server = RedisServer::start();
    let (mut options, all) = many(&server).await;
    let (last, others) = all.split_last().expect("there are many");
    // One shard is lost, each time: the next beat finds it out, and begins.
    let begin = async || {
        server.command::<()>(&["DEL", &header(app(1))]);
        try_take(last, 1).await.unwrap_err();
        last.beats().await.epoch
    };
    let mut epoch = 0;
    holds_for(&server, "a beat that opens a recovery", async |_| {
        epoch = begin().await;
    })
    .await;
    let restated = |epoch| Beat {
        restated: epoch,
        ..Beat::default()
    };
    let (mut yardsticks, mut after) = (Compared::default(), Compared::default());
    for _ in 0..TURNS {
        let epoch = begin().await;
        for one in others {
            one.beat(&restated(epoch)).await.unwrap();
        }
        until_looked_at_again().await;
        yardsticks.measure(&server).await;
        let restated = restated(epoch);
        yardsticks
            .took
            .push(held(&server, last.beat(&restated)).await);
        after.measure(&server).await;
        let heard = held(&server, async {
            assert_eq!(last.beats().await.recovery, Recovery::Closed);
        });
        after.took.push(heard.await);
    }
    yardsticks.compare("a beat that closes a recovery");
    after.compare("the beat after it");

    // Somebody who does not wait has it close without the others.
    let epoch = begin().await;
    options.pace.patience = 0;
    let hasty = Sidecar::with(MEMBERS + 1, options);
    hasty.hello(None).await.unwrap();
    hasty.beats().await;
    until_looked_at_again().await;
    hasty.beat(&restated(epoch)).await.unwrap();
    assert_eq!(hasty.beats().await.recovery, Recovery::Incomplete);
    holds_for(&server, "a beat while somebody is missing", async |turn| {
        until_looked_at_again().await;
        all[turn].beats().await;
    })
    .await;
}
