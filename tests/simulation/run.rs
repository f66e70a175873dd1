//! One seed: the world is built, lives, comes to rest, and is audited.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imquota::admission::{Check, CheckMode, Outcome, Patience};
use imquota::chance;
use imquota::ledger::State;
use imquota::quota::{Amount, AppId, AppRules, Limit, Plan, PlanName, Resource, Rulebook};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::auditor::Auditor;
use crate::books;
use crate::chaos;
use crate::fake::keyspace::Keyspace;
use crate::fake::{Fake, Identity, Mutation};
use crate::gateway::{Gateway, Town};
use crate::machine::Dial;
use crate::network::{Cable, Weather};
use crate::operators;
use crate::scenario::{self, Scenario};
use crate::server::Server;
use crate::sidecar::{Common, Sidecar};
use crate::twin::Twin;

/// What a run showed.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcomes {
    pub faults: Vec<String>,
    /// What is wrong, and known to be: see [`Auditor`].
    pub gaps: Vec<String>,
    /// A digest of every step of the ledger and every answer of a sidecar.
    pub trace: u64,
    pub log: Vec<String>,
    pub steps: u64,
    /// How many were counted twice for a while, under ids that all sidecars are to know.
    pub doubled: i64,
    /// Creations allowed, denied, left without an answer by the ledger, broken off.
    pub answers: [u64; 4],
    /// Whether the mutation's text was found.
    pub mutated: bool,
}

/// How a run is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    pub mutation: Option<Mutation>,
    /// Changes what was drawn.
    pub aim: Option<fn(&mut Scenario)>,
    /// A mistake: answers go out before the journal has them.
    pub late_journal: bool,
    pub log: bool,
}

/// All that was late has come, all that was owed is settled.
pub const REST: Duration = Duration::from_secs(15);
/// So long it may take after a loss, with clocks that are off.
const REST_MAX: Duration = Duration::from_mins(2);
const REST_POLL: Duration = Duration::from_secs(2);
/// So many creations find out how much room a limit has left.
pub const FILL_MAX: u32 = 40;
/// So many at a time after that.
const BULK: u32 = 64;
/// How long it may take until others have returned what they do not spend.
const RECALL: Duration = Duration::from_secs(6);
const RECALL_POLL: Duration = Duration::from_millis(500);

/// Runs a seed on a runtime of its own, whose time is virtual.
pub fn run(seed: u64, manner: Manner) -> Outcomes {
    let _seeded = chance::seed(seed);
    runtime().block_on(live(seed, manner, None))
}

/// As [`run`], with a real server beside the fake one. Its keys cannot be put back, so that faults which
/// do that are left out.
pub fn run_with_twin(seed: u64, manner: Manner, real: redis::Connection) -> Outcomes {
    let _seeded = chance::seed(seed);
    runtime().block_on(live(seed, manner, Some(Twin::new(real))))
}

pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

async fn live(seed: u64, manner: Manner, twin: Option<Twin>) -> Outcomes {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut scenario = Scenario::draw(seed, &mut rng);
    if let Some(aim) = manner.aim {
        aim(&mut scenario);
    }
    if twin.is_some()
        && !scenario
            .faults
            .iter()
            .all(|fault| scenario::MENDED.contains(fault))
    {
        (scenario.faults, scenario.blows) = (Vec::new(), 0);
    }
    let auditor = Arc::new(Auditor::default());
    if manner.log {
        auditor.keep_log();
        auditor.say(|| format!("{scenario:?}"));
    }
    let identity = Identity {
        run_id: format!("{:040x}", rng.random_range(0..u64::MAX)),
        replid: format!("{:040x}", rng.random_range(0..u64::MAX)),
    };
    let fake = Fake::new(identity, manner.mutation);
    let dial = Dial::new(scenario.begins);
    let server = Arc::new(Server::new(fake, twin, dial, auditor.clone()));
    let root = folder();
    let place = Place {
        root: root.path(),
        prefix: books::PREFIX,
        url: None,
        late_journal: manner.late_journal,
    };
    let town = build(&scenario, &server, &auditor, &mut rng, &place);
    begin(&scenario, &town).await;
    work(&scenario, &town, &server, &mut rng).await;
    rest(&town, &server).await;
    let fake = &server.fake;
    let judged = !is_lost_for_good(&town, &server);
    if judged && !auditor.has_faults() {
        let differences = fake.look(|keys| differences(&town, keys, books::PREFIX));
        for words in auditor.given_up().into_iter().chain(differences) {
            auditor.fault(words);
        }
    }
    if judged && !auditor.has_faults() {
        let count = |app, at: usize| fake.look(|keys| books::look(keys, app)[at].shown());
        match misshown(&town, count).await {
            Some(words) => auditor.fault(words),
            None => fill(&scenario, &town, count).await,
        }
    }
    for sidecar in &town.sidecars {
        sidecar.kill(false);
    }
    if let Some(difference) = server.difference() {
        auditor.fault(difference);
    }
    if manner.log {
        auditor.say(|| fake.look(Keyspace::story));
    }
    let mutated = fake.is_mutated();
    let (gaps, doubled) = (auditor.gaps(), auditor.doubled());
    let (faults, trace, log, steps, answers) = auditor.end();
    Outcomes {
        faults,
        gaps,
        trace,
        log,
        steps,
        doubled,
        answers,
        mutated,
    }
}

