//! Daily active users: exact, idempotent, small.

use std::collections::HashSet;

use imquota::clock::{Clock, Day, Zone};
use imquota::quota::AppId;
use imquota::store::redis::RedisOptions;
use imquota::store::{Active, Cell, LOGINS_MAX, Login, Report, Settled, Shard, Store, TooLate};
use proptest::prelude::*;

use crate::fixture::{NOW, Sidecar, app, app_report, cell_report, days_ago, options, today};
use crate::redis_server::RedisServer;

/// A user's hash: all 128 bits differ between users, as a keyed hash's do.
fn user(number: u64) -> u128 {
    let mut state = u128::from(number) + 1;
    for _ in 0..3 {
        state = state.wrapping_mul(0x2d99_787a_8b2f_4a5d_9e37_79b9_7f4a_7c15);
        state ^= state >> 61;
    }
    state
}

fn login(app: AppId, day: Day, number: u64) -> Login {
    Login {
        app,
        day,
        user: user(number),
    }
}

async fn record(sidecar: &Sidecar, logins: &[Login]) -> Vec<Active> {
    let shard = Shard::of(logins[0].app);
    sidecar
        .store
        .record_active(shard, logins, NOW)
        .await
        .unwrap()
}

async fn record_many(sidecar: &Sidecar, app: AppId, day: Day, numbers: std::ops::Range<u64>) {
    let logins: Vec<Login> = numbers.map(|number| login(app, day, number)).collect();
    for part in logins.chunks(LOGINS_MAX) {
        record(sidecar, part).await;
    }
}

#[tokio::test]
async fn five_logins_of_one_user_on_two_sidecars_are_one_user() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    let ann = login(app(1), today(), 1);
    let first = record(&one, &[ann, ann, ann]).await;
    let news: Vec<bool> = first.iter().map(|active| active.newly).collect();
    assert_eq!(news, [true, false, false]);
    let again = record(&two, &[ann, ann]).await;
    assert!(
        again
            .iter()
            .all(|active| !active.newly && active.daily_active == 1)
    );
    // Another day is another set, and the month remembers its highest.
    let yesterday = [login(app(1), days_ago(1), 1), login(app(1), days_ago(1), 2)];
    assert_eq!(record(&two, &yesterday).await[1].daily_active, 2);
    assert_eq!(one.usage(app(1)).await.daily_active, 1);
    let usage = one.store.usage(app(1), days_ago(1), NOW).await.unwrap();
    assert_eq!((usage.daily_active, usage.month_peak_daily_active), (2, 2));
}

#[tokio::test]
async fn one_call_carries_many_apps_and_days_and_answers_in_order() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let second = (2..1000)
        .map(app)
        .find(|&other| Shard::of(other) == Shard::of(app(1)))
        .unwrap();
    let (today, before) = (today(), days_ago(1));
    let logins = [
        login(app(1), today, 1),
        login(second, today, 1),
        login(app(1), before, 1),
        login(app(1), today, 2),
        login(second, today, 1),
        login(app(1), today, 1),
    ];
    let actives = record(&one, &logins).await;
    let told: Vec<(bool, u64)> = actives.iter().map(|a| (a.newly, a.daily_active)).collect();
    assert_eq!(
        told,
        [
            (true, 2),
            (true, 1),
            (true, 1),
            (true, 2),
            (false, 1),
            (false, 2)
        ]
    );
}

#[tokio::test]
async fn every_64_bit_half_is_a_member_and_survives_the_splits() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    // The edges of the low half, as the script must split them: signs, zeros, the longest decimals.
    let lows = [
        0_u64,
        1,
        999_999_999,
        1_000_000_000,
        1 << 53,
        1 << 63,
        (1 << 63) - 1,
        u64::MAX,
        1 << 20,
    ];
    let mut logins: Vec<Login> = (0..400)
        .map(|number| login(app(1), today(), number))
        .collect();
    logins.extend(lows.map(|low| Login {
        user: u128::from(low),
        ..logins[0]
    }));
    let expected = logins.len() as u64;
    assert_eq!(record(&one, &logins).await[0].daily_active, expected);
    // More users split the buckets of the first: none is lost, none becomes new again.
    record_many(&one, app(1), today(), 1000..4000).await;
    assert!(
        record(&one, &logins)
            .await
            .iter()
            .all(|active| !active.newly)
    );
    assert_eq!(one.usage(app(1)).await.daily_active, expected + 3000);
    assert_eq!(stored(&server), expected + 3000);
}

