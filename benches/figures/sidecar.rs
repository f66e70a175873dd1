//! An imquota under measurement: one worker, on the core for servers.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imquota::grpc::proto::GetUsageRequest;
use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::Failure;
use crate::child::{Running, SERVER_CORE};

/// How long a server, or the ledger behind it, may take until it answers.
const START_MAX: Duration = Duration::from_secs(30);

/// After this long without calls, totals have settled: they do at most every 5 s.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(6);

/// Every app has a plan without any limit on accounts: the metered path. Under `hard`, a limit that
/// no benchmark reaches: every check is one step in the ledger.
const METERED: &str = "{ groups_gained_daily: unlimited }";
const HARD: &str = "{ accounts: 1000000000, groups_gained_daily: unlimited }";

/// How the sidecar counts accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limits {
    Metered,
    Hard,
}

/// A running imquota.
pub(crate) struct Sidecar {
    pub(crate) process: Running,
    /// `127.0.0.1:…`
    pub(crate) tcp: String,
    /// `unix:…`
    pub(crate) socket: String,
}

impl Sidecar {
    /// Starts one with the ledger `store` and the state in `folder`, and waits until it serves.
    pub(crate) fn start(store: &str, folder: &Path, limits: Limits) -> Result<Self, Failure> {
        let limits = match limits {
            Limits::Metered => METERED,
            Limits::Hard => HARD,
        };
        let settings = folder.join("imquota.yaml");
        fs::write(
            &settings,
            format!("plans: {{ figures: {{ limits: {limits} }} }}\nunknown_app_plan: figures\n"),
        )?;
        let tcp = format!("127.0.0.1:{}", free_port()?);
        let socket = format!("unix:{}", folder.join("imquota.sock").display());
        let args = [
            "serve".to_owned(),
            format!("--config={}", settings.display()),
            format!("--listen={tcp}"),
            format!("--listen={socket}"),
            format!("--store={store}"),
            format!("--data-dir={}", folder.join("data").display()),
            "--workers=1".to_owned(),
        ];
        let program = PathBuf::from(env!("CARGO_BIN_EXE_imquota"));
        let process = Running::start(SERVER_CORE, program, &args)?;
        let sidecar = Self {
            process,
            tcp,
            socket,
        };
        runtime()?.block_on(sidecar.wait_until_it_serves())?;
        Ok(sidecar)
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

    /// All accounts of `count` apps from `first` on, as `GetUsage` has them.
    pub(crate) fn accounts(&self, first: u64, count: u64) -> Result<u64, Failure> {
        runtime()?.block_on(async {
            let mut client = QuotaServiceClient::new(self.channel().await?);
            let mut all = 0;
            for app in first..first + count {
                all += accounts_of(&mut client, app).await?;
            }
            Ok(all)
        })
    }
}

/// The accounts of one app. A ledger that is slow on a busy machine is asked again.
async fn accounts_of(
    client: &mut QuotaServiceClient<Channel>,
    app_id: u64,
) -> Result<u64, Failure> {
    let since = Instant::now();
    loop {
        let usage = client.get_usage(GetUsageRequest { app_id }).await?;
        let usage = usage.into_inner();
        if !usage.degraded {
            return Ok(usage.resources.first().map_or(0, |account| account.used));
        }
        if since.elapsed() > START_MAX {
            return Err("the ledger does not answer".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A runtime for a client that is not measured.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