/// Lets gateways and the world do their worst; mends everything in the end.
pub async fn work(scenario: &Scenario, town: &Arc<Town>, server: &Arc<Server>, rng: &mut StdRng) {
    let mut gateways = JoinSet::new();
    for number in 0..scenario.gateways {
        let gateway = Gateway::new(town.clone(), number, rng.random_range(0..u64::MAX));
        gateways.spawn(gateway.work(scenario.deeds));
    }
    let blows = StdRng::seed_from_u64(rng.random_range(0..u64::MAX));
    let reign = chaos::reign(scenario.clone(), town.clone(), server.clone(), blows);
    if let Err(died) = tokio::spawn(reign).await {
        town.auditor.fault(format!("the world's end: {died}"));
    }
    let done = async {
        while let Some(done) = gateways.join_next().await {
            if let Err(died) = done {
                town.auditor.fault(format!("a gateway: {died}"));
            }
        }
    };
    tokio::select! {
        biased;
        () = done => {}
        () = tend(town, server) => {}
    }
    mend(town);
}

/// Gateways that wait for a certain answer may wait for fair weather, or for an operator.
async fn tend(town: &Town, server: &Server) {
    loop {
        sleep(REST_POLL).await;
        if town.is_called_for.load(Ordering::Relaxed) {
            mend(town);
            let _at_work = town.desk.lock().await;
            operators::unfreeze(town, server).await;
            operators::retire_lost(town, server).await;
            operators::recount_waiting(town, server).await;
        }
    }
}

fn mend(town: &Town) {
    for sidecar in &town.sidecars {
        sidecar.cable.set_weather(Weather::FAIR);
        sidecar.cable.set_cut(false);
        sidecar.halt(false);
        sidecar.start();
    }
}

/// Waits until all is told and settled; operators do what is left to them.
async fn rest(town: &Town, server: &Server) {
    let begun = Instant::now();
    sleep(REST).await;
    while begun.elapsed() < REST_MAX && !town.auditor.has_faults() {
        let serves = |sidecar: &Arc<Sidecar>| {
            let serving = sidecar.serving();
            serving.is_some_and(|serving| serving.ledger.state() == State::Up)
        };
        let recovery = server.fake.look(books::recovery);
        let well = town.sidecars.iter().all(serves) && !recovery.open;
        if is_lost_for_good(town, server) {
            return;
        }
        if well
            && operators::unfreeze(town, server).await
            && operators::retire_lost(town, server).await
            && operators::recount_waiting(town, server).await
            && operators::end_holds(town).await
        {
            let judged = |keys: &Keyspace| differences(town, keys, books::PREFIX);
            if server.fake.look(judged).is_empty() {
                return;
            }
        }
        sleep(REST_POLL).await;
    }
}

/// Whether the ledger has forgotten itself, and whoever knew it is gone or has lost its journal: it waits
/// for whoever has a copy of it, and refuses until then.
fn is_lost_for_good(town: &Town, server: &Server) -> bool {
    let there = server.fake.look(books::recovery).epoch != 0;
    !there && !town.sidecars.iter().any(|sidecar| sidecar.knows())
}

/// Where the ledger's counts are not the truth.
pub fn differences(town: &Town, books: &impl books::Books, prefix: &str) -> Vec<String> {
    let members: Vec<u64> = town
        .sidecars
        .iter()
        .map(|sidecar| sidecar.member().1)
        .collect();
    town.auditor.differences(books, prefix, &members)
}

/// Where a run lives.
pub struct Place<'a> {
    /// The folder of the journals.
    pub root: &'a std::path::Path,
    pub prefix: &'a str,
    /// A real server, in real time.
    pub url: Option<String>,
    /// Whether answers go out before the journal has them.
    pub late_journal: bool,
}

/// Starts the sidecars, one after the other.
pub async fn begin(scenario: &Scenario, town: &Town) {
    for (number, sidecar) in town.sidecars.iter().enumerate() {
        if number > 0 {
            sleep(Duration::from_millis(scenario.apart_ms)).await;
        }
        sidecar.start();
    }
}

