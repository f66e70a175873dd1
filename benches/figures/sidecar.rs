//! An imquota under measurement: one worker, on the core for servers.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{GetUsageRequest, Resource};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::Failure;
use crate::child::{BOTH_CORES, Running, SERVER_CORE};

/// How long a server, or the ledger behind it, may take until it answers.
const START_MAX: Duration = Duration::from_secs(30);

/// What it logs when it is ready.
const READY: &str = "ready to answer";

/// After this long without calls, totals have settled: they do at most every 5 s.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(6);

/// What every app may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limits {
    /// No limit on anything: the metered path.
    Metered,
    /// A limit on accounts that no benchmark reaches.
    Hard,
    /// A large limit on accounts.
    Million,
    /// Fifty AV rooms.
    FiftyRooms,
    /// Seven accounts: too few to lend any.
    Seven,
    /// No limit on anything, and fees for users and groups.
    Billed,
    /// Those of the edition that most apps have: a room is under a tight limit, each group under a
    /// large one of the day's gain, and accounts are metered.
    Pro,
}

impl Limits {
    fn text(self) -> &'static str {
        match self {
            Self::Metered | Self::Billed => "{ groups_gained_daily: unlimited }",
            Self::Hard => "{ accounts: 1000000000, groups_gained_daily: unlimited }",
            Self::Million => "{ accounts: 1000000, groups_gained_daily: unlimited }",
            Self::Seven => "{ accounts: 7, groups_gained_daily: unlimited }",
            Self::FiftyRooms => "{ av_rooms: 50, groups_gained_daily: unlimited }",
            Self::Pro => "{ av_rooms: 50, groups_gained_daily: 10000 }",
        }
    }

    fn fees(self) -> &'static str {
        if self == Self::Billed {
            "[{ effective_from: 2020-01-01, plan: \"149.99\", \
             daily_active: { free: 500, block: 100, price: \"149.99\" }, \
             groups: { free: 100000, block: 100000, price: \"149.99\", basis: month_peak } }]"
        } else {
            "[]"
        }
    }
}

/// A resource as the program's own verbs name it.
pub(crate) fn name(resource: Resource) -> &'static str {
    match resource {
        Resource::Account => "account",
        Resource::Group => "group",
        Resource::AvRoom => "av-room",
        Resource::Unspecified => "none",
    }
}

/// Calls in flight on each connection of a load that only fills: few where the first of an app asks the
/// ledger, which shares its core with the load and must answer in time.
pub(crate) fn in_flight(resource: Resource) -> usize {
    if resource == Resource::Account { 64 } else { 4 }
}

/// A running imquota.
pub(crate) struct Sidecar {
    pub(crate) process: Running,
    /// `127.0.0.1:…`
    pub(crate) tcp: String,
    /// `unix:…`
    pub(crate) socket: String,
}

/// Where it runs, and what differs in its settings.
struct Shape<'a> {
    cores: &'a str,
    workers: u64,
    tcp: String,
    /// A listener with TLS, for which `more` has what it needs.
    secure: Option<&'a str>,
    more: &'a str,
}

impl<'a> Shape<'a> {
    /// One worker on the servers' core.
    fn alone(tcp: String, more: &'a str) -> Self {
        Self {
            cores: SERVER_CORE,
            workers: 1,
            tcp,
            secure: None,
            more,
        }
    }
}

impl Sidecar {
    /// Starts one with the ledger `store` and the state in `folder`, and waits until it serves.
    pub(crate) fn start(store: &str, folder: &Path, limits: Limits) -> Result<Self, Failure> {
        Ok(Self::timed(store, folder, limits)?.0)
    }

    /// As [`Sidecar::start`]; says, too, how long it took from its start to the line that it is ready.
    pub(crate) fn timed(
        store: &str,
        folder: &Path,
        limits: Limits,
    ) -> Result<(Self, Duration), Failure> {
        Self::with(store, folder, limits, "")
    }

    /// As [`Sidecar::timed`], with `more` settings.
    pub(crate) fn with(
        store: &str,
        folder: &Path,
        limits: Limits,
        more: &str,
    ) -> Result<(Self, Duration), Failure> {
        let shape = Shape::alone(free_address()?, more);
        Self::of(shape, store, folder, limits)
    }

    /// As [`Sidecar::start`], with two workers on both cores.
    pub(crate) fn on_both_cores(
        store: &str,
        folder: &Path,
        limits: Limits,
    ) -> Result<Self, Failure> {
        let shape = Shape {
            cores: BOTH_CORES,
            workers: 2,
            ..Shape::alone(free_address()?, "")
        };
        Ok(Self::of(shape, store, folder, limits)?.0)
    }

