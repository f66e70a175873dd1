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
/// How long one load's last packets may need before the next begins.
const PAUSE: Duration = Duration::from_millis(200);

/// One way in, measured on both servers.
struct Way {
    name: &'static str,
    ours: String,
    noop: String,
    our_rates: Runs,
    noop_rates: Runs,
    ratios: Ratios,
    core_ratios: Ratios,
    load_busy: Runs,
    server_busy: Runs,
}

/// Prints the ratio for TCP and for a Unix socket.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "Check of an unlimited resource, with a request id, of {} apps: 4 connections x 64 in flight,\n\
         one core for the server, one for the load; no-op: stock tonic on one current_thread runtime",
        grouped(APPS)
    );
    let folder = tempfile::tempdir()?;
    let ours = Sidecar::start("embedded", folder.path(), Limits::Metered)?;
    let (noop, noop_tcp, noop_socket) = start_noop(folder.path())?;
    let mut ways = [
        Way::new("TCP", &ours.tcp, &noop_tcp),
        Way::new("Unix socket", &ours.socket, &noop_socket),
    ];
    let mut answered = 0;
    for round in 0..effort.rounds {
        for way in &mut ways {
            // Who goes first changes, so that a drift of the machine favours nobody.
            let (mine, other) = if round % 2 == 0 {
                let mine = alone(effort, &ours.process, &noop, &way.ours)?;
                (mine, alone(effort, &noop, &ours.process, &way.noop)?)
            } else {
                let other = alone(effort, &noop, &ours.process, &way.noop)?;
                (alone(effort, &ours.process, &noop, &way.ours)?, other)
            };
            answered += mine.loaded.answered;
            way.add(mine, other);
        }
    }
    noop.stand_still()?;
    ours.process.go_on()?;
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
struct Measured {
    loaded: Loaded,
    /// Checks a second.
    rate: u64,
    /// Checks in a second of the server's core.
    core_rate: u64,
}

/// Measures `server` at `address` while `other` stands still.
fn alone(
    effort: Effort,
    server: &Running,
    other: &Running,
    address: &str,
) -> Result<Measured, Failure> {
    other.stand_still()?;
    server.go_on()?;
    sleep(PAUSE);
    let load = Loading::start(&[
        format!("--to={address}"),
        format!("--apps={APPS}"),
        format!("--first-app={FIRST_APP}"),
        format!("--server={}", server.id()),
        format!("--warm-ms={}", effort.warm_ms),
        format!("--measure-ms={}", effort.measure_ms),
    ])?;
    let loaded = load.finish()?;
    Ok(Measured {
        rate: loaded.measured * 1_000_000 / loaded.micros.max(1),
        core_rate: loaded.measured * 1_000_000 / loaded.server_busy_micros.max(1),
        loaded,
    })
}

impl Way {
    fn new(name: &'static str, ours: &str, noop: &str) -> Self {
        Self {
            name,
            ours: ours.to_owned(),
            noop: noop.to_owned(),
            our_rates: Runs::default(),
            noop_rates: Runs::default(),
            ratios: Ratios::default(),
            core_ratios: Ratios::default(),
            load_busy: Runs::default(),
            server_busy: Runs::default(),
        }
    }

    fn add(&mut self, mine: Measured, other: Measured) {
        self.our_rates.add(mine.rate);
        self.noop_rates.add(other.rate);
        self.ratios.add(mine.rate, other.rate);
        self.core_ratios.add(mine.core_rate, other.core_rate);
        for run in [mine, other] {
            let share = |busy| thousandths(busy, run.loaded.micros);
            self.load_busy.add(share(run.loaded.busy_micros));
            self.server_busy.add(share(run.loaded.server_busy_micros));
        }
    }

    fn print(&self) {
        println!("  {}:", self.name);
        println!("    imquota, checks/s          {}", self.our_rates);
        println!("    no-op tonic, checks/s      {}", self.noop_rates);
        println!("    imquota / no-op            {}", self.ratios);
        println!("    the same, a core second    {}", self.core_ratios);
        println!(
            "    share of its core          servers {}, load {} (medians)",
            decimal(self.server_busy.median()),
            decimal(self.load_busy.median())
        );
    }
}

/// The server that does nothing, and its two addresses.
fn start_noop(folder: &Path) -> Result<(Running, String, String), Failure> {
    let port = free_port()?;
    let socket = folder.join("noop.sock");
    let args = [
        "noop".to_owned(),
        format!("--port={port}"),
        format!("--socket={}", socket.display()),
    ];
    let noop = Running::start(SERVER_CORE, std::env::current_exe()?, &args)?;
    // It binds both before it serves either, so the socket says that it is there.
    while !socket.exists() {
        sleep(Duration::from_millis(10));
    }
    Ok((
        noop,
        format!("127.0.0.1:{port}"),
        format!("unix:{}", socket.display()),
    ))
}
