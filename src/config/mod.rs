//! Text to typed settings. Every fault is found at once and told with its file, line and key.
//!
//! The way: text → a tree that knows its lines (`yaml`, `tree`) → typed access that reports and
//! reads on (`value`, `scalar`) → one module for each section → [`Settings`]. A flag wins over the
//! environment, the environment over the file, the file over the default.

mod apps;
mod auth;
mod billing;
mod connections;
mod decisions;
mod envoy;
mod fees;
mod file;
mod finding;
mod layered;
mod limits;
mod listeners;
mod metrics;
mod outage;
mod plans;
mod process;
mod redis_login;
mod redis_url;
mod request_ids;
mod scalar;
mod settings;
mod sources;
mod spin;
mod store;
mod tls;
mod traces;
mod tree;
mod value;
mod words;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use connections::Connections;
pub use decisions::DecisionRates;
pub use envoy::EnvoyKeys;
pub use file::FILE_BYTES_MAX;
pub use finding::{FINDINGS_MAX, Faults, Finding, Place};
pub use redis_url::RedisUrl;
pub use settings::{
    ByDefault, Create, LogFormat, Login, Password, RedisSettings, RedisTls, Settings,
    StoreSettings, Topology,
};
pub use sources::{Environment, Flags, Host};
pub use tls::ListenerTls;

pub(crate) use scalar::duration;

use crate::quota::{Currency, Plan, PlanName};
use finding::Findings;
use tree::Tree;
use value::{Section, Value};

/// The most apps in a settings file.
pub const APPS_MAX: usize = 1_000_000;
/// The most plans in a settings file.
pub const PLANS_MAX: usize = 1_000;
/// The most addresses to listen on.
pub const LISTENERS_MAX: usize = 16;
/// The most serving threads.
pub const WORKERS_MAX: usize = 1_024;
/// The longest name of a member, in bytes.
pub const MEMBER_BYTES_MAX: usize = 64;
/// The longest key prefix, in bytes.
pub const KEY_PREFIX_BYTES_MAX: usize = 64;

/// The environment's twin of `--config`.
const CONFIG_VARIABLE: &str = "IMQUOTA_CONFIG";

/// The keys of the file's top level.
const KEYS: [&str; 25] = [
    "listen",
    "admin_listen",
    "http_listen",
    "health_listen",
    "allow_plaintext",
    "tls",
    "auth",
    "connections",
    "envoy_keys",
    "request_ids",
    "data_dir",
    "store",
    "outage",
    "unknown_app_plan",
    "shadow",
    "billing",
    "plans",
    "apps",
    "member",
    "workers",
    "spin",
    "log_format",
    "log_decisions",
    "metrics",
    "traces",
];

/// The settings of a server: the file that `--config` or `IMQUOTA_CONFIG` names, if one does, and
/// what is laid over it.
///
/// # Errors
/// All faults.
pub fn load(flags: &Flags, environment: &Environment, host: &Host) -> Result<Settings, Faults> {
    match file(flags, environment) {
        Some(path) => of_file(&path, flags, environment, host),
        None => settings(None, flags, environment, host, Findings::default()),
    }
}

/// The settings file that a server with these flags and this environment reads, if it reads one.
#[must_use]
pub fn file(flags: &Flags, environment: &Environment) -> Option<PathBuf> {
    let named = environment.raw(CONFIG_VARIABLE).map(PathBuf::from);
    flags.config.clone().or(named)
}

/// The data folder of a server with this environment and without flags.
///
/// # Errors
/// All faults of its settings.
pub fn data_dir(environment: &Environment) -> Result<PathBuf, Faults> {
    let settings = load(&Flags::default(), environment, &Host::here(environment))?;
    Ok(settings.data_dir)
}

/// The settings that the file alone makes, for a check before it is rolled out: nothing of the
/// machine that checks it counts, but the passwords of Redis that `environment` has, if one is given. What
/// [`Settings::by_default`] names is made up.
///
/// # Errors
/// All faults.
pub fn check(path: &Path, environment: Option<&Environment>) -> Result<Settings, Faults> {
    let elsewhere = Host {
        name: Some("elsewhere".into()),
        cores: NonZeroUsize::MIN,
        data_home: Some(PathBuf::new()),
    };
    let passwords = [redis_login::OF_REDIS, redis_login::OF_SENTINELS].map(|of| of.variable);
    let environment = environment.map_or_else(Environment::default, |all| all.only(&passwords));
    of_file(path, &Flags::default(), &environment, &elsewhere)
}

