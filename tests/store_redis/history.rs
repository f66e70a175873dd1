//! What is kept of the past: how small it is, when it goes, and what a ledger says of it that was told again.

use std::collections::BTreeMap;

use imquota::billing::Peak;
use imquota::clock::{Day, Month};
use imquota::quota::{PlanName, Resource, Retention};
use imquota::store::{
    AppReport, Beat, Cell, Escrow, Login, MonthHistory, Operator, Recount, Report, Shard,
    Statement, Store, Totals,
};

use crate::fixture::{
    NOW, Sidecar, app, app_report, cell_report, roll_of, states_accounts, today, with_roll, zone,
};
use crate::redis_server::RedisServer;

const GROUPS: Cell = Cell::Live(Resource::Group);

fn month_key(month: Month) -> String {
    let shard = Shard::of(app(1)).number();
    format!("{{imquota:{shard:02x}}}:v3:m:1:{}", month.number())
}

fn later(day: Day, days: i32) -> Day {
    Day::from_number(day.number() + days).unwrap()
}

impl Sidecar {
    async fn month(&self, month: Month, today: Day) -> MonthHistory {
        self.store.month(app(1), month, today, NOW).await.unwrap()
    }

    async fn settles(&self, day: Day, told: AppReport) {
        let report = Report {
            apps: vec![told],
            ..Report::default()
        };
        self.settle(&report, day).await.unwrap();
    }

    async fn has_groups(&self, day: Day, made: u64) {
        let told = app_report(app(1), vec![cell_report(GROUPS, made, 0)]);
        self.settles(day, told).await;
    }

    /// A month of `days` days with much to count on each.
    async fn lives_through(&self, first: Day, days: i32) {
        for day in (0..days).map(|n| later(first, n)) {
            let n = u64::try_from(day.number()).unwrap();
            let cells = vec![
                cell_report(GROUPS, 1_000_000 + 7 * n, n),
                cell_report(Cell::Increment(day), 20_000_000 + n, 0),
            ];
            self.settles(day, app_report(app(1), cells)).await;
        }
    }
}

#[tokio::test]
async fn a_day_takes_at_most_64_bytes() {
    let first = today().month().next().first_day();
    let mut bytes = Vec::new();
    for days in [1, 28] {
        let server = RedisServer::start();
        let (one, _) = Sidecar::fresh(1, &server).await;
        one.lives_through(first, days).await;
        let key = month_key(first.month());
        bytes.push(server.command::<i64>(&["MEMORY", "USAGE", &key, "SAMPLES", "0"]));
        let encoding: String = server.command(&["OBJECT", "ENCODING", &key]);
        assert_eq!(encoding, "listpack");
    }
    let of_a_day = (bytes[1] - bytes[0]) / 27;
    println!(
        "a day takes {of_a_day} bytes, a month of 28 days {}",
        bytes[1]
    );
    assert!(of_a_day <= 64, "{bytes:?}");
}

/// How often each command was run since the last time.
fn commands(server: &RedisServer) -> BTreeMap<String, u64> {
    let stats: String = server.command(&["INFO", "commandstats"]);
    server.command::<()>(&["CONFIG", "RESETSTAT"]);
    let lines = stats.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = rest.split(',').next()?.parse().ok()?;
        Some((name.to_owned(), calls))
    });
    lines.collect()
}

