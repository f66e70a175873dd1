//! Users on their way to the ledger. Gateways report one login a call; calls that come together
//! share a round trip.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};

use super::journal::LoginKey;
use super::known::Known;
use super::{Ledger, stopped};
use crate::store::{Active, LOGINS_MAX, Login, Shard, StoreFault};

/// The most calls that wait for the next round trip.
pub const WAITING_MAX: usize = 16_384;
/// The most calls that one round takes up.
const ROUND_MAX: usize = 4_096;
/// The most users that may wait for a ledger that is away; 32 bytes each in memory.
pub const PENDING_MAX: usize = 2_000_000;

/// Logins of one call, and who waits for the answer.
#[derive(Debug)]
pub struct Asked {
    logins: Vec<Login>,
    reply: oneshot::Sender<Result<Vec<Active>, StoreFault>>,
}

/// The queue to the ledger, the users it acknowledged, and those that wait for it.
#[derive(Debug)]
pub struct Logins {
    queue: mpsc::Sender<Asked>,
    known: Known,
    pending: Mutex<HashSet<LoginKey>>,
}

impl Logins {
    /// Begins with the logins that an earlier run left; the receiver is for [`keep`].
    pub fn new(pending: HashSet<LoginKey>) -> (Self, mpsc::Receiver<Asked>) {
        let (queue, asked) = mpsc::channel(WAITING_MAX);
        (
            Self {
                queue,
                known: Known::default(),
                pending: Mutex::new(pending),
            },
            asked,
        )
    }

    /// Whether the ledger has acknowledged this login.
    pub fn is_known(&self, login: &Login) -> bool {
        self.known.contains(login)
    }

    /// Tells the ledger, together with whoever does at the same time.
    pub async fn tell(&self, logins: Vec<Login>) -> Result<Vec<Active>, StoreFault> {
        let (reply, answer) = oneshot::channel();
        let gone = || StoreFault::Away("this process is stopping".into());
        match self.queue.try_send(Asked { logins, reply }) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(gone())),
            Err(mpsc::error::TrySendError::Full(_)) => Err(StoreFault::Away(format!(
                "{WAITING_MAX} calls wait for it already"
            ))),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(gone()),
        }
    }

    /// The ledger acknowledged these.
    pub fn acknowledged(&self, logins: &[Login]) {
        for login in logins {
            self.known.insert(login);
        }
    }

    /// Keeps journaled logins until the ledger answers. Answers how many did not wait already, or
    /// `None` if there is no room; nothing is kept then.
    pub fn wait(&self, logins: &[Login]) -> Option<u64> {
        let mut pending = self.pending();
        if pending.len() + logins.len() > PENDING_MAX {
            return None;
        }
        let new = logins
            .iter()
            .filter(|login| pending.insert(key(login)))
            .count();
        Some(new as u64)
    }

    /// Some logins that wait, by shard, at most [`LOGINS_MAX`] in each.
    pub fn waiting(&self) -> BTreeMap<Shard, Vec<Login>> {
        let mut by_shard: BTreeMap<Shard, Vec<Login>> = BTreeMap::new();
        for LoginKey { app, day, user } in self.pending().iter().copied() {
            let logins = by_shard.entry(Shard::of(app)).or_default();
            if logins.len() < LOGINS_MAX {
                logins.push(Login { app, day, user });
            }
        }
        by_shard
    }

    /// These wait no longer.
    pub fn waited(&self, logins: &[Login]) {
        let mut pending = self.pending();
        for login in logins {
            pending.remove(&key(login));
        }
    }

    /// All logins that wait, for a checkpoint.
    pub fn copy(&self) -> HashSet<LoginKey> {
        self.pending().clone()
    }

    fn pending(&self) -> MutexGuard<'_, HashSet<LoginKey>> {
        // Sets are changed in one step; a poisoned one is still whole.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(login: &Login) -> LoginKey {
    LoginKey {
        app: login.app,
        day: login.day,
        user: login.user,
    }
}

/// The task that carries logins to the ledger, one round at a time: what comes during a round trip
/// shares the next one. Ends after the round in which `stop` turns true.
pub async fn keep(
    ledger: &Ledger,
    asked: &mut mpsc::Receiver<Asked>,
    mut stop: watch::Receiver<bool>,
) {
    let mut round = Vec::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return,
            _ = asked.recv_many(&mut round, ROUND_MAX) => {
                carry(ledger, std::mem::take(&mut round)).await;
            }
        }
    }
}

/// One round: a call for each shard that has logins, all under way together.
async fn carry(ledger: &Ledger, round: Vec<Asked>) {
    let mut by_shard: BTreeMap<Shard, Vec<Login>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for login in round.iter().flat_map(|asked| &asked.logins) {
        if seen.insert(*login) {
            by_shard
                .entry(Shard::of(login.app))
                .or_default()
                .push(*login);
        }
    }
    let calls: FuturesUnordered<_> = by_shard
        .iter()
        .flat_map(|(shard, logins)| logins.chunks(LOGINS_MAX).map(|chunk| (*shard, chunk)))
        .map(|(shard, logins)| async move {
            let answer = ledger
                .store
                .record_active(shard, logins, ledger.now())
                .await;
            (logins, answer)
        })
        .collect();
    let mut answers: HashMap<Login, Result<Active, StoreFault>> = HashMap::new();
    let mut done = calls;
    while let Some((logins, answer)) = done.next().await {
        match answer {
            Ok(active) => {
                ledger.logins.acknowledged(logins);
                answers.extend(logins.iter().copied().zip(active.into_iter().map(Ok)));
            }
            Err(fault) => {
                ledger.outlook.doubt(&fault);
                answers.extend(logins.iter().map(|login| (*login, Err(fault.clone()))));
            }
        }
    }
    for Asked { logins, reply } in round {
        let answer = logins
            .iter()
            .map(|login| take_answer(&mut answers, login))
            .collect();
        // Nobody waits any more if the caller went away; what was recorded stays.
        drop(reply.send(answer));
    }
}

/// A login's answer. The first who asks in a round is told that the user is new, the others that the
/// user was there.
fn take_answer(
    answers: &mut HashMap<Login, Result<Active, StoreFault>>,
    login: &Login,
) -> Result<Active, StoreFault> {
    let Some(answer) = answers.get_mut(login) else {
        return Err(StoreFault::Away("it left a login without an answer".into()));
    };
    let told = answer.clone();
    if let Ok(active) = answer {
        active.newly = false;
    }
    told
}
