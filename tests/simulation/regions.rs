//! A product in 24 regions on one ledger: how much is answered from memory, how often somebody is refused
//! although places are free, and what Redis bears. The sidecars are the program's own parts, the delays those of
//! a WAN; nothing goes wrong otherwise.
//!
//! ```text
//! IMQUOTA_SIM_SIDECARS=500 IMQUOTA_SIM_APPS=100000 IMQUOTA_SIM_CALLS=5000 IMQUOTA_SIM_SECONDS=60 \
//!   cargo test --locked --config .ci/faster.toml --test simulation regions -- --nocapture
//! ```
//!
//! is as large as the product. Without the variables it is a small one, for the promises alone: figures are
//! quoted with the size that they were seen at.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use imquota::admission::{Check, CheckMode, Outcome, Patience, Refusal, Release, Source};
use imquota::chance;
use imquota::clock::{Millis, Zone};
use imquota::quota::{
    Amount, AppId, AppRules, ExpiredHolds, Limit, Limits, Plan, PlanName, Resource, Rulebook,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::auditor::Auditor;
use crate::books;
use crate::fake::{Fake, Identity};
use crate::machine::Dial;
use crate::network::{Cable, Weather};
use crate::run::{folder, runtime};
use crate::seeds::number;
use crate::server::Server;
use crate::sidecar::{Common, Sidecar};

const REGIONS: usize = 24;
/// One way: 50 ms there and back for the nearest region, 250 ms for the farthest.
const DISTANCE_MS: (u64, u64) = (25, 125);
/// Noon, UTC, so that no run meets midnight of its zone.
const NOON: Millis = Millis(1_773_144_000_000);
/// Of a hundred calls of an app so many come from its own region.
const AT_HOME: u32 = 90;
/// Of a hundred calls to an app that has something so many delete it.
const DELETIONS: u32 = 30;
const TIGHT: u64 = 50;
const LARGE: u64 = 100_000;

/// How large the product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    sidecars: usize,
    apps: u64,
    /// Of all sidecars together.
    calls_a_second: u64,
    /// How long is measured, after half as long in which the ledger lends for the first time.
    seconds: u64,
}

impl Size {
    /// One sidecar in each region.
    const SMALL: Self = Self {
        sidecars: REGIONS,
        apps: 100,
        calls_a_second: 400,
        seconds: 8,
    };

    fn asked_for() -> Self {
        let small = Self::SMALL;
        let sidecars = number("IMQUOTA_SIM_SIDECARS", small.sidecars as u64);
        let size = Self {
            sidecars: usize::try_from(sidecars).expect("a few"),
            apps: number("IMQUOTA_SIM_APPS", small.apps),
            calls_a_second: number("IMQUOTA_SIM_CALLS", small.calls_a_second),
            seconds: number("IMQUOTA_SIM_SECONDS", small.seconds),
        };
        assert!(size.sidecars >= REGIONS, "one in each region: {size:?}");
        size
    }
}

/// What is asked for, by the limit that guards it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// Groups, which only the day's gain limits.
    Free,
    /// Accounts, of which an app may have many.
    Large,
    /// AV rooms, of which it may have few.
    Tight,
}

impl Kind {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Free, "no limit (groups)"),
        (Self::Large, "large limit (accounts)"),
        (Self::Tight, "tight limit (AV rooms)"),
    ];

    fn resource(self) -> Resource {
        match self {
            Self::Free => Resource::Group,
            Self::Large => Resource::Account,
            Self::Tight => Resource::AvRoom,
        }
    }

    fn limit(self) -> u64 {
        match self {
            Self::Free => u64::MAX,
            Self::Large => LARGE,
            Self::Tight => TIGHT,
        }
    }
}

/// What exists of one kind in one app, as its gateways know.
#[derive(Debug, Default, Clone, Copy)]
struct Places {
    /// Allowed, less deletions that were sent.
    exist: u64,
    /// Creations that are not answered, and deletions that are not.
    under_way: u64,
}

impl Places {
    fn most(self) -> u64 {
        self.exist + self.under_way
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    checks: u64,
    memory: u64,
    denied: u64,
    denied_while_free: u64,
    ledger_away: u64,
}

#[derive(Debug, Default)]
struct Known {
    places: HashMap<(AppId, Kind), Places>,
    tallies: HashMap<Kind, Tally>,
    measures: bool,
}

struct Product {
    size: Size,
    sidecars: Vec<Arc<Sidecar>>,
    /// Sums of the apps' weights: the first is asked for most.
    weights: Vec<u64>,
    known: RefCell<Known>,
}

impl Product {
    fn app(&self, rng: &mut StdRng) -> u64 {
        let all = self.weights.last().copied().unwrap_or(1);
        let at = rng.random_range(0..all);
        self.weights.partition_point(|sum| *sum <= at) as u64 + 1
    }

