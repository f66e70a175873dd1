//! What a daily active user costs in Redis.

use imquota::grpc::proto::RecordActiveRequest;
use imquota::grpc::proto::quota_service_client::QuotaServiceClient;

use crate::redis::Redis;
use crate::relay::Relay;
use crate::sidecar::{Limits, Sidecar, runtime};
use crate::stat::{decimal, grouped, thousandths};
use crate::{Effort, Failure};

const APP: u64 = 1_500_000_000;
/// Users in one call: as many as one may have.
const USERS_A_CALL: u64 = 1_000;

/// Prints the figure.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "Redis memory a daily active user, {} users of one app, {USERS_A_CALL} a call",
        grouped(effort.users)
    );
    let folder = tempfile::tempdir()?;
    let mut redis = Redis::start(folder.path())?;
    let relay = Relay::start(redis.port)?;
    let url = Redis::url(relay.port);
    let sidecar = Sidecar::start(&url, folder.path(), Limits::Metered)?;
    let before = redis.used_memory()?;
    let commands = relay.commands();
    let active = runtime()?.block_on(record(&sidecar, effort.users))?;
    let commands = relay.commands() - commands;
    let after = redis.used_memory()?;
    if active != effort.users {
        return Err(format!("{} users logged in, {active} are active", effort.users).into());
    }
    println!(
        "  {} bytes a user; {} commands on the wire for 1,000 users",
        decimal(thousandths(after.saturating_sub(before), effort.users)),
        decimal(thousandths(commands * 1_000, effort.users))
    );
    sidecar.process.terminate()
}

/// Records `users` users. Returns how many are active then.
async fn record(sidecar: &Sidecar, users: u64) -> Result<u64, Failure> {
    let mut client = QuotaServiceClient::new(sidecar.channel().await?);
    let mut active = 0;
    for first in (0..users).step_by(usize::try_from(USERS_A_CALL)?) {
        let last = users.min(first + USERS_A_CALL);
        let request = RecordActiveRequest {
            app_id: APP,
            user_ids: (first..last).map(|user| format!("user-{user}")).collect(),
            ..RecordActiveRequest::default()
        };
        active = client.record_active(request).await?.get_ref().daily_active;
    }
    Ok(active)
}
