//! Where the shared ledger is.

use std::time::Duration;

use super::KEY_PREFIX_BYTES_MAX;
use super::finding::{Findings, Place};
use super::layered::{Chosen, Layered};
use super::redis_login::{self, OF_REDIS, OF_SENTINELS};
use super::redis_url::RedisUrl;
use super::scalar::{self, Read};
use super::settings::{Create, RedisSettings, StoreSettings, Topology};
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
/// The longest name of a master, in bytes.
const NAME_BYTES_MAX: usize = 256;

const URL: Layered = Layered {
    key: "url",
    flag: "--store",
    variable: "IMQUOTA_STORE",
};
const KEYS: [&str; 13] = [
    "url",
    "mode",
    "urls",
    "master_name",
    "username",
    "password_file",
    "sentinel_username",
    "sentinel_password_file",
    "tls",
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
    check_command_line(location.as_ref(), findings);
    let many = section.and_then(|section| many(&section, findings));
    // A flag or a variable names one place, whatever the file says.
    let named_here = flags.store.is_some() || environment.has(URL.variable);
    if let Some(section) = &section
        && !named_here
        && section.given("url").is_none()
        && section.given("urls").is_none()
    {
        // A section without an address was surely not meant to say "embedded".
        if let Some(url) = section.required(findings, "url") {
            url.read(findings, "embedded or a URL", location_of);
        }
    }
    let login = OF_REDIS.read(environment, section, findings);
    let sentinel_login = OF_SENTINELS.read(environment, section, findings);
    let tls = redis_login::tls(section, findings);
    let rest = section.map_or_else(Rest::default, |section| rest(&section, findings));
    let topology = match (location.map(|location| location.value), many) {
        (_, Some(many)) if !named_here => many,
        (Some(Location::Redis(url)), _) => Topology::Single(url),
        (None | Some(Location::Embedded), _) => return StoreSettings::Embedded,
    };
    check_tls(&topology, section, findings);
    StoreSettings::Redis(Box::new(RedisSettings {
        topology,
        login,
        sentinel_login,
        tls,
        key_prefix: rest.key_prefix,
        create: rest.create,
        wait: rest.wait,
        witness_wait: rest.witness_wait,
    }))
}

/// What every program of the machine can read is no place for a secret.
fn check_command_line(location: Option<&Chosen<Location>>, findings: &mut Findings) {
    if let Some(Chosen {
        value: Location::Redis(url),
        place: place @ Place::Flag(_),
        key,
    }) = location
        && url.has_password()
    {
        findings.fault(
            place.clone(),
            key.clone(),
            "a password on the command line is seen by everybody on the machine; write it to a file \
             (store.password_file) or to IMQUOTA_REDIS_PASSWORD",
        );
    }
}

/// Files for TLS where nothing speaks it were surely meant for something.
fn check_tls(topology: &Topology, section: Option<Section<'_>>, findings: &mut Findings) {
    let is_tls = match topology {
        Topology::Single(url) => url.is_tls(),
        Topology::Sentinel { urls, .. } | Topology::Cluster(urls) => {
            urls.iter().any(RedisUrl::is_tls)
        }
    };
    let tls = section.as_ref().and_then(|section| section.given("tls"));
    if let Some(value) = tls.filter(|_| !is_tls) {
        value.fault(
            findings,
            "is for a URL that begins with rediss://, and there is none",
        );
    }
}

/// What only a Redis needs to be told.
struct Rest {
    key_prefix: Box<str>,
    create: Create,
    wait: Duration,
    witness_wait: Option<Duration>,
}

impl Default for Rest {
    fn default() -> Self {
        Self {
            key_prefix: KEY_PREFIX_DEFAULT.into(),
            create: Create::Auto,
            wait: WAIT_DEFAULT,
            witness_wait: Some(WITNESS_WAIT_DEFAULT),
        }
    }
}

