//! The two stores, so that a test can be written once and run on both.

use crate::redis_server::RedisServer;

/// The ledger that a test's sidecars stand on.
pub enum Store {
    Embedded,
    Redis(Box<RedisServer>),
}

impl Store {
    pub fn redis() -> Self {
        Self::Redis(Box::new(RedisServer::start()))
    }

    /// What `--store` is given.
    pub fn url(&self) -> String {
        match self {
            Self::Embedded => "embedded".into(),
            Self::Redis(server) => server.url(),
        }
    }

    /// Where an answer that this store gave comes from. What was lent by it is spent from memory.
    pub fn source(&self) -> imquota::grpc::proto::Source {
        match self {
            Self::Embedded => imquota::grpc::proto::Source::Memory,
            Self::Redis(_) => imquota::grpc::proto::Source::Ledger,
        }
    }
}

/// Does something to a Redis that takes its time, while the load on this thread goes on.
pub async fn beside(mut redis: RedisServer, what: fn(&mut RedisServer)) -> RedisServer {
    let done = tokio::task::spawn_blocking(move || {
        what(&mut redis);
        redis
    });
    done.await.expect("it can be done")
}

/// Makes each `async fn name(store: Store)` a test on either store.
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::stores::Store::Embedded).await;
            })+
        }
        mod redis {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::stores::Store::redis()).await;
            })+
        }
    };
}
pub(crate) use on_both_stores;
