//! What a Redis ledger is told before it connects.

use std::fmt;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::chance;
use crate::clock::Zone;
use crate::store::{LEASE_TTL_MS, StoreFault};

/// The longest key prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 64;

/// Where the ledger is and what it must be like.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://[user:password@]host:port/db` or `redis+unix:///path`.
    pub url: String,
    /// What every key begins with: 1 to 64 bytes of `A-Z`, `a-z`, `0-9`, `-`, `_`, `.`, `:`.
    pub key_prefix: String,
    /// The billing zone; a ledger that counts days in another is refused.
    pub zone: Zone,
    /// Whether an empty prefix may be initialised.
    pub create: Create,
    /// How long one answer may take.
    pub response_timeout: Duration,
    /// How members and recoveries are timed.
    pub pace: Pace,
    /// Which machine this is: one on which the lock of a data folder keeps other processes away.
    pub machine: u64,
}

/// The times of members and recoveries, in ms: the same for all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// For how long a beat lets its member admit.
    pub lease_ttl: u64,
    /// For how long a newcomer waits for a fellow that knows of it; 0: for ever.
    pub witness_wait: u64,
    /// For how long a recovery waits for members that do not restate, before it closes as incomplete.
    pub patience: u64,
    /// After how long without a beat a member is noted as silent.
    pub silence: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            lease_ttl: LEASE_TTL_MS,
            witness_wait: LEASE_TTL_MS,
            patience: PATIENCE_MS,
            silence: SILENCE_MS,
        }
    }
}

/// A number for the running kernel: its locks end with it. Where it has none, one that is nobody else's.
fn machine() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    u64::from_str_radix(&digits, 16).unwrap_or_else(|_| chance::draw())
}

/// For how long a recovery waits for members that do not restate.
const PATIENCE_MS: u64 = 60_000;
/// After how long without a beat a member is noted as silent.
const SILENCE_MS: u64 = 60_000;

/// Whether a member that remembers no ledger may make one where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// It may.
    Auto,
    /// The ledger must be there.
    Never,
}

impl fmt::Debug for RedisOptions {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("key_prefix", &self.key_prefix)
            .field("zone", &self.zone.name())
            .field("create", &self.create)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

impl RedisOptions {
    /// With all times as they are by default.
    #[must_use]
    pub fn new(url: String, key_prefix: String, zone: Zone, create: Create) -> Self {
        Self {
            url,
            key_prefix,
            zone,
            create,
            response_timeout: Duration::from_millis(500),
            pace: Pace::default(),
            machine: machine(),
        }
    }

    /// The address as the client library takes it, and as it may be shown.
    pub(super) fn address(&self) -> Result<(ConnectionInfo, String), StoreFault> {
        let unusable = |what: &str| StoreFault::Unusable(format!("store.url: {what}"));
        if self.url.starts_with("rediss:") || self.url.starts_with("valkeys:") {
            return Err(unusable(
                "rediss:// needs TLS, which this build does not have; use redis://",
            ));
        }
        // The library's own words may repeat the address with its password.
        let info = self.url.as_str().into_connection_info().map_err(|_| {
            unusable("is no Redis address; write redis://host:port/db or redis+unix:///path")
        })?;
        let shown = match info.addr() {
            ConnectionAddr::Unix(path) => path.display().to_string(),
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                format!("{host}:{port}")
            }
            _ => return Err(unusable("is of a kind that is not supported")),
        };
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        Ok((info.set_tcp_settings(tcp), shown))
    }

    /// The prefix, if keys can begin with it: a brace would break the hash tag.
    pub(super) fn prefix(&self) -> Result<&str, StoreFault> {
        let prefix = self.key_prefix.as_str();
        let fits = (1..=PREFIX_BYTES_MAX).contains(&prefix.len())
            && prefix
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
        fits.then_some(prefix).ok_or_else(|| {
            StoreFault::Unusable(format!(
                "store.key_prefix: must be 1 to {PREFIX_BYTES_MAX} of A-Z a-z 0-9 - _ . :"
            ))
        })
    }
}
