//! The server: listeners, workers, and their common end.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::access::Access;
use crate::admission::Admission;
use crate::board::Board;
use crate::config::EnvoyKeys;
use crate::invoice::Invoices;
use crate::metrics::{Metrics, Unserved};
use crate::observe::LogFilter;
use crate::operator::Operations;

use super::accept::{Acceptor, Handout};
use super::admin::Admin;
use super::bill::Billing;
use super::bind::Bound;
use super::edge::Edge;
use super::envoy::Envoy;
use super::health::{Probes, Readiness};
use super::pages::Pages;
use super::peer::Guard;
use super::places::Places;
use super::service::Quota;
use super::turns::Turns;
use super::witness::Witness;
use super::worker::{self, End, INBOX};

/// The most connections at a time, unless the settings say otherwise.
pub const CONNECTIONS_MAX: usize = 1024;
/// The most of them from one address off loopback, unless the settings say otherwise.
const PER_ADDRESS_MAX: usize = 256;
/// The most connections of the listener that only answers probes.
const PROBE_CONNECTIONS_MAX: usize = 64;
/// The most connections of the listener that serves pages.
const PAGE_CONNECTIONS_MAX: usize = 256;
/// The most connections of the operators' listener.
const ADMIN_CONNECTIONS_MAX: usize = 16;
/// How long the calls in flight may take at the end, unless the settings say otherwise.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How much longer than its drain a worker may take to end.
const WORKER_END_MAX: Duration = Duration::from_millis(500);

/// How large a server may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Serving threads, each with a runtime of its own.
    pub workers: NonZeroUsize,
    /// Connections open at a time; more are closed at once.
    pub connections_max: usize,
    /// And from one address off loopback.
    pub per_address_max: usize,
    /// How long the calls in flight may take at the end.
    pub drain_max: Duration,
    /// How long a worker looks out for the next call before it sleeps.
    pub spin: Duration,
}

impl Bounds {
    /// So many workers, and the defaults.
    #[must_use]
    pub fn of(workers: NonZeroUsize) -> Self {
        Self {
            workers,
            connections_max: CONNECTIONS_MAX,
            per_address_max: PER_ADDRESS_MAX,
            drain_max: DRAIN_MAX,
            spin: Duration::ZERO,
        }
    }
}

/// What stands behind the services. Its clones share it.
#[derive(Clone)]
pub struct Doors {
    /// What decides.
    pub admission: Arc<Admission>,
    /// What makes bills.
    pub invoices: Arc<Invoices>,
    /// What sees each decision.
    pub witness: Witness,
    /// How an Envoy says what is created.
    pub envoy_keys: EnvoyKeys,
    /// What counts the connections that are refused, and the answers that are given up.
    pub unserved: Unserved,
    /// Which log lines are written, where the log is the server's own.
    pub log: Option<LogFilter>,
}

