//! What was done under clients' ids: within a window of time a repetition is known here, and done no
//! second time.
//!
//! An id is known by a hash of 128 bits, with a fingerprint of what it asked for. It is remembered in the
//! same append of the journal as the count that it stands for, so that a killed process leaves both or
//! neither, and goes by age alone: when there is no room for another, the window shrinks, down to a floor
//! below which new ids are refused. No app can fill it alone.

mod shares;
mod slots;
mod window;

use std::hash::BuildHasher as _;
use std::ops::{Index, IndexMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxBuildHasher;
use siphasher::sip128::SipHasher24;

use crate::chance;
use crate::clock::Millis;
use crate::quota::{AppId, IdPolicy, REQUEST_ID_BYTES_MAX, RequestId};
use crate::store::Fingerprint;

use shares::{SLOTS, Shares};
use window::Window;

/// Into so many windows the ids are spread by their hashes, so that none takes long to grow.
const WINDOWS: usize = 64;
/// The most bytes of memory for an id: an entry of 32, its place in the index, and the room that both keep
/// to grow.
pub const ID_BYTES_MAX: u64 = 48;

/// A request under a client's id: which, and what it asks for.
#[derive(Debug, Clone, Copy)]
pub struct Once {
    /// The hash of app and id.
    pub key: u128,
    /// What is asked for, by verb and content.
    pub print: Fingerprint,
    /// Where the app is counted; of those that were read from disk nobody asks.
    pub(super) slots: [u16; 2],
}

impl Once {
    /// A request of `app` under `id` that asks for what `print` stands for.
    pub fn new(app: AppId, id: &RequestId, print: Fingerprint) -> Self {
        const APP_BYTES: usize = size_of::<u64>();
        let id = id.as_str().as_bytes();
        let mut bytes = [0; APP_BYTES + REQUEST_ID_BYTES_MAX];
        bytes[..APP_BYTES].copy_from_slice(&app.get().to_le_bytes());
        bytes[APP_BYTES..APP_BYTES + id.len()].copy_from_slice(id);
        // The same in every process: a data folder may be moved.
        let key = SipHasher24::new().hash(&bytes[..APP_BYTES + id.len()]);
        let key = key.as_u128();
        let [a, b, c, d, ..] = FxBuildHasher.hash_one(app.get()).to_le_bytes();
        let slots = [[a, b], [c, d]].map(|two| u16::from_le_bytes(two) % SLOTS);
        Self { key, print, slots }
    }

    /// As it was written down.
    pub fn read(key: u128, print: Fingerprint) -> Self {
        let slots = [0; 2];
        Self { key, print, slots }
    }

    /// Where its app is counted.
    fn slots(&self) -> [usize; 2] {
        self.slots.map(usize::from)
    }
}

impl PartialEq for Once {
    fn eq(&self, other: &Self) -> bool {
        (self.key, self.print) == (other.key, other.print)
    }
}

impl Eq for Once {}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It was counted from memory, here. With a number to be told from others by: of an increment the
    /// day, of a creation under limits the lives of its counters.
    Here(u32),
    /// The ledger was asked, and has the outcome if there is one.
    Asked,
    /// The ledger was asked, and allowed it.
    There,
}

/// In the place of [`Effect::Here`]'s number.
const ASKED: u32 = u32::MAX;
const THERE: u32 = u32::MAX - 1;

impl Effect {
    /// The largest number of [`Effect::Here`].
    pub const HERE_MAX: u32 = THERE - 1;

    /// As it is written.
    pub fn code(self) -> u32 {
        match self {
            Self::Here(number) => number.min(Self::HERE_MAX),
            Self::Asked => ASKED,
            Self::There => THERE,
        }
    }

    /// From how it is written.
    pub fn of(code: u32) -> Self {
        match code {
            ASKED => Self::Asked,
            THERE => Self::There,
            number => Self::Here(number),
        }
    }
}

/// A request that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The request.
    pub once: Once,
    /// What became of it.
    pub effect: Effect,
    /// When, to the second.
    pub at: Millis,
}

/// What is known of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing: it is new.
    New,
    /// It was made before.
    Known(Effect),
    /// Its id stands for another request.
    Other,
}

/// No id can be forgotten yet to make room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdsFull {
    /// There is no room for anybody's.
    #[error("more request ids than fit into request_ids.max_memory came within {}s; send fewer, or raise it", .0.as_secs())]
    All(Duration),
    /// The app has so many that others would find no room.
    #[error("the app has more request ids than its share of request_ids.max_memory within {}s; send fewer, or raise it", .0.as_secs())]
    OfApp(Duration),
}

/// Where each window's entries that a checkpoint has end.
#[derive(Debug, Clone)]
pub struct SavedTo([u64; WINDOWS]);

/// All ids that are remembered.
#[derive(Debug)]
pub struct Ids {
    policy: IdPolicy,
    windows: Mutex<Windows>,
}

/// All windows, and how much of them each app takes: one lock for both.
#[derive(Debug)]
struct Windows {
    each: Box<[Window; WINDOWS]>,
    shares: Shares,
}

impl Index<usize> for Windows {
    type Output = Window;

    fn index(&self, at: usize) -> &Window {
        &self.each[at]
    }
}

impl IndexMut<usize> for Windows {
    fn index_mut(&mut self, at: usize) -> &mut Window {
        &mut self.each[at]
    }
}

