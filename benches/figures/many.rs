//! Batches and streams against single calls, on the same server.

use std::thread::sleep;
use std::time::Duration;

use imquota::grpc::proto::Resource;

use crate::child::{Loaded, Loading};
use crate::sidecar::{Limits, Sidecar};
use crate::stat::{Ratios, Runs, decimal, grouped, thousandths};
use crate::{Effort, Failure};

const APPS: u64 = 10_000;
const FIRST_APP: u64 = 1_600_000_000;
/// Checks in a batch.
const BATCH: u64 = 64;
/// How long one load's last packets may need before the next begins.
const PAUSE: Duration = Duration::from_millis(200);

/// One way of asking.
struct Way {
    name: &'static str,
    args: Vec<String>,
    rates: Runs,
    ratios: Ratios,
    core_ratios: Ratios,
    load_busy: Runs,
}

/// Prints how much more one server answers when many checks come together.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "Checks that come together, of an unlimited resource of {} apps, over TCP; one core for the server,\n\
         one for the load. Single: 4 connections x 64 calls in flight, each with a request id; as many batches.",
        grouped(APPS)
    );
    let folder = tempfile::tempdir()?;
    // Half a million ids a second are more than the memory that there is for them unless one asks for more: what comes
    // then is refused.
    let room = "request_ids: { max_memory: 4GiB }\n";
    let server = Sidecar::with("embedded", folder.path(), Limits::Metered, room)?.0;
    let way = |name, batch: u64, ids| Way {
        name,
        args: [
            vec![format!("--batch={batch}")],
            if ids { vec!["--ids".into()] } else { vec![] },
        ]
        .concat(),
        rates: Runs::default(),
        ratios: Ratios::default(),
        core_ratios: Ratios::default(),
        load_busy: Runs::default(),
    };
    let mut ways = [
        way("batches of 64", BATCH, false),
        way("batches of 64, with ids", BATCH, true),
        way("a stream a connection", 0, false),
        way("the same, with ids", 0, true),
    ];
    let (mut single, mut answered) = (Runs::default(), 0);
    for _ in 0..effort.rounds {
        let one = measure(effort, &server, "load", &[])?;
        single.add(rate(&one));
        answered += one.answered;
        for way in &mut ways {
            let many = measure(effort, &server, "many-load", &way.args)?;
            answered += many.answered;
            way.rates.add(rate(&many));
            way.ratios.add(rate(&many), rate(&one));
            way.core_ratios.add(core_rate(&many), core_rate(&one));
            way.load_busy
                .add(thousandths(many.busy_micros, many.micros));
        }
    }
    println!("  single calls, checks/s       {single}");
    for way in &ways {
        println!("  {}:", way.name);
        println!("    checks/s                   {}", way.rates);
        println!("    ÷ single calls             {}", way.ratios);
        println!("    the same, a core second    {}", way.core_ratios);
        println!(
            "    the load's share of a core {}",
            decimal(way.load_busy.median())
        );
    }
    let counted = server.counted(Resource::Account, FIRST_APP, APPS)?;
    if counted != answered {
        return Err(format!("{answered} checks were allowed, but {counted} are counted").into());
    }
    println!(
        "  all {} checks were answered ALLOW, and GetUsage has as many",
        grouped(answered)
    );
    server.process.terminate()
}

/// Checks in a second of the server's core: where the load is the limit, this is what the server can.
fn core_rate(loaded: &Loaded) -> u64 {
    loaded.measured * 1_000_000 / loaded.server_busy_micros.max(1)
}

fn rate(loaded: &Loaded) -> u64 {
    loaded.measured * 1_000_000 / loaded.micros.max(1)
}

fn measure(
    effort: Effort,
    server: &Sidecar,
    load: &str,
    more: &[String],
) -> Result<Loaded, Failure> {
    sleep(PAUSE);
    let mut args = vec![
        format!("--to={}", server.tcp),
        format!("--apps={APPS}"),
        format!("--first-app={FIRST_APP}"),
        format!("--server={}", server.process.id()),
        format!("--warm-ms={}", effort.warm_ms),
        format!("--measure-ms={}", effort.measure_ms),
    ];
    args.extend_from_slice(more);
    Loading::start_as(load, &args)?.finish()
}
