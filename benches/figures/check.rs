//! A full `Check` of an unlimited resource against a server that does nothing.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use imquota::grpc::proto::Resource;

use crate::child::{Loaded, Loading, Running, SERVER_CORE};
use crate::sidecar::{Limits, Sidecar, free_port};
use crate::stat::{Ratios, Runs, decimal, grouped, thousandths};
use crate::{Effort, Failure};

/// The apps that are asked for in turn.
const APPS: u64 = 10_000;
const FIRST_APP: u64 = 1_500_000_000;
/// Ours, the no-op one, and the one with a map.
const SERVERS: usize = 3;
/// How long one load's last packets may need before the next begins.
const PAUSE: Duration = Duration::from_millis(200);

/// One way in, measured on all servers.
struct Way {
    name: &'static str,
    /// What else the load is told.
    flags: &'static [&'static str],
    /// Ours first.
    addresses: [String; SERVERS],
    rates: [Runs; SERVERS],
    /// Ours by each of the others.
    ratios: [Ratios; SERVERS - 1],
    core_ratios: [Ratios; SERVERS - 1],
    load_busy: Runs,
    server_busy: Runs,
}

/// Prints the ratios for TCP, for a Unix socket, and for calls that tonic frames on both sides.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "Check of an unlimited resource, with a request id, of {} apps: 4 connections x 64 in flight,\n\
         one core for the server, one for the load; no-op: stock tonic on one current_thread runtime;\n\
         map: the same that counts in a DashMap, without ids, journal and settling",
        grouped(APPS)
    );
    let folder = tempfile::tempdir()?;
    let ours = Sidecar::start("embedded", folder.path(), Limits::Metered)?;
    let noop = Peer::start(folder.path(), "noop", &[])?;
    let map = Peer::start(folder.path(), "noop", &["--map"])?;
    let servers = [&ours.process, &noop.process, &map.process];
    let mut ways = [
        Way::new("TCP", &[], [&ours.tcp, &noop.tcp, &map.tcp]),
        Way::new(
            "Unix socket",
            &[],
            [&ours.socket, &noop.socket, &map.socket],
        ),
        Way::new(
            "TCP, in messages that may be packed: imquota has them framed by tonic",
            &["--may-be-packed"],
            [&ours.tcp, &noop.tcp, &map.tcp],
        ),
    ];
    let mut answered = 0;
    for round in 0..effort.rounds {
        for way in &mut ways {
            let mut found = [None; SERVERS];
            for turn in 0..SERVERS {
                // Who goes first changes, so that a drift of the machine favours nobody.
                let which = (turn + usize::try_from(round)?) % SERVERS;
                found[which] = Some(alone(effort, &servers, which, way)?);
            }
            let [Some(mine), Some(noop), Some(map)] = found else {
                continue;
            };
            answered += mine.loaded.answered;
            way.add([mine, noop, map]);
        }
    }
    for server in servers {
        server.go_on()?;
    }
    for way in &ways {
        way.print();
    }
    let counted = ours.counted(Resource::Account, FIRST_APP, APPS)?;
    if counted != answered {
        return Err(format!("{answered} checks were allowed, but {counted} are counted").into());
    }
    println!(
        "  all {} checks of imquota were answered ALLOW, and GetUsage has as many",
        grouped(answered)
    );
    ours.process.terminate()
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Measured {
    loaded: Loaded,
    /// Checks a second.
    rate: u64,
    /// Checks in a second of the server's core.
    core_rate: u64,
}

/// Measures one of `servers` while the others stand still.
fn alone(
    effort: Effort,
    servers: &[&Running; SERVERS],
    which: usize,
    way: &Way,
) -> Result<Measured, Failure> {
    for (at, server) in servers.iter().enumerate() {
        if at == which {
            server.go_on()?;
        } else {
            server.stand_still()?;
        }
    }
    let server = servers[which];
    sleep(PAUSE);
    let mut args = vec![
        format!("--to={}", way.addresses[which]),
        format!("--apps={APPS}"),
        format!("--first-app={FIRST_APP}"),
        format!("--server={}", server.id()),
        format!("--warm-ms={}", effort.warm_ms),
        format!("--measure-ms={}", effort.measure_ms),
    ];
    args.extend(way.flags.iter().map(ToString::to_string));
    let loaded = Loading::start(&args)?.finish()?;
    Ok(Measured {
        rate: loaded.measured * 1_000_000 / loaded.micros.max(1),
        core_rate: loaded.measured * 1_000_000 / loaded.server_busy_micros.max(1),
        loaded,
    })
}

impl Way {
    fn new(
        name: &'static str,
        flags: &'static [&'static str],
        addresses: [&String; SERVERS],
    ) -> Self {
        Self {
            name,
            flags,
            addresses: addresses.map(Clone::clone),
            rates: Default::default(),
            ratios: Default::default(),
            core_ratios: Default::default(),
            load_busy: Runs::default(),
            server_busy: Runs::default(),
        }
    }

    fn add(&mut self, found: [Measured; SERVERS]) {
        let [mine, others @ ..] = found;
        for (at, other) in others.into_iter().enumerate() {
            self.ratios[at].add(mine.rate, other.rate);
            self.core_ratios[at].add(mine.core_rate, other.core_rate);
        }
        for (at, run) in found.into_iter().enumerate() {
            self.rates[at].add(run.rate);
            let share = |busy| thousandths(busy, run.loaded.micros);
            self.load_busy.add(share(run.loaded.busy_micros));
            self.server_busy.add(share(run.loaded.server_busy_micros));
        }
    }

    fn print(&self) {
        println!("  {}:", self.name);
        for (name, rate) in ["imquota", "no-op tonic", "map tonic"]
            .iter()
            .zip(&self.rates)
        {
            println!("    {:<26} {rate}", format!("{name}, checks/s"));
        }
        for (at, name) in ["no-op", "map"].iter().enumerate() {
            println!(
                "    {:<26} {}",
                format!("imquota / {name}"),
                self.ratios[at]
            );
            println!("    the same, a core second    {}", self.core_ratios[at]);
        }
        println!(
            "    share of its core          servers {}, load {} (medians)",
            decimal(self.server_busy.median()),
            decimal(self.load_busy.median())
        );
    }
}

/// A server of this program, and its two addresses.
pub(crate) struct Peer {
    pub(crate) process: Running,
    pub(crate) tcp: String,
    pub(crate) socket: String,
}

impl Peer {
    /// Starts `what`, with these more arguments.
    pub(crate) fn start(folder: &Path, what: &str, more: &[&str]) -> Result<Self, Failure> {
        let port = free_port()?;
        let socket = folder.join(format!("{what}{}.sock", more.len()));
        let mut args = vec![
            what.to_owned(),
            format!("--port={port}"),
            format!("--socket={}", socket.display()),
        ];
        args.extend(more.iter().map(ToString::to_string));
        let process = Running::start(SERVER_CORE, std::env::current_exe()?, &args)?;
        // It binds both before it serves either, so the socket says that it is there.
        while !socket.exists() {
            sleep(Duration::from_millis(10));
        }
        Ok(Self {
            process,
            tcp: format!("127.0.0.1:{port}"),
            socket: format!("unix:{}", socket.display()),
        })
    }
}
