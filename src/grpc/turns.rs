//! Whose turn it is: who asks a worker for more than a turn holds stands in line, and who had less goes first.
//!
//! A worker answers what one turn holds, then looks at its sockets, then goes on. Each connection has an account of
//! what was done for it, and the line is ordered by what will stand there: after a turn for who has used up one, after a
//! few calls for who comes from elsewhere. Who will have no more than whoever is served now need not stand in line, as
//! long as there are few of those; and who was silent begins with the account of that one, so that nobody saves turns up.
//! This is fair queueing by finish tags. So a client with one call at a time waits for a turn or
//! two of a flood's at most, however many calls and connections the flood has, as long as it asks for no more than each
//! of them gets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::yield_now;

/// What a call is reckoned at. Eight checks of many together are a quarter of it: they have no headers.
pub(super) const CALL: u64 = 4;
/// What is done before sockets are looked at again and who came goes first: 32 calls.
pub(super) const TURN: u64 = 32 * CALL;
/// What one gets who need not stand in line, even where the turn is over. All of them together get one more turn.
const ENTRY: u64 = 4 * CALL;

/// The turns of one worker. Its clones share them.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// What was done in this turn. As all numbers here it is of one thread, which never waits for itself.
    done: AtomicU64,
    /// The account of whoever was served last, when its turn began.
    now: AtomicU64,
    /// How many stand in line, so that nobody takes the lock to find that it is empty.
    standing: AtomicUsize,
    line: Mutex<Line>,
    /// Somebody stands in line.
    begun: Notify,
    /// For so long it is looked out for the next call.
    spin: Duration,
    /// Something was done, if it is looked out for more.
    served: Notify,
}

/// Those who stand in line: no more than there are connections and calls that go on.
#[derive(Default)]
struct Line {
    wakers: BTreeMap<Spot, Waker>,
    arrivals: u64,
}

/// A place in the line: the account after the turn that is waited for, and who came first among equals.
type Spot = (u64, u64);

impl Turns {
    /// Those of a worker that looks out for the next call for so long, before it sleeps: to be woken takes longer than
    /// most of a call. It does so only where the last two calls came no further apart than that.
    pub(super) fn looking_out(spin: Duration) -> Self {
        Self(Arc::new(Shared {
            spin,
            ..Shared::default()
        }))
    }

    /// Whether there is anything for [`Turns::look_out`] to do.
    pub(super) fn looks_out(&self) -> bool {
        !self.0.spin.is_zero()
    }

    /// Looks out for calls, for ever.
    pub(super) async fn look_out(self) -> Infallible {
        let all = &*self.0;
        let mut last = Instant::now();
        loop {
            all.served.notified().await;
            let now = Instant::now();
            let soon = now - last <= all.spin;
            last = now;
            while soon && last.elapsed() <= all.spin {
                // Sockets are looked at, without waiting for them.
                yield_now().await;
                if all.served.notified().now_or_never().is_some() {
                    last = Instant::now();
                }
            }
        }
    }

    /// A place for a new connection.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            turns: self.clone(),
            account: Arc::default(),
            spot: None,
            began: 0,
            holds: 0,
        }
    }

    /// Calls those who stand in line, for ever: after each turn sockets are looked at.
    pub(super) async fn pace(self) -> Infallible {
        loop {
            self.0.begun.notified().await;
            while self.0.standing.load(Ordering::Relaxed) > 0 {
                // Goes on behind all whom the runtime found at its sockets meanwhile.
                yield_now().await;
                self.0.done.store(0, Ordering::Relaxed);
                self.call_next();
            }
        }
    }

    fn call_next(&self) {
        let mut line = self.line();
        let first = line.wakers.pop_first();
        self.0.standing.store(line.wakers.len(), Ordering::Relaxed);
        drop(line);
        if let Some((_, waker)) = first {
            waker.wake();
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // The line is whole between any two of its steps.
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection, or a call of it that goes on, before its next turn.
pub(super) struct Standing {
    turns: Turns,
    /// What was done for the connection.
    account: Arc<AtomicU64>,
    /// Where it stands, if it does.
    spot: Option<Spot>,
    /// The account that its turn begins with.
    began: u64,
    /// What that turn holds.
    holds: u64,
}

impl Standing {
    /// Another place of the same connection's: what is done for the one is on the account of both.
    pub(super) fn another(&self) -> Self {
        Self {
            turns: self.turns.clone(),
            account: Arc::clone(&self.account),
            spot: None,
            began: 0,
            holds: 0,
        }
    }

    /// Waits for its turn. How much may be done then; [`Standing::had`] must be told how much was.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<u64> {
        let all = &*self.turns.0;
        let done = all.done.load(Ordering::Relaxed);
        if let Some(spot) = self.spot {
            let mut line = self.turns.line();
            if let Some(waker) = line.wakers.get_mut(&spot) {
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            drop(line);
            // It was called.
            self.spot = None;
            let left = TURN.saturating_sub(done).max(ENTRY);
            return Poll::Ready(self.holds.min(left));
        }
        self.began = self.begin();
        if done < TURN && all.standing.load(Ordering::Relaxed) == 0 {
            return Poll::Ready(TURN - done);
        }
        let had_little = self.began + ENTRY <= all.now.load(Ordering::Relaxed) + TURN;
        if had_little && done < 2 * TURN {
            return Poll::Ready(ENTRY);
        }
        self.stand_for(ENTRY, cx);
        Poll::Pending
    }

    /// So much was done in its turn.
    pub(super) fn had(&self, work: u64) {
        let all = &*self.turns.0;
        let done = all.done.load(Ordering::Relaxed) + work;
        // Who only looked around is not served.
        if work > 0 {
            let now = all.now.load(Ordering::Relaxed);
            all.now.store(now.max(self.began), Ordering::Relaxed);
            let account = self.account.load(Ordering::Relaxed).max(self.began);
            self.account.store(account + work, Ordering::Relaxed);
            all.done.store(done, Ordering::Relaxed);
            if self.turns.looks_out() {
                all.served.notify_one();
            }
        }
        if done < TURN && all.standing.load(Ordering::Relaxed) > 0 {
            self.turns.call_next();
        }
    }

    /// Stands in line for a further turn: this one was too short.
    pub(super) fn stand(&mut self, cx: &mut Context<'_>) {
        self.stand_for(TURN, cx);
    }

    fn stand_for(&mut self, holds: u64, cx: &mut Context<'_>) {
        self.began = self.begin();
        self.holds = holds;
        let mut line = self.turns.line();
        let spot = (self.began + holds, line.arrivals);
        line.arrivals += 1;
        line.wakers.insert(spot, cx.waker().clone());
        let standing = line.wakers.len();
        self.turns.0.standing.store(standing, Ordering::Relaxed);
        drop(line);
        self.spot = Some(spot);
        if standing == 1 {
            self.turns.0.begun.notify_one();
        }
    }

    /// The account that its next turn begins with: nobody has saved up what others had meanwhile.
    fn begin(&self) -> u64 {
        let now = self.turns.0.now.load(Ordering::Relaxed);
        self.account.load(Ordering::Relaxed).max(now)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let Some(spot) = self.spot {
            let mut line = self.turns.line();
            let waker = line.wakers.remove(&spot);
            let standing = line.wakers.len();
            self.turns.0.standing.store(standing, Ordering::Relaxed);
            drop(line);
            // What it wakes may have a place of its own, which is given up with it.
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests;
