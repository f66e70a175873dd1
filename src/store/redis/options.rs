//! What a Redis ledger is told before it connects.

use std::time::Duration;

use crate::chance;
use crate::clock::Zone;
use crate::config::{Create, Login, RedisSettings, RedisTls, Topology};
use crate::quota::Retention;
use crate::store::{LEASE_TTL_MS, StoreFault};

/// The longest key prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 64;

/// Where the ledger is and what it must be like.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// How many Redis there are, and where.
    pub topology: Topology,
    /// How to log in at the Redis that has the ledger, before what its URL says.
    pub login: Login,
    /// The same for Sentinels.
    pub sentinel_login: Login,
    /// What is trusted and shown where a URL says TLS.
    pub tls: RedisTls,
    /// What every key begins with: 1 to 64 bytes of `A-Z`, `a-z`, `0-9`, `-`, `_`, `.`, `:`.
    pub key_prefix: String,
    /// The billing zone; a ledger that counts in another is asked to change with the next month.
    pub zone: Zone,
    /// For how long the past is kept; the same for all members.
    pub retention: Retention,
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

impl RedisOptions {
    /// With all times as they are by default, and what the URLs say of logins.
    #[must_use]
    pub fn new(topology: Topology, key_prefix: String, zone: Zone, create: Create) -> Self {
        Self {
            topology,
            login: Login::default(),
            sentinel_login: Login::default(),
            tls: RedisTls::default(),
            key_prefix,
            zone,
            retention: Retention::default(),
            create,
            response_timeout: Duration::from_millis(500),
            pace: Pace::default(),
            machine: machine(),
        }
    }

    /// As the settings say, with days of `zone`.
    #[must_use]
    pub fn of(settings: &RedisSettings, zone: Zone) -> Self {
        let (topology, prefix) = (settings.topology.clone(), settings.key_prefix.to_string());
        let mut options = Self::new(topology, prefix, zone, settings.create);
        options.login = settings.login.clone();
        options.sentinel_login = settings.sentinel_login.clone();
        options.tls = settings.tls.clone();
        options.response_timeout = settings.wait;
        options.pace.witness_wait = settings.witness_wait.map_or(0, in_ms);
        options
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

/// A wait in milliseconds; settings bound it far below what fits.
fn in_ms(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
