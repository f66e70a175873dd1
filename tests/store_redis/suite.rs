//! The suite that every store passes, on a server of its own.

use std::sync::Arc;

use imquota::clock::Clock;
use imquota::store::Store;
use imquota::store::redis::RedisStore;

use crate::fixture::options;
use crate::redis_server::RedisServer;
use crate::store_suite::LedgerUnderTest;

struct Redis(RedisServer);

impl LedgerUnderTest for Redis {
    const SHARED: bool = true;

    async fn fresh() -> Self {
        Self(RedisServer::start())
    }

    async fn store(&self) -> Arc<dyn Store> {
        let options = options(&self.0.unix_url());
        Arc::new(RedisStore::new(options, Arc::new(Clock::default())).unwrap())
    }
}

store_suite!(Redis);
