//! Users on their way to the ledger. Gateways report one login a call; calls that come together
//! share a round trip.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use super::Ledger;
use super::journal::LoginKey;
use super::known::Known;
use super::owed::Full;
use crate::clock::Day;
use crate::quota::AppId;
use crate::store::{Active, LOGINS_MAX, Login, SHARDS, Shard, StoreFault};

/// The most calls that wait for the next round trip.
pub const WAITING_MAX: usize = 16_384;
/// The most calls that one round takes up.
const ROUND_MAX: usize = 4_096;
/// The most users of one ledger shard that may wait for a ledger that is away; about 60 bytes each.
pub const PENDING_MAX: usize = 1_000_000;

/// Logins of one call, and who waits for the answer.
#[derive(Debug)]
pub struct Asked {
    logins: Vec<Login>,
    reply: oneshot::Sender<Result<Vec<Active>, StoreFault>>,
}

/// Why a login is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// A caller is telling the ledger.
    Open,
    /// The ledger was away; the background tells it.
    Waits,
}

/// The queue to the ledger, the users it acknowledged, and those that it has yet to acknowledge.
#[derive(Debug)]
pub struct Logins {
    queue: mpsc::Sender<Asked>,
    known: Known,
    /// By ledger shard.
    pending: Box<[Mutex<BTreeMap<LoginKey, Kept>>]>,
}

impl Logins {
    /// Begins with the logins that an earlier run left; the receiver is for [`keep`].
    pub fn new(left: HashSet<LoginKey>) -> (Self, mpsc::Receiver<Asked>) {
        let (queue, asked) = mpsc::channel(WAITING_MAX);
        let pending = (0..SHARDS).map(|_| Mutex::default()).collect();
        let this = Self {
            queue,
            known: Known::default(),
            pending,
        };
        for login in left {
            this.pending_of(login.app).insert(login, Kept::Waits);
        }
        (this, asked)
    }

    /// Whether the ledger has acknowledged this login.
    pub fn is_known(&self, login: &Login) -> bool {
        self.known.contains(login)
    }

    /// Some of the users that the ledger acknowledged: part number `at` of those remembered.
    pub fn known_part(&self, at: usize) -> Vec<Login> {
        self.known.of_part(at)
    }

    /// How many users of `from` and later days the ledger acknowledged and nobody here remembers.
    pub fn forgotten(&self, from: Day) -> u64 {
        self.known.forgotten(from)
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

    /// Some logins of `shard` that wait, at most [`LOGINS_MAX`].
    pub fn waiting(&self, shard: Shard) -> Vec<Login> {
        let pending = lock(&self.pending[usize::from(shard.number())]);
        let waiting = pending.iter().filter(|(_, kept)| **kept == Kept::Waits);
        let logins = waiting.map(|(LoginKey { app, day, user }, _)| (*app, *day, *user));
        logins
            .take(LOGINS_MAX)
            .map(|(app, day, user)| Login { app, day, user })
            .collect()
    }

    /// These need not be told any more. Answers which of them waited.
    pub fn told<'a>(&self, logins: &'a [Login]) -> Vec<&'a Login> {
        let told = |login: &&Login| self.pending_of(login.app).remove(&key(login));
        logins
            .iter()
            .filter(|login| told(login) == Some(Kept::Waits))
            .collect()
    }

    /// How many logins are kept that the ledger has yet to acknowledge.
    pub fn pending(&self) -> usize {
        self.pending.iter().map(|pending| lock(pending).len()).sum()
    }

    /// How many logins the fullest shard keeps, of [`PENDING_MAX`].
    pub fn most_pending(&self) -> usize {
        let kept = self.pending.iter().map(|pending| lock(pending).len());
        kept.max().unwrap_or(0)
    }

    /// All logins that the ledger has yet to acknowledge, for a checkpoint.
    pub fn copy(&self) -> HashSet<LoginKey> {
        let mut all = HashSet::new();
        for pending in &self.pending {
            all.extend(lock(pending).keys().copied());
        }
        all
    }

    fn pending_of(&self, app: AppId) -> MutexGuard<'_, BTreeMap<LoginKey, Kept>> {
        lock(&self.pending[usize::from(Shard::of(app).number())])
    }
}

/// Logins of one call on their way. They are kept before they are journaled, so that a checkpoint
/// holds them whatever part of the journal it cuts; dropped untold, they wait for the background.
pub struct OpenLogins {
    ledger: Arc<Ledger>,
    logins: Vec<Login>,
}

impl OpenLogins {
    /// Keeps logins of one app.
    ///
    /// # Errors
    /// [`Full::Waiting`] if too many wait already.
    pub(super) fn new(ledger: Arc<Ledger>, logins: Vec<Login>) -> Result<Self, Full> {
        if let Some(first) = logins.first() {
            let mut pending = ledger.logins.pending_of(first.app);
            if pending.len() + logins.len() > PENDING_MAX {
                return Err(Full::Waiting);
            }
            for login in &logins {
                pending.entry(key(login)).or_insert(Kept::Open);
            }
        }
        Ok(Self { ledger, logins })
    }

    /// The logins.
    pub fn logins(&self) -> &[Login] {
        &self.logins
    }

    /// The ledger has them.
    pub fn done(mut self) {
        let logins = std::mem::take(&mut self.logins);
        for login in self.ledger.logins.told(&logins) {
            self.ledger.note_waiting(login, -1);
        }
    }

    /// They could not be journaled, and are nobody's any more.
    pub(super) fn forget(mut self) {
        for login in std::mem::take(&mut self.logins) {
            let mut pending = self.ledger.logins.pending_of(login.app);
            if pending.get(&key(&login)) == Some(&Kept::Open) {
                pending.remove(&key(&login));
            }
        }
    }

    /// The ledger is away: they wait. Answers how many did not wait already.
    pub fn wait(mut self) -> u64 {
        self.keep_waiting()
    }

    fn keep_waiting(&mut self) -> u64 {
        let mut new = 0;
        for login in std::mem::take(&mut self.logins) {
            let kept = self
                .ledger
                .logins
                .pending_of(login.app)
                .insert(key(&login), Kept::Waits);
            if kept != Some(Kept::Waits) {
                self.ledger.note_waiting(&login, 1);
                new += 1;
            }
        }
        new
    }
}

impl Drop for OpenLogins {
    fn drop(&mut self) {
        self.keep_waiting();
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps are changed in one step; a poisoned one is still whole.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(login: &Login) -> LoginKey {
    LoginKey {
        app: login.app,
        day: login.day,
        user: login.user,
    }
}

/// The task that carries logins to the ledger, one round at a time: what comes during a round trip
/// shares the next one. Runs until it is dropped, which loses nothing: what was not told is pending.
pub async fn keep(ledger: &Ledger, asked: &mut mpsc::Receiver<Asked>) {
    let mut round = Vec::new();
    while asked.recv_many(&mut round, ROUND_MAX).await > 0 {
        carry(ledger, std::mem::take(&mut round)).await;
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
                ledger.doubt(&fault);
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
