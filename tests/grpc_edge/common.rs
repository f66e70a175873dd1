//! A server of its own for each test, on a port of its own.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use imquota::admission::Admission;
use imquota::clock::Zone;
use imquota::config::EnvoyKeys;
use imquota::endpoint::Endpoint;
use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::{Bounds, Doors, Readiness, ServeFault, Witness, bind, serve};
use imquota::invoice::{Invoices, Prices};
use imquota::ledger::{Folder, Ledger, Parts, Saving};
use imquota::metrics::Unserved;
use imquota::quota::{AppId, AppRules, Limits, Plan, PlanName, Rulebook};
use imquota::store::embedded::EmbeddedStore;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic_health::pb::health_client::HealthClient;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `done` gives, which must not take for ever.
pub async fn soon<T>(done: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, done)
        .await
        .expect("it does not take that long")
}

pub struct Server {
    pub endpoint: Endpoint,
    pub readiness: Readiness,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), ServeFault>>,
    _folder: TempDir,
}

/// A ledger of its own in which app 1 may create what it likes.
pub fn ledger() -> (TempDir, Arc<EmbeddedStore>, Arc<Ledger>) {
    let folder = tempfile::tempdir().expect("there is room");
    let zone = Zone::parse("+08:00").expect("it is an offset");
    let file = folder.path().join("ledger.redb");
    let store = Arc::new(EmbeddedStore::open(&file, zone.clone()).expect("it is new"));
    let plan = Plan {
        name: PlanName::parse("any").expect("it is a name"),
        limits: Limits::UNLIMITED,
        fees: Vec::new(),
    };
    let rules = AppRules {
        limits: plan.limits,
        plan: Arc::new(plan),
        shadow: false,
        edition: 0,
        disabled: false,
        share_ids: false,
        track_objects: true,
        expired_holds: imquota::quota::ExpiredHolds::Ask,
        activated: None,
    };
    let app = AppId::new(1).expect("it is not 0");
    let parts = Parts {
        clock: Arc::default(),
        zone,
        rules: Rulebook {
            apps: [(app, Arc::new(rules))].into(),
            ..Rulebook::default()
        },
        store: store.clone(),
        member: "test".into(),
        saving: Saving::Beside,
    };
    let locked = Folder::lock(folder.path()).expect("nobody else has it");
    let (ledger, _queues) = Ledger::open(locked, parts).expect("it is new");
    (folder, store, Arc::new(ledger))
}

/// Decides over a ledger.
pub fn admission(ledger: Arc<Ledger>) -> Arc<Admission> {
    Arc::new(Admission::new(ledger, Duration::from_millis(500)))
}

/// The same, with bills by the built-in prices.
pub fn doors(ledger: Arc<Ledger>) -> Doors {
    let plans = imquota::quota::built_in().into_iter();
    let prices = Prices {
        plans: plans
            .map(|plan| (plan.name.clone(), Arc::new(plan)))
            .collect(),
        currency: imquota::quota::Currency::USD,
        wait: PATIENCE,
    };
    Doors {
        invoices: Arc::new(Invoices::new(ledger.clone(), prices)),
        admission: admission(ledger),
        witness: Witness::default(),
        envoy_keys: EnvoyKeys::default(),
        unserved: Unserved::default(),
        log: None,
    }
}

/// Two workers, and little time to drain.
pub fn bounds() -> Bounds {
    Bounds {
        drain_max: Duration::from_secs(2),
        ..Bounds::of(NonZeroUsize::new(2).expect("2 is not 0"))
    }
}

impl Server {
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0", bounds())
    }

    /// One that has met its ledger.
    pub async fn start_met() -> Self {
        let (folder, _store, ledger) = ledger();
        soon(ledger.meet()).await.expect("it is in this process");
        Self::start_over(folder, ledger, "127.0.0.1:0", bounds())
    }

    pub fn start_at(address: &str, bounds: Bounds) -> Self {
        let (folder, _store, ledger) = ledger();
        Self::start_over(folder, ledger, address, bounds)
    }

    fn start_over(folder: TempDir, ledger: Arc<Ledger>, address: &str, bounds: Bounds) -> Self {
        let endpoint = Endpoint::parse(address).expect("it is an address");
        let listeners = bind(&[endpoint]).expect("it is free");
        let endpoint = listeners[0].endpoint().clone();
        let readiness = Readiness::new();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let server = serve(
            doors(ledger),
            None,
            readiness.clone(),
            listeners,
            bounds,
            stopped,
        );
        Self {
            endpoint,
            readiness,
            stop: Some(stop),
            running: tokio::spawn(server),
            _folder: folder,
        }
    }

    pub async fn channel(&self) -> Channel {
        let uri = match &self.endpoint {
            Endpoint::Tcp(address) => format!("http://{address}"),
            Endpoint::Unix(path) => format!("unix://{}", path.display()),
        };
        let endpoint = tonic::transport::Endpoint::from_shared(uri).expect("it is a URI");
        soon(endpoint.connect()).await.expect("somebody listens")
    }

    pub async fn quota(&self) -> QuotaServiceClient<Channel> {
        QuotaServiceClient::new(self.channel().await)
    }

    pub async fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel().await)
    }

    /// Begins the end.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for the end.
    pub async fn ended(self) {
        soon(self.running)
            .await
            .expect("the server does not panic")
            .expect("the server ends without a fault");
    }
}
