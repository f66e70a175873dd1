//! A check that goes to Redis against one bare call of a script there, by the same client library.

use std::thread::sleep;
use std::time::{Duration, Instant};

use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{CheckRequest, Decision, ReleaseRequest, Resource, Source};
use serde_json::json;

use crate::child::{Loading, SERVER_CORE};
use crate::latency::time;
use crate::redis::Redis;
use crate::sidecar::{Limits, Sidecar, runtime};
use crate::stat::{Ratios, Runs};
use crate::{Effort, Failure};

const APP: u64 = 1_500_000_000;
/// What is measured against: one key, one step.
const SCRIPT: &str = "return redis.call('INCR', KEYS[1])";
const PAUSE: Duration = Duration::from_millis(200);

/// Calls a script again and again.
#[derive(Debug, clap::Args)]
pub(crate) struct Evalsha {
    /// A Redis of the loopback.
    #[arg(long)]
    port: u16,
    /// Milliseconds before the measuring begins.
    #[arg(long)]
    warm_ms: u64,
    /// Milliseconds that are measured.
    #[arg(long)]
    measure_ms: u64,
}

impl Evalsha {
    /// Calls, and prints one line of JSON.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let times = runtime()?.block_on(async {
            let client = redis::Client::open(Redis::url(self.port))?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(SCRIPT);
            let digest: String = load.query_async(&mut connection).await?;
            let mut times = Times::new(self.warm_ms, self.measure_ms);
            while times.go_on() {
                let asked = Instant::now();
                let mut call = redis::cmd("EVALSHA");
                call.arg(&digest).arg(1).arg("imquota-figures");
                let _: u64 = call.query_async(&mut connection).await?;
                times.add(asked);
            }
            Ok::<_, Failure>(times)
        })?;
        println!("{}", times.found());
        Ok(())
    }
}

/// Creates an account under a limit that lends none, and deletes it, again and again; the creation is timed.
#[derive(Debug, clap::Args)]
pub(crate) struct TightLoad {
    /// Where: `127.0.0.1:50051`.
    #[arg(long)]
    to: String,
    /// Milliseconds before the measuring begins.
    #[arg(long)]
    warm_ms: u64,
    /// Milliseconds that are measured.
    #[arg(long)]
    measure_ms: u64,
}

impl TightLoad {
    /// Asks, and prints one line of JSON.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let times = runtime()?.block_on(async {
            let to = format!("http://{}", self.to);
            let mut client = QuotaServiceClient::connect(to).await?;
            let mut times = Times::new(self.warm_ms, self.measure_ms);
            while times.go_on() {
                let check = CheckRequest {
                    app_id: APP,
                    resource: Resource::Account.into(),
                    ..CheckRequest::default()
                };
                let asked = Instant::now();
                let answer = client.check(check).await?.into_inner();
                times.add(asked);
                if (answer.decision(), answer.source()) != (Decision::Allow, Source::Ledger) {
                    return Err(format!("a check was answered so: {answer:?}").into());
                }
                let release = ReleaseRequest {
                    app_id: APP,
                    resource: Resource::Account.into(),
                    ..ReleaseRequest::default()
                };
                client.release(release).await?;
            }
            Ok::<_, Failure>(times)
        })?;
        println!("{}", times.found());
        Ok(())
    }
}

/// Times, in nanoseconds.
struct Times {
    warm: Instant,
    end: Instant,
    all: Vec<u64>,
}

impl Times {
    fn new(warm_ms: u64, measure_ms: u64) -> Self {
        let warm = Instant::now() + Duration::from_millis(warm_ms);
        Self {
            warm,
            end: warm + Duration::from_millis(measure_ms),
            all: Vec::new(),
        }
    }

    fn go_on(&self) -> bool {
        Instant::now() < self.end
    }

    fn add(&mut self, asked: Instant) {
        if asked >= self.warm {
            let took = asked.elapsed().as_nanos();
            self.all.push(took.try_into().unwrap_or(u64::MAX));
        }
    }

    fn found(mut self) -> serde_json::Value {
        self.all.sort_unstable();
        let at = |part: usize| self.all.get(self.all.len() * part / 1000).copied();
        json!({ "p50_ns": at(500), "p99_ns": at(990) })
    }
}

/// Prints both, and the ratio.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "One call in flight under a limit of seven accounts, each by Redis on the caller's core, and one EVALSHA of one\n\
         step from the sidecar's core by the same client library; p50 in ns"
    );
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path())?;
    let sidecar = Sidecar::start(&Redis::url(redis.port), folder.path(), Limits::Seven)?;
    let (mut checks, mut bare, mut ratio) = (Runs::default(), Runs::default(), Ratios::default());
    let lasts = [
        format!("--warm-ms={}", effort.warm_ms),
        format!("--measure-ms={}", effort.measure_ms / 2),
    ];
    for _ in 0..effort.rounds {
        sleep(PAUSE);
        let mut args = vec![format!("--port={}", redis.port)];
        args.extend_from_slice(&lasts);
        let found = Loading::start_on(SERVER_CORE, "evalsha-load", &args)?.found()?;
        let one = time(&found, "p50_ns")?;
        sleep(PAUSE);
        let mut args = vec![format!("--to={}", sidecar.tcp)];
        args.extend_from_slice(&lasts);
        let found = Loading::start_as("tight-load", &args)?.found()?;
        let check = time(&found, "p50_ns")?;
        checks.add(check);
        bare.add(one);
        ratio.add(check, one);
    }
    println!("  a check                      {checks}");
    println!("  one EVALSHA                  {bare}");
    println!("  ratio                        {ratio}");
    sidecar.process.terminate()
}
