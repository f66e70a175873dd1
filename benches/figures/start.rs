//! Time from exec to the line that says "ready", on a journal of many apps.

use std::fmt::Write as _;
use std::time::Duration;

use imquota::grpc::proto::Resource;

use crate::child::Loading;
use crate::redis::Redis;
use crate::sidecar::{Limits, Sidecar, in_flight, name, program};
use crate::stat::{Runs, grouped};
use crate::{Effort, Failure};

const FIRST_APP: u64 = 1_500_000_000;
/// Apps that the settings name.
const LISTED: u64 = 10_000;
/// Starts after each kind of end.
const STARTS: u64 = 5;
/// A load ends when its calls are answered, or after ten minutes.
const LONG_ENOUGH: &str = "--measure-ms=600000";

/// Prints the figure for both stores, after a kill and after an end in good order.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "Milliseconds from exec to ready, a journal of {} apps with an account, a group and an AV room each,\n\
         under the limits of pro, {STARTS} starts each",
        grouped(effort.apps)
    );
    listed()?;
    one("embedded", "embedded", effort.apps)?;
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path())?;
    one("redis", &Redis::url(redis.port), effort.apps)
}

/// With many apps in the settings, and nothing else.
fn listed() -> Result<(), Failure> {
    let mut apps = String::from("apps:\n");
    for app in FIRST_APP..FIRST_APP + LISTED {
        let _ = writeln!(apps, "  - {{ app_id: {app}, plan: figures }}");
    }
    let mut starts = Runs::default();
    for _ in 0..STARTS {
        let folder = tempfile::tempdir()?;
        let (sidecar, took) = Sidecar::with("embedded", folder.path(), Limits::Pro, &apps)?;
        starts.add(millis(took));
        sidecar.process.terminate()?;
    }
    println!(
        "  {} apps in the settings, an empty folder {starts}",
        grouped(LISTED)
    );
    let bytes = program()?.metadata()?.len();
    println!(
        "  the program has {} bytes, the lines of its code included",
        grouped(bytes)
    );
    Ok(())
}

fn one(called: &str, store: &str, apps: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut sidecar = Sidecar::start(store, folder.path(), Limits::Pro)?;
    let (mut killed, mut stopped) = (Runs::default(), Runs::default());
    let start = || Sidecar::timed(store, folder.path(), Limits::Pro);
    fill(&sidecar, apps)?;
    for _ in 0..STARTS {
        sidecar.process.kill_9()?;
        let (next, took) = start()?;
        killed.add(millis(took));
        sidecar = next;
    }
    for _ in 0..STARTS {
        sidecar.process.terminate()?;
        let (next, took) = start()?;
        stopped.add(millis(took));
        sidecar = next;
    }
    println!("  {called:9} after kill -9 {killed}, after SIGTERM {stopped}");
    sidecar.process.terminate()
}

/// Creates one object of each kind in each app.
fn fill(sidecar: &Sidecar, apps: u64) -> Result<(), Failure> {
    for resource in [Resource::Account, Resource::Group, Resource::AvRoom] {
        let load = Loading::start(&[
            format!("--to={}", sidecar.tcp),
            format!("--first-app={FIRST_APP}"),
            format!("--apps={apps}"),
            format!("--calls={apps}"),
            format!("--resource={}", name(resource)),
            format!("--in-flight={}", in_flight(resource)),
            LONG_ENOUGH.into(),
        ])?;
        let answered = load.finish()?.answered;
        if answered != apps {
            return Err(format!("only {answered} apps were checked").into());
        }
    }
    Ok(())
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
