//! What carries commands to the server, and back its answers.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, Value};

use super::cluster::Cluster;
use super::dial::Connection;
use super::slot;

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

/// A connection, of whichever kind; to a Cluster it is one to each master.
#[derive(Debug, Clone)]
pub(super) enum Line {
    One(Arc<Connection>),
    Cluster(Arc<Cluster>),
    Other(Arc<dyn Session>),
}

impl Line {
    /// An error of the server is an error here.
    pub(super) async fn send(&self, cmd: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(connection) => connection.send(cmd).await?.extract_error(),
            Self::Cluster(cluster) => cluster.send(cmd).await,
            Self::Other(session) => {
                let mut values = session.send(vec![cmd.clone()]).await?;
                values.pop().ok_or_else(unanswered)?.extract_error()
            }
        }
    }

    /// All in one write; all answers, or the first error.
    pub(super) async fn send_all(&self, cmds: &[Cmd]) -> RedisResult<Vec<Value>> {
        let values = match self {
            Self::One(connection) => connection.send_all(cmds).await?,
            Self::Cluster(cluster) => cluster.send_all(cmds).await?,
            Self::Other(session) => session.send(cmds.to_vec()).await?,
        };
        if values.len() != cmds.len() {
            return Err(unanswered());
        }
        values.into_iter().map(Value::extract_error).collect()
    }
}

impl Line {
    /// A line to each server that there is.
    pub(super) fn each(&self) -> Vec<Self> {
        match self {
            Self::Cluster(cluster) => cluster.all().cloned().map(Self::One).collect(),
            line => vec![line.clone()],
        }
    }

    /// The line to the server that has a key.
    pub(super) fn of(&self, key: &str) -> Self {
        match self {
            Self::Cluster(cluster) => Self::One(cluster.of(slot::of_key(key.as_bytes())).clone()),
            line => line.clone(),
        }
    }
}

fn unanswered() -> RedisError {
    (ErrorKind::Client, "a command was left without an answer").into()
}
