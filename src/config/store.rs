//! Where the shared ledger is.

use std::time::Duration;

use super::KEY_PREFIX_BYTES_MAX;
use super::finding::Findings;
use super::layered::{Chosen, Layered};
use super::redis_url::RedisUrl;
use super::scalar::{self, Read};
use super::settings::{Create, StoreSettings};
use super::sources::{Environment, Flags};
use super::value::Section;
use super::words::shown;

/// What every key in Redis begins with if nobody says.
const KEY_PREFIX_DEFAULT: &str = "imquota";
/// How long a check waits for the ledger if nobody says.
const WAIT_DEFAULT: Duration = Duration::from_millis(500);
/// The shortest wait: a ledger next door takes less, and below it every hiccup is a refusal.
const WAIT_MIN: Duration = Duration::from_millis(10);
/// The longest wait: the gateway gives the whole check 2 seconds, and lets pass what comes later.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a sidecar waits to be known to another one if nobody says: as long as a lease.
const WITNESS_WAIT_DEFAULT: Duration = Duration::from_secs(5);
/// The longest such wait that ends. Who would wait longer waits for ever: `0s`.
const WITNESS_WAIT_MAX: Duration = Duration::from_hours(1);
/// The most Redis URLs of a sentinel or cluster.
const URLS_MAX: usize = 64;

const URL: Layered = Layered {
    key: "url",
    flag: "--store",
    variable: "IMQUOTA_STORE",
};
const KEYS: [&str; 8] = [
    "url",
    "mode",
    "urls",
    "master_name",
    "key_prefix",
    "create",
    "timeout",
    "witness_wait",
];

/// How many Redis there are and how they hang together.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Single,
    Sentinel,
    Cluster,
}

/// What a store's URL names.
enum Location {
    Embedded,
    Redis(RedisUrl),
}

/// The store's settings.
pub(super) fn read(
    flags: &Flags,
    environment: &Environment,
    file: Option<Section<'_>>,
    findings: &mut Findings,
) -> StoreSettings {
    let value = file.as_ref().and_then(|file| file.given("store"));
    let section = value.and_then(|value| value.section(findings, &KEYS));
    let location = URL.choose(
        flags.store.as_deref(),
        environment,
        section,
        findings,
        location_of,
    );
    let Some(section) = section else {
        return settings(location, Redis::default());
    };
    if flags.store.is_none() && !environment.has(URL.variable) && section.given("url").is_none() {
        // A section without an address was surely not meant to say "embedded".
        if let Some(url) = section.required(findings, "url") {
            url.read(findings, "embedded or a URL", location_of);
        }
    }
    topology(&section, findings);
    let redis = redis(&section, findings);
    settings(location, redis)
}

/// What only a Redis needs to be told.
struct Redis {
    key_prefix: Box<str>,
    create: Create,
    wait: Duration,
    witness_wait: Option<Duration>,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            key_prefix: KEY_PREFIX_DEFAULT.into(),
            create: Create::Auto,
            wait: WAIT_DEFAULT,
            witness_wait: Some(WITNESS_WAIT_DEFAULT),
        }
    }
}

fn settings(location: Option<Chosen<Location>>, redis: Redis) -> StoreSettings {
    match location.map(|location| location.value) {
        None | Some(Location::Embedded) => StoreSettings::Embedded,
        Some(Location::Redis(url)) => StoreSettings::Redis {
            url,
            key_prefix: redis.key_prefix,
            create: redis.create,
            wait: redis.wait,
            witness_wait: redis.witness_wait,
        },
    }
}

fn redis(section: &Section<'_>, findings: &mut Findings) -> Redis {
    let mut redis = Redis::default();
    if let Some(value) = section.given("key_prefix")
        && let Some(key_prefix) = value.read(findings, "text", prefix)
    {
        redis.key_prefix = key_prefix;
    }
    if let Some(value) = section.given("create")
        && let Some(create) = value.read(findings, "auto or never", create)
    {
        redis.create = create;
    }
    if let Some(value) = section.given("timeout")
        && let Some(wait) = value.read(findings, "a duration such as 500ms", wait)
    {
        redis.wait = wait;
    }
    if let Some(value) = section.given("witness_wait")
        && let Some(wait) = value.read(findings, "a duration such as 5s, or 0s", witness_wait)
    {
        redis.witness_wait = wait;
    }
    redis
}

fn location_of(text: &str) -> Read<Location> {
    if text == "embedded" {
        return Ok(Location::Embedded);
    }
    RedisUrl::parse(text).map(Location::Redis)
}

fn prefix(text: &str) -> Read<Box<str>> {
    // Braces would move the hash tag, by which keys of one step lie on one node.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if (1..=KEY_PREFIX_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.into());
    }
    Err(format!(
        "must be 1 to {KEY_PREFIX_BYTES_MAX} letters, digits, dashes, underscores, dots or colons, \
         not {}",
        shown(text)
    ))
}

fn create(text: &str) -> Read<Create> {
    scalar::one_of(text, &[("auto", Create::Auto), ("never", Create::Never)])
}

fn wait(text: &str) -> Read<Duration> {
    scalar::duration(text, WAIT_MIN, WAIT_MAX)
}

/// `0s` stands for ever: a wait of no time at all would be no witness.
fn witness_wait(text: &str) -> Read<Option<Duration>> {
    let wait = scalar::duration(text, Duration::ZERO, WITNESS_WAIT_MAX)?;
    Ok((!wait.is_zero()).then_some(wait))
}

fn mode(text: &str) -> Read<Mode> {
    let words = [
        ("single", Mode::Single),
        ("sentinel", Mode::Sentinel),
        ("cluster", Mode::Cluster),
    ];
    scalar::one_of(text, &words)
}

/// Checks what says that there is more than one Redis. To take one of them for all would be another
/// ledger than the one that was meant.
fn topology(section: &Section<'_>, findings: &mut Findings) {
    let given = section.given("mode");
    let mode = match given {
        Some(value) => value.read(findings, "single, sentinel or cluster", mode),
        None => Some(Mode::Single),
    };
    if let (Some(value), Some(Mode::Sentinel | Mode::Cluster)) = (given, mode) {
        value.fault(findings, "only single is served by this version");
    }
    if let Some(value) = section.given("urls") {
        let urls = value.list(findings).into_iter().flatten();
        for (at, url) in urls.enumerate() {
            url.read(findings, "a URL", RedisUrl::parse);
            if at == URLS_MAX {
                url.fault(findings, format!("there may be at most {URLS_MAX} of them"));
                break;
            }
        }
        if mode == Some(Mode::Single) {
            value.fault(
                findings,
                "is for mode sentinel or cluster; one Redis is named by url",
            );
        }
    }
    if let Some(value) = section.given("master_name") {
        value.text(findings);
        if matches!(mode, Some(Mode::Single | Mode::Cluster)) {
            value.fault(findings, "is for mode sentinel");
        }
    }
}
