//! The suite that every store passes, on a server of its own.

use std::sync::Arc;

use imquota::clock::Clock;
use imquota::quota::Retention;
use imquota::store::redis::{RedisOptions, RedisStore};
use imquota::store::{Operator, Store};

use crate::fixture::options;
use crate::redis_server::RedisServer;
use crate::store_suite::LedgerUnderTest;

struct Redis(RedisServer, Retention);

impl LedgerUnderTest for Redis {
    const SHARED: bool = true;

    async fn keeping(kept: Retention) -> Self {
        Self(RedisServer::start(), kept)
    }

    async fn both(&self) -> (Arc<dyn Store>, Arc<dyn Operator>) {
        let options = RedisOptions {
            retention: self.1,
            ..options(&self.0.unix_url())
        };
        let store = Arc::new(RedisStore::new(options, Arc::new(Clock::default())).unwrap());
        (Arc::clone(&store) as _, store)
    }
}

store_suite!(Redis);
