//! The figures of the README, measured: `benches/run` prints them all.
//!
//! Servers run on core 0, loads and Redis on core 1. Nothing leaves the loopback, every load is
//! bounded, and every process that is started is ended.

mod actives;
mod bills;
mod check;
mod child;
mod commands;
mod counted;
mod disturbed;
mod echo;
mod evalsha;
mod instructions;
mod latency;
mod load;
mod machine;
mod many;
mod memory;
mod noop;
mod others;
mod paced;
mod redis;
mod relay;
mod share;
mod sidecar;
mod soak;
mod start;
mod stat;
mod tight;
mod tls;

use clap::{Parser, Subcommand};

/// Any fault ends the measurement with one line.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    rounds: u64,
    warm_ms: u64,
    measure_ms: u64,
    apps: u64,
    users: u64,
    /// Apps with a thousand users each.
    billed: u64,
    kills: u64,
    /// Seconds of a load that several sidecars share.
    seconds: u64,
    /// Seconds without calls before memory is read.
    idle: u64,
}

#[derive(Debug, Parser)]
#[command(about = "Measures imquota on this machine", args_override_self = true)]
struct Args {
    /// What is measured; without it, every figure (the soak is none).
    #[command(subcommand)]
    what: Option<What>,
    /// Seconds instead of minutes: shows that it works, not how fast it is.
    #[arg(long, global = true)]
    quick: bool,
    /// Rounds of the comparison.
    #[arg(long, global = true, default_value_t = 7)]
    rounds: u64,
    /// Kills of the soak, for each store and path.
    #[arg(long, global = true, default_value_t = 20)]
    kills: u64,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A full check against a no-op tonic server.
    Check,
    /// A check against limitador and envoyproxy/ratelimit, where they are on the PATH.
    Others,
    /// One call at a time, against a byte echo.
    Latency,
    /// One call at a time, while something else goes on.
    Disturbed,
    /// Calls at a fixed rate, half of what the server can and nearly all, while something else goes on.
    Paced,
    /// A check that goes to Redis against one bare call of a script.
    Evalsha,
    /// Two serving threads against one.
    Scaling,
    /// What 1,000 checks cost Redis in each of the three ways: commands, time, memory.
    Commands,
    /// Memory an app, for both stores.
    Memory,
    /// Redis memory a daily active user.
    Actives,
    /// The time that a month's bills take.
    Bills,
    /// Checks of a large hard limit that many sidecars answer from memory.
    Share,
    /// Checks of a tight limit that are denied while a place is free.
    Tight,
    /// Time to be ready, with a journal of many apps.
    Start,
    /// Kill -9 under load: no answered creation may be missing.
    Soak,
    /// Instructions of what a check is made of, under valgrind, against what they were.
    Instructions,
    /// So much of that, and nothing else.
    #[command(hide = true)]
    Counted(counted::Counted),
    /// Calls over TLS against calls over plain TCP, and handshakes a second of a core.
    Tls,
    /// Batches and streams against single calls.
    Many,
    /// The load alone, against a server that runs already.
    Load(load::Load),
    /// Connections that come and go alone.
    Connects(load::Connects),
    /// The load of batches and streams alone.
    ManyLoad(load::Many),
    /// Bare calls of a script alone.
    EvalshaLoad(evalsha::Evalsha),
    /// Creations under a tight limit alone.
    TightLoad(evalsha::TightLoad),
    /// The load at a fixed rate alone.
    PacedLoad(load::Paced),
    /// Timed calls alone.
    Pulse(load::Pulse),
    /// The no-op server alone.
    Noop(noop::Noop),
    /// The byte echo alone.
    Echo(echo::Echo),
}

fn main() -> std::process::ExitCode {
    match run(Args::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("figures: {failure}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    let effort = if args.quick {
        Effort {
            rounds: 2,
            warm_ms: 200,
            measure_ms: 500,
            apps: 10_000,
            users: 20_000,
            billed: 200,
            kills: 2,
            seconds: 3,
            idle: 6,
        }
    } else {
        Effort {
            rounds: args.rounds,
            warm_ms: 500,
            measure_ms: 4_000,
            apps: 100_000,
            users: 1_000_000,
            billed: 10_000,
            kills: args.kills,
            seconds: 30,
            // What it takes to save, every 30 s, is given back by then.
            idle: 45,
        }
    };
    match args.what {
        Some(What::Load(load)) => return load.run(),
        Some(What::Connects(load)) => return load.run(),
        Some(What::ManyLoad(load)) => return load.run(),
        Some(What::PacedLoad(load)) => return load.run(),
        Some(What::EvalshaLoad(load)) => return load.run(),
        Some(What::TightLoad(load)) => return load.run(),
        Some(What::Pulse(load)) => return load.run(),
        Some(What::Noop(noop)) => return noop.run(),
        Some(What::Echo(echo)) => return echo.run(),
        Some(What::Counted(counted)) => return counted.run(),
        Some(What::Instructions) => return instructions::run(),
        _ => machine::print(),
    }
    match args.what {
        Some(What::Check) => check::run(effort),
        Some(What::Others) => others::run(effort),
        Some(What::Tls) => tls::run(effort),
        Some(What::Many) => many::run(effort),
        Some(What::Latency) => latency::run(effort),
        Some(What::Disturbed) => disturbed::run(effort),
        Some(What::Paced) => paced::run(effort),
        Some(What::Evalsha) => evalsha::run(effort),
        Some(What::Scaling) => paced::scaling(effort),
        Some(What::Commands) => commands::run(effort),
        Some(What::Memory) => memory::run(effort),
        Some(What::Actives) => actives::run(effort),
        Some(What::Bills) => bills::run(effort),
        Some(What::Share) => share::run(effort),
        Some(What::Tight) => tight::run(effort),
        Some(What::Start) => start::run(effort),
        Some(What::Soak) => soak::run(effort),
        _ => {
            check::run(effort)?;
            others::run(effort)?;
            tls::run(effort)?;
            many::run(effort)?;
            latency::run(effort)?;
            disturbed::run(effort)?;
            paced::run(effort)?;
            paced::scaling(effort)?;
            evalsha::run(effort)?;
            commands::run(effort)?;
            memory::run(effort)?;
            actives::run(effort)?;
            bills::run(effort)?;
            share::run(effort)?;
            tight::run(effort)?;
            start::run(effort)
        }
    }
}
