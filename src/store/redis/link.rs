//! The connection in use: shared by many calls, each with its time; given up by the first that finds it
//! broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::dial::no_answer;
use super::fault::{self, Connection};
use super::line::Line;
use super::script::{Script, Scripts, Step};
use super::way::Named;
use super::{slot, survey};
use crate::store::{Calls, Failure, StoreFault};

/// The most calls in flight on the connection; more wait, within their own time.
const IN_FLIGHT_MAX: usize = 1024;

/// A connection that many calls share.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    line: Line,
    turns: Arc<Semaphore>,
    /// Set by the first call that found it broken or silent, so that no other finds out again.
    spent: Arc<AtomicBool>,
    shown: Arc<str>,
    named: Option<Arc<Named>>,
    patience: Duration,
    calls: Arc<Calls>,
}

impl Wire {
    pub(super) fn new(
        line: Line,
        shown: &str,
        named: Option<Named>,
        patience: Duration,
        calls: Arc<Calls>,
    ) -> Self {
        Self {
            line,
            turns: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            spent: Arc::new(AtomicBool::new(false)),
            shown: shown.into(),
            named: named.map(Arc::new),
            patience,
            calls,
        }
    }

    /// Whether it leads to the master still, as far as a Sentinel knows that can be reached. If not, the
    /// connection is given up: a master that is cut off would go on answering.
    pub(super) async fn leads_to_master(&self) -> Result<(), StoreFault> {
        let Some(named) = &self.named else {
            return Ok(());
        };
        let asked = timeout(self.patience, named.by.successor(&named.master));
        let Ok(Some(successor)) = asked.await else {
            return Ok(());
        };
        self.spent.store(true, Ordering::Relaxed);
        Err(StoreFault::Away(format!(
            "Redis at {} is no longer the master; Sentinels name {}",
            self.shown, successor.address
        )))
    }

    /// Loads the scripts that the server does not know. Many clients come to a server that comes back, and the
    /// first has told it all.
    pub(super) async fn learn(&self, scripts: &Scripts) -> Result<(), StoreFault> {
        if self.is_cluster() {
            for one in self.each() {
                Box::pin(one.learn(scripts)).await?;
            }
            return Ok(());
        }
        if let Line::Other(_) = self.line {
            // Nobody pays for what crosses no network.
            let all: Vec<Cmd> = scripts.all().map(Script::load).collect();
            return self.ask_all(&all).await.map(drop);
        }
        let mut known = redis::cmd("SCRIPT");
        known.arg("EXISTS");
        for script in scripts.all() {
            known.arg(script.hash());
        }
        let known: Vec<bool> = redis::from_redis_value(self.ask(known).await?)
            .map_err(|_| super::answer::unexpected())?;
        let unknown: Vec<Cmd> = scripts
            .all()
            .zip(known)
            .filter(|(_, known)| !known)
            .map(|(script, _)| script.load())
            .collect();
        self.ask_all(&unknown).await.map(drop)
    }

    /// The same for each server that there is.
    pub(super) fn each(&self) -> Vec<Self> {
        let lines = self.line.each().into_iter();
        lines
            .map(|line| Self {
                line,
                ..self.clone()
            })
            .collect()
    }

    /// The same for the server that has a key.
    pub(super) fn of(&self, key: &str) -> Self {
        Self {
            line: self.line.of(key),
            ..self.clone()
        }
    }

    /// Whether there are many masters.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.line, Line::Cluster(_))
    }

    /// Whether the masters of a Cluster are those that were connected to, as the one says that has `key`, and
    /// all of them run as they did. If not, the connections are given up: who sees other masters than
    /// its fellows opens a recovery with each beat.
    pub(super) async fn leads_to_masters(&self, key: &str, run: &str) -> Result<(), StoreFault> {
        let Line::Cluster(cluster) = &self.line else {
            return Ok(());
        };
        let looked = self.within(async {
            let whole = cluster.is_whole(slot::of_key(key.as_bytes())).await;
            Ok::<_, StoreFault>(whole? && survey::run(self).await? == run)
        });
        let looked = looked.await?;
        if matches!(looked, Ok(true)) {
            return Ok(());
        }
        self.spent.store(true, Ordering::Relaxed);
        looked.and_then(|_| {
            Err(StoreFault::Away(format!(
                "the masters of {} have changed",
                self.shown
            )))
        })
    }

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
                        self.calls.failed(Failure::NoScript);
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
        self.within(self.send_all(commands))
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
        let commands: Vec<Cmd> = steps.iter().map(|step| script.by_hash(step)).collect();
        let answers = self
            .within(async {
                match self.send_all(&commands).await {
                    Err(error) if is_unknown_script(&error) => {
                        self.calls.failed(Failure::NoScript);
                        for line in self.line.each() {
                            line.send(&script.load()).await?;
                        }
                        self.send_all(&commands).await
                    }
                    answers => answers,
                }
            })
            .await?;
        answers.map_err(|error| self.fault(&error))
    }

    async fn send_all(&self, commands: &[Cmd]) -> Result<Vec<Value>, RedisError> {
        let _turn = self.turns.acquire().await;
        self.line.send_all(commands).await
    }

    async fn send(&self, cmd: &Cmd) -> Result<Value, RedisError> {
        // The semaphore is never closed: a turn always comes.
        let _turn = self.turns.acquire().await;
        self.line.send(cmd).await
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
        let by_connection = match connection {
            Connection::Spent => Failure::Broken,
            Connection::Good => Failure::Refused,
        };
        self.calls
            .failed(Failure::said(error.code()).unwrap_or(by_connection));
        if connection == Connection::Spent {
            self.spent.store(true, Ordering::Relaxed);
        }
        fault
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
