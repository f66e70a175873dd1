//! One connection to Redis: made, looked over, used, given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError};
use redis::{ServerErrorKind, Value};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::fault::{self, Connection};
use super::script::{Script, Scripts, Step};
use crate::store::StoreFault;

/// The most calls in flight on the connection; more wait, within their own time.
const IN_FLIGHT_MAX: usize = 1024;

/// Connecting takes a few round trips: so many answers' time it may have.
const CONNECT_ANSWERS: u32 = 3;

/// Where Redis is, and how patient we are with it.
#[derive(Debug)]
pub(super) struct Dialer {
    info: ConnectionInfo,
    /// The address as logs may show it: without user and password.
    pub(super) shown: String,
    patience: Duration,
}

impl Dialer {
    pub(super) fn new(info: ConnectionInfo, shown: String, patience: Duration) -> Self {
        Self {
            info,
            shown,
            patience,
        }
    }

    /// Connects and loads the scripts. The name is resolved anew each time.
    pub(super) async fn connect(&self, scripts: &Scripts) -> Result<Wire, StoreFault> {
        let patience = self.patience * CONNECT_ANSWERS;
        // Each call has its time-out from us, with the wait for its turn included.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let client = Client::open(self.info.clone()).map_err(|error| self.fault(&error))?;
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let connection = timeout(patience, connecting)
            .await
            .map_err(|_| self.no_answer(patience))?
            .map_err(|error| self.fault(&error))?;
        let wire = Wire {
            connection,
            turns: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            spent: Arc::new(AtomicBool::new(false)),
            shown: self.shown.as_str().into(),
            patience: self.patience,
        };
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

/// A connection that many calls share.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    connection: MultiplexedConnection,
    turns: Arc<Semaphore>,
    /// Set by the first call that found it broken or silent, so that no other finds out again.
    spent: Arc<AtomicBool>,
    shown: Arc<str>,
    patience: Duration,
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
        pipeline.query_async(&mut self.connection.clone()).await
    }

    async fn send(&self, cmd: &Cmd) -> Result<Value, RedisError> {
        // The semaphore is never closed: a turn always comes.
        let _turn = self.turns.acquire().await;
        let value = self.connection.clone().send_packed_command(cmd).await?;
        value.extract_error()
    }

    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, StoreFault> {
        if self.is_spent() {
            return Err(StoreFault::Away(format!(
                "the connection to Redis at {} was lost and is being made anew",
                self.shown
            )));
        }
        timeout(self.patience, work).await.map_err(|_| {
            self.spent.store(true, Ordering::Relaxed);
            no_answer(&self.shown, self.patience)
        })
    }

    fn fault(&self, error: &RedisError) -> StoreFault {
        let (fault, connection) = fault::read(error, &self.shown);
        if connection == Connection::Spent {
            self.spent.store(true, Ordering::Relaxed);
        }
        fault
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
