//! Commands on the wire to Redis for a thousand checks that need none of them at once.

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

/// Prints the figure for what no limit bears on, and for what a large one does.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    one(
        effort,
        "checks of an unlimited resource",
        (Limits::Metered, Resource::Account),
    )?;
    one(
        effort,
        "checks of a group under the limit of a day's gain",
        (Limits::Pro, Resource::Group),
    )
}

fn one(effort: Effort, what: &str, (limits, resource): (Limits, Resource)) -> Result<(), Failure> {
    println!(
        "Redis commands on the wire, {} busy apps, {what} at full speed",
        grouped(APPS)
    );
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path())?;
    let relay = Relay::start(redis.port)?;
    let url = Redis::url(relay.port);
    let sidecar = Sidecar::start(&url, folder.path(), limits)?;
    let before = relay.commands();
    let load = Loading::start(&[
        format!("--to={}", sidecar.tcp),
        format!("--apps={APPS}"),
        format!("--first-app={FIRST_APP}"),
        format!("--resource={}", name(resource)),
        "--warm-ms=0".into(),
        format!("--measure-ms={}", effort.rounds * effort.measure_ms),
    ])?;
    let loaded = load.finish()?;
    let during = relay.commands() - before;
    sleep(SETTLED_AFTER);
    let all = relay.commands() - before;
    let per_thousand = |commands: u64| decimal(thousandths(commands * 1_000, loaded.answered));
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
    let counted = sidecar.counted(resource, FIRST_APP, APPS)?;
    if counted != loaded.answered {
        return Err(format!("{} were allowed, {counted} are counted", loaded.answered).into());
    }
    sidecar.process.terminate()
}
