//! One client's connection, from its first byte to its last answer.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, Interest, Ready};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::edge::Edge;
use super::http2;
use super::pages::Pages;
use super::peer::Peer;
use super::places::Place;
use super::prompt::Prompt;
use super::secure;
use super::turns::Standing;
use crate::tls::ServerTls;

/// The bytes that every HTTP/2 client sends first.
pub(super) const PREFACE_BYTES: usize = 24;
/// How long a client may take to say them after it connected: it speaks first.
pub(super) const FIRST_BYTE_MAX: Duration = Duration::from_secs(10);
/// How long who reads pages may take to ask for one, the pause since the last one included.
const PAGE_HEADER_MAX: Duration = Duration::from_secs(75);
/// How long a connection may be used: a client that asked and does not read would keep its place for ever.
const PAGE_CONNECTION_MAX: Duration = Duration::from_mins(10);
/// The most bytes of a request for a page, and of a page, that a connection holds.
const PAGE_BUFFER_BYTES: usize = 16 * 1024;

/// A connection on its way to the thread that will serve it.
pub(super) struct Accepted {
    pub(super) stream: Stream,
    /// What it must begin with, unless it is plain.
    pub(super) tls: Option<ServerTls>,
    /// Its place among the connections that are allowed.
    pub(super) place: Place,
}

/// A stream that belongs to no runtime, and does not block.
pub(super) enum Stream {
    Tcp(std::net::TcpStream),
    Unix(StdUnixStream),
}

/// Serves a connection until the client closes it, or until `drain` is true and the calls that are
/// in flight are answered.
pub(super) async fn serve(
    accepted: Accepted,
    edge: Edge,
    standing: Standing,
    drain: watch::Receiver<bool>,
) {
    let Accepted { stream, tls, place } = accepted;
    let served = match (stream, tls) {
        // Boxed, as pages are: what few connections are must not make the task of each one larger.
        (Stream::Tcp(stream), Some(tls)) => {
            Box::pin(serve_tls(stream, &tls, edge, standing, drain)).await
        }
        (Stream::Tcp(stream), None) => {
            serve_tcp(
                stream,
                edge.with(Peer::Tcp, standing.account()),
                standing,
                drain,
            )
            .await
        }
        (Stream::Unix(stream), _) => {
            let edge = edge.with(Peer::of_unix(&stream), standing.account());
            serve_unix(stream, edge, standing, drain).await
        }
    };
    if let Err(problem) = served {
        tracing::debug!(%problem, "a connection ended");
    }
    drop(place);
}

async fn serve_tcp(
    stream: std::net::TcpStream,
    edge: Edge,
    standing: Standing,
    mut drain: watch::Receiver<bool>,
) -> io::Result<()> {
    let stream = Prompt::new(TcpStream::from_std(stream)?);
    first_byte(stream.inner().ready(Interest::READABLE), &mut drain).await?;
    serve_http(stream, edge, standing, drain).await
}

async fn serve_tls(
    stream: std::net::TcpStream,
    tls: &ServerTls,
    edge: Edge,
    standing: Standing,
    mut drain: watch::Receiver<bool>,
) -> io::Result<()> {
    let stream = TcpStream::from_std(stream)?;
    first_byte(stream.ready(Interest::READABLE), &mut drain).await?;
    let (stream, peer) = secure::handshake(stream, tls).await?;
    let edge = edge.with(peer, standing.account());
    serve_http(Prompt::new(stream), edge, standing, drain).await
}

async fn serve_unix(
    stream: StdUnixStream,
    edge: Edge,
    standing: Standing,
    mut drain: watch::Receiver<bool>,
) -> io::Result<()> {
    let stream = Prompt::new(UnixStream::from_std(stream)?);
    first_byte(stream.inner().ready(Interest::READABLE), &mut drain).await?;
    serve_http(stream, edge, standing, drain).await
}

/// Waits for the client to speak. One that is silent when draining begins is not waited for.
async fn first_byte(
    readable: impl Future<Output = io::Result<Ready>>,
    drain: &mut watch::Receiver<bool>,
) -> io::Result<()> {
    tokio::select! {
        biased;
        ready = timeout(FIRST_BYTE_MAX, readable) => ready?.map(drop),
        () = told_to_drain(drain) => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

/// Speaks what the edge speaks.
async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    edge: Edge,
    standing: Standing,
    drain: watch::Receiver<bool>,
) -> io::Result<()> {
    match edge.pages() {
        Some(pages) => Box::pin(serve_pages(stream, pages, drain)).await,
        None => http2::serve(stream, edge, standing, drain).await,
    }
}

async fn serve_pages(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    pages: &Pages,
    mut drain: watch::Receiver<bool>,
) -> io::Result<()> {
    let service = service_fn(|request| async move {
        // The body is not read.
        Ok::<_, Infallible>(pages.answer(&request).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PAGE_HEADER_MAX)
        .max_buf_size(PAGE_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = told_to_drain(&mut drain) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = sleep(PAGE_CONNECTION_MAX) => {
            connection.as_mut().graceful_shutdown();
            timeout(FIRST_BYTE_MAX, connection).await?
        }
    };
    served.map_err(io::Error::other)
}

/// Waits until draining begins, or until nobody is left who could begin it.
pub(super) async fn told_to_drain(drain: &mut watch::Receiver<bool>) {
    // What it returns holds the channel's lock; nobody may wait with it.
    drop(drain.wait_for(|&drain| drain).await);
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use tokio::sync::watch;

    use super::super::health::{Probes, Readiness};
    use super::super::places::Places;
    use super::super::turns::Turns;
    use super::*;

    #[test]
    fn the_task_of_a_connection_is_small() {
        let (stream, _other) = UnixStream::pair().expect("two sockets");
        let accepted = Accepted {
            stream: Stream::Unix(stream),
            tls: None,
            place: Places::new(1, 1).take(None).expect("there is one"),
        };
        let edge = Edge::only_health(Probes::new(Readiness::new()));
        let (_drain, told) = watch::channel(false);
        let task = serve(accepted, edge, Turns::default().standing(), told);
        let bytes = size_of_val(&task);
        println!("{bytes} bytes");
        assert!(bytes <= 2 * 1024, "{bytes} bytes");
    }
}
