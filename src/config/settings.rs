//! The settings, typed and valid.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::connections::Connections;
use super::decisions::DecisionRates;
use super::envoy::EnvoyKeys;
use super::finding::Finding;
use super::redis_url::RedisUrl;
use super::tls::ListenerTls;
use crate::access::Binding;
use crate::clock::Zone;
use crate::endpoint::Endpoint;
use crate::quota::{
    AppSeries, Currency, IdPolicy, OutagePolicy, Plan, PlanName, Retention, Rulebook,
};
use crate::trace::Traces;

/// Everything that a server is told: flags over environment over file over defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the API is served; 1 to [`super::LISTENERS_MAX`], no two alike. Plain text off loopback
    /// only where the file says so.
    pub listen: Vec<Endpoint>,
    /// Where operators are served. `None`: nowhere.
    pub admin_listen: Option<Endpoint>,
    /// Where gRPC health alone is served, for probes that dial the Pod's address.
    pub health_listen: Option<Endpoint>,
    /// Where figures and probes are served over HTTP, to whoever asks. `None`: nowhere.
    pub http_listen: Option<Endpoint>,
    /// Which of them speak TLS.
    pub tls: ListenerTls,
    /// Listeners that may be plain off loopback, and that are plain beside others with TLS.
    pub allow_plaintext: Vec<Endpoint>,
    /// Who may do what. `None`: gateways everything, operators as the listener says.
    pub auth: Option<Vec<Binding>>,
    /// How many connections gateways may have.
    pub connections: Connections,
    /// By which keys Envoy's descriptors say what is created.
    pub envoy_keys: EnvoyKeys,
    /// The folder of the journal and of the embedded store.
    pub data_dir: PathBuf,
    /// The shared ledger.
    pub store: StoreSettings,
    /// What is admitted while the ledger is away.
    pub outage: OutagePolicy,
    /// How long request ids are remembered.
    pub request_ids: IdPolicy,
    /// What a day and a month are.
    pub zone: Zone,
    /// For how long the past is kept.
    pub retention: Retention,
    /// What prices are in.
    pub currency: Currency,
    /// The built-in plans and those of the file, by name.
    pub plans: BTreeMap<PlanName, Arc<Plan>>,
    /// The apps and the rules they live under.
    pub rulebook: Rulebook,
    /// This sidecar's name among its fellows: 1 to [`super::MEMBER_BYTES_MAX`] bytes.
    pub member: Arc<str>,
    /// Which apps have series of their own in the figures.
    pub app_series: AppSeries,
    /// Which decisions are written to the log.
    pub decisions: DecisionRates,
    /// Where traces go. `None`: nowhere.
    pub traces: Option<Traces>,
    /// Serving threads, one core each.
    pub workers: NonZeroUsize,
    /// How long each of them looks out for the next call before it sleeps.
    pub spin: Duration,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which of the above nobody chose.
    pub by_default: ByDefault,
    /// What the operator should know, by line: keys that are understood and not served yet.
    pub notices: Vec<Finding>,
}

impl Settings {
    /// The keys in which `new` differs, and that hold from a start on alone.
    #[must_use]
    pub fn fixed_changes(&self, new: &Self) -> Vec<&'static str> {
        let tls = |settings: &Self| format!("{:?}", settings.tls);
        let auth = |settings: &Self| format!("{:?}", settings.auth);
        let series = |settings: &Self| format!("{:?}", settings.app_series);
        [
            ("listen", self.listen == new.listen),
            ("admin_listen", self.admin_listen == new.admin_listen),
            ("health_listen", self.health_listen == new.health_listen),
            ("http_listen", self.http_listen == new.http_listen),
            ("tls", tls(self) == tls(new)),
            (
                "allow_plaintext",
                self.allow_plaintext == new.allow_plaintext,
            ),
            ("auth", auth(self) == auth(new)),
            ("data_dir", self.data_dir == new.data_dir),
            ("store", self.store == new.store),
            (
                "connections",
                format!("{:?}", self.connections) == format!("{:?}", new.connections),
            ),
            ("envoy_keys", self.envoy_keys == new.envoy_keys),
            ("request_ids", self.request_ids == new.request_ids),
            ("billing.zone", self.zone.name() == new.zone.name()),
            ("billing.currency", self.currency == new.currency),
            (
                "billing.days_kept_months",
                self.retention.days() == new.retention.days(),
            ),
            (
                "billing.months_kept",
                self.retention.months() == new.retention.months(),
            ),
            ("member", self.member == new.member),
            ("workers", self.workers == new.workers),
            ("spin", self.spin == new.spin),
            ("log_format", self.log_format == new.log_format),
            ("metrics", series(self) == series(new)),
            ("traces", self.traces == new.traces),
        ]
        .into_iter()
        .filter(|(_, same)| !same)
        .map(|(key, _)| key)
        .collect()
    }
}