    /// Where a call of `app` comes from: one of the sidecars of a region.
    fn sidecar(&self, app: u64, rng: &mut StdRng) -> &Arc<Sidecar> {
        let home = usize::try_from(app).unwrap_or_default() % REGIONS;
        let region = if rng.random_range(0..100) < AT_HOME {
            home
        } else {
            rng.random_range(0..REGIONS)
        };
        let there = (self.size.sidecars - region).div_ceil(REGIONS);
        &self.sidecars[region + REGIONS * rng.random_range(0..there)]
    }

    fn change(&self, of: (AppId, Kind), change: impl FnOnce(&mut Places)) -> Places {
        let mut known = self.known.borrow_mut();
        let places = known.places.entry(of).or_default();
        change(places);
        *places
    }

    /// One call of one gateway: a creation, or in an app that has some, a deletion now and then.
    async fn call(self: Rc<Self>, mut rng: StdRng) {
        let app = self.app(&mut rng);
        let kind = match rng.random_range(0..10) {
            0..5 => Kind::Free,
            5..8 => Kind::Large,
            _ => Kind::Tight,
        };
        let sidecar = self.sidecar(app, &mut rng).clone();
        let of = (AppId::new(app).expect("not 0"), kind);
        if rng.random_range(0..100) < DELETIONS && self.change(of, |_| {}).exist > 0 {
            self.delete(&sidecar, of).await;
        } else {
            self.create(&sidecar, of).await;
        }
    }

    async fn delete(&self, sidecar: &Sidecar, of: (AppId, Kind)) {
        let admission = sidecar.serving().expect("it serves").admission;
        self.change(of, |places| {
            places.exist -= 1;
            places.under_way += 1;
        });
        let release = Release {
            app: of.0,
            resource: of.1.resource(),
            amount: Amount::from_wire(1).expect("one"),
            request_id: None,
            resource_id: None,
        };
        let released = admission.release(release, Patience(None)).await;
        let freed = released.is_ok_and(|released| released.released == 1);
        self.change(of, |places| {
            places.under_way -= 1;
            // It exists still where nobody knew of it yet: a creation of another region that has not settled.
            places.exist += u64::from(!freed);
        });
    }

    async fn create(&self, sidecar: &Sidecar, of: (AppId, Kind)) {
        let admission = sidecar.serving().expect("it serves").admission;
        let before = self.change(of, |places| places.under_way += 1).most();
        let check = Check {
            app: of.0,
            resource: of.1.resource(),
            amount: Amount::from_wire(1).expect("one"),
            request_id: None,
            mode: CheckMode::Count,
            resource_id: None,
        };
        let verdict = admission.check(check, Patience(None)).await;
        let verdict = verdict.expect("nothing is wrong with it");
        let allowed = verdict.outcome == Outcome::Allow;
        let after = self.change(of, |places| {
            places.under_way -= 1;
            places.exist += u64::from(allowed);
        });
        assert!(after.exist <= of.1.limit(), "{of:?}: {after:?}");
        let mut known = self.known.borrow_mut();
        if !known.measures {
            return;
        }
        let tally = known.tallies.entry(of.1).or_default();
        tally.checks += 1;
        tally.memory += u64::from(verdict.source == Source::Memory);
        match verdict.outcome {
            Outcome::Deny(Refusal::StoreUnavailable { .. }) => tally.ledger_away += 1,
            Outcome::Deny(_) => {
                tally.denied += 1;
                // Its own creation is among those that were under way.
                let free = before.max(after.most() + 1) <= of.1.limit();
                tally.denied_while_free += u64::from(free);
            }
            Outcome::Allow | Outcome::Exceeds(_) | Outcome::Shadowed(_) => {}
        }
    }

