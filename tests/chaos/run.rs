//! One scenario from its start to its end.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::Scenario;
use crate::book::{Book, SIDECARS, World};
use crate::cells::SETTINGS;
use crate::client::Client;
use crate::cluster_servers::Cluster;
use crate::faults::{Schedule, Watch, hang_one, hurt_redis, hurt_sidecars};
use crate::gateway::Gateway;
use crate::lasting::Taken;
use crate::logins::everybody_counts_once;
use crate::names::{Allowed, Namer, each_object_is_known};
use crate::redis_server::{Persistence, RedisServer};
use crate::scattered::hurt_cluster;
use crate::sentinels::Watched;
use crate::settled::{all_is_known, every_place_is_given, kills_change_nothing};
use crate::sidecar::Sidecar;
use crate::tally::{Progress, Shared};
use crate::watched::hurt_watched;

const GATEWAYS: usize = 24;
/// As many know each object by its name. Where Redis forgets, names are forgotten with the process that was asked for them.
const NAMERS: usize = 6;
/// How long a scenario is hurt, unless the environment says otherwise.
const SECONDS: u64 = 3;

/// One scenario at a time: each has more processes than a small machine has cores.
pub static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}: {text:?} is no number")),
    )
}

/// The sidecars, and a connection to each that outlives its process.
pub struct Fleet {
    pub sidecars: Vec<Sidecar>,
    pub doors: Vec<Client>,
}

impl Fleet {
    async fn start(store: &str, settings: &str) -> Self {
        let mut sidecars = Vec::new();
        for _ in 0..SIDECARS {
            let mut sidecar = Sidecar::new(store, "");
            let pages = sidecar.pages().display().to_string();
            sidecar.set(&format!("http_listen: unix:{pages}\n{settings}"));
            sidecar.start_again().await;
            sidecars.push(sidecar);
        }
        let doors = sidecars.iter().map(Sidecar::lasting_client).collect();
        Self { sidecars, doors }
    }

    fn clients(&self) -> Vec<Client> {
        self.sidecars.iter().map(Sidecar::lasting_client).collect()
    }
}

/// By what a run's choices are made, and for how long it is hurt.
fn seed_and_time(what: &str) -> (u64, Duration) {
    let seed = number("IMQUOTA_CHAOS_SEED").unwrap_or_else(rand::random);
    let time = Duration::from_secs(number("IMQUOTA_CHAOS_SECONDS").unwrap_or(SECONDS));
    println!("{what}: IMQUOTA_CHAOS_SEED={seed}, hurt for {time:?}");
    (seed, time)
}

/// The same for a master with replicas and Sentinels: it is killed, hung and handed over, with replicas that lag.
pub async fn run_watched() {
    let _turn = TURN.lock().await;
    let watched = Watched::start(Persistence::None, &[]);
    let settings = watched.settings();
    let hurt = async |watch: Watch<'_>, schedule: Schedule<'_>| {
        hurt_watched(watched, watch, schedule).await
    };
    run_several("a master among replicas and Sentinels", &settings, hurt).await;
}

/// The same for a Cluster: its masters are killed, hung and handed over, and slots are moved.
pub async fn run_cluster() {
    let _turn = TURN.lock().await;
    let cluster = Cluster::start();
    let settings = cluster.settings();
    let hurt = async |watch: Watch<'_>, schedule: Schedule<'_>| {
        hurt_cluster(cluster, watch, schedule).await
    };
    run_several("a Cluster", &settings, hurt).await;
}

/// A ledger on several servers, of which `hurt` hurts some.
async fn run_several<R>(
    what: &str,
    store: &str,
    hurt: impl AsyncFnOnce(Watch<'_>, Schedule<'_>) -> R,
) {
    let (seed, time) = seed_and_time(what);
    let settings = SETTINGS.replace("store: {", &format!("store: {{ {store},"));
    let mut fleet = Fleet::start("", &settings).await;
    let book = Shared::new(Book::new());
    let (progress, judged) = (Progress::default(), Progress::default());
    let world = World {
        book: &book,
        progress: &progress,
        judged: &judged,
        ids_last: false,
        remember_from: SIDECARS / 2,
    };
    let mut gateways: Vec<_> = (0..GATEWAYS)
        .map(|number| Gateway::new(number, seed, fleet.clients(), world))
        .collect();
    let over = Cell::new(false);
    let loads = gateways.iter_mut().map(async |gateway| {
        while !over.get() {
            gateway.step().await;
        }
    });
    let faults = async {
        let until = Instant::now() + time;
        let schedule = |stream| Schedule::new(seed, stream, until, &progress);
        let (some, others) = fleet.sidecars.split_at_mut(SIDECARS / 2);
        let watch = Watch {
            witness: &others[0],
            judged: &judged,
        };
        let (some, redis) =
            tokio::join!(hurt_sidecars(some, schedule(1)), hurt(watch, schedule(3)),);
        over.set(true);
        println!("sidecars: {some:?}");
        redis
    };
    let (_, redis) = tokio::join!(join_all(loads), faults);
    heals(&mut fleet, &mut gateways, &mut [], &book).await;
    drop(redis);
}

