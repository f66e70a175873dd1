//! One connection to Redis: made, looked over, used, given up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError};
use redis::{RedisResult, ServerErrorKind, Value};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::fault::{self, Connection};
use super::script::{Script, Scripts, Step};
use crate::store::{Calls, Failure, StoreFault};

/// The most calls in flight on the connection; more wait, within their own time.
const IN_FLIGHT_MAX: usize = 1024;

/// Connecting takes a few round trips: so many answers' time it may have.
const CONNECT_ANSWERS: u32 = 3;

/// A way to a server that is no connection to an address: a simulated network, for one.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Makes a session.
    fn connect(&self) -> BoxFuture<'_, RedisResult<Arc<dyn Session>>>;
}

/// A connection made by a [`Transport`], shared by many calls at a time.
pub trait Session: fmt::Debug + Send + Sync {
    /// Sends commands in one write and answers each one's reply, an error among them as
    /// [`Value::ServerError`]. A dropped future may still take effect.
    fn send(&self, commands: Vec<Cmd>) -> BoxFuture<'_, RedisResult<Vec<Value>>>;
}

/// How the server is reached.
#[derive(Debug)]
pub(super) enum Way {
    Direct(Box<ConnectionInfo>),
    Other(Arc<dyn Transport>),
}

/// Where Redis is, and how patient we are with it.
#[derive(Debug)]
pub(super) struct Dialer {
    way: Way,
    /// The address as logs may show it: without user and password.
    pub(super) shown: String,
    patience: Duration,
    pub(super) calls: Arc<Calls>,
}

impl Dialer {
    pub(super) fn new(way: Way, shown: String, patience: Duration) -> Self {
        Self {
            way,
            shown,
            patience,
            calls: Arc::default(),
        }
    }

    /// Connects and loads the scripts. The name is resolved anew each time.
    pub(super) async fn connect(&self, scripts: &Scripts) -> Result<Wire, StoreFault> {
        let patience = self.patience * CONNECT_ANSWERS;
        let line = timeout(patience, self.way.connect())
            .await
            .map_err(|_| self.no_answer(patience))?
            .map_err(|error| self.fault(&error))?;
        let wire = Wire {
            line,
            turns: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            spent: Arc::new(AtomicBool::new(false)),
            shown: self.shown.as_str().into(),
            patience: self.patience,
            calls: self.calls.clone(),
        };
        self.calls.connected();
        for loaded in join_all(scripts.all().map(|script| wire.ask(script.load()))).await {
            loaded?;
        }
        Ok(wire)
    }

    fn fault(&self, error: &RedisError) -> StoreFault {
        fault::read(error, &self.shown).0
    }

    fn no_answer(&self, waited: Duration) -> StoreFault {
        no_answer(&self.shown, waited)
    }
}

fn no_answer(at: &str, waited: Duration) -> StoreFault {
    StoreFault::Away(format!(
        "Redis at {at}: no answer within {} ms",
        waited.as_millis()
    ))
}

impl Way {
    async fn connect(&self) -> RedisResult<Line> {
        match self {
            Self::Direct(info) => {
                // Each call has its time-out from us, with the wait for its turn included.
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(None)
                    .set_response_timeout(None);
                let client = Client::open(info.as_ref().clone())?;
                let connecting = client.get_multiplexed_async_connection_with_config(&config);
                connecting.await.map(Line::Direct)
            }
            Self::Other(transport) => transport.connect().await.map(Line::Other),
        }
    }
}

/// What carries commands.
#[derive(Debug, Clone)]
enum Line {
    Direct(MultiplexedConnection),
    Other(Arc<dyn Session>),
}

impl Line {
    async fn send(&self, cmd: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Direct(connection) => connection.clone().send_packed_command(cmd).await,
            Self::Other(session) => {
                let mut values = session.send(vec![cmd.clone()]).await?;
                values.pop().ok_or_else(unanswered)
            }
        }
    }

    async fn send_all(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        match self {
            Self::Direct(connection) => pipeline.query_async(&mut connection.clone()).await,
            Self::Other(session) => {
                let values = session.send(pipeline.cmd_iter().cloned().collect()).await?;
                values.into_iter().map(Value::extract_error).collect()
            }
        }
    }
}

fn unanswered() -> RedisError {
    (ErrorKind::Client, "a command was left without an answer").into()
}

/// A connection that many calls share.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    line: Line,
    turns: Arc<Semaphore>,
    /// Set by the first call that found it broken or silent, so that no other finds out again.
    spent: Arc<AtomicBool>,
    shown: Arc<str>,
    patience: Duration,
    calls: Arc<Calls>,
}

impl Wire {
    /// Whether it must be made anew.
    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// Sends one command. Whether a call that failed had an effect is unknown.
    pub(super) async fn ask(&self, cmd: Cmd) -> Result<Value, StoreFault> {
        self.within(self.send(&cmd))
            .await?
            .map_err(|error| self.fault(&error))
    }

    /// Runs a script's step.
    pub(super) async fn run(&self, script: &Script, step: &Step) -> Result<Value, StoreFault> {
        let answer = self
            .within(async {
                match self.send(&script.by_hash(step)).await {
                    // A server that does not know the script has not run it.
                    Err(error) if is_unknown_script(&error) => {
                        self.send(&script.by_source(step)).await
                    }
                    answer => answer,
                }
            })
            .await?;
        answer.map_err(|error| self.fault(&error))
    }

    /// Sends commands in one write; all answers or the first failure.
    pub(super) async fn ask_all(&self, commands: &[Cmd]) -> Result<Vec<Value>, StoreFault> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command.clone());
        }
        self.within(self.send_all(&pipeline))
            .await?
            .map_err(|error| self.fault(&error))
    }

    /// Runs a script's steps in one write; all answers or the first failure. The steps may be repeated.
    pub(super) async fn run_all(
        &self,
        script: &Script,
        steps: &[Step],
    ) -> Result<Vec<Value>, StoreFault> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(steps.len());
        for step in steps {
            pipeline.add_command(script.by_hash(step));
        }
        let answers = self
            .within(async {
                match self.send_all(&pipeline).await {
                    Err(error) if is_unknown_script(&error) => {
                        self.send(&script.load()).await?;
                        self.send_all(&pipeline).await
                    }
                    answers => answers,
                }
            })
            .await?;
        answers.map_err(|error| self.fault(&error))
    }

    async fn send_all(&self, pipeline: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let _turn = self.turns.acquire().await;
        self.line.send_all(pipeline).await
    }

    async fn send(&self, cmd: &Cmd) -> Result<Value, RedisError> {
        // The semaphore is never closed: a turn always comes.
        let _turn = self.turns.acquire().await;
        self.line.send(cmd).await?.extract_error()
    }

    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, StoreFault> {
        if self.is_spent() {
            return Err(StoreFault::Away(format!(
                "the connection to Redis at {} was lost and is being made anew",
                self.shown
            )));
        }
        let begun = Instant::now();
        let answer = timeout(self.patience, work).await.map_err(|_| {
            self.spent.store(true, Ordering::Relaxed);
            self.calls.failed(Failure::Silent);
            no_answer(&self.shown, self.patience)
        })?;
        self.calls.answered(begun.elapsed());
        Ok(answer)
    }

    fn fault(&self, error: &RedisError) -> StoreFault {
        let (fault, connection) = fault::read(error, &self.shown);
        if connection == Connection::Spent {
            self.spent.store(true, Ordering::Relaxed);
            self.calls.failed(Failure::Broken);
        } else {
            self.calls.failed(Failure::Refused);
        }
        fault
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
