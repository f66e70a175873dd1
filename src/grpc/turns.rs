//! Whose turn it is: who asks a worker for more than a turn holds stands in line, and who had less goes first.
//!
//! A worker answers what one turn holds, then looks at its sockets, then goes on. Each connection has an account of
//! what was done for it, and the line is ordered by what will stand there: after a turn for who has used up one, after a
//! few calls for who comes from elsewhere. Who will have no more than whoever is served now need not stand in line, as
//! long as there are few of those; and who was silent begins with the account of that one, so that nobody saves turns up.
//! This is fair queueing by finish tags. Each app has such an account, too, and a connection is counted with the app that
//! it asked for last: all that stand in line for one app stand there one behind the other ([`shares`]). So a client
//! with one call at a time waits for a turn or two of another app's flood at most, however many calls and connections the
//! flood has. Many connections that each ask for another app at each call have a share each.

mod shares;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::yield_now;

pub(super) use self::shares::Account;
use self::shares::{Shares, Slots};

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
    shares: Shares,
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
        Standing::new(self.clone(), Arc::default())
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
    account: Arc<Account>,
    /// Where it stands in line, if it does.
    place: Option<Place>,
    /// The account that its turn begins with.
    began: u64,
    /// The account of whoever was served when it came.
    since: u64,
    /// What it had in its last turn.
    usual: u64,
}

/// Where somebody stands in line.
struct Place {
    spot: Spot,
    /// What its turn holds.
    holds: u64,
    /// The app that it stands for, and what is expected to be done.
    expects: Option<(Slots, u64)>,
}

impl Standing {
    fn new(turns: Turns, account: Arc<Account>) -> Self {
        Self {
            turns,
            account,
            place: None,
            began: 0,
            since: 0,
            usual: 0,
        }
    }

    /// Another place of the same connection's: what is done for the one is on the account of both.
    pub(super) fn another(&self) -> Self {
        Self::new(self.turns.clone(), self.account())
    }

    /// The connection's account, which is to be told what it asks for.
    pub(super) fn account(&self) -> Arc<Account> {
        Arc::clone(&self.account)
    }

    /// Waits for its turn. How much may be done then; [`Standing::had`] must be told how much was.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<u64> {
        if let Some(place) = &self.place {
            let mut line = self.turns.line();
            if let Some(waker) = line.wakers.get_mut(&place.spot) {
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            drop(line);
            // It was called.
            let holds = place.holds;
            self.leave();
            let done = self.turns.0.done.load(Ordering::Relaxed);
            let left = TURN.saturating_sub(done).max(ENTRY);
            return Poll::Ready(holds.min(left));
        }
        self.begin();
        let all = &*self.turns.0;
        let done = all.done.load(Ordering::Relaxed);
        if done < TURN && all.standing.load(Ordering::Relaxed) == 0 {
            return Poll::Ready(TURN - done);
        }
        if self.began + ENTRY <= self.since + TURN && done < 2 * TURN {
            return Poll::Ready(ENTRY);
        }
        let expects = self.usual.clamp(CALL, ENTRY);
        self.stand_for(ENTRY, expects, cx);
        Poll::Pending
    }

    /// So much was done in its turn.
    pub(super) fn had(&mut self, work: u64) {
        let all = &*self.turns.0;
        let done = all.done.load(Ordering::Relaxed) + work;
        // Who only looked around is not served.
        if work > 0 {
            let now = all.now.load(Ordering::Relaxed);
            all.now.store(now.max(self.began), Ordering::Relaxed);
            self.account.add(self.since, work);
            if let Some(slots) = all.shares.of(&self.account) {
                all.shares.add(slots, self.since, work);
            }
            self.usual = work;
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
        self.begin();
        self.stand_for(TURN, TURN, cx);
    }

    fn stand_for(&mut self, holds: u64, expects: u64, cx: &mut Context<'_>) {
        let all = &*self.turns.0;
        let slots = all.shares.of(&self.account);
        if let Some(slots) = slots {
            all.shares.stand(slots, expects);
        }
        let mut line = self.turns.line();
        let spot = (self.began + holds, line.arrivals);
        line.arrivals += 1;
        line.wakers.insert(spot, cx.waker().clone());
        let standing = line.wakers.len();
        all.standing.store(standing, Ordering::Relaxed);
        drop(line);
        self.place = Some(Place {
            spot,
            holds,
            expects: slots.map(|slots| (slots, expects)),
        });
        if standing == 1 {
            all.begun.notify_one();
        }
    }

    /// Sets what its next turn begins with: nobody has saved up what others had meanwhile.
    fn begin(&mut self) {
        let all = &*self.turns.0;
        self.since = all.now.load(Ordering::Relaxed);
        let own = self.account.had().max(self.since);
        let slots = all.shares.of(&self.account);
        let its = slots.map_or(0, |slots| all.shares.begin(slots, self.since));
        self.began = own.max(its);
    }

    /// Takes it out of what stands for its app. Where in the line it stood.
    fn leave(&mut self) -> Option<Spot> {
        let place = self.place.take()?;
        if let Some((slots, expected)) = place.expects {
            self.turns.0.shares.leave(slots, expected);
        }
        Some(place.spot)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let Some(spot) = self.leave() {
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
