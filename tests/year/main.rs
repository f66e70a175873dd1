//! A simulated year of many apps through two sidecars of one ledger in this process, in zones that change their clocks
//! and are changed themselves, with a leap day, restarts, changes of plans, activations and an app that goes. An oracle
//! that keeps every event and adds up in cents, one block at a time, must give the same bills.

mod oracle;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use imquota::admission::{Admission, Check, CheckMode, Outcome, Patience, Record, Release, Who};
use imquota::billing::Item;
use imquota::clock::{Clock, Day, Machine, Millis, Month, Zone};
use imquota::invoice::{Invoices, Prices, Report};
use imquota::ledger::{Folder, Ledger, Parts, Saving};
use imquota::quota::{
    Amount, AppId, AppRules, Currency, ExpiredHolds, GroupBasis, Limits, MeteredFee, Plan,
    PlanName, PriceList, Resource, Rulebook, UserId,
};
use imquota::store::embedded::EmbeddedStore;
use jiff::civil::date;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rust_decimal::Decimal;
use tempfile::TempDir;

use oracle::{Fee, Oracle, PLANS};

const APPS: u64 = 200;
/// The billing zone of the settings, each from a day on: one with short and long days, one further east, whose first
/// month begins late in the day, and one far in the west, before which a day is longer.
const ZONES: [(&str, &str); 3] = [
    ("2027-12-31", ZONE),
    ("2028-05-10", "Asia/Kolkata"),
    ("2028-09-20", "America/Los_Angeles"),
];
const ZONE: &str = "America/New_York";
/// Apps that were activated within the year: the month has no plan fee.
const ACTIVATED_EACH: u64 = 10;
/// An app that goes within the year.
const GONE: (u64, &str) = (APPS, "2028-07-20");

/// A machine whose clock the test sets.
#[derive(Debug)]
struct Dial(AtomicI64);

impl Machine for Dial {
    fn wall(&self) -> Millis {
        Millis(self.0.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed).unsigned_abs())
    }
}

fn day_of(text: &str) -> Day {
    Day::parse(text).expect("a day")
}

fn activated(app: AppId) -> Option<Day> {
    app.get()
        .is_multiple_of(ACTIVATED_EACH)
        .then(|| day_of("2028-03-15"))
}

fn plan_of(at: usize) -> Arc<Plan> {
    let fees = &PLANS[at];
    let metered = |fee: &Fee| MeteredFee {
        free: fee.free,
        block: fee.block,
        price: Decimal::new(fee.cents, 2),
    };
    let lists = fees.lists.iter().map(|list| PriceList {
        effective_from: date(list.from.0, list.from.1, list.from.2),
        plan: Decimal::new(list.plan_cents, 2),
        daily_active: Some(metered(&list.actives)),
        groups: Some((
            metered(&list.groups),
            if fees.at_end {
                GroupBasis::MonthEnd
            } else {
                GroupBasis::MonthPeak
            },
        )),
    });
    Arc::new(Plan {
        name: PlanName::parse(fees.name).expect("a name"),
        limits: Limits::UNLIMITED,
        fees: lists.collect(),
    })
}

/// How many sidecars count for all apps.
const SIDECARS: usize = 2;

/// The sidecars of one ledger, each with a data folder of its own.
struct Fleet {
    folder: TempDir,
    dial: Arc<Dial>,
    sidecars: Vec<Sidecar>,
    /// Through which one an app's groups changed last, and how many each made of it that are there.
    last: BTreeMap<AppId, usize>,
    made: BTreeMap<(AppId, usize), u32>,
}

impl Fleet {
    fn new(dial: Arc<Dial>) -> Self {
        Self {
            folder: tempfile::tempdir().expect("there is room"),
            dial,
            sidecars: Vec::new(),
            last: BTreeMap::new(),
            made: BTreeMap::new(),
        }
    }

