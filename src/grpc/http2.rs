//! One HTTP/2 connection: its calls are taken as they come and answered together.
//!
//! What can be answered at once is, by the task of the connection itself: all calls that one reading
//! brought are decided before anything is written, so that their answers leave in one go. A call that
//! waits gets a task of its own, which ends with the connection.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::alive::Alive;
use super::call::Answer;
use super::connection::told_to_drain;
use super::edge::Edge;
use super::turns::{CALL, Standing};
use super::unread::Unread;
use super::{fault, relay};

/// The most calls in flight on one connection; a client that has more waits.
const STREAMS_MAX: u32 = 1024;
/// The most calls that a client may give up before they were begun; more cut the connection. As many
/// as may be in flight: after a pause of this process the time of all of them can be over at once.
const RESETS_MAX: usize = 1024;
/// The most bytes of requests that a connection holds unread.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// The most bytes of one request that a connection holds unread.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// The most bytes of one answer that wait in the connection for a client that does not read.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// The most bytes of one request's headers.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// How long a connection may be silent before it is asked whether the client is still there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
/// How long the client may take to say so.
const KEEPALIVE_ANSWER_MAX: Duration = Duration::from_secs(10);

/// A call: what came of it, and where its answer goes.
type Came = (Request<RecvStream>, SendResponse<Bytes>);

