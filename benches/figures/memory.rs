//! Memory that an app takes once it has been checked.

use std::thread::sleep;

use crate::child::Loading;
use crate::redis::Redis;
use crate::sidecar::{Limits, SETTLED_AFTER, Sidecar};
use crate::stat::grouped;
use crate::{Effort, Failure};

/// Apps that are checked before anything is measured, so that buffers have their size.
const WARM_APPS: u64 = 1_000;
const WARM_FIRST: u64 = 1_400_000_000;
const WARM_CALLS: u64 = 200_000;
const FIRST_APP: u64 = 1_500_000_000;

/// Prints the figure for both stores.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "Memory an app, {} apps that were checked once each (difference of the resident set)",
        grouped(effort.apps)
    );
    let folder = tempfile::tempdir()?;
    one("embedded", "embedded", effort)?;
    let redis = Redis::start(folder.path())?;
    one("redis", &Redis::url(redis.port), effort)
}

fn one(name: &str, store: &str, effort: Effort) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let sidecar = Sidecar::start(store, folder.path(), Limits::Metered)?;
    let ask = |first: u64, apps: u64, calls: u64| {
        Loading::start(&[
            format!("--to={}", sidecar.tcp),
            format!("--first-app={first}"),
            format!("--apps={apps}"),
            format!("--calls={calls}"),
        ])?
        .finish()
    };
    ask(WARM_FIRST, WARM_APPS, WARM_CALLS)?;
    sleep(SETTLED_AFTER);
    let before = sidecar.process.memory()?;
    let loaded = ask(FIRST_APP, effort.apps, effort.apps)?;
    sleep(SETTLED_AFTER);
    let after = sidecar.process.memory()?;
    if loaded.answered != effort.apps {
        return Err(format!("only {} apps were checked", loaded.answered).into());
    }
    let an_app = |before: u64, after: u64| after.saturating_sub(before) / effort.apps;
    println!(
        "  {name:9} {} bytes an app, {} of them outside of mapped files (in all {} KiB to {} KiB)",
        an_app(before.all, after.all),
        an_app(before.anonymous, after.anonymous),
        grouped(before.all / 1_024),
        grouped(after.all / 1_024)
    );
    sidecar.process.terminate()
}