fn rest(section: &Section<'_>, findings: &mut Findings) -> Rest {
    let mut rest = Rest::default();
    if let Some(value) = section.given("key_prefix")
        && let Some(key_prefix) = value.read(findings, "text", prefix)
    {
        rest.key_prefix = key_prefix;
    }
    if let Some(value) = section.given("create")
        && let Some(create) = value.read(findings, "auto or never", create)
    {
        rest.create = create;
    }
    if let Some(value) = section.given("timeout")
        && let Some(wait) = value.read(findings, "a duration such as 500ms", wait)
    {
        rest.wait = wait;
    }
    if let Some(value) = section.given("witness_wait")
        && let Some(wait) = value.read(findings, "a duration such as 5s, or 0s", witness_wait)
    {
        rest.witness_wait = wait;
    }
    rest
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

/// What the file says of more than one Redis; `None`: nothing, or something faulty. To take one of them for
/// all would be another ledger than the one that was meant.
fn many(section: &Section<'_>, findings: &mut Findings) -> Option<Topology> {
    let given = section.given("mode");
    let mode = match &given {
        Some(value) => value.read(findings, "single, sentinel or cluster", mode),
        None => Some(Mode::Single),
    };
    let urls = urls(section, findings);
    let master_name = section.given("master_name");
    let name = master_name
        .as_ref()
        .and_then(|value| value.read(findings, "a name", name));
    match (mode, &master_name) {
        (Some(Mode::Single | Mode::Cluster), Some(value)) => {
            value.fault(findings, "is for mode sentinel");
        }
        (Some(Mode::Sentinel), None) => drop(section.required(findings, "master_name")),
        _ => {}
    }
    if mode? == Mode::Single {
        if let Some(value) = section.given("urls") {
            value.fault(
                findings,
                "is for mode sentinel or cluster; one Redis is named by url",
            );
        }
        return None;
    }
    if let Some(value) = section.given("url") {
        value.fault(findings, "is for mode single; name all of them by urls");
    }
    if section.given("urls").is_none() {
        section.required(findings, "urls");
    }
    let urls = urls?;
    match mode? {
        Mode::Single => None,
        Mode::Sentinel => Some(Topology::Sentinel {
            urls,
            master_name: name?,
        }),
        Mode::Cluster => Some(Topology::Cluster(urls)),
    }
}

fn urls(section: &Section<'_>, findings: &mut Findings) -> Option<Box<[RedisUrl]>> {
    let value = section.given("urls")?;
    if value.is_empty_list() {
        value.fault(findings, "must name at least one");
    }
    let is_cluster = section
        .given("mode")
        .is_some_and(|mode| mode.is_text("cluster"));
    let mut all: Vec<RedisUrl> = Vec::new();
    let items = value.list(findings).into_iter().flatten();
    for (at, item) in items.enumerate() {
        if at == URLS_MAX {
            item.fault(findings, format!("there may be at most {URLS_MAX} of them"));
            break;
        }
        let Some(url) = item.read(findings, "a URL", RedisUrl::parse) else {
            continue;
        };
        let first = all.first().unwrap_or(&url);
        if url.is_socket() {
            item.fault(findings, "is a socket; name a host and its port");
        } else if url.is_tls() != first.is_tls() {
            item.fault(
                findings,
                "must be redis:// or rediss:// as the first one is",
            );
        } else if url.database() != first.database() {
            item.fault(findings, "must name the same database as the first one");
        } else if is_cluster && url.database() != 0 {
            item.fault(findings, "names a database; a Cluster has none but 0");
        }
        all.push(url);
    }
    (!all.is_empty()).then(|| all.into())
}

fn name(text: &str) -> Read<Box<str>> {
    let allowed = |byte: u8| byte.is_ascii_graphic();
    if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.into());
    }
    Err(format!(
        "must be the name that stands behind \"sentinel monitor\", not {}",
        shown(text)
    ))
}
