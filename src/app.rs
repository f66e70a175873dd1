//! Puts the parts together, in the order in which they start and end.
//!
//! Start: listeners (so that a port in use is said at once), the store, the journal, the operators'
//! token, the first meeting with the ledger, the tasks, the server. End: the server drains, the tasks
//! finish what they are at, the ledger is told the rest and left in good order, the journal is saved.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::access::{Access, TokensFault};
use crate::admission::Admission;
use crate::board::{About, Board};
use crate::clock::Clock;
use crate::config::{Settings, StoreSettings};
use crate::endpoint::Endpoint;
use crate::grpc::{
    self, Bound, Bounds, Doors, Guard, Readiness, ServeFault, Token, TokenFault, Witness,
};
use crate::invoice::{Invoices, Prices};
use crate::ledger::{Folder, JournalFault, Ledger, Parts, Queues, Saving};
use crate::listeners::{self, ListenFault, Listeners};
use crate::metrics::{Metrics, Unserved};
use crate::observe::LogFilter;
use crate::operator::Operations;
use crate::reload::{Live, Origin};
use crate::store::embedded::EmbeddedStore;
use crate::store::redis::{RedisOptions, RedisStore};
use crate::store::{Operator, Store, StoreFault};
use crate::tls::ServerTls;
use crate::trace::{self, Spans};

/// How long the first meeting with a shared ledger, the first lease included, may take before the server
/// starts without it.
const FIRST_MEETING_MAX: Duration = Duration::from_secs(2);
/// How long the ledger may take to hear the rest, and to take over what this member counted, at the end.
const CLOSE_MAX: Duration = Duration::from_secs(3);
/// How long a check waits for a ledger in this process: it never does.
const LOCAL_WAIT: Duration = Duration::from_millis(500);
/// How long the last spans may take to get to their receiver.
const LAST_SPANS_MAX: Duration = Duration::from_secs(1);
/// How long a bill waits for the ledger.
const BILL_WAIT: Duration = Duration::from_secs(2);

