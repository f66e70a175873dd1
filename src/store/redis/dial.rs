//! One connection to one address: the name resolved anew, the socket set up, TLS, and the login.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisResult, Value};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::address::{Address, Credentials, Host};
use super::{fault, tls};
use crate::config::RedisTls;
use crate::store::StoreFault;

/// After how long a quiet peer is asked whether it is there, how often then, and how many questions may
/// be left without an answer.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(5), Duration::from_secs(1), 3);
/// How long what was sent may go without being acknowledged. A peer that vanished is then gone, whatever the
/// kernel would still try.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);
/// The most commands that wait to be written; more wait before the queue.
const QUEUE_MAX: usize = 1024;

/// What every connection of a kind has in common.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) credentials: Credentials,
    pub(super) tls: RedisTls,
    /// How long all of it may take.
    pub(super) patience: Duration,
}

/// A connection, and the task that drives it, which ends with it.
#[derive(Debug)]
pub(super) struct Connection {
    calls: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(super) async fn send(&self, cmd: &Cmd) -> RedisResult<Value> {
        self.calls.clone().send_packed_command(cmd).await
    }

    /// In one write; errors stand among the answers.
    pub(super) async fn send_all(&self, cmds: &[Cmd]) -> RedisResult<Vec<Value>> {
        let mut pipeline = redis::Pipeline::with_capacity(cmds.len());
        for cmd in cmds {
            pipeline.add_command(cmd.clone());
        }
        let mut calls = self.calls.clone();
        calls.send_packed_commands(&pipeline, 0, cmds.len()).await
    }
}

impl Caller {
    /// Connects and logs in.
    pub(super) async fn dial(&self, to: &Address) -> Result<Connection, StoreFault> {
        match timeout(self.patience, self.connect(to)).await {
            Ok(connected) => connected,
            Err(_) => Err(match no_answer(to, self.patience) {
                // A server that waits for the end of a line is silent at a greeting of TLS.
                StoreFault::Away(words) if to.is_tls => {
                    StoreFault::Away(format!("{words}; is TLS spoken there? else write redis://"))
                }
                fault => fault,
            }),
        }
    }

    async fn connect(&self, to: &Address) -> Result<Connection, StoreFault> {
        let away = |error: io::Error| StoreFault::Away(format!("Redis at {to}: {error}"));
        match &to.host {
            Host::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(away)?;
                self.log_in(to, stream).await
            }
            Host::Tcp(host, port) => {
                let stream = reach(host, *port).await.map_err(away)?;
                if to.is_tls {
                    let stream = tls::secure(stream, host, &self.tls).await?;
                    self.log_in(to, stream).await
                } else {
                    self.log_in(to, stream).await
                }
            }
        }
    }

    async fn log_in<S>(&self, to: &Address, stream: S) -> Result<Connection, StoreFault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Each call has its time-out from us, with the wait for its turn included.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE_MAX);
        let info = self.credentials.read()?;
        let made = MultiplexedConnection::new_with_config(&info, stream, config).await;
        let (calls, driver) = made.map_err(|error| fault::read(&error, &to.to_string()).0)?;
        let driver = tokio::spawn(driver);
        Ok(Connection { calls, driver })
    }
}

/// The first address of the name that takes the connection.
async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((host, port)).await? {
        match open(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (quiet, between, times) = KEEPALIVE;
    let keepalive = TcpKeepalive::new()
        .with_time(quiet)
        .with_interval(between)
        .with_retries(times);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(stream)
}

pub(super) fn no_answer(at: impl std::fmt::Display, waited: Duration) -> StoreFault {
    StoreFault::Away(format!(
        "Redis at {at}: no answer within {} ms",
        waited.as_millis()
    ))
}
