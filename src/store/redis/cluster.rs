//! A Cluster: a connection to each master that has slots, and which slot is whose.
//!
//! # A step runs where its whole slot is
//!
//! A step's script finds keys of its shard that the call does not name, and writes one after the other. On a node
//! from which a slot is just moved away it would fail in the middle of that, at the first key that is not there. So
//! each call names one key more, of the same slot, which never exists ([`Keys::absent`](super::keys)): while the slot is on its
//! way the node then refuses the call before the script has begun, with TRYAGAIN or ASK. Neither is followed; the call
//! is repeated, and if that does not help in time the shard waits. When the slot has arrived, MOVED says where.
//!
//! # One epoch for all masters
//!
//! Each master may forget by itself. The run of a Cluster is that of all its masters together, so that one which was
//! restarted, replaced or added opens a recovery for all. All members must see the same masters for that: each asks
//! the node that has the meta key, before each beat, which there are.

use std::collections::HashMap;
use std::hash::Hasher as _;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::address::{Address, Host};
use super::dial::{Caller, Connection};
use super::slot::{SLOTS, of_command};
use super::{answer, fault};
use crate::chance;
use crate::store::{Calls, Failure, StoreFault};

/// How often one call may be told another node: a slot that moves again and again is a fault.
const REDIRECTIONS_MAX: u32 = 4;
/// How often a call is repeated that came too early, and how long it waits before: 0.3 s in all.
const AGAIN_MAX: u32 = 8;
const AGAIN: Duration = Duration::from_millis(40);
/// What the run of a Cluster begins with. `beat.lua` knows it.
const RUN: &str = "cluster:";

/// The masters that have slots, each with a connection.
#[derive(Debug)]
pub(super) struct Cluster {
    masters: Box<[Master]>,
    /// Whose each slot is, by the place in `masters`.
    owners: RwLock<Box<[u16]>>,
    /// Knows of the refusals that a call gets over, too.
    calls: Arc<Calls>,
}

#[derive(Debug)]
struct Master {
    address: Address,
    connection: Arc<Connection>,
}

/// What a node says of the slots: their first, their last, and whose they are.
type Ranges = Vec<(u16, u16, Address)>;