    async fn start(&mut self, plans: &BTreeMap<AppId, usize>, zone: &str) -> Zone {
        let zone = Zone::parse(zone).expect("a zone");
        let file = self.folder.path().join("ledger.redb");
        let store = EmbeddedStore::open(&file, zone.clone()).expect("it can be opened");
        for at in 0..SIDECARS {
            let folder = self.folder.path().join(at.to_string());
            std::fs::create_dir_all(&folder).expect("there is room");
            let store = Arc::new(store.for_another_member());
            let parts = (self.dial.clone(), store, zone.clone());
            self.sidecars
                .push(Sidecar::start(&folder, parts, plans).await);
        }
        zone
    }

    async fn stop(&mut self) {
        for sidecar in self.sidecars.drain(..) {
            sidecar.stop().await;
        }
    }

    async fn settle(&self) {
        for sidecar in &self.sidecars {
            sidecar.ledger.settle_rest().await;
        }
    }

    /// Peaks are defined in the order of settlement: who changes an app's groups next finds all settled before.
    async fn turn(&mut self, app: AppId, by: usize) -> &Sidecar {
        let last = self.last.insert(app, by);
        if let Some(last) = last.filter(|last| *last != by) {
            self.sidecars[last].ledger.settle_rest().await;
        }
        &self.sidecars[by]
    }

    async fn create(&mut self, app: AppId, by: usize, amount: u32) {
        self.turn(app, by).await.create(app, amount).await;
        *self.made.entry((app, by)).or_default() += amount;
    }

    /// Deletes some of what this one made.
    async fn delete(&mut self, app: AppId, by: usize, amount: u32) {
        self.turn(app, by).await.delete(app, amount).await;
        *self.made.entry((app, by)).or_default() -= amount;
    }

    fn there(&self, app: AppId, by: usize) -> u32 {
        self.made.get(&(app, by)).copied().unwrap_or(0)
    }
}

/// A sidecar in this process.
struct Sidecar {
    ledger: Arc<Ledger>,
    admission: Admission,
    invoices: Invoices,
}

impl Sidecar {
    async fn start(
        folder: &Path,
        (dial, store, zone): (Arc<Dial>, Arc<EmbeddedStore>, Zone),
        plans: &BTreeMap<AppId, usize>,
    ) -> Self {
        let rules = plans.iter().map(|(app, plan)| {
            let plan = plan_of(*plan);
            let rules = AppRules {
                limits: plan.limits,
                plan,
                shadow: false,
                edition: 0,
                disabled: false,
                share_ids: false,
                track_objects: true,
                expired_holds: ExpiredHolds::Ask,
                activated: activated(*app).map(Day::date),
            };
            (*app, Arc::new(rules))
        });
        let parts = Parts {
            clock: Arc::new(Clock::of(dial)),
            zone,
            rules: Rulebook {
                apps: rules.collect(),
                ..Rulebook::default()
            },
            store,
            member: "test".into(),
            saving: Saving::Beside,
        };
        let locked = Folder::lock(folder).expect("nobody else has it");
        let (ledger, _queues) = Ledger::open(locked, parts).expect("it can be opened");
        let ledger = Arc::new(ledger);
        ledger.meet().await.expect("it is in this process");
        let all = (0..PLANS.len()).map(plan_of);
        let prices = Prices {
            plans: all.map(|plan| (plan.name.clone(), plan)).collect(),
            currency: Currency::USD,
            wait: Duration::from_secs(10),
        };
        Self {
            admission: Admission::new(ledger.clone(), Duration::from_secs(1)),
            invoices: Invoices::new(ledger.clone(), prices),
            ledger,
        }
    }

    async fn stop(self) {
        self.ledger.part().await;
        self.ledger.close().await;
    }

    async fn create(&self, app: AppId, amount: u32) {
        let check = Check {
            app,
            resource: Resource::Group,
            amount: Amount::from_wire(amount).expect("a small amount"),
            request_id: None,
            resource_id: None,
            mode: CheckMode::Count,
        };
        let verdict = self.admission.check(check, Patience(None)).await;
        assert_eq!(verdict.expect("it is answered").outcome, Outcome::Allow);
    }

