//! What the embedded ledger costs: memory an app, and time a call. `cargo bench --bench embedded`.

use std::time::Instant;

use futures_util::FutureExt;
use imquota::clock::{Clock, Day, Zone};
use imquota::quota::{Amount, AppId, Charge, Limit, Limits, Resource};
use imquota::store::embedded::EmbeddedStore;
use imquota::store::{
    Answered, AppReport, Attempt, Cell, CellReport, Fingerprint, Intent, Member, RecordKey, Report,
    Shard, Store, Take, Totals,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const APPS: u64 = 100_000;
const TAKES: u64 = 300_000;

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
    let checkpoint = || {
        let began = Instant::now();
        let written = runtime.block_on(store.checkpoint(Clock::system()));
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
    checkpoint();

    for apps in [1, 10_000] {
        let began = Instant::now();
        for number in 0..TAKES {
            take(&store, APPS + 1 + number % apps, apps * TAKES + number, day);
        }
        let each = began.elapsed().as_nanos() / u128::from(TAKES);
        println!("{TAKES} creations on the record path over {apps} apps: {each} ns each");
        checkpoint();
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
        }],
        ..Report::default()
    };
    let settled = store.settle(Shard::of(app), &report, day, Clock::system());
    settled.now_or_never().expect("at once").expect("settled");
}

/// A creation, and the report of its answer.
fn take(store: &EmbeddedStore, app: u64, attempt: u64, day: Day) {
    let app = AppId::new(app).expect("not 0");
    let limits = Limits {
        accounts: Limit::AtMost(Limit::MAX),
        ..Limits::UNLIMITED
    };
    let take = Take {
        app,
        key: RecordKey::Own {
            incarnation: 1,
            attempt: Attempt(attempt),
        },
        fingerprint: Fingerprint(1),
        attempt: Attempt(attempt),
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