/// What must hold when all runs again.
async fn heals(
    fleet: &mut Fleet,
    gateways: &mut [Gateway<'_>],
    namers: &mut [Namer<'_>],
    book: &Shared<Book>,
) {
    book.with(|book| {
        let Book {
            answered,
            unavailable,
            lost,
            in_batches,
            in_streams,
            ..
        } = book;
        println!("{answered} answers, {unavailable} without the ledger, {lost} lost");
        println!("{in_batches} creations in batches, {in_streams} in streams");
        assert!(*in_batches > 0 && *in_streams > 0, "neither is left out");
    });
    join_all(gateways.iter_mut().map(Gateway::finish)).await;
    join_all(namers.iter_mut().map(Namer::finish)).await;
    all_is_known(fleet, book).await;
    everybody_counts_once(&fleet.doors, book).await;
    each_object_is_known(&fleet.doors, namers).await;
    every_place_is_given(fleet, book).await;
    kills_change_nothing(fleet, book).await;
    each_object_is_known(&fleet.doors, namers).await;
}

/// Hurts a fleet under load, heals it, and compares what it says with the gateways' book.
pub async fn run(scenario: Scenario) {
    let _turn = TURN.lock().await;
    let (seed, time) = seed_and_time(&format!("{scenario:?}"));
    let redis = RedisServer::with(scenario.persistence, &[]);
    let mut fleet = Fleet::start(&redis.url(), SETTINGS).await;
    let book = Shared::new(Book::new());
    let (progress, judged) = (Progress::default(), Progress::default());
    let world = World {
        book: &book,
        progress: &progress,
        judged: &judged,
        ids_last: !scenario.forgets,
        remember_from: if scenario.forgets { SIDECARS - 1 } else { 0 },
    };
    let mut gateways: Vec<_> = (0..GATEWAYS)
        .map(|number| Gateway::new(number, seed, fleet.clients(), world))
        .collect();
    let allowed = Allowed::default();
    let mut namers: Vec<_> = (0..if scenario.forgets { 0 } else { NAMERS })
        .map(|number| Namer::new(number, seed, fleet.clients(), (&allowed, &progress)))
        .collect();
    let redis = hurt(
        scenario,
        (seed, time),
        redis,
        &mut fleet,
        (&mut gateways, &mut namers),
        world,
    )
    .await;
    heals(&mut fleet, &mut gateways, &mut namers, &book).await;
    drop(redis);
}

/// All loads and all faults, until everything is healed.
async fn hurt(
    scenario: Scenario,
    (seed, time): (u64, Duration),
    redis: RedisServer,
    fleet: &mut Fleet,
    (gateways, namers): (&mut [Gateway<'_>], &mut [Namer<'_>]),
    world: World<'_>,
) -> RedisServer {
    let over = Cell::new(false);
    let loads = gateways.iter_mut().map(async |gateway| {
        while !over.get() {
            gateway.step().await;
        }
    });
    let names = namers.iter_mut().map(async |namer| {
        while !over.get() {
            namer.step().await;
        }
    });
    let (begun, schedule) = (Instant::now(), |stream| {
        Schedule::new(seed, stream, Instant::now() + time, world.progress)
    });
    // What forgets when it ends does so late, so that there is something to forget.
    let mortal = match scenario.persistence {
        Persistence::None => begun + time / 2,
        _ => begun,
    };
    let (lasts, mortals) = fleet.sidecars.split_last_mut().expect("there are some");
    let lasts = &*lasts;
    let (some, others) = mortals.split_at_mut(SIDECARS / 2);
    let faults = async {
        let (some, others, last, (redis, of_redis), early) = tokio::join!(
            hurt_sidecars(some, schedule(1)),
            hurt_sidecars(others, schedule(2)),
            hang_one(lasts, schedule(4)),
            hurt_redis(redis, mortal, (world.judged, scenario.forgets), schedule(3)),
            Taken::early(lasts, time),
        );
        over.set(true);
        println!(
            "sidecars: {some:?} {others:?} {last:?}; Redis: {of_redis:?}; in {:?}",
            begun.elapsed()
        );
        early.is_nearly_all(lasts).await;
        redis
    };
    let (_, _, redis) = tokio::join!(join_all(loads), join_all(names), faults);
    redis
}
