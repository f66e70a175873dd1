//! What a month's bills cost: how long it takes to make them all, and for how long Redis is held by one step.

use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use imquota::clock::{Clock, Month, Zone};
use imquota::grpc::proto::GetBillRequest;
use imquota::grpc::proto::billing_service_client::BillingServiceClient;

use crate::actives;
use crate::redis::Redis;
use crate::sidecar::{Limits, Sidecar, runtime};
use crate::stat::{decimal, grouped, thousandths};
use crate::{Effort, Failure};

/// How many bills are made at a time: as many as `bill run` has made at a time.
const TOGETHER: usize = 16;

/// Prints the figures for apps that had users. The month is the running one, which alone has users then.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "The bills of {} apps with {} users each, through Redis, {TOGETHER} at a time",
        grouped(effort.billed),
        grouped(actives::USERS_A_CALL)
    );
    let folder = tempfile::tempdir()?;
    let mut redis = Redis::start(folder.path())?;
    let sidecar = Sidecar::start(&Redis::url(redis.port), folder.path(), Limits::Billed)?;
    let runtime = runtime()?;
    runtime.block_on(actives::record_apps(&sidecar, effort.billed))?;
    let zone = Zone::parse("+08:00").ok_or("a zone")?;
    let month = zone.day(Clock::system()).month();
    redis.watch_slow_steps()?;
    let since = Instant::now();
    runtime.block_on(make(&sidecar, effort.billed, month))?;
    let took = since.elapsed();
    println!(
        "  {} s; the longest step in Redis took {} ms",
        decimal(u64::try_from(took.as_millis())?),
        decimal(redis.slowest_step_us()?)
    );
    let used = redis.used_memory()?;
    println!(
        "  {} bytes in Redis an app with its users",
        decimal(thousandths(used, effort.billed))
    );
    sidecar.process.terminate()
}

/// Makes the bill of each of `apps` apps.
async fn make(sidecar: &Sidecar, apps: u64, month: Month) -> Result<(), Failure> {
    let client = BillingServiceClient::new(sidecar.channel().await?);
    let month = month.to_string();
    let bills = (actives::APP..actives::APP + apps).map(|app_id| {
        let (mut client, month) = (client.clone(), month.clone());
        async move {
            let bill = client.get_bill(GetBillRequest { app_id, month }).await?;
            let bill = bill.into_inner();
            let users = bill.lines.iter().find(|line| line.item == "daily_active");
            match users.map(|line| line.peak) {
                Some(actives::USERS_A_CALL) => Ok(()),
                other => Err(Failure::from(format!("app {app_id}: {other:?} users"))),
            }
        }
    });
    let mut bills = stream::iter(bills).buffer_unordered(TOGETHER);
    while let Some(()) = bills.try_next().await? {}
    Ok(())
}
