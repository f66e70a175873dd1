//! What a daily active user costs in Redis, on a day of apps that had a user the day before: what the ledger keeps of an
//! app in any case, and its scripts, are no part of it.

use std::time::{Duration, Instant};

use imquota::grpc::proto::RecordActiveRequest;
use imquota::grpc::proto::quota_service_client::QuotaServiceClient;

use crate::redis::Redis;
use crate::relay::Relay;
use crate::sidecar::{Limits, Sidecar, runtime};
use crate::stat::{decimal, grouped, thousandths};
use crate::{Effort, Failure};

pub(crate) const APP: u64 = 1_500_000_000;
/// Within so long all is settled.
const SETTLED: Duration = Duration::from_secs(6);
const DAY: Duration = Duration::from_hours(24);
/// Users in one call: as many as one may have.
pub(crate) const USERS_A_CALL: u64 = 1_000;

/// Prints the figure for one large app, and for many small ones.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "Redis memory a daily active user of apps that had one yesterday, {USERS_A_CALL} users a call: {} of one app",
        grouped(effort.users)
    );
    one((1, effort.users), async |sidecar| {
        record(sidecar, APP, effort.users).await
    })?;
    println!(
        "  {USERS_A_CALL} of each of {} apps",
        grouped(effort.billed)
    );
    let users = effort.billed * USERS_A_CALL;
    one((effort.billed, users), async |sidecar| {
        record_apps(sidecar, effort.billed).await
    })
}

fn one(
    (apps, users): (u64, u64),
    record: impl AsyncFnOnce(&Sidecar) -> Result<u64, Failure>,
) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut redis = Redis::start(folder.path())?;
    let relay = Relay::start(redis.port)?;
    let url = Redis::url(relay.port);
    let sidecar = Sidecar::start(&url, folder.path(), Limits::Metered)?;
    let runtime = runtime()?;
    runtime.block_on(record_yesterday(&sidecar, apps))?;
    // The plans of all apps are told by then.
    std::thread::sleep(SETTLED);
    let before = redis.used_memory()?;
    let commands = relay.commands();
    redis.watch_slow_steps()?;
    let since = Instant::now();
    let active = runtime.block_on(record(&sidecar))?;
    let took = since.elapsed();
    let commands = relay.commands() - commands;
    let slowest = redis.slowest_step_us()?;
    // The list of slow steps takes memory as well.
    redis.watch_slow_steps()?;
    let after = redis.used_memory()?;
    if active != users {
        return Err(format!("{users} users logged in, {active} are active").into());
    }
    println!(
        "  {} bytes a user; {} commands on the wire for 1,000 users; the longest step in Redis took {} ms",
        decimal(thousandths(after.saturating_sub(before), users)),
        decimal(thousandths(commands * 1_000, users)),
        decimal(slowest)
    );
    println!(
        "  all of them in {} s",
        decimal(u64::try_from(took.as_millis())?)
    );
    sidecar.process.terminate()
}

/// Records one user of the day before, of each of `apps` apps.
async fn record_yesterday(sidecar: &Sidecar, apps: u64) -> Result<(), Failure> {
    let mut client = QuotaServiceClient::new(sidecar.channel().await?);
    let yesterday = std::time::SystemTime::now() - DAY;
    for app_id in APP..APP + apps {
        let request = RecordActiveRequest {
            app_id,
            user_ids: vec!["user-0".into()],
            at: Some(yesterday.into()),
            ..RecordActiveRequest::default()
        };
        client.record_active(request).await?;
    }
    Ok(())
}

/// Records as many users as one call may have, of each of `apps` apps. Returns how many are active then.
pub(crate) async fn record_apps(sidecar: &Sidecar, apps: u64) -> Result<u64, Failure> {
    let mut active = 0;
    for app in APP..APP + apps {
        active += record(sidecar, app, USERS_A_CALL).await?;
    }
    Ok(active)
}

/// Records `users` users of an app. Returns how many are active then.
async fn record(sidecar: &Sidecar, app_id: u64, users: u64) -> Result<u64, Failure> {
    let mut client = QuotaServiceClient::new(sidecar.channel().await?);
    let mut active = 0;
    for first in (0..users).step_by(usize::try_from(USERS_A_CALL)?) {
        let last = users.min(first + USERS_A_CALL);
        let request = RecordActiveRequest {
            app_id,
            user_ids: (first..last).map(|user| format!("user-{user}")).collect(),
            ..RecordActiveRequest::default()
        };
        active = client.record_active(request).await?.get_ref().daily_active;
    }
    Ok(active)
}
