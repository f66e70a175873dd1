//! What a recovery of many members with many apps costs the server: of each call, and of all.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use imquota::quota::Resource;
use imquota::store::{
    AppReport, Beat, Cell, CellReport, Escrow, REPORT_APPS_MAX, Recovery, Shard, Statement,
    Store as _,
};

use crate::fixture::{Sidecar, app, app_report, cell_report, quick, today};
use crate::redis_server::RedisServer;
use crate::server_load::{busy, scripts};

/// How many members and apps there are, unless the environment says otherwise.
const MEMBERS: u64 = 40;
const APPS: u64 = 4_000;
/// In how many members an app was counted, and how much in each.
const COUNTED_BY: u64 = 4;
const COUNTED: u64 = 4;
/// How many members tell at once.
const TOGETHER: usize = 16;
/// How long a call may hold the server, in µs.
const CALL_MAX_US: u64 = 2_000;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// What each of the members has of each shard's apps.
fn known(members: u64, apps: u64) -> Vec<HashMap<Shard, Vec<AppReport>>> {
    let mut known: Vec<HashMap<Shard, Vec<AppReport>>> = Vec::new();
    known.resize_with(usize::try_from(members).expect("it is small"), HashMap::new);
    for id in 1..=apps {
        for turn in 0..COUNTED_BY {
            let member = usize::try_from((id + turn) % members).expect("it is small");
            let sums = Escrow {
                granted: 10,
                done: COUNTED,
                ..Escrow::default()
            };
            let cell = CellReport {
                escrow: Some(sums),
                ..cell_report(Cell::Live(Resource::Account), COUNTED, 0)
            };
            let of_shard = known[member].entry(Shard::of(app(id))).or_default();
            of_shard.push(app_report(app(id), vec![cell]));
        }
    }
    known
}

/// The steps that took long, by their hash and first key without the shard: how many, and how long the longest, in µs.
fn slow_steps(server: &RedisServer) -> BTreeMap<String, (u64, u64)> {
    type Entry = (u64, u64, u64, Vec<String>, String, String);
    let entries: Vec<Entry> = server.command(&["SLOWLOG", "GET", "-1"]);
    let mut steps = BTreeMap::new();
    for (_, _, took, words, ..) in entries {
        let of = |at: usize| words.get(at).map_or("", String::as_str);
        let key = of(3).split('}').next_back().unwrap_or_default();
        let hash = of(1).get(..8).unwrap_or_default();
        let name = format!("{} {hash} {key}", of(0));
        let (times, longest) = steps.entry(name).or_insert((0, 0));
        *times += 1;
        *longest = took.max(*longest);
    }
    steps
}

#[tokio::test]
async fn a_recovery_of_many_holds_the_server_for_no_long_call() {
    let (members, apps) = (
        number("IMQUOTA_TEST_MEMBERS", MEMBERS),
        number("IMQUOTA_TEST_APPS", APPS),
    );
    let server = RedisServer::start();
    let mut options = quick(&server.unix_url());
    // Nobody is given up, however long the others take.
    (options.pace.patience, options.pace.silence) = (3_600_000, 3_600_000);
    let mut all = Vec::new();
    for (number, known) in (1..).zip(known(members, apps)) {
        let one = Sidecar::with(number, options.clone());
        one.hello(None).await.unwrap();
        one.beats().await;
        all.push((one, known));
    }
    server.flush_all();
    let mut epoch = 0;
    for (one, _) in &all {
        epoch = one.beats().await.epoch;
    }
    server.command::<()>(&[
        "CONFIG",
        "SET",
        "slowlog-log-slower-than",
        &CALL_MAX_US.to_string(),
    ]);
    server.command::<()>(&["CONFIG", "SET", "slowlog-max-len", "1000000"]);
    server.command::<()>(&["CONFIG", "RESETSTAT"]);
    server.command::<()>(&["SLOWLOG", "RESET"]);
    let (begun, idle) = (Instant::now(), busy(&server));
    let restated = Beat {
        restated: epoch,
        ..Beat::default()
    };
    stream::iter(&mut all)
        .for_each_concurrent(TOGETHER, async |(one, known)| {
            for shard in Shard::all() {
                let of_shard = known.remove(&shard).unwrap_or_default();
                let parts = of_shard.chunks(REPORT_APPS_MAX).map(<[_]>::to_vec);
                let or_nothing = of_shard.is_empty().then(Vec::new);
                for apps in parts.chain(or_nothing) {
                    let statement = Statement {
                        apps,
                        ..Statement::default()
                    };
                    let told = one.store.restate(shard, &statement, today()).await;
                    told.unwrap();
                }
            }
            one.beat(&restated).await.unwrap();
        })
        .await;
    let one = &all[0].0;
    let closed = one
        .until(&restated, |beaten| beaten.recovery != Recovery::Open)
        .await;
    let took = begun.elapsed();
    assert_eq!(closed.recovery, Recovery::Closed);
    let (calls, busy) = (scripts(&server), busy(&server).saturating_sub(idle));
    let each = busy / u32::try_from(calls).expect("it is small");
    let slow: u64 = server.command(&["SLOWLOG", "LEN"]);
    let by_step = slow_steps(&server);
    let longest = by_step.values().map(|(_, longest)| *longest).max();
    let longest = longest.unwrap_or(0);
    for (step, (times, longest)) in &by_step {
        println!("slow: {step} {times} times, the longest {longest} us");
    }
    println!(
        "{members} members told {apps} apps in {took:?}: {calls} calls, {busy:?} of Redis, {each:?} each; {slow} took {CALL_MAX_US} us or more, the longest {longest} us"
    );
    for id in [1, apps / 2, apps] {
        let net = one.usage(app(id)).await.view.net[0];
        assert_eq!(net, (COUNTED_BY * COUNTED).cast_signed(), "app {id}");
    }
    assert!(calls >= members * 256);
    assert!(each < Duration::from_micros(CALL_MAX_US / 4), "{each:?}");
    // The server's clock goes on while it waits for a core: on a busy machine some calls look long that are not.
    assert!(slow * 20 < calls, "{slow} of {calls} calls were long");
}