impl Ids {
    /// Begins with what a checkpoint has, and with what it does not have yet, oldest first.
    pub fn new(policy: IdPolicy, saved: &[Known], unsaved: &[Known], now: Millis) -> Self {
        let salt = chance::draw();
        let windows = std::array::from_fn(|_| Window::new(most(policy), salt));
        let this = Self {
            policy,
            windows: Mutex::new(Windows {
                each: Box::new(windows),
                shares: Shares::new(),
            }),
        };
        let too_old = |known: &&Known| now.since(known.at) > this.window_ms();
        for known in saved.iter().filter(|known| !too_old(known)) {
            this.windows()[place(known.once.key)].put_back(known);
        }
        this.saved(&this.end());
        for known in unsaved.iter().filter(|known| !too_old(known)) {
            this.windows()[place(known.once.key)].put_back(known);
        }
        this
    }

    /// Goes by another policy from now on.
    pub fn go_by(&mut self, policy: IdPolicy) {
        self.policy = policy;
        for window in self.windows().each.iter_mut() {
            window.resize(most(policy));
        }
    }

    /// What is known of a request. Where that is nothing, or nothing that `stands` in its way, it is new, and there
    /// is room to remember it.
    ///
    /// # Errors
    /// [`IdsFull`]: it is new, and there is none.
    pub fn look(
        &self,
        once: &Once,
        now: Millis,
        stands: impl FnOnce(Effect) -> bool,
    ) -> Result<Found, IdsFull> {
        let Windows { each, shares } = &mut *self.windows();
        let window = &mut each[place(once.key)];
        match self.found(window, once, now) {
            Found::Known(effect) if stands(effect) => Ok(Found::Known(effect)),
            Found::Other => Ok(Found::Other),
            Found::New | Found::Known(_) => {
                self.make_room(window, now)?;
                let most = (most(self.policy) * WINDOWS) as u64;
                if !shares.has_room(once, self.policy, now, most) {
                    return Err(IdsFull::OfApp(self.policy.floor));
                }
                Ok(Found::New)
            }
        }
    }

    fn found(&self, window: &Window, once: &Once, now: Millis) -> Found {
        match window.find(once.key) {
            Some(known) if now.since(known.at) > self.window_ms() => Found::New,
            Some(known) if known.once.print == once.print => Found::Known(known.effect),
            Some(_) => Found::Other,
            None => Found::New,
        }
    }

    fn make_room(&self, window: &mut Window, now: Millis) -> Result<(), IdsFull> {
        let floor = self.policy.floor;
        window.forget(|at| now.since(at) > self.window_ms());
        if window.is_full() && !window.forget_one(|at| now.since(at) > millis(floor)) {
            return Err(IdsFull::All(floor));
        }
        Ok(())
    }

    /// Remembers what became of a request, instead of what was known of it.
    pub fn remember(&self, once: Once, effect: Effect, at: Millis) {
        let known = Known { once, effect, at };
        let mut windows = self.windows();
        windows.shares.add(&once, self.policy, at);
        windows[place(once.key)].put(&known);
    }

    /// More is known of a request that is remembered; no checkpoint hears of it.
    pub fn amend(&self, once: &Once, effect: Effect) {
        self.windows()[place(once.key)].amend(once.key, effect);
    }

    /// What no checkpoint has yet, oldest first of each window, and where it ends.
    pub fn unsaved(&self) -> (Vec<Known>, SavedTo) {
        let mut known = Vec::new();
        // One after the other, so that no check waits for the copy of all.
        let ends = std::array::from_fn(|at| {
            let windows = self.windows();
            known.extend(windows[at].unsaved());
            windows[at].end()
        });
        (known, SavedTo(ends))
    }

    /// A checkpoint has all up to there.
    pub fn saved(&self, to: &SavedTo) {
        for (window, to) in self.windows().each.iter_mut().zip(to.0) {
            window.saved(to);
        }
    }

    /// Whether an id says that it was made longer ago than any is remembered. What it was asked for may
    /// have been done, and be forgotten.
    pub fn is_expired(&self, id: &RequestId, now: Millis) -> bool {
        let made = id.made_at().map(Millis);
        made.is_some_and(|made| now.since(made) > self.window_ms())
    }

    /// How many are remembered, and how many fit.
    pub fn room(&self) -> (usize, usize) {
        let held = self.windows().each.iter().map(Window::len).sum();
        (held, most(self.policy) * WINDOWS)
    }

    /// For how long ids are remembered just now: the policy's window, or less where memory is short.
    pub fn reach(&self, now: Millis) -> Duration {
        let windows = self.windows();
        let full = windows.each.iter().filter(|window| window.is_full());
        let ages = full.filter_map(|window| Some(now.since(window.oldest()?)));
        let reach = ages.min().unwrap_or(u64::MAX).min(self.window_ms());
        Duration::from_millis(reach)
    }

    fn window_ms(&self) -> u64 {
        millis(self.policy.window)
    }

    fn end(&self) -> SavedTo {
        let windows = self.windows();
        SavedTo(std::array::from_fn(|at| windows[at].end()))
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        // Nothing panics between the steps of a change, here and above.
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many entries fit into one window.
fn most(policy: IdPolicy) -> usize {
    let most = usize::try_from(policy.max_memory / ID_BYTES_MAX).unwrap_or(usize::MAX);
    most.div_ceil(WINDOWS)
}

fn place(key: u128) -> usize {
    // The low bits of a hash, of which 64 is a power of two.
    usize::from(key.to_le_bytes()[0]) % WINDOWS
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