/// Why a server ended that should not have.
#[derive(Debug, thiserror::Error)]
pub enum ServeFault {
    /// It could not begin.
    #[error("the server cannot start: {0}")]
    Start(#[from] io::Error),
    /// A serving thread ended, so that its connections are lost.
    #[error("serving thread {number} ended {}", if *panicked { "in a panic" } else { "early" })]
    Worker {
        /// Which one.
        number: usize,
        /// Whether it panicked.
        panicked: bool,
    },
    /// A listener is no longer listened on.
    #[error("a listener ended: {0}")]
    Listener(String),
}

/// Serves QuotaService, BillingService, health and reflection on `listeners` to those whom `access` names, or to
/// everybody, until `stop`; then drains: health says
/// NOT_SERVING, nothing more is accepted, calls in flight are answered, for at most
/// [`Bounds::drain_max`].
///
/// Must be polled on a runtime, which accepts; calls are served by threads of its own.
///
/// # Errors
/// [`ServeFault`] if it cannot start, or if a thread or a listener ends before `stop`. What is left
/// is drained then, too.
pub async fn serve(
    doors: Doors,
    access: Option<Access>,
    readiness: Readiness,
    listeners: Vec<Bound>,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeFault> {
    let acceptors = acceptors(listeners)?;
    let (drain, draining) = watch::channel(false);
    let envoy = Envoy::new(
        doors.admission.clone(),
        doors.witness.clone(),
        doors.envoy_keys,
    );
    let quota = Quota::new(doors.admission, doors.witness, draining.clone());
    let billing = Billing::new(doors.invoices);
    let edge = Edge::new(
        quota,
        billing,
        envoy,
        Probes::new(readiness.clone()),
        access,
        doors.unserved.clone(),
    );
    // Room for the end of every worker.
    let (ends, mut ended) = mpsc::channel(bounds.workers.get());
    let mut inboxes = Vec::with_capacity(bounds.workers.get());
    let mut threads = Vec::with_capacity(bounds.workers.get());
    for number in 0..bounds.workers.get() {
        let (hand, inbox) = mpsc::channel(INBOX);
        let (edge, draining, ends) = (edge.clone(), draining.clone(), ends.clone());
        let thread = worker::start(number, inbox, edge, draining, bounds, ends)?;
        inboxes.push(hand);
        threads.push(thread);
    }
    drop((ends, draining));

    let mut accepting = accept(
        acceptors,
        Handout::new(
            inboxes,
            Places::new(bounds.connections_max, bounds.per_address_max),
            doors.unserved,
        ),
    );
    let outcome = tokio::select! {
        () = stop => Ok(()),
        Some(End { number, panicked }) = ended.recv() => {
            Err(ServeFault::Worker { number, panicked })
        }
        fault = listener_end(&mut accepting) => Err(fault),
    };

    readiness.draining();
    accepting.shutdown().await;
    drain.send_replace(true);
    let all = async { while ended.recv().await.is_some() {} };
    if timeout(bounds.drain_max + WORKER_END_MAX, all)
        .await
        .is_err()
    {
        tracing::error!("a serving thread does not end; it is left behind");
    }
    for thread in threads {
        // A panic was told by the thread's end; one that still runs is not waited for.
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
    outcome
}

/// Serves health alone, on the runtime it is polled on, until `stop`.
///
/// # Errors
/// [`ServeFault`] if it cannot start, or if a listener ends before `stop`.
pub async fn serve_health(
    readiness: Readiness,
    listeners: Vec<Bound>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeFault> {
    let edge = Edge::only_health(Probes::new(readiness));
    // A probe is answered at once, so that none is in flight for long.
    serve_here(edge, listeners, PROBE_CONNECTIONS_MAX, WORKER_END_MAX, stop).await
}

/// Serves figures, probes and the page over plain HTTP/1.1, on the runtime it is polled on, until `stop`.
///
/// # Errors
/// [`ServeFault`] if it cannot start, or if a listener ends before `stop`.
pub async fn serve_pages(
    readiness: Readiness,
    metrics: Metrics,
    board: Board,
    listeners: Vec<Bound>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeFault> {
    let edge = Edge::only_pages(Pages::new(readiness, metrics, board));
    serve_here(edge, listeners, PAGE_CONNECTIONS_MAX, WORKER_END_MAX, stop).await
}

/// Serves AdminService, health and reflection to those whom `guard` lets in, on the runtime it is
/// polled on, until `stop`; calls in flight are then answered, for at most [`DRAIN_MAX`].
///
/// # Errors
/// [`ServeFault`] if it cannot start, or if a listener ends before `stop`.
pub async fn serve_admin(
    operations: Operations,
    doors: Doors,
    guard: Guard,
    readiness: Readiness,
    listeners: Vec<Bound>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeFault> {
    let admin = Admin::new(operations, doors, guard);
    let edge = Edge::admin(admin, Probes::of_admin(readiness));
    serve_here(edge, listeners, ADMIN_CONNECTIONS_MAX, DRAIN_MAX, stop).await
}

/// Serves on the runtime it is polled on, until `stop`, and then for at most `drain_max`.
async fn serve_here(
    edge: Edge,
    listeners: Vec<Bound>,
    connections_max: usize,
    drain_max: Duration,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeFault> {
    let (drain, draining) = watch::channel(false);
    // Many may come in one moment, between two turns of this runtime.
    let (hand, inbox) = mpsc::channel(connections_max);
    let mut accepting = accept(
        acceptors(listeners)?,
        // Whoever probes or operates does so from few addresses, maybe from one.
        Handout::new(
            vec![hand],
            Places::new(connections_max, connections_max),
            // They are no gateways, which alone are in the figures.
            Unserved::default(),
        ),
    );
    let mut serving = std::pin::pin!(worker::serve(
        inbox,
        edge,
        Turns::default(),
        draining,
        drain_max
    ));
    let outcome = tokio::select! {
        () = stop => Ok(()),
        fault = listener_end(&mut accepting) => Err(fault),
        () = &mut serving => return Ok(()),
    };
    accepting.shutdown().await;
    drain.send_replace(true);
    serving.await;
    outcome
}

fn acceptors(listeners: Vec<Bound>) -> io::Result<Vec<Acceptor>> {
    listeners.into_iter().map(Acceptor::new).collect()
}

fn accept(acceptors: Vec<Acceptor>, handout: Handout) -> JoinSet<()> {
    let handout = Arc::new(handout);
    let mut accepting = JoinSet::new();
    for acceptor in acceptors {
        accepting.spawn(acceptor.run(Arc::clone(&handout)));
    }
    accepting
}

/// Waits for a listener's end, which never comes by itself.
async fn listener_end(accepting: &mut JoinSet<()>) -> ServeFault {
    match accepting.join_next().await {
        Some(Err(problem)) => ServeFault::Listener(problem.to_string()),
        Some(Ok(())) => ServeFault::Listener("it stopped accepting".into()),
        None => std::future::pending().await,
    }
}
