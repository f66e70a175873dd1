//! What callers wait who ask at a fixed rate, half of what a server can and nearly all of it, while something else
//! goes on; and what two cores can.

use std::thread::sleep;
use std::time::Duration;

use imquota::grpc::proto::Resource;
use serde_json::Value;

use crate::child::Loading;
use crate::disturbed::{Beside, Disturbing};
use crate::latency::{PARTS, time};
use crate::redis::Redis;
use crate::sidecar::{Limits, Sidecar};
use crate::stat::{Ratios, Runs, decimal, grouped, thousandths};
use crate::{Effort, Failure};

const FIRST_APP: u64 = 1_500_000_000;
/// The apps that are asked for in turn: each is settled with the ledger, every few seconds.
const APPS: u64 = 10_000;
/// Apps that are there beside them.
const FIRST_OTHER: u64 = 1_600_000_000;
/// How long one load's last packets may need before the next begins.
const PAUSE: Duration = Duration::from_millis(200);
/// So long nothing is asked, until what was owed is settled: every 5 s at most.
const SETTLED: Duration = Duration::from_secs(6);

/// One line of the table.
struct Case {
    name: &'static str,
    /// Per cent of what the server can.
    load: u64,
    beside: Meanwhile,
}

/// What goes on meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    /// The ledger is the process' own, and one app is asked for.
    Nothing,
    /// The ledger is the process' own.
    Embedded,
    Reloads,
    /// All apps are settled with Redis.
    Syncing,
    /// The same, and there are many more.
    Swept,
    /// Redis answers nothing.
    Stopped,
}

const CASES: [Case; 8] = [
    case("half, one app", 50, Meanwhile::Nothing),
    case("half", 50, Meanwhile::Embedded),
    case("nearly all", 95, Meanwhile::Embedded),
    case("half, settings reread", 50, Meanwhile::Reloads),
    case("half, settled with Redis", 50, Meanwhile::Syncing),
    case("nearly all, settled so", 95, Meanwhile::Syncing),
    case("half, many apps swept", 50, Meanwhile::Swept),
    case("half, Redis stands still", 50, Meanwhile::Stopped),
];

const fn case(name: &'static str, load: u64, beside: Meanwhile) -> Case {
    Case { name, load, beside }
}

/// Prints the table.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "Waits at a fixed rate, from when a call was due, of what the server can (4 connections x 64 in flight): half and\n\
         95 per cent, over TCP, {} apps, a fresh request id each; in ns: p50, p99, p99.9 (medians of the rounds)",
        grouped(APPS)
    );
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let redis = Redis::start(folders[1].path())?;
    let own = Sidecar::start("embedded", folders[0].path(), Limits::Metered)?;
    let url = Redis::url(redis.port);
    let shared = Sidecar::start(&url, folders[1].path(), Limits::Metered)?;
    shared.process.stand_still()?;
    let mut times: [[Runs; PARTS.len()]; CASES.len()] = Default::default();
    let mut ratios: [[Ratios; PARTS.len()]; CASES.len()] = Default::default();
    let mut late = Runs::default();
    for round in 0..effort.rounds {
        let mut plain = [0; PARTS.len()];
        for (at, case) in CASES.iter().enumerate() {
            let found = one(effort, &own, &shared, &redis, case)?;
            late.add(time(&found, "late_p99_ns")?);
            for (part, name) in PARTS.iter().enumerate() {
                let time = time(&found, name)?;
                if case.beside == Meanwhile::Embedded && case.load == 50 {
                    plain[part] = time;
                }
                times[at][part].add(time);
                if case.load == 50 && case.beside != Meanwhile::Nothing {
                    ratios[at][part].add(time, plain[part]);
                }
            }
        }
        if round == 0 {
            println!("  the rates are taken anew before each measurement");
        }
    }
    for ((case, times), ratios) in CASES.iter().zip(&times).zip(&ratios) {
        let [p50, p99, p999] = times.each_ref().map(Runs::median);
        println!("  {:<26} {p50} {p99} {p999}", case.name);
        if case.load == 50 && !matches!(case.beside, Meanwhile::Nothing | Meanwhile::Embedded) {
            println!("    p99.9, to half           {}", ratios[2]);
        }
    }
    println!("  the load itself was late by (p99, ns) {late}");
    own.process.terminate()?;
    shared.process.terminate()
}