#[tokio::test]
async fn a_report_of_groups_reads_and_writes_its_month_once() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    one.has_groups(today(), 1).await;
    commands(&server);
    one.has_groups(today(), 2).await;
    let ran = commands(&server);
    // The header, the app, today's gain, the month; of these it writes all but the gain.
    assert_eq!((ran["hmget"], ran["hset"]), (4, 3));
    let others = ["hget", "hgetall", "expireat", "hexists", "zadd"];
    assert!(
        others.iter().all(|name| !ran.contains_key(*name)),
        "{ran:?}"
    );
    // So does the first of another day.
    one.has_groups(today().next(), 3).await;
    let ran = commands(&server);
    let new_month = today().next().month() != today().month();
    assert!(
        new_month || (ran["hmget"], ran["hset"]) == (4, 3),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_month_is_read_at_once() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let first = today().month().next().first_day();
    one.lives_through(first, 28).await;
    // A later change, with nothing for ten years in between: that is the longest way.
    let last =
        Month::from_number(first.month().number() + Retention::default().months() - 1).unwrap();
    one.has_groups(last.first_day(), 9_000_000).await;
    server.command::<()>(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    for month in [first.month(), first.month().next()] {
        server.command::<()>(&["SLOWLOG", "RESET"]);
        one.month(month, last.first_day()).await;
        let took = "local most = 0
            for _, e in ipairs(redis.call('SLOWLOG', 'GET', '10')) do most = math.max(most, e[3]) end
            return most";
        let took: u64 = server.command(&["EVAL", took, "0"]);
        println!("reading {month} took {took} us");
        // Far more than it takes: the machine may be busy.
        assert!(took < 5_000, "{took}");
    }
}

#[tokio::test]
async fn what_is_too_old_goes() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let first = today().month().next().first_day();
    one.lives_through(first, 3).await;
    let bill = one
        .store
        .write_bill(app(1), first.month(), "x", "ann")
        .await;
    assert!(bill.unwrap().1);
    let end = Month::from_number(first.month().number() + Retention::default().months()).unwrap();
    let ends_ms = zone().start_of(end.first_day()).0;
    for key in server.command::<Vec<String>>(&["KEYS", "*}:v3:[mb]:1:*"]) {
        let expires: i64 = server.command(&["PEXPIRETIME", &key]);
        let late = expires - ends_ms;
        assert!((0..2 * 24 * 3_600_000).contains(&late), "{key} {late}");
    }
    // Nothing was told for two months more than days are kept.
    let key = month_key(first.month());
    let fields = |server: &RedisServer| {
        let mut fields: Vec<String> = server.command(&["HKEYS", &key]);
        fields.sort();
        fields
    };
    assert_eq!(fields(&server).len(), 12);
    let before = one.month(first.month(), first).await;
    let next =
        Month::from_number(first.month().number() + Retention::default().days() + 2).unwrap();
    let login = Login {
        app: app(1),
        day: next.first_day(),
        user: 1,
    };
    let shard = Shard::of(app(1));
    one.store.record_active(shard, &[login], NOW).await.unwrap();
    assert_eq!(fields(&server), ["a", "ad", "ci", "e", "ep", "g", "gd"]);
    let told = one.month(first.month(), next.first_day()).await;
    let without_days = MonthHistory {
        days: Vec::new(),
        groups_at_end: told.groups_at_end,
        ..before
    };
    assert_eq!(told, without_days);
    let n = u64::try_from(later(first, 2).number()).unwrap();
    assert_eq!(told.groups_at_end, 1_000_000 + 6 * n);
}

fn plan(name: &str) -> Option<PlanName> {
    PlanName::parse(name)
}

#[tokio::test]
async fn a_ledger_that_was_told_again_says_so_and_has_the_plan() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    let month = today().month();
    let before = Month::from_number(month.number() - 1).unwrap();
    let pro = AppReport {
        plan: plan("pro"),
        ..app_report(app(1), vec![cell_report(GROUPS, 10, 0)])
    };
    one.settles(today(), pro.clone()).await;
    let told = one.month(month, today()).await;
    assert_eq!(told.told_again, []);
    server.flush_all();
    let mut statement = states_accounts(0, Escrow::default());
    statement.apps = vec![pro];
    one.recovers(&statement, with_roll(roll_of(1, &[1]))).await;
    let told = one.month(month, today()).await;
    assert_eq!(told.told_again, [today()]);
    assert_eq!(told.plans, [(today(), plan("pro").unwrap())]);
    assert_eq!((told.carried_in, told.groups_at_end), (10, 10));
    assert_eq!((told.days.len(), told.groups.day), (0, None));
    // Of what was before nothing is known.
    assert_eq!(one.month(before, today()).await, MonthHistory::default());
    one.until(&Beat::default(), |beaten| beaten.leased).await;
    one.has_groups(today(), 12).await;
    let told = one.month(month, today()).await;
    let peak = Peak {
        count: 12,
        day: Some(today()),
    };
    assert_eq!((told.carried_in, told.groups), (10, peak));
    assert_eq!(one.month(before, today()).await, MonthHistory::default());
    assert_eq!(one.store.apps().await.unwrap(), [app(1)]);
    // A later statement takes no plan back.
    let other = AppReport {
        plan: plan("trial"),
        ..app_report(app(1), Vec::new())
    };
    let statement = Statement {
        apps: vec![other],
        ..Statement::default()
    };
    one.states(&statement).await;
    let told = one.month(month, today()).await;
    assert_eq!(told.plans, [(today(), plan("pro").unwrap())]);
}

#[tokio::test]
async fn a_month_in_which_nothing_came_after_a_flush_has_what_was_told() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    one.has_groups(today(), 10).await;
    server.flush_all();
    let mut statement = states_accounts(0, Escrow::default());
    statement.apps = vec![app_report(app(1), vec![cell_report(GROUPS, 10, 0)])];
    one.recovers(&statement, with_roll(roll_of(1, &[1]))).await;
    one.until(&Beat::default(), |beaten| beaten.leased).await;
    let month = today().month();
    let later = month.next().next().first_day();
    one.has_groups(later, 11).await;
    for known in [month, month.next()] {
        let told = one.month(known, later).await;
        assert_eq!((told.carried_in, told.groups_at_end), (10, 10));
    }
    let before = Month::from_number(month.number() - 1).unwrap();
    assert_eq!(one.month(before, later).await, MonthHistory::default());
}