    async fn delete(&self, app: AppId, amount: u32) {
        let release = Release {
            app,
            resource: Resource::Group,
            amount: Amount::from_wire(amount).expect("a small amount"),
            request_id: None,
            resource_id: None,
        };
        let released = self.admission.release(release, Patience(None)).await;
        let released = released.expect("it is answered").released;
        assert_eq!(released, u64::from(amount));
    }

    async fn log_in(&self, app: AppId, by: u64, at: Option<Millis>) {
        let record = Record {
            app,
            at,
            who: Who::Increment(by),
            request_id: None,
        };
        let recorded = self.admission.record_active(record, Patience(None)).await;
        recorded.expect("it is answered");
    }
}

impl Sidecar {
    async fn names(&self, app: AppId, users: &[u64]) {
        let names: Vec<String> = users.iter().map(|user| format!("user-{user}")).collect();
        let ids = names
            .iter()
            .map(|name| UserId::parse(name).expect("a user"));
        let record = Record {
            app,
            at: None,
            who: Who::Users(ids.collect()),
            request_id: None,
        };
        let recorded = self.admission.record_active(record, Patience(None)).await;
        recorded.expect("it is answered");
    }
}

/// What a bill and the oracle's have in common.
fn plainly(report: &Report) -> oracle::Plain {
    let line = |item| report.bill.lines.iter().find(|line| line.item == item);
    let cents = |amount: Decimal| {
        let cents = amount * Decimal::from(100);
        i64::try_from(cents).expect("whole cents")
    };
    let of = |item| line(item).map_or(0, |line| cents(line.amount));
    let peak = |item| line(item).map(|line| (line.peak.count, line.peak.day));
    oracle::Plain {
        plan: of(Item::Plan),
        actives: of(Item::DailyActive),
        groups: of(Item::Groups),
        total: cents(report.bill.total),
        actives_peak: peak(Item::DailyActive),
        groups_peak: peak(Item::Groups),
    }
}

/// Every bill of a month that is over for good, as that sidecar makes it.
async fn bills_are_right(sidecar: &Sidecar, oracles: &BTreeMap<AppId, Oracle>, month: Month) {
    for (app, oracle) in oracles {
        let report = sidecar.invoices.bill(*app, month, None).await;
        let report = report.expect("it can be made");
        assert!(report.is_final, "{month} of {app}");
        assert_eq!(
            plainly(&report),
            oracle.bill(month),
            "{month} of {app}: {report:?}"
        );
        let days = sidecar.invoices.days(*app, month, None).await;
        for day in days.expect("they are kept") {
            assert_eq!(
                day.daily_active,
                oracle.actives_on(day.day),
                "{} of {app}",
                day.day
            );
            assert!(day.is_final);
        }
    }
}

/// What a sidecar and the oracle are both told of an app, at a moment of a day.
async fn something_happens(
    (fleet, rng): (&mut Fleet, &mut StdRng),
    (app, oracle): (AppId, &mut Oracle),
    (zone, day): (&Zone, Day),
) {
    let by = rng.random_range(0..SIDECARS);
    match rng.random_range(0..6) {
        0..2 => {
            let amount = rng.random_range(1..=100);
            fleet.create(app, by, amount).await;
            oracle.groups(day, i64::from(amount));
        }
        2 if fleet.there(app, by) > 0 => {
            let most = fleet.there(app, by).min(100);
            let amount = rng.random_range(1..=most);
            fleet.delete(app, by, amount).await;
            oracle.groups(day, -i64::from(amount));
        }
        3 => {
            // Yesterday's logins are still yesterday's.
            let users = rng.random_range(1..400);
            let before = zone.start_of(day).plus(-1);
            fleet.sidecars[by].log_in(app, users, Some(before)).await;
            oracle.logins(zone.day(before), users);
        }
        4 => {
            // Some of few: many come again, on the same day and on others, here and there.
            let users = rng.random_range(1..40);
            let users: Vec<u64> = (0..users).map(|_| rng.random_range(0..300)).collect();
            fleet.sidecars[by].names(app, &users).await;
            oracle.names(day, &users);
        }
        _ => {
            let users = rng.random_range(1..400);
            fleet.sidecars[by].log_in(app, users, None).await;
            oracle.logins(day, users);
        }
    }
}