/// All members of all buckets.
fn stored(server: &RedisServer) -> u64 {
    let count = "local n = 0 for _, k in ipairs(redis.call('KEYS', '*:d:*:*:*')) do n = n + redis.call('SCARD', k) end return n";
    server.command(&["EVAL", count, "0"])
}

#[tokio::test]
async fn a_million_users_cost_at_most_twelve_bytes_each() {
    const USERS: u64 = 1_000_000;
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let memory = || {
        let info: String = server.command(&["INFO", "memory"]);
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        line.unwrap().parse::<u64>().unwrap()
    };
    let before = memory();
    record_many(&one, app(1), today(), 0..USERS).await;
    assert_eq!(one.usage(app(1)).await.daily_active, USERS);
    let bytes = memory() - before;
    println!("Redis uses {bytes} bytes more with {USERS} daily active users");
    assert!(bytes <= 12 * USERS, "{bytes} bytes for {USERS} users");
    // Not one bucket was turned into a hash table, and all go when the day is over.
    let check = "local worst, most = '', 0
        for _, k in ipairs(redis.call('KEYS', '*:d:1:*:*')) do
          most = math.max(most, redis.call('SCARD', k))
          if redis.call('OBJECT', 'ENCODING', k) ~= 'intset' or redis.call('TTL', k) < 172800 then worst = k end
        end
        return {worst, most}";
    let (worst, most): (String, u64) = server.command(&["EVAL", check, "0"]);
    assert_eq!(worst, "");
    assert!(most <= 512, "{most} in one bucket");
    // The next day starts as wide as this one was, and still counts exactly.
    let tomorrow = today().next();
    record_many(&one, app(1), tomorrow, 500_000..501_000).await;
    let key: Vec<String> = server.command(&["KEYS", &format!("*:d:1:{}", tomorrow.number())]);
    let width: u32 = server.command(&["HGET", &key[0], "k"]);
    assert_eq!(width, 12);
    let usage = one.store.usage(app(1), tomorrow, NOW).await.unwrap();
    assert_eq!(usage.daily_active, 1000);
}

#[tokio::test]
async fn a_server_with_small_integer_sets_keeps_its_buckets_small() {
    let server = RedisServer::with(
        crate::redis_server::Persistence::None,
        &["--set-max-intset-entries", "64"],
    );
    let (one, _) = Sidecar::fresh(1, &server).await;
    record_many(&one, app(1), today(), 0..20_000).await;
    assert_eq!(stored(&server), 20_000);
    let check = "for _, k in ipairs(redis.call('KEYS', '*:d:1:*:*')) do
          if redis.call('OBJECT', 'ENCODING', k) ~= 'intset' then return k end
        end
        return ''";
    assert_eq!(server.command::<String>(&["EVAL", check, "0"]), "");
}

#[tokio::test]
async fn increments_are_totals_of_each_member_and_add_to_the_users() {
    let server = RedisServer::start();
    let (one, known) = Sidecar::fresh(1, &server).await;
    let two = Sidecar::new(2, &server);
    two.hello(Some(known)).await.unwrap();
    let cell = Cell::Increment(today());
    for total in [5, 3, 5] {
        one.tell(app(1), cell, total, 0, 0).await;
    }
    two.tell(app(1), cell, 7, 0, 0).await;
    let active = record(&one, &[login(app(1), today(), 1)]).await;
    assert_eq!((active[0].newly, active[0].daily_active), (true, 13));
    one.tell(app(1), Cell::Increment(days_ago(1)), 20, 0, 0)
        .await;
    let usage = one.usage(app(1)).await;
    assert_eq!((usage.daily_active, usage.my_increment), (13, 5));
    assert_eq!(two.usage(app(1)).await.my_increment, 7);
    if days_ago(1).month() == today().month() {
        assert_eq!(usage.month_peak_daily_active, 20);
    }
}

