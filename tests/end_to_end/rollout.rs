//! A rolling update under load: sidecars are replaced one by one while gateways create. Nothing is refused,
//! nothing is counted twice, and whoever went left nothing behind.

use std::cell::{Cell, RefCell};

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
/// Of one and of another edition of the settings: between them an update may change what does not judge.
const EDITIONS: [&str; 2] = [
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
    /// A sidecar is asked once the probe says that it is ready, as in a cluster.
    async fn start(&self, redis: &RedisServer, settings: &str) -> Sidecar {
        let mut sidecar = Sidecar::new(&redis.url(), settings);
        let socket = operators(&sidecar);
        sidecar.set(&format!("{settings}admin_listen: \"{socket}\"\n"));
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
        sidecar
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
    for _ in 0..2 {
        sidecars.push(balancer.start(&redis, EDITIONS[0]).await);
    }
    let mut gone = Vec::new();
    let update = async {
        book.progress.after(STEP).await;
        for place in &mut sidecars {
            let new = balancer.start(&redis, EDITIONS[1]).await;
            // Both editions answer beside each other.
            book.progress.after(STEP).await;
            let mut old = std::mem::replace(place, new);
            balancer.remove(&old);
            // What a Pod's delay is for: what was on its way has arrived.
            book.progress.after(STEP).await;
            old.stop().await;
            gone.push(old);
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
    for old in &gone {
        let standing = standings(&sidecars[0], old.member()).await;
        assert_eq!(standing, ["MEMBER_STANDING_GONE"]);
    }
    // With a balancer that is told in time nobody has to ask again.
    assert_eq!(book.asked_again.get(), 0);
}
