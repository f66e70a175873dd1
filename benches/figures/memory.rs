//! Memory that an app takes once it has been checked.

use std::thread::sleep;
use std::time::Duration;

use imquota::grpc::proto::Resource;

use crate::child::Loading;
use crate::redis::Redis;
use crate::sidecar::{Limits, Sidecar, in_flight, name};
use crate::stat::grouped;
use crate::{Effort, Failure};

/// Apps that are checked before anything is measured, so that buffers and caches have their size.
const WARM_APPS: u64 = 20_000;
const WARM_FIRST: u64 = 1_400_000_000;
const WARM_CALLS: u64 = 200_000;
/// Of what a limit bears on: fewer in each app than a tight one allows.
const WARM_CALLS_LIMITED: u64 = 2 * WARM_APPS;
/// Calls of those apps before memory is read: what the background has freed goes back with the next calls of the thread
/// that had it.
const LAST_CALLS: u64 = 20_000;
/// How long that may take.
const GIVEN_BACK_AFTER: Duration = Duration::from_secs(2);
const FIRST_APP: u64 = 1_500_000_000;
/// A load ends when its calls are answered, or after ten minutes.
const LONG_ENOUGH: &str = "--measure-ms=600000";

/// Prints the figure for both stores, and for apps that use all there is.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "Memory an app, {} apps that were checked once each, without request ids (difference of the resident set\n\
         when all is settled and saved)",
        grouped(effort.apps)
    );
    one("embedded", "embedded", effort, Limits::Metered, &ONE)?;
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path())?;
    one(
        "redis",
        &Redis::url(redis.port),
        effort,
        Limits::Metered,
        &ONE,
    )?;
    drop(redis);
    println!("  the same, with an account, a group and an AV room each, under the limits of pro");
    let redis = Redis::start(folder.path())?;
    one("redis", &Redis::url(redis.port), effort, Limits::Pro, &ALL)
}

/// What is created in each app.
const ONE: [Resource; 1] = [Resource::Account];
const ALL: [Resource; 3] = [Resource::Account, Resource::Group, Resource::AvRoom];

fn one(
    called: &str,
    store: &str,
    effort: Effort,
    limits: Limits,
    resources: &[Resource],
) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let sidecar = Sidecar::start(store, folder.path(), limits)?;
    let ask = |first: u64, apps: u64, calls: u64, resource: Resource| {
        Loading::start(&[
            format!("--to={}", sidecar.tcp),
            format!("--first-app={first}"),
            format!("--apps={apps}"),
            format!("--calls={calls}"),
            format!("--resource={}", name(resource)),
            format!("--in-flight={}", in_flight(resource)),
            "--no-ids".into(),
            LONG_ENOUGH.into(),
        ])?
        .finish()
    };
    for resource in resources {
        let calls = match resource {
            Resource::Account => WARM_CALLS,
            _ => WARM_CALLS_LIMITED,
        };
        ask(WARM_FIRST, WARM_APPS, calls, *resource)?;
    }
    let at_rest = || {
        sleep(Duration::from_secs(effort.idle));
        ask(WARM_FIRST, WARM_APPS, LAST_CALLS, Resource::Account)?;
        sleep(GIVEN_BACK_AFTER);
        sidecar.process.memory()
    };
    let before = at_rest()?;
    for resource in resources {
        let loaded = ask(FIRST_APP, effort.apps, effort.apps, *resource)?;
        if loaded.answered != effort.apps {
            return Err(format!("only {} apps were checked", loaded.answered).into());
        }
    }
    let after = at_rest()?;
    let an_app = |before: u64, after: u64| after.saturating_sub(before) / effort.apps;
    println!(
        "  {called:9} {} bytes an app, {} of them outside of mapped files (in all {} KiB to {} KiB)",
        an_app(before.all, after.all),
        an_app(before.anonymous, after.anonymous),
        grouped(before.all / 1_024),
        grouped(after.all / 1_024)
    );
    sidecar.process.terminate()
}
