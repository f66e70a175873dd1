//! How the ledger's Redis is reached: one address, what Sentinels name, or another transport.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::address::{self, Address};
use super::cluster::Cluster;
use super::dial::{Caller, no_answer};
use super::line::{Line, Transport};
use super::link::Wire;
use super::options::RedisOptions;
use super::sentinel::{Master, Sentinels};
use super::{answer, fault};
use crate::config::{RedisUrl, Topology};
use crate::store::{Calls, StoreFault};

/// Connecting takes a few round trips: so many answers' time it may have.
const CONNECT_ANSWERS: u32 = 3;

#[derive(Debug)]
enum Way {
    Single(Address),
    Sentinel(Arc<Sentinels>),
    Cluster(Box<[Address]>),
    Other(Arc<dyn Transport>),
}

/// Where Redis is, and how patient we are with it.
#[derive(Debug)]
pub(super) struct Dialer {
    way: Way,
    /// For the Redis that has the ledger.
    caller: Option<Caller>,
    /// The address as logs may show it: without user and password.
    shown: String,
    patience: Duration,
    /// What calls over all connections cost.
    pub(super) calls: Arc<Calls>,
}

/// A master that was named by Sentinels, and those to be asked whether it is one still.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) master: Master,
    pub(super) by: Arc<Sentinels>,
}

impl Dialer {
    pub(super) fn new(options: &RedisOptions) -> Result<Self, StoreFault> {
        let patience = options.response_timeout;
        let caller = |credentials| Caller {
            credentials,
            tls: options.tls.clone(),
            patience: patience * CONNECT_ANSWERS,
        };
        let (way, caller, shown) = match &options.topology {
            Topology::Single(url) => {
                let (address, credentials) = address::of(url, &options.login)?;
                let shown = address.to_string();
                (Way::Single(address), caller(credentials), shown)
            }
            Topology::Sentinel { urls, master_name } => {
                let first = first(urls)?;
                // A URL's own login is the Sentinel's.
                let (_, of_sentinels) = address::of(first, &options.sentinel_login)?;
                let (_, of_master) = address::of(&first.without_login(), &options.login)?;
                let sentinels = Sentinels::new(
                    addresses(urls)?,
                    master_name.clone(),
                    first.is_tls(),
                    Caller {
                        // One that is gone must not take the time of those that answer.
                        patience,
                        ..caller(of_sentinels.of_database(0))
                    },
                );
                let shown = format!("master {master_name}");
                let way = Way::Sentinel(Arc::new(sentinels));
                (way, caller(of_master), shown)
            }
            Topology::Cluster(urls) => {
                let (_, credentials) = address::of(first(urls)?, &options.login)?;
                let shown = options.topology.to_string();
                let way = Way::Cluster(addresses(urls)?.into());
                (way, caller(credentials), shown)
            }
        };
        Ok(Self {
            way,
            caller: Some(caller),
            shown,
            patience,
            calls: Arc::default(),
        })
    }

    pub(super) fn over(transport: Arc<dyn Transport>, options: &RedisOptions) -> Self {
        Self {
            way: Way::Other(transport),
            caller: None,
            shown: options.topology.to_string(),
            patience: options.response_timeout,
            calls: Arc::default(),
        }
    }

    /// "Redis at" and the address as it may be shown.
    pub(super) fn shown(&self) -> String {
        format!("Redis at {}", self.shown)
    }

    /// Whether it is Redis that is reached, and no other transport.
    pub(super) fn is_real(&self) -> bool {
        self.caller.is_some()
    }

    /// Whether it is a Cluster that is reached.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.way, Way::Cluster(_))
    }

    /// Connects.
    pub(super) async fn reach(&self) -> Result<Wire, StoreFault> {
        let (line, shown, named) = match (&self.way, &self.caller) {
            (Way::Single(address), Some(caller)) => {
                let connection = caller.dial(address).await?;
                (Line::One(Arc::new(connection)), address.to_string(), None)
            }
            (Way::Sentinel(sentinels), Some(caller)) => {
                let master = sentinels.master().await?;
                let connection = caller.dial(&master.address).await?;
                let shown = format!("{} ({})", master.address, self.shown);
                let by = sentinels.clone();
                let named = Named { master, by };
                (Line::One(Arc::new(connection)), shown, Some(named))
            }
            (Way::Cluster(seeds), Some(caller)) => {
                let cluster = Cluster::connect(seeds, caller, &self.calls).await?;
                (Line::Cluster(Arc::new(cluster)), self.shown.clone(), None)
            }
            (Way::Other(transport), _) => {
                let patience = self.patience * CONNECT_ANSWERS;
                let session = timeout(patience, transport.connect())
                    .await
                    .map_err(|_| no_answer(&self.shown, patience))?
                    .map_err(|error| fault::read(&error, &self.shown).0)?;
                (Line::Other(session), self.shown.clone(), None)
            }
            // Each way but another transport has a caller.
            (_, None) => return Err(answer::unexpected()),
        };
        self.calls.connected();
        let calls = self.calls.clone();
        Ok(Wire::new(line, &shown, named, self.patience, calls))
    }
}

fn first(urls: &[RedisUrl]) -> Result<&RedisUrl, StoreFault> {
    urls.first()
        .ok_or_else(|| StoreFault::Unusable("store.urls: must name at least one".into()))
}

fn addresses(urls: &[RedisUrl]) -> Result<Vec<Address>, StoreFault> {
    urls.iter()
        .map(|url| Ok(address::of(url, &crate::config::Login::default())?.0))
        .collect()
}