    /// Calls at an even pace for so many seconds, until the last is answered; a promise that one saw broken ends the run.
    async fn live(self: &Rc<Self>, seconds: u64, rng: &mut StdRng) {
        let begun = Instant::now();
        let mut calls = JoinSet::new();
        for number in 0..seconds * self.size.calls_a_second {
            let at = Duration::from_micros(number * 1_000_000 / self.size.calls_a_second);
            sleep_until(begun + at).await;
            let seed = rng.random_range(0..u64::MAX);
            let call = self.clone().call(StdRng::seed_from_u64(seed));
            calls.spawn_local(call);
            while let Some(ended) = calls.try_join_next() {
                ended.expect("a call keeps the promises");
            }
        }
        while let Some(ended) = calls.join_next().await {
            ended.expect("a call keeps the promises");
        }
    }
}

fn rules() -> Rulebook {
    let limits = Limits {
        accounts: Limit::AtMost(LARGE),
        av_rooms: Limit::AtMost(TIGHT),
        groups_gained_daily: Limit::Unlimited,
        ..Limits::UNLIMITED
    };
    let plan = Arc::new(Plan {
        name: PlanName::parse("simulated").expect("a plain name"),
        limits,
        fees: Vec::new(),
    });
    Rulebook {
        unknown: Some(Arc::new(AppRules {
            limits,
            plan,
            shadow: false,
            edition: 0,
            disabled: false,
            share_ids: false,
            track_objects: false,
            expired_holds: ExpiredHolds::Ask,
            activated: None,
        })),
        ..Rulebook::default()
    }
}

async fn build(size: Size, server: &Arc<Server>, root: &std::path::Path) -> Product {
    let common = Arc::new(Common {
        root: root.into(),
        zone: Zone::parse("+00:00").expect("a zone"),
        rules: rules(),
        prefix: books::PREFIX.into(),
        late_journal: false,
        auditor: Arc::new(Auditor::default()),
        url: None,
    });
    let mut sidecars = Vec::new();
    for number in 0..size.sidecars {
        let cable = Cable::new(server.clone(), number as u64, Weather::FAIR);
        let (near, far) = DISTANCE_MS;
        let region = (number % REGIONS) as u64;
        cable.set_distance(near + (far - near) * region / (REGIONS as u64 - 1));
        let dial = Arc::new(Dial::new(server.dial.truth()));
        let sidecar = Arc::new(Sidecar::new(number, common.clone(), Arc::new(cable), dial));
        sidecar.start();
        // The first one makes the ledger; the others come as Pods do, one after the other.
        let pause = if number == 0 { 3_000 } else { 20 };
        sleep(Duration::from_millis(pause)).await;
        sidecars.push(sidecar);
    }
    while sidecars.iter().any(|sidecar| sidecar.serving().is_none()) {
        sleep(Duration::from_millis(100)).await;
    }
    let mut sum = 0;
    let weights = (1..=size.apps).map(|rank| {
        sum += 1_000_000_000 / rank;
        sum
    });
    Product {
        size,
        weights: weights.collect(),
        sidecars,
        known: RefCell::default(),
    }
}

/// So many of a thousand, as a percentage.
fn percent(part: u64, of: u64) -> String {
    let thousandths = (part * 1_000).checked_div(of).unwrap_or_default();
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

async fn measure(size: Size) -> Known {
    let identity = Identity {
        run_id: format!("{:040x}", 1),
        replid: format!("{:040x}", 2),
    };
    let (dial, auditor) = (Dial::new(NOON), Arc::new(Auditor::default()));
    let server = Arc::new(Server::new(Fake::new(identity, None), None, dial, auditor));
    let root = folder();
    let product = Rc::new(build(size, &server, root.path()).await);
    let mut rng = StdRng::seed_from_u64(7);
    let idle = server.commands();
    sleep(Duration::from_secs(10)).await;
    let idle = (server.commands() - idle) / 10;
    product.live(size.seconds / 2, &mut rng).await;
    product.known.borrow_mut().measures = true;
    let busy = server.commands();
    product.live(size.seconds, &mut rng).await;
    let busy = (server.commands() - busy) / size.seconds;
    let known = std::mem::take(&mut *product.known.borrow_mut());
    println!("{size:?}, {REGIONS} regions, {DISTANCE_MS:?} ms one way");
    for (kind, name) in Kind::ALL {
        let tally = known.tallies.get(&kind).copied().unwrap_or_default();
        println!(
            "{name}: {} checks, from memory {}, denied {}, of them while places were free {}, without an answer of \
             the ledger {}",
            tally.checks,
            percent(tally.memory, tally.checks),
            tally.denied,
            tally.denied_while_free,
            tally.ledger_away,
        );
    }
    println!("commands of Redis a second: {idle} idle, {busy} busy");
    for sidecar in &product.sidecars {
        sidecar.kill(true);
    }
    known
}

#[test]
fn regions_share_a_ledger() {
    let _seeded = chance::seed(7);
    let size = Size::asked_for();
    let known = runtime().block_on(LocalSet::new().run_until(measure(size)));
    let tally = |kind| known.tallies.get(&kind).copied().unwrap_or_default();
    let [free, large, tight] = [Kind::Free, Kind::Large, Kind::Tight].map(tally);
    assert!(
        free.checks > 0 && free.denied + free.ledger_away == 0,
        "{free:?}"
    );
    assert!(large.checks > 0 && large.denied == 0, "{large:?}");
    assert!(tight.denied > 0, "the tight limit was met: {tight:?}");
    if size != Size::SMALL {
        // The shares of another size are its figures, which nobody knows before.
        return;
    }
    assert_eq!(free.memory, free.checks, "{free:?}");
    assert!(large.memory * 2 > large.checks, "{large:?}");
    assert!(tight.denied_while_free * 10 <= tight.denied, "{tight:?}");
    // The farthest regions are half a time-out away: one question is answered in time. A deletion takes two, and a tight limit
    // whose last places others were lent; that their time ends must not cost any other creation its answer.
    assert_eq!((large.ledger_away, tight.ledger_away), (0, 0));
}
