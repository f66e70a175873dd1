//! Several sidecars on one Redis, a load through all of them that keeps its own book, and what must hold of
//! both: no limit is passed at any time, and in the end every count is the book's.

use std::cell::Cell;

use futures_util::future::join_all;
use imquota::grpc::proto::{Resource, Source};

use crate::client::{ACCOUNTS_FULL, ALLOW, Client, UNAVAILABLE, deletion, used, verdict};
use crate::recount::operators;
use crate::sidecar::Sidecar;
use crate::tally::Progress;
use crate::wait::until;

/// An app with a limit of [`LIMIT`] accounts, and one without.
pub const LIMITED: u64 = 1;
pub const METERED: u64 = 2;
pub const LIMIT: u64 = 400;

pub const SETTINGS: &str = "
store: { timeout: 500ms }
apps:
  - { app_id: 1, plan: pro, limits: { accounts: 400 } }
  - { app_id: 2, plan: pro }
";

use Resource::Account;

/// Sidecars, and a connection to each.
pub struct Fleet {
    pub sidecars: Vec<Sidecar>,
    pub clients: Vec<Client>,
}

/// What the gateways were answered.
#[derive(Default)]
pub struct Book {
    pub created: Cell<u64>,
    /// Counted when the deletion is sent: from then on its place may be another's.
    pub deleted: Cell<u64>,
    pub metered: Cell<u64>,
    pub from_memory: Cell<u64>,
    pub progress: Progress,
    /// Whether the load deletes nothing just now.
    pub keeps: Cell<bool>,
    over: Cell<bool>,
}

pub fn add(to: &Cell<u64>, many: u64) {
    to.set(to.get() + many);
}

impl Book {
    pub fn alive(&self) -> u64 {
        self.created.get() - self.deleted.get()
    }

    /// One creation under the limit through `client`. Whether it was admitted.
    pub async fn create(&self, client: &Client) -> bool {
        let answer = client.create(LIMITED, Account).await;
        self.progress.step();
        match verdict(&answer) {
            ALLOW => {
                add(&self.created, 1);
                // While the ledger is away what was lent is spent, too.
                let lent = answer.source() != Source::Ledger;
                add(&self.from_memory, lent.into());
                assert!(self.alive() <= LIMIT, "{} of {LIMIT}", self.alive());
                true
            }
            ACCOUNTS_FULL | UNAVAILABLE => false,
            _ => panic!("no such answer: {answer:?}"),
        }
    }

    /// One deletion of what was created.
    pub async fn delete(&self, client: &Client) {
        add(&self.deleted, 1);
        let freed = client.release(deletion(LIMITED, Account, 1)).await;
        assert_eq!(freed.released, 1, "{freed:?}");
        self.progress.step();
    }

    /// Creates and deletes through `own` and `other` until the load is over.
    async fn load(&self, own: &Client, other: &Client) {
        let mut mine = 0_u64;
        for step in 0_u64.. {
            if self.over.get() {
                return;
            }
            mine += u64::from(self.create(own).await);
            if step % 3 == 0 && mine > 0 && !self.keeps.get() {
                mine -= 1;
                // What was created through one is deleted through another as often.
                self.delete(if step % 2 == 0 { own } else { other }).await;
            }
            assert_eq!(verdict(&own.create(METERED, Account).await), ALLOW);
            add(&self.metered, 1);
        }
    }
}

impl Fleet {
    pub async fn start(url: &str, many: usize) -> Self {
        let mut fleet = Self {
            sidecars: Vec::new(),
            clients: Vec::new(),
        };
        for _ in 0..many {
            fleet.join(url).await;
        }
        fleet
    }

    /// One more sidecar.
    pub async fn join(&mut self, url: &str) {
        let mut sidecar = Sidecar::new(url, SETTINGS);
        let socket = operators(&sidecar);
        sidecar.set(&format!("{SETTINGS}admin_listen: \"{socket}\"\n"));
        sidecar.start_again().await;
        self.clients.push(sidecar.client().await);
        self.sidecars.push(sidecar);
    }

    /// Takes one out, to be hurt by the test.
    pub fn take(&mut self, number: usize) -> Sidecar {
        self.clients.remove(number);
        self.sidecars.remove(number)
    }

    /// Puts one back that runs again.
    pub async fn put(&mut self, sidecar: Sidecar) {
        self.clients.push(sidecar.client().await);
        self.sidecars.push(sidecar);
    }

    /// Runs a load through all while `hurt` does something, and after it until the ledger answers again.
    pub async fn under_load<T>(&self, book: &Book, hurt: impl AsyncFnOnce(&Book) -> T) -> T {
        book.over.set(false);
        let others = self.clients.iter().cycle().skip(1);
        let pairs = self.clients.iter().zip(others);
        let loads = pairs.map(|(own, other)| book.load(own, other));
        let trouble = async {
            book.progress.after(100).await;
            let done = hurt(book).await;
            self.answers().await;
            book.progress.after(100).await;
            book.over.set(true);
            done
        };
        tokio::join!(join_all(loads), trouble).1
    }

    /// Waits until every sidecar has the ledger's word again.
    pub async fn answers(&self) {
        for client in &self.clients {
            until("the ledger answers", async || {
                match client.usage(LIMITED).await {
                    usage if usage.degraded => Err(usage),
                    _ => Ok(()),
                }
            })
            .await;
        }
    }

    /// Every sidecar counts what the book says.
    pub async fn agrees(&self, book: &Book) {
        let expected = [book.alive(), book.metered.get()];
        for (number, client) in self.clients.iter().enumerate() {
            until("the books agree", async || {
                let (limited, metered) = (client.usage(LIMITED).await, client.usage(METERED).await);
                let found = [used(&limited, Account), used(&metered, Account)];
                if !limited.degraded && !metered.degraded && found == expected {
                    Ok(())
                } else {
                    Err((number, found, expected, limited.degraded))
                }
            })
            .await;
        }
    }

    /// Every place that is left can be had, wherever it is lent, and not one more.
    pub async fn fills_up(&self, book: &Book) {
        until("every place is given", async || {
            let asked = self.clients.iter().map(|client| book.create(client));
            let admitted = join_all(asked).await.contains(&true);
            match book.alive() {
                LIMIT if !admitted => Ok(()),
                alive => Err(alive),
            }
        })
        .await;
        self.agrees(book).await;
    }
}
