//! What the figures of a check cost it: `cargo run --release -p imquota-benches --bin metrics`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use imquota::admission::{Admission, Check, CheckMode, Tally};
use imquota::clock::{Clock, Zone};
use imquota::ledger::{Folder, Ledger, Parts, Saving};
use imquota::quota::{Amount, AppId, AppSpec, Limits, Plan, PlanName, Resource, Rulebook};
use imquota::store::embedded::EmbeddedStore;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CALLS: u32 = 2_000_000;
const ROUNDS: usize = 7;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    let app = AppId::new(1).expect("not 0");
    let ledger = ledger(&folder, app);
    runtime
        .block_on(ledger.meet())
        .expect("it is in this process");
    let admission = Admission::new(ledger, Duration::from_millis(500));
    let check = Check {
        app,
        resource: Resource::Account,
        amount: Amount::ONE,
        request_id: None,
        resource_id: None,
        mode: CheckMode::DryRun,
    };
    let verdict = match admission
        .check(check.clone(), imquota::admission::Patience(None))
        .now_or_never()
    {
        Some(Ok(verdict)) => verdict,
        other => panic!("a check from memory is answered at once: {other:?}"),
    };
    let counted = Check {
        mode: CheckMode::Count,
        ..check
    };
    let tally = Tally::default();
    let clock = Clock::default();
    let counting = each(|| {
        let took = black_box(Duration::from_nanos(900));
        tally.decided(black_box(&counted), black_box(&verdict), took, || {
            clock.now()
        });
    });
    let looking = each(|| {
        let begun = Instant::now();
        black_box(begun.elapsed());
    });
    println!("of a check from memory, the median of {ROUNDS} rounds of {CALLS}:");
    println!("  to count it (decision, reason, source, time): {counting:.1} ns");
    println!("  to look at the clock before and after it:     {looking:.1} ns");
}

/// Nanoseconds of a call, the median of the rounds.
fn each(mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..CALLS {
                call();
            }
            begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// A ledger in which the app may create what it likes.
fn ledger(folder: &tempfile::TempDir, app: AppId) -> Arc<Ledger> {
    let zone = Zone::parse("+08:00").expect("a fixed offset");
    let file = folder.path().join("ledger.redb");
    let store = EmbeddedStore::open(&file, zone.clone()).expect("a new ledger");
    let plan = Arc::new(Plan {
        name: PlanName::parse("any").expect("a name"),
        limits: Limits::UNLIMITED,
        fees: Vec::new(),
    });
    let rules = AppSpec::of(plan.name.clone()).rules(&plan, 0);
    let parts = Parts {
        clock: Arc::default(),
        zone,
        rules: Rulebook {
            apps: [(app, Arc::new(rules))].into(),
            ..Rulebook::default()
        },
        store: Arc::new(store),
        member: "bench".into(),
        saving: Saving::Beside,
    };
    let locked = Folder::lock(folder.path()).expect("nobody else has it");
    let (ledger, _queues) = Ledger::open(locked, parts).expect("it is new");
    Arc::new(ledger)
}
