//! The simulation: the real ledger, admission and Redis store with the real scripts, in a world of
//! virtual time whose every fault follows from one seed.
//!
//! | module | one idea |
//! |---|---|
//! | `fake` | a Redis in memory that runs the scripts' own text; `twin`: a real one asked the same |
//! | `server`, `network`, `machine` | where the ledger runs, how it is reached, what time it is |
//! | `sidecar` | the program's own parts on such a machine, killed and started |
//! | `signs` | what many wait for |
//! | `gateway` | who asks, how patiently, and how often |
//! | `scenario`, `chaos` | what goes wrong: a list of faults drawn from the seed, dealt one by one |
//! | `operators` | who retires members and recounts apps |
//! | `auditor` | the truth; `books`: where the ledger keeps its counts |
//! | `aims` | plans in which a certain mistake shows |
//! | `steps` | the store's calls one by one, on the fake and a real server |
//! | `run`, `seeds`, `mutants`, `mutants_of_members`, `mutants_of_repeats`, `with_redis` | one run, many, with mistakes, with a real server |
//! | `regions` | a product in many regions on one ledger: what is answered from memory, and what Redis bears |
//! | `broken_off` | one call that nobody waits for any more |
//!
//! A new fault is a variant of `FaultKind`, its place in a list of `scenario` and its arm in `chaos`. A
//! new layout of the counts changes `books` alone.
//!
//! `IMQUOTA_SIM_SEEDS` says how many seeds are run, `IMQUOTA_SIM_FROM` with which one they begin. A seed
//! that fails is printed with the command that tells its story again, with a log; with
//! `IMQUOTA_SIM_ALL=1` the faults of all that fail are, in a line for each. How large the product of `regions` is,
//! is said there.

mod aims;
mod auditor;
mod books;
mod broken_off;
mod chaos;
mod fake;
mod gateway;
mod machine;
mod mutants;
mod mutants_of_members;
mod mutants_of_repeats;
mod network;
mod operators;
mod regions;
mod run;
mod scenario;
mod seeds;
mod server;
mod sidecar;
mod signs;
mod steps;
mod twin;
mod with_redis;

/// As the program's: the fake server makes and drops a string for each word of a command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[path = "../support/other_clock.rs"]
mod other_clock;

#[path = "../support/redis_server.rs"]
#[allow(
    dead_code,
    reason = "shared with other test binaries, each of which uses a part"
)]
mod redis_server;
