//! Checks of a large hard limit, spent by several sidecars: how many are answered from memory.

use std::ops::AddAssign;
use std::time::Duration;

use futures_util::future::try_join_all;
use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{CheckRequest, Decision, Resource, Source};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tonic::transport::Channel;

use crate::redis::Redis;
use crate::sidecar::{Limits, Sidecar, runtime};
use crate::stat::{decimal, grouped, thousandths};
use crate::{Effort, Failure};

const SIDECARS: usize = 8;
const APP: u64 = 1_500_000_000;
/// Gateways at each sidecar, and how often each creates an account.
const GATEWAYS: usize = 4;
const EVERY: Duration = Duration::from_millis(20);
/// What is answered in the first second is not counted: the load is not steady yet.
const WARM: Duration = Duration::from_secs(1);

/// What was answered.
#[derive(Debug, Default, Clone, Copy)]
struct Answers {
    memory: u64,
    ledger: u64,
    degraded: u64,
    denied: u64,
}

impl Answers {
    fn all(self) -> u64 {
        self.memory + self.ledger + self.degraded
    }
}

impl AddAssign for Answers {
    fn add_assign(&mut self, other: Self) {
        self.memory += other.memory;
        self.ledger += other.ledger;
        self.degraded += other.degraded;
        self.denied += other.denied;
    }
}

/// Prints the share for creations without request ids, and for those with them.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    let rate = GATEWAYS * SIDECARS * 1_000 / usize::try_from(EVERY.as_millis())?;
    println!(
        "Checks answered from memory, a limit of 1,000,000 accounts over {SIDECARS} sidecars, about {} \
         checks a second for {} s, after one in which it begins",
        grouped(rate.try_into()?),
        effort.seconds
    );
    for (with_ids, called) in [(false, "without request ids"), (true, "with request ids")] {
        let folder = tempfile::tempdir()?;
        let redis = Redis::start(folder.path())?;
        let url = Redis::url(redis.port);
        let sidecars = Sidecar::fleet(&url, folder.path(), Limits::Million, SIDECARS)?;
        let time = Duration::from_secs(effort.seconds);
        let answers = runtime()?.block_on(load(&sidecars, with_ids, time))?;
        println!(
            "  {called}: {} per cent of {} checks from memory; {} by the ledger, {} without it, {} denied",
            decimal(thousandths(answers.memory * 100, answers.all())),
            grouped(answers.all()),
            grouped(answers.ledger),
            grouped(answers.degraded),
            grouped(answers.denied)
        );
        for sidecar in sidecars {
            sidecar.process.terminate()?;
        }
    }
    Ok(())
}

async fn load(sidecars: &[Sidecar], with_ids: bool, time: Duration) -> Result<Answers, Failure> {
    let begin = Instant::now() + WARM;
    let measured = (begin, begin + time);
    let mut gateways = Vec::new();
    for (at, sidecar) in sidecars.iter().enumerate() {
        for number in 0..GATEWAYS {
            let client = QuotaServiceClient::new(sidecar.channel().await?);
            let name = with_ids.then(|| format!("{at}-{number}"));
            gateways.push(gateway(client, name, measured));
        }
    }
    let mut all = Answers::default();
    for answers in try_join_all(gateways).await? {
        all += answers;
    }
    Ok(all)
}

/// Creates one account after the other at its own pace. `name` begins its request ids.
async fn gateway(
    mut client: QuotaServiceClient<Channel>,
    name: Option<String>,
    (begin, end): (Instant, Instant),
) -> Result<Answers, Failure> {
    let mut answers = Answers::default();
    let mut pace = interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 0_u64.. {
        let at = pace.tick().await;
        if at >= end {
            break;
        }
        let id = name.as_ref().map(|name| format!("{name}-{number}"));
        let check = CheckRequest {
            app_id: APP,
            resource: Resource::Account.into(),
            request_id: id.unwrap_or_default(),
            ..CheckRequest::default()
        };
        let answer = client.check(check).await?.into_inner();
        if at < begin {
            continue;
        }
        answers.denied += u64::from(answer.decision() != Decision::Allow);
        match answer.source() {
            Source::Memory => answers.memory += 1,
            Source::Ledger => answers.ledger += 1,
            Source::Degraded => answers.degraded += 1,
            Source::Unspecified => return Err("an answer does not say its source".into()),
        }
    }
    Ok(answers)
}
