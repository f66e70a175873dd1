//! What the embedded ledger costs: memory an app and an object, and time a call. `cargo run --release -p imquota-benches --bin embedded`.

use std::time::Instant;

use futures_util::FutureExt;
use imquota::clock::{Clock, Day, Zone};
use imquota::quota::{Amount, AppId, Charge, Limit, Limits, ObjectNumber, Resource};
use imquota::store::embedded::EmbeddedStore;
use imquota::store::{
    Answered, AppReport, Attempt, Cell, CellReport, Fingerprint, Intent, Member, RecordKey, Report,
    Shard, Store, Take, Totals,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const APPS: u64 = 100_000;
const TAKES: u64 = 300_000;
/// Objects of one app, and after how many of them a checkpoint comes.
const OBJECTS: u64 = 1_000_000;
const OBJECTS_A_CHECKPOINT: u64 = 50_000;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let zone = Zone::parse("+08:00").expect("a fixed offset");
    let day = zone.day(Clock::system());
    let file = folder.path().join("ledger.redb");
    let store = EmbeddedStore::open(&file, zone).expect("a new ledger");
    let member = Member {
        name: "bench".into(),
        incarnation: 1,
        boot: 1,
        leaves: false,
    };
    let hello = store.hello(&member, None, Clock::system()).now_or_never();
    hello.expect("at once").expect("a new installation");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    // The journal is kept from so many minutes ahead on: what is older may be folded.
    let checkpoint = |ahead: i64| {
        let log_from = Clock::system().plus(ahead * 60_000);
        let began = Instant::now();
        let written = runtime.block_on(store.checkpoint(log_from));
        written.expect("a checkpoint");
        println!("  checkpoint: {:?}", began.elapsed());
    };

    let before = resident();
    let accounts = [Cell::Live(Resource::Account)];
    let groups = [Cell::Live(Resource::Group), Cell::Gained(day)];
    for (what, cells) in [
        ("accounts", &accounts[..]),
        ("accounts and groups", &groups),
    ] {
        let began = Instant::now();
        for app in 1..=APPS {
            settle(&store, app, cells, day);
        }
        let each = began.elapsed().as_nanos() / u128::from(APPS);
        let bytes = resident().saturating_sub(before) / APPS;
        println!("{APPS} apps with {what}: {bytes} B an app in memory, {each} ns a report");
    }
    checkpoint(0);

    for apps in [1, 10_000] {
        let began = Instant::now();
        for number in 0..TAKES {
            let attempt = Attempt(apps * TAKES + number);
            let key = RecordKey::Own {
                incarnation: 1,
                attempt,
            };
            take(&store, APPS + 1 + number % apps, key, attempt, day);
        }
        let each = began.elapsed().as_nanos() / u128::from(TAKES);
        println!("{TAKES} creations on the record path over {apps} apps: {each} ns each");
        checkpoint(0);
    }
    objects(&store, day, &checkpoint);
}

/// One app whose objects have names: new ones, then the same once more.
fn objects(store: &EmbeddedStore, day: Day, checkpoint: &dyn Fn(i64)) {
    let app = 2 * APPS;
    let name = |number: u64| {
        let high = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ObjectNumber(u128::from(high) << 64 | u128::from(number))
    };
    for (round, what) in ["new", "known"].into_iter().enumerate() {
        let mut spent = std::time::Duration::ZERO;
        for from in (0..OBJECTS).step_by(usize::try_from(OBJECTS_A_CHECKPOINT).expect("small")) {
            let before = resident();
            let began = Instant::now();
            for number in from..from + OBJECTS_A_CHECKPOINT {
                let attempt = Attempt((1 << 40) + round as u64 * OBJECTS + number);
                take(store, app, RecordKey::Object(name(number)), attempt, day);
            }
            spent += began.elapsed();
            if from == 0 {
                let bytes = resident().saturating_sub(before) / OBJECTS_A_CHECKPOINT;
                println!("{bytes} B an object that is {what}, until the next checkpoint");
            }
            checkpoint(15);
        }
        println!("  {} MB in all", resident() >> 20);
        let each = spent.as_nanos() / u128::from(OBJECTS);
        println!("{OBJECTS} objects of one app that are {what}: {each} ns each");
    }
}

fn settle(store: &EmbeddedStore, app: u64, cells: &[Cell], day: Day) {
    let app = AppId::new(app).expect("not 0");
    let cells = cells.iter().map(|cell| CellReport {
        cell: *cell,
        totals: Totals {
            consumed: 1,
            released: 0,
        },
        high: 1,
        escrow: None,
        wish: None,
    });
    let report = Report {
        apps: vec![AppReport {
            app,
            cells: cells.collect(),
            acks_freeze: None,
            plan: None,
        }],
        ..Report::default()
    };
    let settled = store.settle(Shard::of(app), &report, day, Clock::system());
    settled.now_or_never().expect("at once").expect("settled");
}

/// A creation, and the report of its answer.
fn take(store: &EmbeddedStore, app: u64, key: RecordKey, attempt: Attempt, day: Day) {
    let app = AppId::new(app).expect("not 0");
    let limits = Limits {
        accounts: Limit::AtMost(Limit::MAX),
        ..Limits::UNLIMITED
    };
    let take = Take {
        app,
        key,
        fingerprint: Fingerprint(1),
        attempt,
        charge: Charge::new(Resource::Account, Amount::ONE, &limits),
        day,
        intent: Intent::Count,
        note: None,
    };
    let now = Clock::system();
    let taken = store.take(&take, now).now_or_never();
    taken.expect("at once").expect("an answer");
    let report = Report {
        answered: vec![Answered {
            take,
            refused: None,
            contained: None,
        }],
        ..Report::default()
    };
    let settled = store.settle(Shard::of(app), &report, day, now);
    settled.now_or_never().expect("at once").expect("settled");
}

/// Bytes of memory that the process has.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    let pages: u64 = pages.expect("a number of pages");
    pages * 4096
}