/// Answers calls until the client closes the connection, or until `drain` is true and the calls in
/// flight are answered.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    edge: Edge,
    standing: Standing,
    mut drain: watch::Receiver<bool>,
) -> io::Result<()> {
    // Boxed, as what comes of it is: a connection is large, and lies in no future beside its beginning.
    let hello = Box::pin(Serving::greet(stream, edge, standing));
    let mut serving = tokio::select! {
        biased;
        serving = hello => serving.map_err(io::Error::other)?,
        // Who has not said hello by now is not waited for.
        () = told_to_drain(&mut drain) => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    let served = tokio::select! {
        biased;
        served = poll_fn(|cx| serving.poll(cx)) => served,
        () = told_to_drain(&mut drain) => {
            serving.connection.graceful_shutdown();
            poll_fn(|cx| serving.poll(cx)).await
        }
    };
    served.map_err(io::Error::other)
}

/// A connection after its handshake.
struct Serving<S> {
    connection: Connection<S, Bytes>,
    edge: Edge,
    /// Where it stands among the worker's connections.
    standing: Standing,
    alive: Alive,
    /// Its answers that wait for the client.
    unread: Unread,
    /// Calls that were taken and not begun: fewer than a turn holds.
    came: VecDeque<Came>,
    /// Calls that wait, at most [`STREAMS_MAX`]; they end with the connection.
    waiting: JoinSet<()>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Serving<S> {
    /// Waits for the client's first words.
    async fn greet(stream: S, edge: Edge, standing: Standing) -> Result<Box<Self>, h2::Error> {
        let mut connection = Builder::new()
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .max_send_buffer_size(SEND_BYTES_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .handshake(stream)
            .await?;
        let alive = Alive::new(
            connection.ping_pong(),
            KEEPALIVE_AFTER,
            KEEPALIVE_ANSWER_MAX,
        );
        let unread = Unread::counted_by(edge.unserved().clone());
        Ok(Box::new(Self {
            connection,
            edge,
            standing,
            alive,
            unread,
            came: VecDeque::new(),
            waiting: JoinSet::new(),
        }))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        if self.alive.poll_is_over(cx).is_ready() {
            // It is told, if it takes that; it is not waited for.
            self.connection.abrupt_shutdown(Reason::NO_ERROR);
            let _ = self.connection.poll_accept(cx);
            return Poll::Ready(Ok(()));
        }
        let turn = ready!(self.standing.poll_turn(cx));
        let (work, is_over) = self.serve_for(turn, cx)?;
        self.standing.had(work);
        if is_over {
            return Poll::Ready(Ok(()));
        }
        if work >= turn {
            // There may be more.
            self.standing.stand(cx);
        }
        while let Poll::Ready(Some(ended)) = self.waiting.poll_join_next(cx) {
            if let Err(problem) = ended {
                tracing::error!(%problem, "answering a call failed");
            }
        }
        Poll::Pending
    }

    /// Answers calls until they come to so much, or to a little more. How much it was, and whether the client has
    /// closed the connection.
    fn serve_for(&mut self, turn: u64, cx: &mut Context<'_>) -> Result<(u64, bool), h2::Error> {
        let mut work = 0;
        loop {
            while work + self.came.len() as u64 * CALL < turn
                && !self.unread.is_full()
                && let Poll::Ready(came) = self.connection.poll_accept(cx)
            {
                match came.transpose()? {
                    Some(call) => self.came.push_back(call),
                    None => return Ok((work, true)),
                }
            }
            if self.unread.is_full() {
                // Its frames are read all the same: there are those in it that make room.
                let closed = self.connection.poll_closed(cx)?;
                return Ok((work, closed.is_ready()));
            }
            if self.came.is_empty() {
                return Ok((work, false));
            }
            self.alive.heard();
            while !self.unread.is_full()
                && let Some((request, respond)) = self.came.pop_front()
            {
                work += self.begin(request, respond, cx);
                if work >= turn {
                    // The next turn may be far; what was answered leaves now.
                    let closed = self.connection.poll_closed(cx)?;
                    return Ok((work, closed.is_ready()));
                }
            }
        }
    }

    /// Answers a call at once, or has it waited for. What that is reckoned at.
    fn begin(
        &mut self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        cx: &mut Context<'_>,
    ) -> u64 {
        match guarded(|| self.edge.answer(request, cx)) {
            Answer::Now(reply) => {
                let work = reply.work();
                match relay::send(reply, &mut respond, &self.standing, &self.unread) {
                    Ok(None) => {}
                    Ok(Some(rest)) => {
                        self.waiting.spawn(async move { note(rest.finish().await) });
                    }
                    Err(problem) => note(Err(problem)),
                }
                work
            }
            Answer::Later(reply) => {
                let (standing, unread) = (self.standing.another(), self.unread.clone());
                let answer = async move {
                    let Some(reply) = relay::unless_reset(reply, &mut respond).await else {
                        return Ok(());
                    };
                    match relay::send(reply, &mut respond, &standing, &unread)? {
                        None => Ok(()),
                        Some(rest) => rest.finish().await,
                    }
                };
                self.waiting.spawn(async move { note(answer.await) });
                CALL
            }
        }
    }
}

/// What `answer` comes to. A panic in one call is no reason to end the others of its connection.
fn guarded(answer: impl FnOnce() -> Answer) -> Answer {
    // What the call shares with others is behind atomics and locks, none of which outlives it.
    catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| {
        tracing::error!("answering a call failed in a panic");
        Answer::Now(fault::broken().into())
    })
}

/// An answer that could not be written: its client has gone, or has given it up.
fn note(sent: Result<(), h2::Error>) {
    if let Err(problem) = sent {
        tracing::debug!(%problem, "an answer was not sent");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use h2::client::SendRequest;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::{Instant, timeout};
    use tonic::{Code, Status};

    use super::super::health::{Probes, Readiness};
    use super::super::relay::Reply;
    use super::super::turns::{TURN, Turns};
    use super::*;

    /// A connection that is served, its other end, and who can end it.
    fn served() -> (
        JoinHandle<io::Result<()>>,
        DuplexStream,
        watch::Sender<bool>,
    ) {
        served_by(64 * 1024)
    }

    /// As [`served`], by a wire that holds so many bytes.
    fn served_by(
        bytes: usize,
    ) -> (
        JoinHandle<io::Result<()>>,
        DuplexStream,
        watch::Sender<bool>,
    ) {
        let (client, server) = duplex(bytes);
        let (drain, told) = watch::channel(false);
        let edge = Edge::only_health(Probes::new(Readiness::new()));
        (
            tokio::spawn(serve(server, edge, Turns::default().standing(), told)),
            client,
            drain,
        )
    }

    /// A client's connection to a server that has `turns`; its calls are answered at once, by the status 415.
    async fn client_of(turns: &Turns) -> SendRequest<Bytes> {
        let (client, server) = duplex(64 * 1024);
        let (drain, told) = watch::channel(false);
        let edge = Edge::only_health(Probes::new(Readiness::new()));
        let serving = serve(server, edge, turns.standing(), told);
        tokio::spawn(async move {
            let _drain = drain;
            serving.await
        });
        let (calls, connection) = h2::client::handshake(client).await.expect("it is served");
        tokio::spawn(connection);
        calls
    }

    async fn call(calls: &mut SendRequest<Bytes>) {
        let mut ready = calls.clone().ready().await.expect("it is open");
        let (answer, _) = ready
            .send_request(Request::new(()), true)
            .expect("it is sent");
        answer.await.expect("it is answered");
    }

    /// The clients run on the server's thread, each as often as it has anything to do.
    #[tokio::test]
    async fn a_flood_is_answered_for_a_turn_while_another_waits() {
        const FLOODS: usize = 10;
        const IN_FLIGHT: usize = 200;
        let turns = Turns::default();
        let pacing = tokio::spawn(turns.clone().pace());
        let answered = Arc::<AtomicUsize>::default();
        let mut flooding = JoinSet::new();
        for _ in 0..FLOODS {
            let calls = client_of(&turns).await;
            for _ in 0..IN_FLIGHT {
                let (mut calls, answered) = (calls.clone(), answered.clone());
                flooding.spawn(async move {
                    loop {
                        call(&mut calls).await;
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
        let mut quiet = client_of(&turns).await;
        let mut meanwhile = Vec::new();
        for _ in 0..50 {
            let before = answered.load(Ordering::Relaxed);
            call(&mut quiet).await;
            meanwhile.push(answered.load(Ordering::Relaxed) - before);
        }
        pacing.abort();
        // What the quiet one's call and its answer take on their way are turns, too: each goes by two tasks.
        let turn = usize::try_from(TURN / CALL).expect("it is small");
        let longest = meanwhile.iter().max().expect("there are some");
        assert!(*longest <= 4 * turn, "{meanwhile:?}");
    }

    #[test]
    fn a_panic_ends_one_call() {
        let Answer::Now(Reply::Headers(said)) = guarded(|| panic!("this test wants a panic"))
        else {
            panic!("nobody waits for it");
        };
        let status = Status::from_header_map(said.headers()).expect("it is a status");
        assert_eq!(status.code(), Code::Internal);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_not_said_hello_does_not_hold_up_the_end() {
        let (serving, mut client, drain) = served();
        client.write_all(b"PRI * HTT").await.expect("there is room");
        drain.send_replace(true);
        let ended = serving.await.expect("it does not panic");
        let problem = ended.expect_err("it was cut off");
        assert_eq!(problem.kind(), io::ErrorKind::ConnectionAborted);
    }

    /// As one that is cut off from the network, with answers on their way.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_let_go() {
        let (serving, client, _drain) = served_by(16);
        let (mut hears, mut says) = tokio::io::split(client);
        let began = Instant::now();
        let hello = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[0, 0, 0, 4, 0, 0, 0, 0, 0][..],
        ]
        .concat();
        let mut heard = Vec::new();
        let hearing = timeout(KEEPALIVE_AFTER / 2, hears.read_to_end(&mut heard));
        let (said, still) = tokio::join!(says.write_all(&hello), hearing);
        said.expect("it was read");
        still.expect_err("the server has no more to say, and does not end");
        serving.await.expect("no panic").expect("it is let go");
        let took = began.elapsed();
        assert!(
            took <= 2 * KEEPALIVE_AFTER + KEEPALIVE_ANSWER_MAX,
            "{took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_gone_is_let_go() {
        let (serving, client, _drain) = served();
        // Polled no further, it answers no ping.
        let gone = h2::client::handshake(client).await.expect("it is served");
        let began = Instant::now();
        let _ = serving.await.expect("it does not panic");
        let took = began.elapsed();
        assert!(took >= KEEPALIVE_AFTER + KEEPALIVE_ANSWER_MAX, "{took:?}");
        assert!(took <= 2 * KEEPALIVE_AFTER + KEEPALIVE_ANSWER_MAX);
        drop(gone);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_there_may_be_silent() {
        let (mut serving, client, drain) = served();
        let (_calls, connection) = h2::client::handshake(client).await.expect("it is served");
        let listening = tokio::spawn(connection);
        let long = timeout(20 * KEEPALIVE_AFTER, &mut serving).await;
        long.expect_err("it is still served");
        drain.send_replace(true);
        listening.await.expect("no panic").expect("it is told so");
        // Who closes first is open.
        let _ = serving.await.expect("no panic");
    }
}
