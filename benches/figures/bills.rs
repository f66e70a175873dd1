//! What a month's bills cost: the time of `bill run`, and for how long Redis is held by one step.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use imquota::clock::{Clock, Month, Zone};

use crate::actives;
use crate::redis::Redis;
use crate::sidecar::{Limits, Sidecar, runtime};
use crate::stat::{decimal, grouped, thousandths};
use crate::{Effort, Failure};

/// A month that is sealed, whatever day it is.
const MONTHS_AGO: i32 = 2;

/// Prints the figures for apps that had users.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "The bills of {} apps with {} users each, through Redis",
        grouped(effort.billed),
        grouped(actives::USERS_A_CALL)
    );
    let folder = tempfile::tempdir()?;
    let mut redis = Redis::start(folder.path())?;
    let sidecar = Sidecar::start(&Redis::url(redis.port), folder.path(), Limits::Billed)?;
    runtime()?.block_on(actives::record_apps(&sidecar, effort.billed))?;
    let zone = Zone::parse("+08:00").ok_or("a zone")?;
    let now = zone.day(Clock::system()).month().number();
    let month = Month::from_number(now - MONTHS_AGO).ok_or("no such month")?;
    for what in ["written", "read again"] {
        redis.watch_slow_steps()?;
        let since = Instant::now();
        let bills = bill_run(&sidecar, month)?;
        let took = since.elapsed();
        if bills != effort.billed {
            return Err(format!("{} apps, {bills} bills", effort.billed).into());
        }
        println!(
            "  {what}: {} s; the longest step in Redis took {} ms",
            decimal(u64::try_from(took.as_millis())?),
            decimal(redis.slowest_step_us()?)
        );
    }
    let used = redis.used_memory()?;
    println!(
        "  {} bytes in Redis an app, its users and its bill",
        decimal(thousandths(used, effort.billed))
    );
    sidecar.process.terminate()
}

/// How many bills `imquota bill run` answered.
fn bill_run(sidecar: &Sidecar, month: Month) -> Result<u64, Failure> {
    let output = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_imquota")))
        .args(["bill", "run", "--json", "--month", &month.to_string()])
        .args(["--admin-endpoint", &sidecar.admin])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("bill run failed".into());
    }
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let bills = answer["bills"].as_array().ok_or("no bills")?;
    Ok(u64::try_from(bills.len())?)
}