    /// As [`Sidecar::start`], with one listener more, whose TLS has this certificate and key: its address.
    pub(crate) fn with_tls(
        store: &str,
        folder: &Path,
        limits: Limits,
        [cert, key]: [&Path; 2],
    ) -> Result<(Self, String), Failure> {
        let (tcp, secure) = (free_address()?, free_address()?);
        let more = format!(
            "tls: {{ listen: {{ cert: {}, key: {} }} }}\nallow_plaintext: [\"{tcp}\"]\n",
            cert.display(),
            key.display()
        );
        let shape = Shape {
            secure: Some(&secure),
            ..Shape::alone(tcp, &more)
        };
        let (sidecar, _) = Self::of(shape, store, folder, limits)?;
        Ok((sidecar, secure))
    }

    fn of(
        shape: Shape<'_>,
        store: &str,
        folder: &Path,
        limits: Limits,
    ) -> Result<(Self, Duration), Failure> {
        let Shape {
            cores,
            workers,
            tcp,
            secure,
            more,
        } = shape;
        let settings = folder.join("imquota.yaml");
        let (limits, fees) = (limits.text(), limits.fees());
        fs::write(
            &settings,
            format!(
                "plans: {{ figures: {{ limits: {limits}, fees: {fees} }} }}\nunknown_app_plan: figures\n{more}"
            ),
        )?;
        let socket = format!("unix:{}", folder.join("imquota.sock").display());
        let mut args = vec![
            "serve".to_owned(),
            format!("--config={}", settings.display()),
            format!("--listen={tcp}"),
            format!("--listen={socket}"),
            format!("--store={store}"),
            format!("--data-dir={}", folder.join("data").display()),
            format!("--workers={workers}"),
        ];
        args.extend(secure.map(|address| format!("--listen={address}")));
        let (process, took) = Running::until(cores, program()?, &args, READY)?;
        let sidecar = Self {
            process,
            tcp,
            socket,
        };
        runtime()?.block_on(sidecar.wait_until_it_serves())?;
        Ok((sidecar, took))
    }

    /// Starts `count` on one ledger, each with a folder of its own in `folder`.
    pub(crate) fn fleet(
        store: &str,
        folder: &Path,
        limits: Limits,
        count: usize,
    ) -> Result<Vec<Self>, Failure> {
        let start = |number| {
            let own = folder.join(format!("sidecar-{number}"));
            fs::create_dir(&own)?;
            Self::start(store, &own, limits)
        };
        (0..count).map(start).collect()
    }

    async fn wait_until_it_serves(&self) -> Result<(), Failure> {
        let since = Instant::now();
        loop {
            if let Ok(channel) = self.channel().await {
                let request = HealthCheckRequest {
                    service: String::new(),
                };
                let answer = HealthClient::new(channel).check(request).await;
                if answer.is_ok_and(|answer| answer.get_ref().status() == ServingStatus::Serving) {
                    return Ok(());
                }
            }
            if since.elapsed() > START_MAX {
                return Err("imquota does not serve".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A client's connection.
    pub(crate) async fn channel(&self) -> Result<Channel, Failure> {
        let channel = Channel::from_shared(format!("http://{}", self.tcp))?;
        Ok(channel.connect().await?)
    }

    /// All of `resource` of `count` apps from `first` on, as `GetUsage` has them.
    pub(crate) fn counted(
        &self,
        resource: Resource,
        first: u64,
        count: u64,
    ) -> Result<u64, Failure> {
        runtime()?.block_on(async {
            let mut client = QuotaServiceClient::new(self.channel().await?);
            let mut all = 0;
            for app in first..first + count {
                all += count_of(&mut client, resource, app).await?;
            }
            Ok(all)
        })
    }
}

/// The count of one app. A ledger that is slow on a busy machine is asked again.
async fn count_of(
    client: &mut QuotaServiceClient<Channel>,
    resource: Resource,
    app_id: u64,
) -> Result<u64, Failure> {
    let since = Instant::now();
    loop {
        let usage = client.get_usage(GetUsageRequest { app_id }).await?;
        let usage = usage.into_inner();
        if !usage.degraded {
            let mut of = usage.resources.iter();
            let of = of.find(|of| of.resource() == resource);
            return Ok(of.map_or(0, |of| of.used));
        }
        if since.elapsed() > START_MAX {
            return Err("the ledger does not answer".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A runtime for a load, or for a client that is not measured.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn free_address() -> Result<String, Failure> {
    Ok(format!("127.0.0.1:{}", free_port()?))
}

/// The program as it is shipped: it was built beside this one.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?.with_file_name("imquota");
    if program.is_file() {
        return Ok(program);
    }
    Err(format!("{} is missing: cargo build --release", program.display()).into())
}
