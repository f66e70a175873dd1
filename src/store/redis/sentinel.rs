//! Who the master is: what Sentinels say, also when they differ, or some are gone.
//!
//! Each Sentinel numbers what it believes: of two answers the one with the higher configuration epoch is the newer
//! truth, however many still tell the older one. All are asked when a connection is made; while it is in use,
//! one after the other with each beat, so that a master which is cut off, and would go on answering, is left
//! as soon as a Sentinel that can be reached knows of another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use redis::{FromRedisValue as _, Value};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::address::{Address, Host};
use super::dial::{Caller, Connection, no_answer};
use super::fault;
use crate::store::StoreFault;

/// The Sentinels of one master.
#[derive(Debug)]
pub(super) struct Sentinels {
    caller: Caller,
    master_name: Box<str>,
    /// Whether the master speaks TLS.
    is_tls: bool,
    all: Box<[Sentinel]>,
    /// Whose turn it is to be asked in passing.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Sentinel {
    address: Address,
    /// Kept for the questions in passing; one question at a time.
    kept: Mutex<Option<Connection>>,
}

/// A master, and the number of the fail-over by which it became one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) address: Address,
    pub(super) epoch: u64,
}

impl Sentinels {
    pub(super) fn new(
        addresses: Vec<Address>,
        master_name: Box<str>,
        is_tls: bool,
        caller: Caller,
    ) -> Self {
        let sentinel = |address| Sentinel {
            address,
            kept: Mutex::new(None),
        };
        Self {
            caller,
            master_name,
            is_tls,
            all: addresses.into_iter().map(sentinel).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Whom the newest answer names; all are asked, until most of them say the same.
    pub(super) async fn master(&self) -> Result<Master, StoreFault> {
        let mut asked: FuturesUnordered<_> =
            self.all.iter().map(|sentinel| self.ask(sentinel)).collect();
        let mut told: Vec<(Master, usize)> = Vec::new();
        let mut why = None;
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(master) => {
                    let at = told.iter().position(|(known, _)| *known == master);
                    let at = at.unwrap_or_else(|| {
                        told.push((master, 0));
                        told.len() - 1
                    });
                    told[at].1 += 1;
                    if told[at].1 * 2 > self.all.len() {
                        break;
                    }
                }
                // Of several faults the one that an operator can mend says more than a silence.
                Err(fault) if why.is_none() || is_about_the_name(&fault) => why = Some(fault),
                Err(_) => {}
            }
        }
        if told.len() > 1 {
            tracing::warn!(
                master = &*self.master_name,
                "Sentinels differ about the master; the newest answer counts"
            );
        }
        // Of two with one number, the one that more Sentinels name.
        let newest = told
            .into_iter()
            .max_by_key(|(master, votes)| (master.epoch, *votes));
        newest.map(|(master, _)| master).ok_or_else(|| {
            why.unwrap_or_else(|| StoreFault::Away("there is no Sentinel to ask".into()))
        })
    }

    /// Asks one of them in passing: whether it knows of a newer master than `present`. One that does not answer
    /// says nothing.
    pub(super) async fn successor(&self, present: &Master) -> Option<Master> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.all.len();
        let sentinel = self.all.get(turn)?;
        let master = self.ask(sentinel).await.ok()?;
        (master.epoch > present.epoch && master.address != present.address).then_some(master)
    }

    async fn ask(&self, sentinel: &Sentinel) -> Result<Master, StoreFault> {
        let mut kept = sentinel.kept.lock().await;
        let asked = timeout(self.caller.patience, async {
            let connection = match kept.take() {
                Some(connection) => connection,
                None => self.caller.dial(&sentinel.address).await?,
            };
            let mut cmd = redis::cmd("SENTINEL");
            cmd.arg("MASTER").arg(&*self.master_name);
            let answer = connection.send(&cmd).await;
            let answer = answer.and_then(Value::extract_error);
            let answer = answer.map_err(|error| self.fault(&error, &sentinel.address))?;
            Ok((answer, connection))
        });
        let (answer, connection) = asked
            .await
            .map_err(|_| no_answer(&sentinel.address, self.caller.patience))??;
        *kept = Some(connection);
        self.read(answer, &sentinel.address)
    }

    fn read(&self, answer: Value, from: &Address) -> Result<Master, StoreFault> {
        let of = HashMap::<String, String>::from_redis_value(answer).unwrap_or_default();
        let number = |name: &str| of.get(name).and_then(|text| text.parse::<u64>().ok());
        let port = number("port").and_then(|port| u16::try_from(port).ok());
        match (of.get("ip"), port, number("config-epoch")) {
            (Some(ip), Some(port), Some(epoch)) if !ip.is_empty() => Ok(Master {
                address: Address {
                    host: Host::Tcp(ip.clone(), port),
                    is_tls: self.is_tls,
                },
                epoch,
            }),
            _ => Err(StoreFault::Away(format!(
                "what answers at {from} is no Sentinel"
            ))),
        }
    }

    fn fault(&self, error: &redis::RedisError, from: &Address) -> StoreFault {
        let words = error.to_string();
        if words.contains("No such master") {
            return StoreFault::Away(format!(
                "the Sentinel at {from} knows no master {:?}; {NAME_HINT}",
                self.master_name
            ));
        }
        if words.contains("unknown command") {
            return StoreFault::Away(format!(
                "what answers at {from} is no Sentinel; store.urls must name Sentinels, as a rule on port 26379"
            ));
        }
        match fault::read(error, &format!("{from} (a Sentinel)")).0 {
            // Another program's keys say nothing here.
            StoreFault::Unusable(words) => StoreFault::Away(words),
            fault => fault,
        }
    }
}

const NAME_HINT: &str =
    "store.master_name must be the name that stands behind \"sentinel monitor\" there";

fn is_about_the_name(fault: &StoreFault) -> bool {
    fault.to_string().contains(NAME_HINT)
}