/// The plans and the currency that a file says, or the built-in ones.
///
/// # Errors
/// All faults of the file.
pub fn prices(file: Option<&Path>) -> Result<Prices, Faults> {
    if let Some(file) = file {
        let Settings {
            plans, currency, ..
        } = check(file, None)?;
        return Ok(Prices { plans, currency });
    }
    let (mut none, currency) = (Findings::default(), Currency::USD);
    let plans = plans::read(None, currency, &mut none);
    Ok(Prices { plans, currency })
}

/// What bills are made by.
#[derive(Debug, Clone)]
pub struct Prices {
    /// The plans by name.
    pub plans: BTreeMap<PlanName, Arc<Plan>>,
    /// What their prices are in.
    pub currency: Currency,
}

fn of_file(
    path: &Path,
    flags: &Flags,
    environment: &Environment,
    host: &Host,
) -> Result<Settings, Faults> {
    let name: Arc<str> = path.display().to_string().into();
    match file::read(path) {
        Ok(text) => {
            let mut findings = Findings::default();
            let tree = yaml::parse(&name, &text, &mut findings);
            // A file of many apps is large, and the tree holds what is needed of it.
            drop(text);
            of_tree(&name, tree.as_ref(), flags, environment, host, findings)
        }
        Err((line, problem)) => {
            // What the flags say is still checked; what the file might have said is not guessed.
            let mut findings = Findings::default();
            findings.fault(Place::File { name, line }, "", problem);
            settings(None, flags, environment, host, findings)
        }
    }
}

/// As [`load`], from the text of a file called `name`.
///
/// # Errors
/// All faults.
pub fn of_text(
    name: &Arc<str>,
    text: &str,
    flags: &Flags,
    environment: &Environment,
    host: &Host,
) -> Result<Settings, Faults> {
    let mut findings = Findings::default();
    let tree = yaml::parse(name, text, &mut findings);
    of_tree(name, tree.as_ref(), flags, environment, host, findings)
}

fn of_tree(
    name: &Arc<str>,
    tree: Option<&Tree>,
    flags: &Flags,
    environment: &Environment,
    host: &Host,
    mut findings: Findings,
) -> Result<Settings, Faults> {
    let root = tree.map(|tree| Value::root(name, tree));
    let file = root.and_then(|root| root.section(&mut findings, &KEYS));
    settings(file, flags, environment, host, findings)
}

fn settings(
    file: Option<Section<'_>>,
    flags: &Flags,
    environment: &Environment,
    host: &Host,
    mut findings: Findings,
) -> Result<Settings, Faults> {
    let findings_of_all = &mut findings;
    let listeners = listeners::read(flags, environment, file, findings_of_all);
    let connections = connections::read(file, findings_of_all);
    let envoy_keys = envoy::read(file, findings_of_all);
    let process = process::read(flags, environment, host, file, findings_of_all);
    let store = store::read(flags, environment, file, findings_of_all);
    let outage = outage::read(file, findings_of_all);
    let request_ids = request_ids::read(file, findings_of_all);
    let (zone, currency, retention) = billing::read(file, findings_of_all);
    let app_series = metrics::read(file, findings_of_all);
    let decisions = decisions::read(file, findings_of_all);
    let traces = traces::read(file, findings_of_all);
    let spin = spin::read(file, findings_of_all);
    let plans = plans::read(file, currency, findings_of_all);
    let rulebook = apps::read(file, &plans, findings_of_all);
    let notices = findings.verdict()?;
    Ok(Settings {
        listen: listeners.listen,
        admin_listen: listeners.admin,
        health_listen: listeners.health,
        http_listen: listeners.http,
        tls: listeners.tls,
        allow_plaintext: listeners.plain,
        auth: listeners.auth,
        connections,
        envoy_keys,
        data_dir: process.data_dir,
        store,
        outage,
        request_ids,
        zone,
        retention,
        currency,
        plans,
        rulebook,
        member: process.member,
        app_series,
        decisions,
        traces,
        workers: process.workers,
        spin,
        log_format: process.log_format,
        by_default: process.by_default,
        notices,
    })
}
