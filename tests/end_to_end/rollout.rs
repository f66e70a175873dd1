//! A rolling update under load, and its roll-back: sidecars are replaced one by one while gateways create. Nothing is
//! refused, nothing is counted twice, and whoever went left nothing behind.
//!
//! With `IMQUOTA_OLD_PROGRAM` the update is one from that build of the program to this one, and back.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;

use futures_util::future::join_all;
use imquota::grpc::proto::{CheckRequest, Resource};
use tonic_health::pb::health_check_response::ServingStatus::Serving;

use crate::client::{ALLOW, Client, creation, verdict};
use crate::members::standings;
use crate::recount::operators;
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::tally::Progress;
use crate::wait::until;

const LIMITED: u64 = 1;
const FREE: u64 = 2;
/// What is rolled out.
struct Release {
    program: OsString,
    settings: &'static str,
}

/// The settings of one release and of the next: between them an update may change what does not judge.
const SETTINGS: [&str; 2] = [
    "
apps:
  - { app_id: 1, plan: trial, limits: { accounts: 1000000 } }
  - { app_id: 2, plan: flagship, limits: { groups_gained_daily: unlimited } }
",
    "
request_ids: { window: 5m }
apps:
  - { app_id: 1, plan: pro, limits: { accounts: 1000000 } }
  - { app_id: 2, plan: flagship, limits: { groups_gained_daily: unlimited } }
  - { app_id: 3, plan: trial }
",
];

/// The old one and the new one.
fn releases() -> [Release; 2] {
    let this = OsString::from(env!("CARGO_BIN_EXE_imquota"));
    let old = std::env::var_os("IMQUOTA_OLD_PROGRAM").unwrap_or_else(|| this.clone());
    let [before, after] = SETTINGS;
    [(old, before), (this, after)].map(|(program, settings)| Release { program, settings })
}

/// How many gateways create at a time.
const GATEWAYS: usize = 12;
/// How many answers come between two steps of the update.
const STEP: u64 = 500;

use Resource::{Account, Group};

/// The sidecars that a balancer sends gateways to.
#[derive(Default)]
struct Balancer {
    serving: RefCell<Vec<(String, Client)>>,
    next: Cell<usize>,
}

impl Balancer {
    /// A new sidecar, as a Deployment makes one.
    async fn start(&self, redis: &RedisServer, release: &Release) -> Sidecar {
        let mut sidecar = Sidecar::new(&redis.url(), release.settings);
        self.start_as(&mut sidecar, release).await;
        sidecar
    }

    /// Starts a sidecar on its folder. It is asked once the probe says that it is ready, as in a cluster.
    async fn start_as(&self, sidecar: &mut Sidecar, release: &Release) {
        let socket = operators(sidecar);
        sidecar.set(&format!("{}admin_listen: \"{socket}\"\n", release.settings));
        sidecar.run_by(&release.program);
        sidecar.start_again().await;
        let client = sidecar.client().await;
        until("it is ready", async || {
            match client.health("readiness").await {
                Serving => Ok(()),
                other => Err(other),
            }
        })
        .await;
        let named = (sidecar.member().to_owned(), client);
        self.serving.borrow_mut().push(named);
    }

    /// Before the process is told to end, as in a cluster. Calls to it may still be under way.
    fn remove(&self, sidecar: &Sidecar) {
        self.serving
            .borrow_mut()
            .retain(|(member, _)| member != sidecar.member());
    }

    fn pick(&self) -> Client {
        let serving = self.serving.borrow();
        let turn = self.next.replace(self.next.get() + 1);
        serving[turn % serving.len()].1.clone()
    }
}

/// What gateways did.
#[derive(Default)]
struct Book {
    accounts: Cell<u64>,
    groups: Cell<u64>,
    asked_again: Cell<u64>,
    stop: Cell<bool>,
    progress: Progress,
}

/// Creates one after the other. What a sidecar that ends does not take is asked of another one, once more under its id.
async fn gateway(number: usize, balancer: &Balancer, book: &Book) {
    for call in 0.. {
        if book.stop.get() {
            return;
        }
        let (app, resource, count) = match call % 2 {
            0 => (LIMITED, Account, &book.accounts),
            _ => (FREE, Group, &book.groups),
        };
        let check = CheckRequest {
            request_id: format!("gateway-{number}-{call}"),
            ..creation(app, resource)
        };
        let answer = loop {
            match balancer.pick().try_check(check.clone()).await {
                Ok(answer) => break answer,
                Err(_) => book.asked_again.set(book.asked_again.get() + 1),
            }
        };
        assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
        count.set(count.get() + 1);
        book.progress.step();
    }
}

#[tokio::test]
async fn a_rolling_update_refuses_nothing_and_counts_nothing_twice() {
    let redis = RedisServer::start();
    let (balancer, book) = (Balancer::default(), Book::default());
    let mut sidecars = Vec::new();
    let [old, new] = releases();
    for _ in 0..2 {
        sidecars.push(balancer.start(&redis, &old).await);
    }
    let mut gone = Vec::new();
    let update = async {
        book.progress.after(STEP).await;
        for place in &mut sidecars {
            let started = balancer.start(&redis, &new).await;
            // Both releases answer beside each other.
            book.progress.after(STEP).await;
            let mut replaced = std::mem::replace(place, started);
            balancer.remove(&replaced);
            // What a Pod's delay is for: what was on its way has arrived.
            book.progress.after(STEP).await;
            replaced.stop().await;
            gone.push(replaced);
            book.progress.after(STEP).await;
        }
        // Back, as a StatefulSet does it: each on the volume that the newer release has left.
        for sidecar in &mut sidecars {
            balancer.remove(sidecar);
            book.progress.after(STEP).await;
            sidecar.stop().await;
            balancer.start_as(sidecar, &old).await;
            book.progress.after(STEP).await;
        }
        book.stop.set(true);
    };
    let load = (0..GATEWAYS).map(|number| gateway(number, &balancer, &book));
    tokio::join!(update, join_all(load));

    for sidecar in &sidecars {
        let client = sidecar.client().await;
        let wanted = (book.accounts.get(), book.groups.get());
        until("all that was answered is counted, once", async || {
            let accounts = client.used(LIMITED, Account).await;
            let counted = (accounts, client.used(FREE, Group).await);
            (counted == wanted).then_some(()).ok_or((counted, wanted))
        })
        .await;
    }
    for replaced in &gone {
        let standing = standings(&sidecars[0], replaced.member()).await;
        assert_eq!(standing, ["MEMBER_STANDING_GONE"]);
    }
    // With a balancer that is told in time nobody has to ask again.
    assert_eq!(book.asked_again.get(), 0);
}
