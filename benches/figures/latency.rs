//! What one caller waits when nobody else asks, against a server that sends back what it reads.

use serde_json::Value;

use crate::check::Peer;
use crate::child::Loading;
use crate::sidecar::{Limits, Sidecar};
use crate::stat::{Ratios, Runs};
use crate::{Effort, Failure};

const FIRST_APP: u64 = 1_700_000_000;
const NAMES: [&str; 4] = ["imquota", "no-op tonic", "byte echo", "imquota that spins"];
/// For so long it looks out for the next call.
const SPIN: &str = "spin: 200us\n";
pub(crate) const PARTS: [&str; 3] = ["p50_ns", "p99_ns", "p999_ns"];

/// Prints the times, and the ratio of the median ones.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "One call in flight, a fresh request id each, server and caller on a core each; a wait is from the\n\
         write to the answer, in ns: p50, p99, p99.9 (medians of the rounds)"
    );
    let (folder, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let ours = Sidecar::start("embedded", folder.path(), Limits::Metered)?;
    let spins = Sidecar::with("embedded", other.path(), Limits::Metered, SPIN)?.0;
    let noop = Peer::start(folder.path(), "noop", &[])?;
    let echo = Peer::start(folder.path(), "echo", &[])?;
    for (way, addresses) in [
        ("TCP", [&ours.tcp, &noop.tcp, &echo.tcp, &spins.tcp]),
        (
            "Unix socket",
            [&ours.socket, &noop.socket, &echo.socket, &spins.socket],
        ),
    ] {
        let mut times: [[Runs; PARTS.len()]; NAMES.len()] = Default::default();
        let mut ratios: [Ratios; 3] = Default::default();
        for round in 0..effort.rounds {
            let mut medians = [0; NAMES.len()];
            for turn in 0..NAMES.len() {
                let which = (turn + usize::try_from(round)?) % NAMES.len();
                let found = pulse(effort, addresses[which], NAMES[which] == "byte echo")?;
                for (at, part) in PARTS.iter().enumerate() {
                    let time = time(&found, part)?;
                    times[which][at].add(time);
                    if at == 0 {
                        medians[which] = time;
                    }
                }
            }
            let [mine, noop, echo, spinning] = medians;
            ratios[0].add(mine, noop);
            ratios[1].add(mine, echo);
            ratios[2].add(spinning, echo);
        }
        println!("  {way}:");
        for (name, times) in NAMES.iter().zip(&times) {
            let [p50, p99, p999] = times.each_ref().map(Runs::median);
            println!("    {name:<26} {p50} {p99} {p999}");
        }
        println!("    p50, imquota / no-op       {}", ratios[0]);
        println!("    p50, imquota / echo        {}", ratios[1]);
        println!("    p50, that spins / echo     {}", ratios[2]);
    }
    ours.process.terminate()?;
    spins.process.terminate()
}

/// One of the [`PARTS`] of what was found.
pub(crate) fn time(found: &Value, part: &str) -> Result<u64, Failure> {
    let time = found.get(part).and_then(Value::as_u64);
    Ok(time.ok_or("the load does not say how long it waited")?)
}

/// Asks one call after the other.
pub(crate) fn pulse(effort: Effort, to: &str, echo: bool) -> Result<Value, Failure> {
    let mut args = vec![
        format!("--to={to}"),
        format!("--first-app={FIRST_APP}"),
        format!("--warm-ms={}", effort.warm_ms),
        format!("--measure-ms={}", effort.measure_ms / 2),
    ];
    if echo {
        args.push("--echo".into());
    }
    Loading::start_as("pulse", &args)?.found()
}