#[tokio::test]
async fn a_sealed_day_takes_nothing_and_leaves_nothing() {
    let server = RedisServer::start();
    let (one, _) = Sidecar::fresh(1, &server).await;
    let day = days_ago(4);
    let late = record(&one, &[login(app(1), day, 1), login(app(1), day, 2)]).await;
    assert!(late.iter().all(|late| late.too_late && !late.newly));
    assert_eq!(late[0].daily_active, 0);
    let told = increment(&one, app(1), day, 9).await;
    let refused = TooLate {
        app: app(1),
        day,
        users: 9,
    };
    assert_eq!(told.too_late, [refused]);
    assert!(server.command::<Vec<String>>(&["KEYS", "*:d:*"]).is_empty());
    // What was not counted is said of its month, which goes with its time.
    let month = one.store.month(app(1), day.month(), today(), NOW).await;
    let month = month.unwrap();
    assert_eq!((month.too_late, month.days), (vec![(day, 11)], Vec::new()));
    for key in server.command::<Vec<String>>(&["KEYS", "*:m:*"]) {
        assert!(server.command::<i64>(&["EXPIRETIME", &key]) > 0, "{key}");
    }
    let still_open = record(&one, &[login(app(1), days_ago(2), 1)]).await;
    assert!(still_open[0].newly && !still_open[0].too_late);
}

/// Settles how many users of a day a member counted in all.
async fn increment(by: &Sidecar, app: AppId, day: Day, total: u64) -> Settled {
    let report = Report {
        apps: vec![app_report(
            app,
            vec![cell_report(Cell::Increment(day), total, 0)],
        )],
        ..Report::default()
    };
    by.settle(&report, today()).await.unwrap()
}

/// The zone in which a day ended so many hours and a half ago.
fn zone_with_an_end(hours: i64) -> Zone {
    const MINUTES: i64 = 24 * 60;
    let utc = Clock::system().0.div_euclid(60_000).rem_euclid(MINUTES);
    let wanted = (hours * 60 + 30).rem_euclid(MINUTES);
    let mut offset = (wanted - utc).rem_euclid(MINUTES);
    if offset > MINUTES / 2 {
        offset -= MINUTES;
    }
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
    Zone::parse(&format!("{sign}{hours:02}:{minutes:02}")).unwrap()
}

/// Gateways are refused from 48 hours after a day's end on; what sidecars were told before is taken for an hour more.
#[tokio::test]
async fn what_is_told_within_an_hour_after_the_last_event_counts() {
    for (hours, counts) in [(48, true), (49, false)] {
        let server = RedisServer::start();
        let zone = zone_with_an_end(hours);
        let today = zone.day(Clock::system());
        let day = Day::from_number(today.number() - 3).unwrap();
        let options = RedisOptions {
            zone,
            ..options(&server.url())
        };
        let one = Sidecar::with(1, options);
        one.hello(None).await.unwrap();
        let told = increment(&one, app(1), day, 9).await;
        assert_eq!(told.too_late.is_empty(), counts, "{hours}");
        let told = record(&one, &[login(app(1), day, 1)]).await;
        assert_eq!((told[0].newly, told[0].too_late), (counts, !counts));
        assert_eq!(told[0].daily_active, if counts { 10 } else { 0 });
        let month = one.store.month(app(1), day.month(), today, NOW).await;
        assert_eq!(month.unwrap().too_late.is_empty(), counts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order and the repetitions, the ledger and a plain set agree on each login.
    #[test]
    fn users_are_those_of_a_plain_set(
        calls in prop::collection::vec(prop::collection::vec((0_u64..600, 0_i32..2), 1..200), 1..12)
    ) {
        let server = RedisServer::start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (one, _) = Sidecar::fresh(1, &server).await;
            let mut model: HashSet<(i32, u64)> = HashSet::new();
            for call in calls {
                let logins: Vec<Login> =
                    call.iter().map(|&(number, ago)| login(app(1), days_ago(ago), number)).collect();
                let actives = record(&one, &logins).await;
                let news: Vec<bool> = call.iter().map(|&(number, ago)| model.insert((ago, number))).collect();
                for ((active, new), (_, ago)) in actives.iter().zip(news).zip(call) {
                    let daily = model.iter().filter(|(day, _)| *day == ago).count() as u64;
                    prop_assert_eq!((active.newly, active.daily_active), (new, daily));
                }
            }
            Ok(())
        })?;
    }
}
