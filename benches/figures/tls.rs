//! What TLS costs a server: on calls, and on connections that come.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use imquota::grpc::proto::Resource;

use crate::child::{Loaded, Loading};
use crate::load::NAME;
use crate::sidecar::{Limits, Sidecar};
use crate::stat::{Ratios, Runs, decimal, grouped, thousandths};
use crate::{Effort, Failure};

/// The apps that are asked for in turn.
const APPS: u64 = 10_000;
const FIRST_APP: u64 = 1_500_000_000;
/// How long one load's last packets may need before the next begins.
const PAUSE: Duration = Duration::from_millis(200);

/// The two listeners of one sidecar.
const LISTENERS: [&str; 2] = ["plain TCP", "TLS"];

/// Prints the ratios of calls, and how many handshakes there are in a second of the server's core.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "TLS 1.3 with a certificate of ECDSA P-256, and plain TCP, of one sidecar: one core for it, one for\n\
         the load; calls as of `check`: 4 connections x 64 in flight"
    );
    let folder = tempfile::tempdir()?;
    let [cert, key] = issue(folder.path())?;
    let (ours, secure) =
        Sidecar::with_tls("embedded", folder.path(), Limits::Metered, [&cert, &key])?;
    let addresses = [&ours.tcp, &secure];
    let mut load = vec![
        format!("--apps={APPS}"),
        format!("--first-app={FIRST_APP}"),
        format!("--server={}", ours.process.id()),
        format!("--warm-ms={}", effort.warm_ms),
        format!("--measure-ms={}", effort.measure_ms),
    ];
    let (mut calls, mut connections) = (Calls::default(), Connections::default());
    let mut answered = 0;
    for round in 0..effort.rounds {
        for what in ["load", "connects"] {
            let mut found = [None; LISTENERS.len()];
            for turn in 0..LISTENERS.len() {
                // Who goes first changes, so that a drift of the machine favours nobody.
                let which = (turn + usize::try_from(round)?) % LISTENERS.len();
                let kept = load.len();
                load.push(format!("--to={}", addresses[which]));
                if which == 1 {
                    load.push(format!("--root={}", cert.display()));
                }
                sleep(PAUSE);
                let loaded = Loading::start_as(what, &load)?.finish()?;
                load.truncate(kept);
                answered += loaded.answered;
                found[which] = Some(loaded);
            }
            let [Some(plain), Some(tls)] = found else {
                continue;
            };
            if what == "load" {
                calls.add([plain, tls]);
            } else {
                connections.add([plain, tls]);
            }
        }
    }
    calls.print();
    connections.print();
    let counted = ours.counted(Resource::Account, FIRST_APP, APPS)?;
    if counted != answered {
        return Err(format!("{answered} checks were allowed, but {counted} are counted").into());
    }
    println!(
        "  all {} checks were answered ALLOW, and GetUsage has as many",
        grouped(answered)
    );
    ours.process.terminate()
}

/// Writes a certificate that is its own root, and its key.
fn issue(folder: &Path) -> Result<[PathBuf; 2], Failure> {
    // The key that is made where none is named is of ECDSA P-256.
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let [cert, key] = ["server.crt", "server.key"].map(|name| folder.join(name));
    fs::write(&cert, made.cert.pem())?;
    fs::write(&key, made.signing_key.serialize_pem())?;
    Ok([cert, key])
}

/// So many in a second of the server's core.
fn core_rate(run: &Loaded) -> u64 {
    run.measured * 1_000_000 / run.server_busy_micros.max(1)
}

/// Calls on connections that stay.
#[derive(Default)]
struct Calls {
    rates: [Runs; LISTENERS.len()],
    ratio: Ratios,
    core_ratio: Ratios,
    load_busy: Runs,
    server_busy: Runs,
}

impl Calls {
    fn add(&mut self, found: [Loaded; LISTENERS.len()]) {
        let rates = found.map(|run| run.measured * 1_000_000 / run.micros.max(1));
        let [plain, tls] = rates;
        self.ratio.add(tls, plain);
        let [plain, tls] = found.each_ref().map(core_rate);
        self.core_ratio.add(tls, plain);
        for (at, run) in found.iter().enumerate() {
            self.rates[at].add(rates[at]);
            self.load_busy.add(thousandths(run.busy_micros, run.micros));
            self.server_busy
                .add(thousandths(run.server_busy_micros, run.micros));
        }
    }

    fn print(&self) {
        for (name, rate) in LISTENERS.iter().zip(&self.rates) {
            println!("  {:<28} {rate}", format!("{name}, checks/s"));
        }
        println!("  TLS / plain                  {}", self.ratio);
        println!("  the same, a core second      {}", self.core_ratio);
        println!(
            "  share of its core            server {}, load {} (medians)",
            decimal(self.server_busy.median()),
            decimal(self.load_busy.median())
        );
    }
}

/// Connections with one call each, opened one after the other.
#[derive(Default)]
struct Connections {
    core_rates: [Runs; LISTENERS.len()],
    /// What one with TLS takes more than a plain one, in microseconds of the server's core.
    handshake_micros: Runs,
}

impl Connections {
    fn add(&mut self, found: [Loaded; LISTENERS.len()]) {
        for (rates, run) in self.core_rates.iter_mut().zip(&found) {
            rates.add(core_rate(run));
        }
        let [plain, tls] = found.map(|run| run.server_busy_micros / run.measured.max(1));
        self.handshake_micros.add(tls.saturating_sub(plain));
    }

    fn print(&self) {
        println!(
            "  new connections, 4 at a time, with one call each, in a second of the server's core:"
        );
        let [plain, tls] = &self.core_rates;
        println!("    plain TCP                  {plain}");
        println!("    TLS, a full handshake each {tls}");
        println!("    a handshake alone, µs      {}", self.handshake_micros);
    }
}
