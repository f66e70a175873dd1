//! A tight limit under contention: checks that are denied while a place is free.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{CheckRequest, Decision, DenyReason, ReleaseRequest, Resource};
use tonic::transport::Channel;

use crate::redis::Redis;
use crate::sidecar::{Limits, Sidecar, runtime};
use crate::stat::{decimal, grouped, thousandths};
use crate::{Effort, Failure};

const SIDECARS: usize = 20;
const LIMIT: i64 = 50;
const APP: u64 = 1_500_000_000;
/// How many gateways create a room and release it at once. With as many as there are places no denial
/// is right; with more the record of all gateways tells.
const GATEWAYS: [usize; 3] = [50, 60, 100];

/// What one gateway did, by the clock that all share.
#[derive(Default)]
struct Record {
    /// From when to when a room may have had its place: from before its check to after its release.
    taken: Vec<(Instant, Instant)>,
    /// From when to when a check was on its way that was denied for the limit.
    denied: Vec<(Instant, Instant)>,
    unavailable: u64,
}

/// Prints the share of checks that were denied though a place was free all the while.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "Checks denied while a place was free, a limit of {LIMIT} AV rooms over {SIDECARS} sidecars, each room \
         released at once, {} s",
        effort.seconds
    );
    for gateways in GATEWAYS {
        let folder = tempfile::tempdir()?;
        let redis = Redis::start(folder.path())?;
        let url = Redis::url(redis.port);
        let sidecars = Sidecar::fleet(&url, folder.path(), Limits::FiftyRooms, SIDECARS)?;
        let time = Duration::from_secs(effort.seconds);
        let records = runtime()?.block_on(load(&sidecars, gateways, time))?;
        print(gateways, &records);
        for sidecar in sidecars {
            sidecar.process.terminate()?;
        }
    }
    Ok(())
}

fn print(gateways: usize, records: &[Record]) {
    let taken: Vec<_> = records.iter().flat_map(|record| &record.taken).collect();
    let denied: Vec<_> = records.iter().flat_map(|record| &record.denied).collect();
    let unavailable: u64 = records.iter().map(|record| record.unavailable).sum();
    let checks = (taken.len() + denied.len()) as u64 + unavailable;
    let wrong = wrongly(&taken, &denied);
    println!(
        "  {gateways} gateways: {} per cent ({wrong} of {} checks); {} denied in all, {unavailable} more had no ledger",
        decimal(thousandths(wrong * 100, checks)),
        grouped(checks),
        grouped(denied.len() as u64)
    );
}

/// How many were denied although at no moment of theirs all places can have been taken.
fn wrongly(taken: &[&(Instant, Instant)], denied: &[&(Instant, Instant)]) -> u64 {
    let ends = taken
        .iter()
        .flat_map(|(from, to)| [(*from, 1_i64), (*to, -1)]);
    let mut changes: Vec<_> = ends.collect();
    changes.sort_unstable_by_key(|(at, _)| *at);
    let counts: Vec<(Instant, i64)> = changes
        .iter()
        .scan(0, |count, (at, by)| {
            *count += by;
            Some((*at, *count))
        })
        .collect();
    let wrong = denied.iter().filter(|(from, to)| {
        let first = counts.partition_point(|(at, _)| at <= from);
        let last = counts.partition_point(|(at, _)| at <= to);
        // What was taken when the check began counts too.
        let mut all = counts[first.saturating_sub(1)..last].iter();
        all.all(|(_, count)| *count < LIMIT)
    });
    wrong.count() as u64
}

async fn load(
    sidecars: &[Sidecar],
    gateways: usize,
    time: Duration,
) -> Result<Vec<Record>, Failure> {
    let mut clients = Vec::new();
    for sidecar in sidecars.iter().cycle().take(gateways) {
        clients.push(QuotaServiceClient::new(sidecar.channel().await?));
    }
    let end = Instant::now() + time;
    try_join_all(clients.into_iter().map(|client| gateway(client, end))).await
}

/// Creates a room and releases it, again and again.
async fn gateway(mut client: QuotaServiceClient<Channel>, end: Instant) -> Result<Record, Failure> {
    let mut record = Record::default();
    let resource = Resource::AvRoom.into();
    while Instant::now() < end {
        let from = Instant::now();
        let check = CheckRequest {
            app_id: APP,
            resource,
            ..CheckRequest::default()
        };
        let answer = client.check(check).await?.into_inner();
        match (answer.decision(), answer.reason()) {
            (Decision::Allow, _) => {
                let release = ReleaseRequest {
                    app_id: APP,
                    resource,
                    ..ReleaseRequest::default()
                };
                client.release(release).await?;
                record.taken.push((from, Instant::now()));
            }
            (_, DenyReason::StoreUnavailable) => record.unavailable += 1,
            _ => record.denied.push((from, Instant::now())),
        }
    }
    Ok(record)
}
