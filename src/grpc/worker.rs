//! A serving core: one thread with one runtime, and the connections that were handed to it.

use std::io;
use std::panic;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use super::connection::{self, Accepted, told_to_drain};
use super::edge::Edge;
use super::server::Bounds;
use super::turns::Turns;

/// How many accepted connections may wait for a worker; more are refused.
pub(super) const INBOX: usize = 64;

/// The end of a worker's thread, wanted or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// Which worker.
    pub(super) number: usize,
    /// Whether it panicked.
    pub(super) panicked: bool,
}

/// Says that the thread ends, by whatever way.
struct Obituary {
    number: usize,
    ends: mpsc::Sender<End>,
}

impl Drop for Obituary {
    fn drop(&mut self) {
        let end = End {
            number: self.number,
            panicked: thread::panicking(),
        };
        // There is room for the end of every worker; a server that is gone does not listen.
        let _ = self.ends.try_send(end);
    }
}

/// Starts worker `number`. It serves what comes in by `inbox` until `drain` is true, and then for at
/// most [`Bounds::drain_max`]. Its end is told to `ends`, which must have room for it.
pub(super) fn start(
    number: usize,
    inbox: mpsc::Receiver<Accepted>,
    edge: Edge,
    drain: watch::Receiver<bool>,
    bounds: Bounds,
    ends: mpsc::Sender<End>,
) -> io::Result<JoinHandle<()>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::Builder::new()
        .name(format!("imquota-serve-{number}"))
        .spawn(move || {
            // Dropped last, when the runtime has ended too.
            let _obituary = Obituary { number, ends };
            let turns = Turns::looking_out(bounds.spin);
            runtime.block_on(serve(inbox, edge, turns, drain, bounds.drain_max));
            runtime.shutdown_background();
        })
}

/// Serves what comes in by `inbox` until `drain` is true or nobody is left who could hand over a
/// connection, and then for at most `drain_max`.
pub(super) async fn serve(
    mut inbox: mpsc::Receiver<Accepted>,
    edge: Edge,
    turns: Turns,
    mut drain: watch::Receiver<bool>,
    drain_max: Duration,
) {
    let mut connections = JoinSet::new();
    let mut pacing = JoinSet::new();
    pacing.spawn(turns.clone().pace());
    if turns.looks_out() {
        pacing.spawn(turns.clone().look_out());
    }
    let told = drain.clone();
    loop {
        tokio::select! {
            () = told_to_drain(&mut drain) => break,
            accepted = inbox.recv() => match accepted {
                Some(accepted) => {
                    let (edge, standing, told) = (edge.clone(), turns.standing(), told.clone());
                    connections.spawn(connection::serve(accepted, edge, standing, told));
                }
                None => break,
            },
            // They end in no other way than a panic. Whoever stands in line would wait for ever.
            Some(Err(problem)) = pacing.join_next() => panic::resume_unwind(problem.into_panic()),
            Some(ended) = connections.join_next() => note(ended),
        }
    }
    drop(inbox);
    let all = async {
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    };
    if timeout(drain_max, all).await.is_err() {
        let left = connections.len();
        tracing::warn!(
            left,
            ?drain_max,
            "connections were cut: their clients did not close them"
        );
    }
}

/// A panic in one connection is no reason to end the others, but it is a fault of ours.
fn note(ended: Result<(), JoinError>) {
    if let Err(problem) = ended {
        tracing::error!(%problem, "serving a connection failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_thread_is_told_however_it_comes() {
        for panics in [true, false] {
            let (ends, mut ended) = mpsc::channel(1);
            let thread = thread::spawn(move || {
                let _obituary = Obituary { number: 3, ends };
                assert!(!panics, "this test wants a panic");
            });
            let end = ended.recv().await.expect("the end is told");
            assert_eq!((end.number, end.panicked), (3, panics));
            assert_eq!(thread.join().is_err(), panics);
        }
    }
}
