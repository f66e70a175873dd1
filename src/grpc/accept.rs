//! Accepts connections and hands them round to the workers.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::bind::{Bound, Listener};
use super::connection::{Accepted, Stream};
use super::places::Places;
use super::socket_file::SocketFile;
use crate::endpoint::Endpoint;
use crate::metrics::{Refusal, Unserved};
use crate::tls::ServerTls;

/// The first pause after a failed accept, which may be for want of descriptors: asking again at once
/// would only burn the core that could free some.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long the log is silent about a fault that goes on.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Gives each connection to the next worker, as long as there are places.
pub(super) struct Handout {
    workers: Vec<mpsc::Sender<Accepted>>,
    next: AtomicUsize,
    places: Places,
    unserved: Unserved,
}

impl Handout {
    /// Hands round to `workers`, as long as there are `places`; who gets none is counted as `unserved`.
    pub(super) fn new(
        workers: Vec<mpsc::Sender<Accepted>>,
        places: Places,
        unserved: Unserved,
    ) -> Self {
        Self {
            workers,
            next: AtomicUsize::new(0),
            places,
            unserved,
        }
    }

    /// Hands over `stream`, or closes it: a client that is told at once can go elsewhere.
    fn give(&self, stream: Stream, from: Option<IpAddr>, tls: Option<ServerTls>) {
        let place = match self.places.take(from) {
            Ok(place) => place,
            Err(refusal) => return self.refuse(refusal),
        };
        let mut accepted = Accepted { stream, tls, place };
        for _ in &self.workers {
            let next = self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len();
            match self.workers[next].try_send(accepted) {
                Ok(()) => return,
                Err(back) => accepted = back.into_inner(),
            }
        }
        self.refuse(Refusal::NoWorker);
    }

    fn refuse(&self, why: Refusal) {
        let refused = self.unserved.refused(why);
        let reason = match why {
            Refusal::Full => "as many connections as allowed are open",
            Refusal::OfAddress => "one address has as many connections as it may have",
            Refusal::NoWorker => "no worker takes any more",
        };
        // A client that tries again and again must not fill the log.
        if refused.is_power_of_two() {
            tracing::warn!(refused, "connections are refused: {reason}");
        }
    }
}

enum Source {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "its drop removes the file")] SocketFile,
    ),
}

/// A listener that belongs to the runtime that it was made on.
pub(super) struct Acceptor {
    endpoint: Endpoint,
    source: Source,
    tls: Option<ServerTls>,
}

impl Acceptor {
    /// Takes over a listener; must be called on a runtime.
    pub(super) fn new(bound: Bound) -> io::Result<Self> {
        Ok(Self {
            endpoint: bound.endpoint().clone(),
            tls: bound.tls.clone(),
            source: match bound.listener {
                Listener::Tcp(listener) => Source::Tcp(TcpListener::from_std(listener)?),
                Listener::Unix(listener, file) => {
                    Source::Unix(UnixListener::from_std(listener)?, file)
                }
            },
        })
    }

    /// Accepts for ever: no fault of one connection, and no want of descriptors, ends it.
    pub(super) async fn run(self, handout: Arc<Handout>) {
        let mut pause = PAUSE_MIN;
        let mut told: Option<Instant> = None;
        loop {
            match self.accept().await {
                Ok((stream, from)) => {
                    pause = PAUSE_MIN;
                    handout.give(stream, from, self.tls.clone());
                }
                // The client was faster in leaving than we in accepting.
                Err(problem) if problem.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(problem) => {
                    if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN_AFTER) {
                        told = Some(Instant::now());
                        let endpoint = &self.endpoint;
                        tracing::error!(%endpoint, %problem, "no connection can be accepted");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match &self.source {
            Source::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                // An answer is one small packet: waiting for more to send would only delay it.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream.into_std()?), Some(from.ip())))
            }
            Source::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream.into_std()?), None))
            }
        }
    }
}
