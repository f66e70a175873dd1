//! Kills a sidecar under load, again and again: no answered creation may be missing.

use std::thread::sleep;
use std::time::Duration;

use imquota::grpc::proto::Resource;

use crate::child::Loading;
use crate::redis::Redis;
use crate::sidecar::{Limits, Sidecar};
use crate::stat::grouped;
use crate::{Effort, Failure};

const APPS: u64 = 100;
const FIRST_APP: u64 = 1_500_000_000;
/// A load lives between this and twice this before the kill.
const LIFE_MIN_MS: u64 = 250;

/// Runs `effort.kills` rounds for each store and each path of a check.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!("kill -9 under load, {} times each", effort.kills);
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path())?;
    let url = Redis::url(redis.port);
    for limits in [Limits::Metered, Limits::Hard] {
        one("embedded", "embedded", limits, effort.kills)?;
        // Both paths meet the same Redis: each has a place of its own in it.
        let place = if limits == Limits::Metered { 1 } else { 2 };
        let url = url.replace("/0", &format!("/{place}"));
        one("redis", &url, limits, effort.kills)?;
    }
    Ok(())
}

fn one(name: &str, store: &str, limits: Limits, kills: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (mut answered, mut unanswered) = (0, 0);
    for round in 1..=kills {
        let sidecar = Sidecar::start(store, folder.path(), limits)?;
        check(&sidecar, answered, unanswered, round)?;
        let load = Loading::start(&[
            format!("--to={}", sidecar.tcp),
            format!("--first-app={FIRST_APP}"),
            format!("--apps={APPS}"),
            "--measure-ms=60000".into(),
            "--may-break".into(),
        ])?;
        sleep(Duration::from_millis(
            LIFE_MIN_MS + rand::random_range(0..LIFE_MIN_MS),
        ));
        sidecar.process.kill_9()?;
        let loaded = load.finish()?;
        answered += loaded.answered;
        unanswered += loaded.unanswered;
    }
    let sidecar = Sidecar::start(store, folder.path(), limits)?;
    check(&sidecar, answered, unanswered, kills + 1)?;
    if answered == 0 {
        return Err("nothing was answered before a kill: this showed nothing".into());
    }
    println!(
        "  {name}, {}: {} creations answered, none missing; {unanswered} calls were cut",
        if limits == Limits::Metered {
            "metered"
        } else {
            "hard limit"
        },
        grouped(answered)
    );
    sidecar.process.terminate()
}

/// All that was answered is counted, and nothing that nobody asked for.
fn check(sidecar: &Sidecar, answered: u64, cut: u64, round: u64) -> Result<(), Failure> {
    let counted = sidecar.counted(Resource::Account, FIRST_APP, APPS)?;
    if (answered..=answered + cut).contains(&counted) {
        Ok(())
    } else {
        Err(format!(
            "at start {round}, {answered} creations were answered and {cut} cut, but {counted} are counted"
        )
        .into())
    }
}