/// One measurement on the server that it wants, while the other stands still.
fn one(
    effort: Effort,
    own: &Sidecar,
    shared: &Sidecar,
    redis: &Redis,
    case: &Case,
) -> Result<Value, Failure> {
    let with_redis = matches!(
        case.beside,
        Meanwhile::Syncing | Meanwhile::Swept | Meanwhile::Stopped
    );
    let (of, other) = if with_redis {
        (shared, own)
    } else {
        (own, shared)
    };
    other.process.stand_still()?;
    of.process.go_on()?;
    sleep(PAUSE);
    let apps = if case.beside == Meanwhile::Nothing {
        1
    } else {
        APPS
    };
    let can = capacity(effort, of, apps)?;
    if case.beside == Meanwhile::Swept {
        fill(of, effort.apps)?;
    }
    let reloads = (case.beside == Meanwhile::Reloads)
        .then(|| Disturbing::start(Beside::Reloads, effort, of, ""));
    if case.beside == Meanwhile::Stopped {
        sleep(SETTLED);
        redis.process.stand_still()?;
    }
    let found = Loading::start_as(
        "paced-load",
        &[
            format!("--to={}", of.tcp),
            format!("--rate={}", can * case.load / 100),
            format!("--apps={apps}"),
            format!("--first-app={FIRST_APP}"),
            format!("--server={}", of.process.id()),
            format!("--warm-ms={}", effort.warm_ms),
            format!("--measure-ms={}", effort.measure_ms),
        ],
    )?
    .found();
    if case.beside == Meanwhile::Stopped {
        redis.process.go_on()?;
    }
    if let Some(reloads) = reloads {
        reloads.end()?;
    }
    found
}

/// Checks a second, as many as it can.
fn capacity(effort: Effort, of: &Sidecar, apps: u64) -> Result<u64, Failure> {
    let loaded = Loading::start(&[
        format!("--to={}", of.tcp),
        format!("--apps={apps}"),
        format!("--first-app={FIRST_APP}"),
        format!("--warm-ms={}", effort.warm_ms),
        format!("--measure-ms={}", effort.measure_ms / 4),
    ])?
    .finish()?;
    Ok(loaded.measured * 1_000_000 / loaded.micros.max(1))
}

/// Has many more apps in memory; from the second time on they are there.
fn fill(of: &Sidecar, apps: u64) -> Result<(), Failure> {
    let loaded = Loading::start(&[
        format!("--to={}", of.tcp),
        format!("--apps={apps}"),
        format!("--first-app={FIRST_OTHER}"),
        format!("--calls={apps}"),
        "--measure-ms=600000".into(),
    ])?
    .finish()?;
    if loaded.answered == apps {
        Ok(())
    } else {
        Err(format!("only {} of {apps} apps were checked", loaded.answered).into())
    }
}

/// Prints what one serving thread can, and what two can.
pub(crate) fn scaling(effort: Effort) -> Result<(), Failure> {
    println!(
        "One serving thread on core 0 and two on both cores, of which the load leaves most: Check, 4 connections x 64 in\n\
         flight, {} apps, over TCP, a fresh request id each",
        grouped(APPS)
    );
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let one = Sidecar::start("embedded", folders[0].path(), Limits::Metered)?;
    let two = Sidecar::on_both_cores("embedded", folders[1].path(), Limits::Metered)?;
    let (mut rates, mut cores) = ([Runs::default(), Runs::default()], Ratios::default());
    let (mut ratio, mut load_busy) = (Ratios::default(), Runs::default());
    for _ in 0..effort.rounds {
        let mut found = [(0, 0); 2];
        for (at, (of, other)) in [(&one, &two), (&two, &one)].into_iter().enumerate() {
            other.process.stand_still()?;
            of.process.go_on()?;
            sleep(PAUSE);
            let loaded = Loading::start(&[
                format!("--to={}", of.tcp),
                format!("--apps={APPS}"),
                format!("--first-app={FIRST_APP}"),
                format!("--server={}", of.process.id()),
                format!("--warm-ms={}", effort.warm_ms),
                format!("--measure-ms={}", effort.measure_ms),
            ])?
            .finish()?;
            let rate = loaded.measured * 1_000_000 / loaded.micros.max(1);
            let core_rate = loaded.measured * 1_000_000 / loaded.server_busy_micros.max(1);
            rates[at].add(rate);
            found[at] = (rate, core_rate);
            if at == 1 {
                load_busy.add(thousandths(loaded.busy_micros, loaded.micros));
            }
        }
        let [(one, one_core), (two, two_core)] = found;
        ratio.add(two, one);
        cores.add(two_core, one_core);
    }
    println!("  one thread, checks/s         {}", rates[0]);
    println!("  two threads, checks/s        {}", rates[1]);
    println!("  two ÷ one                    {ratio}");
    println!("  the same, a core second      {cores}");
    println!(
        "  the load's share of a core   {}",
        decimal(load_busy.median())
    );
    one.process.go_on()?;
    let used = two.counted(Resource::Account, FIRST_APP, 1)?;
    if used == 0 {
        return Err("two threads counted nothing".into());
    }
    one.process.terminate()?;
    two.process.terminate()
}
