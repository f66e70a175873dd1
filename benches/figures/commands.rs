//! What checks cost Redis, in the three ways in which they are answered: commands on the wire, the time that it is busy, and
//! what an app takes of its memory.

use std::thread::sleep;

use imquota::grpc::proto::Resource;

use crate::child::Loading;
use crate::redis::Redis;
use crate::relay::Relay;
use crate::sidecar::{Limits, SETTLED_AFTER, Sidecar, name};
use crate::stat::{decimal, grouped, thousandths};
use crate::{Effort, Failure};

const APPS: u64 = 10_000;
const FIRST_APP: u64 = 1_500_000_000;
/// Creations in each app of which each is the ledger's: fewer than the limit.
const BY_THE_LEDGER: u64 = 5;
/// A load ends when its calls are answered, or after ten minutes.
const LONG_ENOUGH: &str = "--measure-ms=600000";

/// A way in which checks are answered.
struct Way {
    what: &'static str,
    limits: Limits,
    resource: Resource,
    /// How long the load is, as its arguments.
    load: Vec<String>,
}

/// Prints the figures of each way.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    let full_speed = || {
        let long = format!("--measure-ms={}", effort.rounds * effort.measure_ms);
        vec![long]
    };
    one(&Way {
        what: "of an unlimited resource, counted in memory",
        limits: Limits::Metered,
        resource: Resource::Account,
        load: full_speed(),
    })?;
    one(&Way {
        what: "of a group under the limit of a day's gain, by what is lent",
        limits: Limits::Pro,
        resource: Resource::Group,
        load: full_speed(),
    })?;
    one(&Way {
        what: "under a limit of seven accounts, each by the ledger",
        limits: Limits::Seven,
        resource: Resource::Account,
        load: vec![
            format!("--calls={}", APPS * BY_THE_LEDGER),
            "--in-flight=4".into(),
            LONG_ENOUGH.into(),
        ],
    })
}

fn one(way: &Way) -> Result<(), Failure> {
    println!("Redis for checks {}; {} busy apps", way.what, grouped(APPS));
    let folder = tempfile::tempdir()?;
    let mut redis = Redis::start(folder.path())?;
    let relay = Relay::start(redis.port)?;
    let url = Redis::url(relay.port);
    let sidecar = Sidecar::start(&url, folder.path(), way.limits)?;
    let before = relay.commands();
    let (memory, busy) = (redis.used_memory()?, redis.busy_us()?);
    let mut arguments = vec![
        format!("--to={}", sidecar.tcp),
        format!("--apps={APPS}"),
        format!("--first-app={FIRST_APP}"),
        format!("--resource={}", name(way.resource)),
        "--warm-ms=0".into(),
    ];
    arguments.extend(way.load.iter().cloned());
    let loaded = Loading::start(&arguments)?.finish()?;
    let during = relay.commands() - before;
    sleep(SETTLED_AFTER);
    let all = relay.commands() - before;
    let busy = redis.busy_us()? - busy;
    let memory = redis.used_memory()?.saturating_sub(memory);
    let per_thousand = |units: u64| decimal(thousandths(units * 1_000, loaded.answered));
    println!(
        "  {} checks at {} a second: {during} commands, {} for 1,000 checks",
        grouped(loaded.answered),
        grouped(loaded.measured * 1_000_000 / loaded.micros.max(1)),
        per_thousand(during)
    );
    println!(
        "  with the {} s after it, until everything has settled: {all} commands, {} for 1,000 checks",
        SETTLED_AFTER.as_secs(),
        per_thousand(all)
    );
    println!(
        "  Redis was busy for {} ms, {} us for 1,000 checks; an app takes {} bytes of it",
        grouped(busy / 1_000),
        per_thousand(busy),
        grouped(memory / APPS)
    );
    let counted = sidecar.counted(way.resource, FIRST_APP, APPS)?;
    if counted != loaded.answered {
        return Err(format!("{} were allowed, {counted} are counted", loaded.answered).into());
    }
    sidecar.process.terminate()
}