/// Settings that came from the machine because nobody chose them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByDefault {
    /// [`Settings::data_dir`] is the user's own data folder: its parents may be made, too.
    pub data_dir: bool,
    /// [`Settings::member`] is the host's name.
    pub member: bool,
    /// [`Settings::workers`] is as many as the process may use.
    pub workers: bool,
}

/// Where the shared ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreSettings {
    /// In this process: one member, nothing shared.
    Embedded,
    /// In a Redis that many members share.
    Redis(Box<RedisSettings>),
}

/// A Redis that many members share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// Where it is.
    pub topology: Topology,
    /// How to log in at the Redis that holds the ledger, before what the URLs say.
    pub login: Login,
    /// The same for Sentinels.
    pub sentinel_login: Login,
    /// What is trusted and shown where a URL says TLS.
    pub tls: RedisTls,
    /// What every key begins with: 1 to [`super::KEY_PREFIX_BYTES_MAX`] letters, digits, `-`, `_`,
    /// `.` and `:`.
    pub key_prefix: Box<str>,
    /// Whether a ledger that is not there may be made.
    pub create: Create,
    /// How long a check waits for an answer, 10 ms to 2 s, and never past its caller's deadline.
    pub wait: Duration,
    /// How long a sidecar that is new to the others waits until one of them knows of it, before it may
    /// create what a limit guards; `None`: for ever.
    pub witness_wait: Option<Duration>,
}

/// How many Redis there are and how they hang together. Shown without passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// One, which has an address.
    Single(RedisUrl),
    /// One master among replicas, which Sentinels name.
    Sentinel {
        /// The Sentinels, at least one; what they say of a database and of TLS goes for the master as well.
        urls: Box<[RedisUrl]>,
        /// What they call the master.
        master_name: Box<str>,
    },
    /// Several masters that share the slots; the URLs, at least one, are of some of them.
    Cluster(Box<[RedisUrl]>),
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, urls) = match self {
            Self::Single(url) => return url.fmt(f),
            Self::Sentinel { urls, master_name } => {
                (format!("master {master_name} of Sentinels"), urls)
            }
            Self::Cluster(urls) => ("cluster of".to_owned(), urls),
        };
        let urls: Vec<_> = urls.iter().map(ToString::to_string).collect();
        write!(f, "{before} {}", urls.join(", "))
    }
}

/// How to log in. What is not given is taken from the URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub username: Option<Box<str>>,
    /// The password.
    pub password: Option<Password>,
}

/// Where a password comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// The environment had it.
    Text(Box<str>),
    /// This file has it, and is read for every connection: a new one needs no restart.
    File(PathBuf),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(***)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Files for TLS, read for every connection: new ones need no restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The authorities that are trusted, in PEM; `None`: those of the machine.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown, in PEM, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have; `None`: the URL's host.
    pub server_name: Option<Box<str>>,
}

/// Whether a ledger that is not there may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// By a sidecar that remembers none.
    Auto,
    /// Never: an empty Redis is a fault.
    Never,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