impl Cluster {
    /// Asks one of `seeds` which masters there are, and connects to each.
    pub(super) async fn connect(
        seeds: &[Address],
        caller: &Caller,
        calls: &Arc<Calls>,
    ) -> Result<Self, StoreFault> {
        let mut last = StoreFault::Away("no node of the Cluster is named".into());
        for seed in seeds {
            match Self::by(seed, caller, calls).await {
                Ok(cluster) => return Ok(cluster),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn by(seed: &Address, caller: &Caller, calls: &Arc<Calls>) -> Result<Self, StoreFault> {
        let ranges = ask_ranges(&caller.dial(seed).await?, seed).await?;
        let mut addresses: Vec<Address> = Vec::new();
        let mut owners = vec![u16::MAX; usize::from(SLOTS)].into_boxed_slice();
        for (first, last, address) in ranges {
            let at = addresses.iter().position(|known| *known == address);
            let at = at.unwrap_or_else(|| {
                addresses.push(address);
                addresses.len() - 1
            });
            let at = u16::try_from(at).unwrap_or(u16::MAX);
            if let Some(range) = owners.get_mut(usize::from(first)..=usize::from(last)) {
                range.fill(at);
            }
        }
        if owners.contains(&u16::MAX) {
            return Err(StoreFault::Away(format!(
                "the Cluster of Redis at {seed} has slots that no master has: redis-cli --cluster check {seed}"
            )));
        }
        let masters = addresses.into_iter().map(async |address| {
            let connection = caller.dial(&address).await?;
            Ok::<_, StoreFault>(Master {
                address,
                connection: Arc::new(connection),
            })
        });
        Ok(Self {
            masters: try_join_all(masters).await?.into(),
            owners: RwLock::new(owners),
            calls: calls.clone(),
        })
    }

    /// The connections to all masters.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.masters.iter().map(|master| &master.connection)
    }

    /// The connection to whoever has `slot`.
    pub(super) fn of(&self, slot: u16) -> &Arc<Connection> {
        &self.owner(slot).connection
    }

    fn owner(&self, slot: u16) -> &Master {
        // Indices are whole even if a holder panicked.
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        let at = owners.get(usize::from(slot)).copied().unwrap_or(0);
        // Both are made together; a slot without an owner is not accepted.
        &self.masters[usize::from(at) % self.masters.len()]
    }

    /// Takes note that a slot is another's; `None`: of a master to which there is no connection.
    fn moved(&self, slot: u16, address: &Address) -> Option<()> {
        let at = self.masters.iter().position(|of| of.address == *address)?;
        let mut owners = self.owners.write().unwrap_or_else(PoisonError::into_inner);
        *owners.get_mut(usize::from(slot))? = u16::try_from(at).ok()?;
        Some(())
    }

    /// Whether `slot`'s owner names the same masters as those that are connected to.
    pub(super) async fn is_whole(&self, slot: u16) -> Result<bool, StoreFault> {
        let owner = self.owner(slot);
        let ranges = ask_ranges(&owner.connection, &owner.address).await?;
        let is_known = |of: &Address| self.masters.iter().any(|master| master.address == *of);
        let has_slots = |master: &Master| ranges.iter().any(|(.., of)| *of == master.address);
        Ok(ranges.iter().all(|(.., of)| is_known(of)) && self.masters.iter().all(has_slots))
    }

    /// Sends a command to whoever has its slot; an error of the server is an error.
    pub(super) async fn send(&self, cmd: &Cmd) -> RedisResult<Value> {
        let Some(slot) = of_command(cmd) else {
            return Err((ErrorKind::Client, "a command without a key has no node").into());
        };
        let (mut redirections, mut again) = (0, 0);
        loop {
            let owner = self.owner(slot);
            let error = match owner.connection.send(cmd).await?.extract_error() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Server(ServerErrorKind::Moved) if redirections < REDIRECTIONS_MAX => {
                    redirections += 1;
                    let to = redirected(&error, &owner.address);
                    if to.and_then(|to| self.moved(slot, &to)).is_none() {
                        return Err(error);
                    }
                    self.sends_again(&error);
                }
                ErrorKind::Server(
                    ServerErrorKind::TryAgain | ServerErrorKind::Ask | ServerErrorKind::ClusterDown,
                ) if again < AGAIN_MAX => {
                    again += 1;
                    self.sends_again(&error);
                    tokio::time::sleep(AGAIN.mul_f64(chance::within(0.75..1.25))).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Sends each command to whoever has its slot, those of one master in one write; all answers in order, or the
    /// first error.
    pub(super) async fn send_all(&self, cmds: &[Cmd]) -> RedisResult<Vec<Value>> {
        let mut of_masters: HashMap<u16, Vec<usize>> = HashMap::new();
        for (at, cmd) in cmds.iter().enumerate() {
            let slot = of_command(cmd).unwrap_or(0);
            let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
            let owner = owners.get(usize::from(slot)).copied().unwrap_or(0);
            of_masters.entry(owner).or_default().push(at);
        }
        let sent = of_masters.into_iter().map(async |(owner, places)| {
            let some: Vec<Cmd> = places.iter().map(|at| cmds[*at].clone()).collect();
            let master = &self.masters[usize::from(owner) % self.masters.len()];
            let values = master.connection.send_all(&some).await?;
            Ok::<_, RedisError>(places.into_iter().zip(values))
        });
        let mut answers = vec![Value::Nil; cmds.len()];
        for (at, value) in try_join_all(sent).await?.into_iter().flatten() {
            answers[at] = match value.extract_error() {
                Ok(value) => value,
                // It was not run there: a slot moved meanwhile.
                Err(error) if is_elsewhere(&error) => {
                    self.sends_again(&error);
                    self.send(&cmds[at]).await?
                }
                Err(error) => return Err(error),
            };
        }
        Ok(answers)
    }

    /// Counts a refusal that is not the call's end. The last one of a call is counted by whoever made it.
    fn sends_again(&self, error: &RedisError) {
        if let Some(how) = Failure::said(error.code()) {
            self.calls.failed(how);
        }
    }
}

/// One number for the runs of all masters, whatever their order.
pub(super) fn run_of_all(mut runs: Vec<String>) -> String {
    runs.sort_unstable();
    let mut hasher = SipHasher13::new();
    for run in runs {
        hasher.write(run.as_bytes());
        hasher.write_u8(b' ');
    }
    let hash = hasher.finish128();
    format!("{RUN}{:016x}{:016x}", hash.h1, hash.h2)
}

fn is_elsewhere(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
        )
    )
}

/// Where MOVED points to; a node that does not know its own name means the host that was asked.
fn redirected(error: &RedisError, asked: &Address) -> Option<Address> {
    let (node, _) = error.redirect_node()?;
    let (host, port) = node.rsplit_once(':')?;
    Some(at(host, port.parse().ok()?, asked))
}

fn at(host: &str, port: u16, asked: &Address) -> Address {
    let host = match &asked.host {
        Host::Tcp(known, _) if host.is_empty() || host == "?" => known.clone(),
        _ => host.trim_matches(['[', ']']).to_owned(),
    };
    Address {
        host: Host::Tcp(host, port),
        is_tls: asked.is_tls,
    }
}

async fn ask_ranges(connection: &Connection, asked: &Address) -> Result<Ranges, StoreFault> {
    let mut cmd = redis::cmd("CLUSTER");
    cmd.arg("SLOTS");
    let value = connection.send(&cmd).await.and_then(Value::extract_error);
    let value = value.map_err(|error| {
        if error.to_string().contains("cluster support disabled") {
            return StoreFault::Unusable(format!(
                "Redis at {asked} is no node of a Cluster: set store.mode: single and store.url"
            ));
        }
        fault::read(&error, &asked.to_string()).0
    })?;
    read_ranges(value, asked).ok_or_else(answer::unexpected)
}

fn read_ranges(value: Value, asked: &Address) -> Option<Ranges> {
    let Value::Array(ranges) = value else {
        return None;
    };
    ranges
        .into_iter()
        .map(|range| {
            let Value::Array(parts) = range else {
                return None;
            };
            let mut parts = parts.into_iter();
            let first = redis::from_redis_value(parts.next()?).ok()?;
            let last = redis::from_redis_value(parts.next()?).ok()?;
            let Value::Array(master) = parts.next()? else {
                return None;
            };
            let mut master = master.into_iter();
            let host: Option<String> = redis::from_redis_value(master.next()?).ok()?;
            let port = redis::from_redis_value(master.next()?).ok()?;
            Some((first, last, at(&host.unwrap_or_default(), port, asked)))
        })
        .collect()
}
