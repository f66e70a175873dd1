//! A check against what others count with, each by the call that Envoy asks a rate limit service, where they are on
//! the PATH: nothing is installed for it.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::child::{Loading, Running, SERVER_CORE};
use crate::load::{COUNTED_BY, DOMAIN};
use crate::redis::Redis;
use crate::sidecar::{Limits, Sidecar, free_port};
use crate::stat::{Ratios, Runs, grouped};
use crate::{Effort, Failure};

const APPS: u64 = 10_000;
const FIRST_APP: u64 = 1_800_000_000;
/// No load reaches it.
const LIMIT: u64 = 1_000_000_000;
/// How long one load's last packets may need before the next begins.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a server may take until it listens.
const START_MAX: Duration = Duration::from_secs(10);

const LIMITADOR: &str = "limitador-server";
const RATELIMIT: &str = "ratelimit";

/// What others count with, and where.
#[derive(Debug, Clone, Copy)]
enum Other {
    /// limitador, with its storage of this name.
    Limitador(&'static str),
    Ratelimit,
}

const OTHERS: [Other; 4] = [
    Other::Limitador("memory"),
    Other::Limitador("redis"),
    Other::Limitador("redis_cached"),
    Other::Ratelimit,
];

impl Other {
    fn program(self) -> &'static str {
        match self {
            Self::Limitador(_) => LIMITADOR,
            Self::Ratelimit => RATELIMIT,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Limitador(storage) => format!("limitador, {storage}"),
            Self::Ratelimit => "envoyproxy/ratelimit, redis".into(),
        }
    }

    fn is_in_memory(self) -> bool {
        matches!(self, Self::Limitador("memory"))
    }

    /// Starts it on `port`, and waits until it listens.
    fn start(self, folder: &Path, port: u16, redis: u16) -> Result<Running, Failure> {
        let args = match self {
            Self::Limitador(storage) => limitador(folder, storage, port, redis)?,
            Self::Ratelimit => ratelimit(folder, port, redis)?,
        };
        let running = Running::start(SERVER_CORE, PathBuf::from("env"), &args)?;
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if since.elapsed() > START_MAX {
                return Err(format!("{} does not listen", self.name()).into());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(running)
    }
}

fn limitador(folder: &Path, storage: &str, port: u16, redis: u16) -> Result<Vec<String>, Failure> {
    let limits = folder.join("limitador.yaml");
    fs::write(
        &limits,
        format!(
            "- namespace: {DOMAIN}\n  max_value: {LIMIT}\n  seconds: 86400\n  conditions: []\n  \
             variables: [\"descriptors[0].{COUNTED_BY}\"]\n"
        ),
    )?;
    let (rls, http) = (
        format!("--rls-port={port}"),
        format!("--http-port={}", free_port()?),
    );
    let limits = limits.display().to_string();
    let (ip, other_ip) = ("--rls-ip=127.0.0.1", "--http-ip=127.0.0.1");
    let mut args = vec![LIMITADOR, &rls, &http, ip, other_ip, &limits, storage];
    let url = Redis::url(redis);
    if storage != "memory" {
        args.push(&url);
    }
    Ok(args.into_iter().map(str::to_owned).collect())
}

fn ratelimit(folder: &Path, port: u16, redis: u16) -> Result<Vec<String>, Failure> {
    let config = folder.join("ratelimit/config");
    fs::create_dir_all(&config)?;
    fs::write(
        config.join("imquota.yaml"),
        format!(
            "domain: {DOMAIN}\ndescriptors:\n  - key: {COUNTED_BY}\n    rate_limit: {{ unit: day, \
             requests_per_unit: {LIMIT} }}\n"
        ),
    )?;
    let (http, debug) = (free_port()?, free_port()?);
    Ok(vec![
        "GOMAXPROCS=1".into(),
        // Else it writes each of its figures to its log.
        "DISABLE_STATS=true".into(),
        "USE_STATSD=false".into(),
        "LOG_LEVEL=error".into(),
        format!("RUNTIME_ROOT={}", folder.display()),
        "RUNTIME_SUBDIRECTORY=ratelimit".into(),
        "RUNTIME_WATCH_ROOT=false".into(),
        "BACKEND_TYPE=redis".into(),
        "REDIS_SOCKET_TYPE=tcp".into(),
        format!("REDIS_URL=127.0.0.1:{redis}"),
        "HOST=127.0.0.1".into(),
        format!("PORT={http}"),
        "DEBUG_HOST=127.0.0.1".into(),
        format!("DEBUG_PORT={debug}"),
        "GRPC_HOST=127.0.0.1".into(),
        format!("GRPC_PORT={port}"),
        RATELIMIT.into(),
    ])
}

/// Prints how many checks each answers, and the ratio to ours with a ledger of the same kind.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "A check against what others count with, {} apps, over TCP: 4 connections x 64 in flight, one core\n\
         for the server, one for the load and Redis; ours with a request id, theirs without",
        grouped(APPS)
    );
    for other in OTHERS {
        if is_there(other.program()) {
            against(effort, other)?;
        } else {
            println!(
                "  {}: there is no {} on the PATH",
                other.name(),
                other.program()
            );
        }
    }
    Ok(())
}

fn against(effort: Effort, other: Other) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path())?;
    let url = Redis::url(redis.port);
    let store = if other.is_in_memory() {
        "embedded"
    } else {
        &url
    };
    let ours = Sidecar::start(store, folder.path(), Limits::Metered)?;
    let port = free_port()?;
    let theirs = other.start(folder.path(), port, redis.port)?;
    let address = format!("127.0.0.1:{port}");
    let (mut rates, mut ratios) = ([Runs::default(), Runs::default()], Ratios::default());
    for _ in 0..effort.rounds {
        theirs.stand_still()?;
        let mine = rate(effort, &ours.tcp, &ours.process, &[])?;
        theirs.go_on()?;
        ours.process.stand_still()?;
        let other = rate(effort, &address, &theirs, &["--rate-limit".into()])?;
        ours.process.go_on()?;
        rates[0].add(mine);
        rates[1].add(other);
        ratios.add(mine, other);
    }
    println!("  {}:", other.name());
    println!("    imquota, checks/s          {}", rates[0]);
    println!("    theirs                     {}", rates[1]);
    println!("    imquota / theirs           {ratios}");
    ours.process.terminate()
}

/// Checks a second.
fn rate(effort: Effort, to: &str, server: &Running, more: &[String]) -> Result<u64, Failure> {
    sleep(PAUSE);
    let args = [
        format!("--to={to}"),
        format!("--apps={APPS}"),
        format!("--first-app={FIRST_APP}"),
        format!("--server={}", server.id()),
        format!("--warm-ms={}", effort.warm_ms),
        format!("--measure-ms={}", effort.measure_ms),
    ];
    let loaded = Loading::start(&[&args[..], more].concat())?.finish()?;
    Ok(loaded.measured * 1_000_000 / loaded.micros.max(1))
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