/// Why the program ended that should not have. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The process cannot get what every process has.
    #[error("the process cannot start: {0}")]
    Process(#[from] std::io::Error),
    /// A listener cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenFault),
    /// The data folder cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The ledger cannot be used.
    #[error("{0}")]
    Store(#[from] StoreFault),
    /// Operators cannot be told from others.
    #[error("the operators' token: {0}")]
    Token(#[from] TokenFault),
    /// Who may do what cannot be read.
    #[error("auth: {0}")]
    Access(#[from] TokensFault),
    /// The server broke off.
    #[error(transparent)]
    Serve(#[from] ServeFault),
    /// A background task ended, and with it what it is there for.
    #[error("a background task ended early: {0}")]
    Task(String),
}

/// Serves until SIGTERM or SIGINT, then drains. What of the settings can change is read again from `origin`; operators
/// say which lines `log` lets through.
///
/// # Errors
/// [`Fault`]; what was answered is in the journal.
pub fn serve(settings: &Settings, origin: Origin, log: LogFilter) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run(settings, origin, log));
    // A name look-up or a disk that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn run(settings: &Settings, origin: Origin, log: LogFilter) -> Result<(), Fault> {
    let stop = stop_signal()?;
    let hangup = signal(SignalKind::hangup())?;
    let listeners = Listeners::bind(settings)?;
    let access = settings.auth.as_deref().map(Access::open).transpose()?;
    let opened = open_ledger(settings)?;
    let (ledger, queues) = (opened.ledger, opened.queues);
    let admin = Admin {
        operations: Operations::new(
            opened.operator,
            ledger.clone(),
            opened.clock,
            settings.member.clone(),
        ),
        guard: guard(settings, access.as_ref())?,
        listeners: listeners.admin,
    };
    first_meeting(&ledger).await?;

    let (stop_tasks, tasks_stop) = watch::channel(false);
    let mut tasks = tokio::spawn(keep(ledger.clone(), queues, tasks_stop));
    let readiness = Readiness::new();
    let mut followed = listeners::follow(&listeners.certificates);
    if let Some(access) = &access {
        followed.spawn(access.clone().follow());
    }
    let invoices = Arc::new(Invoices::new(ledger.clone(), prices(settings)));
    let (spans, exporting) = exporter(settings)?;
    let witness = Witness::new(settings.decisions, spans.clone());
    let live = Live {
        ledger: ledger.clone(),
        invoices: invoices.clone(),
        witness: witness.clone(),
    };
    followed.spawn(log.clone().follow());
    followed.spawn(live.follow(origin, settings.clone(), hangup));
    let follower = tokio::spawn(follow(ledger.clone(), readiness.clone()));
    let server = Server {
        settings,
        ledger: &ledger,
        invoices,
        witness,
        log,
        spans,
        readiness,
        access,
        certificates: listeners.certificates,
        listeners: listeners.api,
        probes: listeners.probes,
        pages: listeners.pages,
        admin,
    };
    let outcome = tokio::select! {
        outcome = server.run(stop) => outcome,
        ended = &mut tasks => Err(Fault::Task(match ended {
            Ok(()) => "without a word".into(),
            Err(died) => died.to_string(),
        })),
    };

    follower.abort();
    drop(followed);
    last_spans(exporting).await;
    stop_tasks.send_replace(true);
    if !tasks.is_finished() {
        // Dropped half-way, a checkpoint would be lost; each task ends after what it is at.
        tasks.await.map_err(|died| Fault::Task(died.to_string()))?;
    }
    if timeout(CLOSE_MAX, ledger.part()).await.is_err() {
        tracing::warn!(
            "the ledger took too long; the next start goes on with what the journal holds"
        );
    }
    ledger.close().await;
    tracing::info!("stopped");
    outcome
}

/// The gRPC side: what is needed to serve, and what its callers are told.
struct Server<'a> {
    settings: &'a Settings,
    ledger: &'a Arc<Ledger>,
    invoices: Arc<Invoices>,
    witness: Witness,
    log: LogFilter,
    spans: Option<Spans>,
    readiness: Readiness,
    access: Option<Access>,
    certificates: Vec<(&'static str, ServerTls)>,
    listeners: Vec<Bound>,
    probes: Vec<Bound>,
    pages: Vec<Bound>,
    admin: Admin,
}

/// The operators' side.
struct Admin {
    operations: Operations,
    guard: Guard,
    /// One, or none.
    listeners: Vec<Bound>,
}

impl Server<'_> {
    async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Fault> {
        let wait = match &self.settings.store {
            StoreSettings::Embedded => LOCAL_WAIT,
            StoreSettings::Redis(redis) => redis.wait,
        };
        let doors = Doors {
            admission: Arc::new(Admission::new(self.ledger.clone(), wait)),
            invoices: self.invoices,
            witness: self.witness,
            envoy_keys: self.settings.envoy_keys.clone(),
            unserved: Unserved::default(),
            log: Some(self.log),
        };
        let (stop_others, others_stop) = watch::channel(false);
        let stopped = |mut stop: watch::Receiver<bool>| async move {
            // An error means that the sender is gone, which ends the others as well.
            drop(stop.wait_for(|stop| *stop).await);
        };
        let listen = addresses(&self.listeners);
        let admin_listen = addresses(&self.admin.listeners);
        let http_listen = addresses(&self.pages);
        let probes = stopped(others_stop.clone());
        let probes = grpc::serve_health(self.readiness.clone(), self.probes, probes);
        let pages = grpc::serve_pages(
            self.readiness.clone(),
            Metrics::new(
                self.ledger.clone(),
                doors.admission.clone(),
                self.settings.app_series.clone(),
                self.certificates,
                self.spans,
                doors.unserved.clone(),
            ),
            Board::new(
                self.ledger.clone(),
                doors.admission.clone(),
                doors.invoices.clone(),
                about(self.settings),
            ),
            self.pages,
            stopped(others_stop.clone()),
        );
        let admin = grpc::serve_admin(
            self.admin.operations,
            doors.clone(),
            self.admin.guard,
            self.readiness.clone(),
            self.admin.listeners,
            stopped(others_stop),
        );
        let bounds = Bounds {
            connections_max: self.settings.connections.max,
            per_address_max: self.settings.connections.per_address,
            spin: self.settings.spin,
            ..Bounds::of(self.settings.workers)
        };
        let ready = self.readiness.clone();
        let serving = async {
            ready.set_serving();
            // What is served nowhere has no field.
            let said = |addresses: String| (!addresses.is_empty()).then_some(addresses);
            let (admin_listen, http_listen) = (said(admin_listen), said(http_listen));
            tracing::info!(listen, admin_listen, http_listen, "ready to answer");
            let served = grpc::serve(
                doors,
                self.access,
                self.readiness,
                self.listeners,
                bounds,
                stop,
            )
            .await;
            stop_others.send_replace(true);
            served
        };
        let (outcome, probes, pages, admin) = tokio::join!(serving, probes, pages, admin);
        Ok(outcome.and(probes).and(pages).and(admin)?)
    }
}

/// The way of spans to their receiver, and what sends them, where the settings name one.
fn exporter(settings: &Settings) -> Result<(Option<Spans>, Option<JoinHandle<()>>), Fault> {
    let Some(traces) = &settings.traces else {
        return Ok((None, None));
    };
    let (spans, exporter) =
        trace::exporter(traces, settings.member.clone()).map_err(std::io::Error::other)?;
    Ok((Some(spans), Some(tokio::spawn(exporter.run()))))
}

/// Lets what sends spans send the rest, once nobody is left who could hand over more.
async fn last_spans(exporting: Option<JoinHandle<()>>) {
    let Some(mut exporting) = exporting else {
        return;
    };
    match timeout(LAST_SPANS_MAX, &mut exporting).await {
        Ok(Ok(())) => {}
        Ok(Err(died)) => tracing::error!(%died, "traces were no longer sent"),
        Err(_) => exporting.abort(),
    }
}

/// What people are told of the sidecar itself.
fn about(settings: &Settings) -> About {
    About {
        member: settings.member.clone(),
        store: match &settings.store {
            StoreSettings::Embedded => "embedded".into(),
            StoreSettings::Redis(redis) => redis.topology.to_string(),
        },
    }
}

fn addresses(listeners: &[Bound]) -> String {
    let all: Vec<String> = listeners
        .iter()
        .map(|bound| bound.endpoint().to_string())
        .collect();
    all.join(", ")
}

fn prices(settings: &Settings) -> Prices {
    Prices {
        plans: settings.plans.clone(),
        currency: settings.currency,
        wait: BILL_WAIT,
    }
}

/// Who is let in as an operator. Over TCP that takes a token; the data folder is locked by now.
fn guard(settings: &Settings, access: Option<&Access>) -> Result<Guard, TokenFault> {
    if let Some(access) = access {
        return Ok(Guard::By(access.clone()));
    }
    Ok(Guard::new(match &settings.admin_listen {
        Some(Endpoint::Tcp(_)) => Some(Token::of_folder(&settings.data_dir)?),
        Some(Endpoint::Unix(_)) | None => None,
    }))
}

/// A store as gateways and as operators use it.
type Stores = (Arc<dyn Store>, Arc<dyn Operator>);

/// The ledger, and what stands beside it.
struct Opened {
    ledger: Arc<Ledger>,
    queues: Queues,
    operator: Arc<dyn Operator>,
    clock: Arc<Clock>,
}

fn open_ledger(settings: &Settings) -> Result<Opened, Fault> {
    let clock = Arc::new(Clock::default());
    if settings.by_default.data_dir
        && let Some(parent) = settings.data_dir.parent()
    {
        std::fs::create_dir_all(parent)?;
    }
    let folder = Folder::lock(&settings.data_dir)?;
    let (store, operator) = open_store(settings, folder.path(), &clock)?;
    let (zone, rules) = (settings.zone.clone(), settings.rulebook.clone());
    let parts = Parts {
        clock: clock.clone(),
        zone,
        rules,
        store,
        member: settings.member.clone(),
        saving: Saving::Beside,
    };
    let (ledger, queues) = Ledger::open(folder, parts)?;
    Ok(Opened {
        ledger: Arc::new(
            ledger
                .under(settings.outage)
                .remembering(settings.request_ids),
        ),
        queues,
        operator,
        clock,
    })
}

fn open_store(settings: &Settings, folder: &Path, clock: &Arc<Clock>) -> Result<Stores, Fault> {
    let zone = settings.zone.clone();
    Ok(match &settings.store {
        StoreSettings::Embedded => {
            let file = folder.join("ledger.redb");
            both(EmbeddedStore::keeping(&file, zone, settings.retention)?)
        }
        StoreSettings::Redis(redis) => {
            let options = RedisOptions {
                retention: settings.retention,
                ..RedisOptions::of(redis, zone)
            };
            both(RedisStore::new(options, clock.clone())?)
        }
    })
}

/// The store as gateways and as operators use it.
fn both<S: Store + Operator>(store: S) -> Stores {
    let store = Arc::new(store);
    (store.clone(), store)
}

/// Meets the ledger before the first call is answered. One in this process must be there; a shared
/// one may be away, but one of another zone or version never becomes the right one.
async fn first_meeting(ledger: &Ledger) -> Result<(), Fault> {
    match timeout(FIRST_MEETING_MAX, ledger.meet()).await {
        Ok(Err(fault @ StoreFault::Unusable(_))) => Err(fault.into()),
        Ok(Err(fault)) if ledger.store().is_local() => Err(fault.into()),
        Ok(Err(fault)) => {
            ledger.goes_on_without(&fault);
            Ok(())
        }
        Ok(Ok(())) | Err(_) => Ok(()),
    }
}

async fn keep(ledger: Arc<Ledger>, mut queues: Queues, stop: watch::Receiver<bool>) {
    ledger.keep(&mut queues, &stop).await;
}

/// Says that clients can be sent here once the ledger was met. A ledger that is lost later does not
/// take that back: what needs it is refused by name, and the rest goes on.
async fn follow(ledger: Arc<Ledger>, readiness: Readiness) {
    if ledger.met().wait_for(|met| *met).await.map(drop).is_ok() {
        readiness.set_ready(true);
    }
}

/// Ends with SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
            _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
        }
    })
}