/// Sidecars with their machines and cables.
pub fn build(
    scenario: &Scenario,
    server: &Arc<Server>,
    auditor: &Arc<Auditor>,
    rng: &mut StdRng,
    place: &Place<'_>,
) -> Arc<Town> {
    let mut rules = Rulebook::default();
    for tenant in &scenario.tenants {
        auditor.open_app(tenant.app, tenant.limits);
        let plan = Plan {
            name: PlanName::parse("simulated").expect("a plain name"),
            limits: tenant.limits,
            fees: Vec::new(),
        };
        let app = AppRules {
            limits: plan.limits,
            plan: Arc::new(plan),
            shadow: false,
            edition: 0,
            disabled: false,
            share_ids: tenant.share_ids,
            track_objects: true,
            expired_holds: imquota::quota::ExpiredHolds::Ask,
            activated: None,
        };
        rules.apps.insert(tenant.app, Arc::new(app));
    }
    let common = Arc::new(Common {
        root: place.root.into(),
        zone: scenario.zone.clone(),
        rules,
        prefix: place.prefix.into(),
        auditor: auditor.clone(),
        url: place.url.clone(),
        late_journal: place.late_journal,
    });
    let sidecars = (0..scenario.sidecars).map(|number| {
        let seed = rng.random_range(0..u64::MAX);
        let cable = Arc::new(Cable::new(server.clone(), seed, scenario.weather));
        let dial = Arc::new(Dial::new(scenario.begins));
        Arc::new(Sidecar::new(number, common.clone(), cable, dial))
    });
    Arc::new(Town {
        sidecars: sidecars.collect(),
        tenants: scenario.tenants.clone(),
        auditor: auditor.clone(),
        objects: Mutex::default(),
        pause_ms_max: scenario.pause_ms_max,
        skewed: scenario.skewed,
        habits: scenario.habits,
        remembers: scenario.remembers(),
        is_called_for: AtomicBool::new(false),
        desk: tokio::sync::Mutex::default(),
    })
}

/// A sidecar that does not show what the ledger counts.
pub async fn misshown(town: &Town, count: impl Fn(AppId, usize) -> i64) -> Option<String> {
    for tenant in &town.tenants {
        for sidecar in &town.sidecars {
            let Some(serving) = sidecar.serving() else {
                return Some(format!("sidecar {} does not serve", sidecar.number));
            };
            let usage = serving.admission.usage(tenant.app, Patience(None)).await;
            let shown = usage.map(|usage| usage.resources.map(|resource| resource.used));
            let counted = [0, 1, 2].map(|at| u64::try_from(count(tenant.app, at)).unwrap_or(0));
            if shown != Ok(counted) {
                let number = sidecar.number;
                return Some(format!("sidecar {number} shows {shown:?} for {counted:?}"));
            }
        }
    }
    None
}

/// Every place that a limit leaves free can be had by whoever asks, and not one more: what others were
/// lent goes back to who needs it.
pub async fn fill(scenario: &Scenario, town: &Town, count: impl Fn(AppId, usize) -> i64) {
    for (number, tenant) in scenario.tenants.iter().enumerate() {
        for (resource, limit) in [
            (Resource::Account, tenant.limits.accounts),
            (Resource::AvRoom, tenant.limits.av_rooms),
        ] {
            let Limit::AtMost(limit) = limit else {
                continue;
            };
            let at = resource.counter().index();
            let charged = count(tenant.app, at);
            if charged > limit.cast_signed()
                && let Some(words) = town.auditor.admitted_above(tenant.app, resource, charged)
            {
                town.auditor.fault(words);
            }
            let free = (limit.cast_signed() - charged).max(0);
            let had = had(town, number, tenant.app, resource).await;
            if had != free {
                town.auditor.fault(format!(
                    "app {}: {free} {resource:?} were free, {had} could be had",
                    tenant.app
                ));
            }
        }
    }
}

/// Creates as many as can be had: some everywhere, one by one, and the rest at one sidecar.
async fn had(town: &Town, first: usize, app: AppId, resource: Resource) -> i64 {
    let mut had = 0;
    for n in 0..FILL_MAX {
        let sidecar = &town.sidecars[(first + n as usize) % town.sidecars.len()];
        had += i64::from(creates(sidecar, app, resource, 1).await);
    }
    let one = &town.sidecars[first % town.sidecars.len()];
    let mut amount = BULK;
    let mut patience = Instant::now() + RECALL;
    while amount > 0 {
        if creates(one, app, resource, amount).await {
            had += i64::from(amount);
            patience = Instant::now() + RECALL;
        } else if amount > 1 {
            amount /= 2;
        } else if Instant::now() > patience {
            break;
        } else {
            sleep(RECALL_POLL).await;
        }
    }
    had
}

async fn creates(sidecar: &Sidecar, app: AppId, resource: Resource, amount: u32) -> bool {
    let Some(serving) = sidecar.serving() else {
        return false;
    };
    let check = Check {
        app,
        resource,
        amount: Amount::from_wire(amount).expect("a small amount"),
        request_id: None,
        mode: CheckMode::Count,
        resource_id: None,
    };
    let verdict = serving.admission.check(check, Patience(None)).await;
    verdict.is_ok_and(|verdict| verdict.outcome == Outcome::Allow)
}

/// A folder in memory where there is such.
pub fn folder() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    }
    .expect("a folder")
}