fn oracles_of(plans: &BTreeMap<AppId, usize>, first: Day) -> BTreeMap<AppId, Oracle> {
    let oracles = plans.iter().map(|(app, plan)| {
        let activated = activated(*app).map(Day::month);
        (*app, Oracle::new(first, *plan, activated))
    });
    oracles.collect()
}

#[tokio::test]
async fn a_year_of_many_apps_is_billed_to_the_cent() {
    let mut rng = StdRng::seed_from_u64(2028);
    let mut zone = Zone::parse(ZONE).expect("a zone");
    let first = Month::parse("2027-12").expect("a month").last_day();
    let last = Month::parse("2029-01").and_then(|month| month.day(4));
    let last = last.expect("a day");
    let dial = Arc::new(Dial(AtomicI64::new(zone.start_of(first).0)));
    let apps = (1..=APPS).map(|id| AppId::new(id).expect("not 0"));
    let plans = apps.map(|app| (app, rng.random_range(0..PLANS.len())));
    let mut plans: BTreeMap<AppId, usize> = plans.collect();
    let mut oracles = oracles_of(&plans, first);
    let mut settings_zone = ZONE;
    let mut fleet = Fleet::new(dial.clone());
    fleet.start(&plans, settings_zone).await;
    let mut day = first;
    while day <= last {
        let start = zone.start_of(day);
        let length = zone.start_of(day.next()).since(start);
        dial.0.store(start.0, Ordering::Relaxed);
        let new_zone = ZONES.iter().find(|(from, _)| day_of(from) == day);
        settings_zone = new_zone.map_or(settings_zone, |(_, name)| name);
        let goes = day == day_of(GONE.1);
        if goes {
            plans.pop_last();
        }
        let changes = rng.random_ratio(1, 40) || new_zone.is_some() || goes;
        if changes {
            fleet.stop().await;
            for plan in plans.values_mut() {
                if rng.random_ratio(1, 3) {
                    *plan = rng.random_range(0..PLANS.len());
                }
            }
            zone = fleet.start(&plans, settings_zone).await;
        }
        for (app, oracle) in &mut oracles {
            let Some(plan) = plans.get(app) else { continue };
            oracle.plan(day, *plan);
            for _ in 0..rng.random_range(u32::from(changes)..3) {
                // At any moment of a day that may have 23 hours or 25.
                let moment = start.plus(i64::try_from(rng.random_range(0..length)).expect("a day"));
                dial.0.fetch_max(moment.0, Ordering::Relaxed);
                let parts = (&mut fleet, &mut rng);
                something_happens(parts, (*app, &mut *oracle), (&zone, day)).await;
                if changes {
                    // The plan is told with the first report.
                    fleet.settle().await;
                }
            }
        }
        fleet.settle().await;
        for oracle in oracles.values_mut() {
            oracle.ends(day);
        }
        // On the fourth of a month the one before is over for good.
        if Some(day) == day.month().day(4) {
            let before = Month::from_number(day.month().number() - 1).expect("a month");
            if before > day_of(GONE.1).month() {
                oracles.retain(|app, _| plans.contains_key(app));
            }
            for sidecar in &fleet.sidecars {
                bills_are_right(sidecar, &oracles, before).await;
            }
        }
        day = day.next();
    }
    let schedule = "America/New_York 2028-06 Asia/Kolkata 2028-10 America/Los_Angeles";
    assert_eq!(zone.schedule(), schedule);
    let of = |day| hours(&zone, day);
    assert_eq!((of("2028-06-01"), of("2028-09-30")), (14, 36));
    fleet.stop().await;
}

fn hours(zone: &Zone, day: &str) -> u64 {
    let day = day_of(day);
    zone.start_of(day.next()).since(zone.start_of(day)) / 3_600_000
}

/// Which day it is, for those who count by hand.
#[test]
fn the_zone_has_short_and_long_days() {
    let zone = Zone::parse(ZONE).expect("a zone");
    let of = |day| hours(&zone, day);
    assert_eq!((of("2028-03-12"), of("2028-11-05")), (23, 25));
    assert_eq!(of("2028-02-29"), 24);
}