/// A ledger that forgets on the first of a month is told again users of the month before, too: each of their day and
/// month, and both months say so.
#[tokio::test]
async fn what_is_told_again_across_a_months_border_is_of_its_own_month() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    let first = today().month().next().next().first_day();
    let (last, before) = (later(first, -1), later(first, -1).month());
    let shard = Shard::of(app(1));
    let users = |day, users: std::ops::Range<u128>| -> Vec<Login> {
        let login = |user| Login {
            app: app(1),
            day,
            user,
        };
        users.map(login).collect()
    };
    let all = [users(last, 1..21), users(first, 1..8)];
    for logins in &all {
        one.store.record_active(shard, logins, NOW).await.unwrap();
    }
    one.has_groups(last, 10).await;
    server.flush_all();
    let mut statement = states_accounts(0, Escrow::default());
    statement.apps = vec![AppReport {
        plan: plan("pro"),
        ..app_report(app(1), vec![cell_report(GROUPS, 10, 0)])
    }];
    one.beats().await;
    one.states(&statement).await;
    // Twice, and in any order: it may be broken off and told anew.
    for logins in all.iter().rev().chain(&all) {
        one.store.record_active(shard, logins, NOW).await.unwrap();
    }
    one.recovers(&statement, with_roll(roll_of(1, &[1]))).await;
    one.until(&Beat::default(), |beaten| beaten.leased).await;
    one.has_groups(first, 12).await;
    for (month, day, count) in [(before, last, 20), (first.month(), first, 7)] {
        let told = one.month(month, first).await;
        let peak = Peak {
            count,
            day: Some(day),
        };
        assert_eq!(
            (told.daily_active, told.day(day).daily_active),
            (peak, count)
        );
        assert_eq!(told.told_again, [day]);
    }
    let told = one.month(first.month(), first).await;
    assert_eq!((told.carried_in, told.groups.count), (10, 12));
    let told = one.month(before, first).await;
    assert_eq!((told.groups.count, told.groups_at_end), (10, 10));
}

#[tokio::test]
async fn a_new_run_of_the_server_is_noted_by_the_first_step_of_each_app() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    one.beats().await;
    let login = |day| Login {
        app: app(1),
        day,
        user: 7,
    };
    let shard = Shard::of(app(1));
    one.store
        .record_active(shard, &[login(today())], NOW)
        .await
        .unwrap();
    server.command::<()>(&["HSET", "{imquota}:v3:meta", "run", "another"]);
    one.recovers(&Statement::default(), with_roll(roll_of(1, &[1])))
        .await;
    one.until(&Beat::default(), |beaten| beaten.leased).await;
    let month = today().month();
    // Nobody told of the app; its next login does.
    assert_eq!(one.month(month, today()).await.told_again, []);
    for user in [7, 8, 9] {
        let login = Login {
            user,
            ..login(today())
        };
        one.store.record_active(shard, &[login], NOW).await.unwrap();
    }
    assert_eq!(one.month(month, today()).await.told_again, [today()]);
    let next = month.next();
    let ahead = [login(next.first_day())];
    one.store.record_active(shard, &ahead, NOW).await.unwrap();
    assert_eq!(one.month(next, today()).await.told_again, []);
}

#[tokio::test]
async fn a_recount_and_what_a_retired_member_was_lent_are_of_their_day() {
    let server = RedisServer::start();
    let one = Sidecar::quick(1, &server, None).await;
    let two = Sidecar::quick(2, &server, None).await;
    for sidecar in [&one, &two] {
        sidecar.beats().await;
    }
    let lent = Escrow {
        granted: 10,
        done: 4,
        ..Escrow::default()
    };
    let spent = Totals {
        consumed: 4,
        released: 0,
    };
    two.account(app(1), GROUPS, spent, lent).await;
    one.store
        .retire(2, "ann", "its disk is gone")
        .await
        .unwrap();
    let month = today().month();
    let of_today = |told: MonthHistory| {
        let [day] = told.days[..] else {
            panic!("{told:?}")
        };
        assert_eq!(told.groups.day, Some(today()));
        (day.groups, told.groups.count, told.groups_at_end)
    };
    assert_eq!(of_today(one.month(month, today()).await), (10, 10, 10));
    for (to, expected) in [(25, (25, 25, 25)), (3, (25, 25, 3))] {
        let freeze = one.store.freeze(app(1), Resource::Group).await.unwrap();
        let recount = Recount {
            app: app(1),
            resource: Resource::Group,
            to,
            token: freeze.token,
            who: "ann".into(),
            why: "found".into(),
        };
        one.store.recount(&recount).await.unwrap();
        assert_eq!(of_today(one.month(month, today()).await), expected);
    }
}
