//! What checks cost Redis, as one server, watched by Sentinels and as a Cluster: calls, for how long its servers had a core, and
//! what an app takes of their memory.
//!
//! `IMQUOTA_COST_APPS` says how many apps there are, `IMQUOTA_COST_CHECKS` how many creations in each.

use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{BatchCheckRequest, Decision, Resource};

use crate::client::{Client, creation};
use crate::cluster_servers::Cluster;
use crate::http::get;
use crate::redis_server::{Persistence, RedisServer};
use crate::run::{TURN, number};
use crate::sentinels::Watched;
use crate::sidecar::Sidecar;
use crate::wait::{soon, until};

const APPS: u64 = 200;
const FIRST_APP: u64 = 1_500_000_000;
/// Creations in each app that are answered from memory; the ledger is asked for fewer than the limit of rooms.
const CHECKS: u64 = 40;
const ROOMS: u64 = 5;
const BATCH_MAX: usize = 1_000;
const SETTINGS: &str = "
unknown_app_plan: cost
plans: { cost: { limits: { accounts: unlimited, groups: unlimited, av_rooms: 7, groups_gained_daily: 10000 } } }
";

/// Sums over the servers, and the calls of the sidecar.
#[derive(Clone, Copy)]
struct Spent {
    calls: u64,
    busy_us: u64,
    memory: u64,
}

struct Scene<'a> {
    sidecar: &'a Sidecar,
    servers: &'a [RedisServer],
    /// How many of them are masters: the others have the same once more.
    masters: usize,
}

impl Scene<'_> {
    async fn figure(&self, name: &str) -> u64 {
        let page = get(&self.sidecar.settings().with_file_name("p"), "/metrics").await;
        let figure = page.series(name);
        let figure = figure.unwrap_or_else(|| panic!("no {name} in {}", page.body));
        // Counts are written as whole numbers.
        format!("{figure:.0}").parse().expect("it is a count")
    }

    async fn spent(&self) -> Spent {
        let told = |server: &RedisServer, section: &str, name: &str| -> f64 {
            let all: String = server.command(&["INFO", section]);
            let line = all.lines().find_map(|line| line.strip_prefix(name));
            let worth = line.and_then(|line| line.strip_prefix(':'));
            worth
                .and_then(|worth| worth.trim().parse().ok())
                .expect("it is told")
        };
        let mut spent = Spent {
            calls: self
                .figure("imquota_redis_call_duration_seconds_count")
                .await,
            busy_us: 0,
            memory: 0,
        };
        for server in &self.servers[..self.masters] {
            let busy = told(server, "cpu", "used_cpu_user") + told(server, "cpu", "used_cpu_sys");
            spent.busy_us += format!("{:.0}", busy * 1e6)
                .parse::<u64>()
                .expect("a number");
            let memory = told(server, "memory", "used_memory");
            spent.memory += format!("{memory:.0}").parse::<u64>().expect("a number");
        }
        spent
    }

    /// Creates in all apps in turn, and waits until the ledger has heard of it all.
    async fn create(&self, client: &Client, resource: Resource, apps: u64, times: u64) -> Spent {
        let before = self.spent().await;
        let all: Vec<u64> = (0..times)
            .flat_map(|_| FIRST_APP..FIRST_APP + apps)
            .collect();
        let mut quota = QuotaServiceClient::new(client.channel.clone());
        for some in all.chunks(BATCH_MAX) {
            let checks = some.iter().map(|app| creation(*app, resource)).collect();
            let answer = soon(
                "the answers",
                quota.batch_check(BatchCheckRequest { checks }),
            );
            let answer = answer.await.expect("it is decided").into_inner();
            for one in answer.results {
                assert_eq!(one.decision(), Decision::Allow, "{one:?}");
            }
        }
        until("all is settled", async || {
            let apps = self.figure("imquota_unsettled_apps").await;
            if apps == 0 { Ok(()) } else { Err(apps) }
        })
        .await;
        let after = self.spent().await;
        Spent {
            calls: after.calls - before.calls,
            busy_us: after.busy_us - before.busy_us,
            memory: after.memory.saturating_sub(before.memory),
        }
    }
}

/// Runs all three ways in which a check is answered; how many calls each took for 1,000 checks.
async fn cost(mode: &str, store: &str, servers: &[RedisServer], masters: usize) -> [u64; 3] {
    let apps = number("IMQUOTA_COST_APPS").unwrap_or(APPS);
    let checks = number("IMQUOTA_COST_CHECKS").unwrap_or(CHECKS);
    let mut sidecar = Sidecar::new("", "");
    let pages = sidecar.settings().with_file_name("p");
    sidecar.set(&format!(
        "store: {{ {store}, timeout: 2s }}\nhttp_listen: 'unix:{}'{SETTINGS}",
        pages.display()
    ));
    sidecar.start_again().await;
    sidecar.process().says("the ledger answers").await;
    let client = sidecar.client().await;
    let scene = Scene {
        sidecar: &sidecar,
        servers,
        masters,
    };
    let ways = [
        ("counted in memory", Resource::Account, checks),
        ("by what is lent", Resource::Group, checks),
        ("each by the ledger", Resource::AvRoom, ROOMS),
    ];
    let mut calls = [0; 3];
    println!("{mode}: {apps} apps");
    for ((what, resource, times), calls) in ways.into_iter().zip(&mut calls) {
        let spent = scene.create(&client, resource, apps, times).await;
        let all = apps * times;
        *calls = spent.calls * 1_000 / all;
        println!(
            "  {what}: {all} checks; of 1,000 {calls} calls, {} us of Redis; an app takes {} bytes more",
            spent.busy_us * 1_000 / all,
            spent.memory / apps
        );
    }
    sidecar.stop().await;
    calls
}

#[tokio::test]
async fn what_checks_cost_in_each_mode() {
    let _turn = TURN.lock().await;
    let single = [RedisServer::start()];
    let url = format!("url: '{}'", single[0].url());
    let alone = cost("a single server", &url, &single, 1).await;
    let watched = Watched::start(Persistence::None, &[]);
    let master = watched.settled();
    let (settings, mut servers) = (watched.settings(), watched.servers);
    servers.swap(0, master);
    let guarded = cost("watched by Sentinels, its master", &settings, &servers, 1).await;
    let cluster = Cluster::start();
    let spread = cost(
        "a Cluster's masters",
        &cluster.settings(),
        &cluster.servers,
        3,
    )
    .await;
    for calls in [alone, guarded, spread] {
        // What memory answers is told later, for many apps at once, but for the first of each app under a limit; what the ledger answers
        // is a call each, and what it was answered is told later.
        assert!(calls[0] <= 100 && calls[1] <= 500, "{calls:?}");
        assert!((1_000..2_000).contains(&calls[2]), "{calls:?}");
    }
}
