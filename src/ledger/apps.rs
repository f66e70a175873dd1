//! The apps that this sidecar has met, and which of them have something to settle or to save.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use rustc_hash::FxBuildHasher;
use tokio::time::Instant;

use super::entry::Entry;
use super::near::{self, Which};
use crate::quota::AppId;
use crate::store::{SHARDS, Shard};

/// The most apps that one sidecar keeps in memory.
pub const APPS_MAX: usize = 1_000_000;

/// On which lists an entry stands.
#[derive(Debug, Default)]
pub struct Listed {
    unsettled: AtomicBool,
    soon: AtomicBool,
    at_once: AtomicBool,
    watched: AtomicBool,
    calm: AtomicBool,
    unsaved: AtomicBool,
}

/// One ledger shard's apps that have something to settle.
#[derive(Debug)]
struct Line {
    unsettled: Mutex<Vec<Arc<Entry>>>,
    soon: Mutex<Vec<Arc<Entry>>>,
    settled_at: Mutex<Option<Instant>>,
}

/// All apps that this sidecar has met.
#[derive(Debug)]
pub struct Apps {
    which: Which,
    map: DashMap<AppId, Arc<Entry>, FxBuildHasher>,
    lines: Box<[Line]>,
    unsaved: Mutex<Vec<Arc<Entry>>>,
    unmet: Mutex<Vec<AppId>>,
    untold: Mutex<Vec<AppId>>,
    at_once: Mutex<Vec<Arc<Entry>>>,
    watched: Mutex<Vec<Arc<Entry>>>,
    calm: Mutex<VecDeque<Arc<Entry>>>,
}

impl Default for Apps {
    fn default() -> Self {
        let line = || Line {
            unsettled: Mutex::default(),
            soon: Mutex::default(),
            settled_at: Mutex::default(),
        };
        Self {
            which: Which::default(),
            map: DashMap::default(),
            lines: (0..SHARDS).map(|_| line()).collect(),
            unsaved: Mutex::default(),
            unmet: Mutex::default(),
            untold: Mutex::default(),
            at_once: Mutex::default(),
            watched: Mutex::default(),
            calm: Mutex::default(),
        }
    }
}

impl Apps {
    /// An app that was met before.
    pub fn get(&self, app: AppId) -> Option<Arc<Entry>> {
        self.map.get(&app).map(|entry| entry.clone())
    }

    /// What `then` makes of an app that was met before.
    #[inline]
    pub fn with<R>(&self, app: AppId, then: impl FnOnce(&Arc<Entry>) -> R) -> Option<R> {
        near::with(self.which, app, || self.get(app), then)
    }

    /// These apps will be asked for in a moment.
    pub fn foresee(&self, apps: impl Iterator<Item = AppId>) {
        near::foresee(self.which, apps);
    }

    /// Whether another app can be kept.
    pub fn has_room(&self) -> bool {
        self.map.len() < APPS_MAX
    }

    /// Keeps an app; if another thread was faster, its entry stays.
    pub fn keep(&self, entry: Entry) -> Arc<Entry> {
        self.map
            .entry(entry.app)
            .or_insert_with(|| Arc::new(entry))
            .clone()
    }

    /// Takes note of an app of which an earlier run left something to settle.
    pub fn to_meet(&self, app: AppId) {
        lock(&self.unmet).push(app);
    }

    /// How many of those are left.
    pub fn unmet(&self) -> usize {
        lock(&self.unmet).len()
    }

    /// Up to `most` of those.
    pub fn take_unmet(&self, most: usize) -> Vec<AppId> {
        let mut unmet = lock(&self.unmet);
        let from = unmet.len().saturating_sub(most);
        unmet.split_off(from)
    }

    /// Takes note of apps whose plan the ledger is to be told.
    pub fn to_tell(&self, apps: impl Iterator<Item = AppId>) {
        lock(&self.untold).extend(apps);
    }

    /// Up to `most` of those.
    pub fn take_untold(&self, most: usize) -> Vec<AppId> {
        let mut untold = lock(&self.untold);
        let from = untold.len().saturating_sub(most);
        untold.split_off(from)
    }

    /// Takes note that `entry` has something to settle. Comes after the change.
    pub fn to_settle(&self, entry: &Arc<Entry>) {
        list(
            &entry.listed.unsettled,
            &self.line(Shard::of(entry.app)).unsettled,
            entry,
        );
    }

    /// Takes note that limits wait for what `entry` has to settle. Comes after the change.
    pub fn to_settle_soon(&self, entry: &Arc<Entry>) {
        list(
            &entry.listed.soon,
            &self.line(Shard::of(entry.app)).soon,
            entry,
        );
    }

    /// Takes note that `entry` is to be settled at once.
    pub fn to_settle_at_once(&self, entry: &Arc<Entry>) {
        list(&entry.listed.at_once, &self.at_once, entry);
    }

    /// Takes note that `entry` holds what it may have to return, or is frozen.
    pub fn to_watch(&self, entry: &Arc<Entry>) {
        list(&entry.listed.watched, &self.watched, entry);
    }

    /// Takes note that `entry` holds what nobody else will want before the day is over.
    pub fn to_watch_calmly(&self, entry: &Arc<Entry>) {
        let mut calm = lock(&self.calm);
        if !entry.listed.calm.swap(true, Ordering::AcqRel) {
            calm.push_back(entry.clone());
        }
    }

    /// Takes note that `entry` is to be saved. Comes before the journal's record of the change, as the
    /// journal's mark, and after the change itself.
    pub fn to_save(&self, entry: &Arc<Entry>) {
        list(&entry.listed.unsaved, &self.unsaved, entry);
    }

    /// The apps of `shard` that have something to settle.
    pub fn owing(&self, shard: Shard) -> Vec<Arc<Entry>> {
        let line = self.line(shard);
        let mut all = lock(&line.unsettled).clone();
        let soon = lock(&line.soon).clone();
        all.extend(soon);
        all.sort_by_key(|entry| entry.app);
        all.dedup_by_key(|entry| entry.app);
        all
    }

    /// How many apps were met.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// How many apps of `shard` have something to settle.
    pub fn unsettled(&self, shard: Shard) -> usize {
        lock(&self.line(shard).unsettled).len()
    }

    /// How long ago `shard` was last settled, by a clock that is never set; `None`: never.
    pub fn settled_since(&self, shard: Shard) -> Option<Duration> {
        lock(&self.line(shard).settled_at).map(|at| at.elapsed())
    }

    /// Takes note that `shard` is being settled.
    pub fn settling(&self, shard: Shard) {
        *lock(&self.line(shard).settled_at) = Some(Instant::now());
    }

    /// Up to `most` apps of `shard` that have something to settle. Whatever changes from now on puts
    /// its app back on the list.
    pub fn take_unsettled(&self, shard: Shard, most: usize) -> Vec<Arc<Entry>> {
        take(&self.line(shard).unsettled, most, |listed| {
            &listed.unsettled
        })
    }

    /// How many apps of `shard` have something to settle that limits wait for.
    pub fn unsettled_soon(&self, shard: Shard) -> usize {
        lock(&self.line(shard).soon).len()
    }

    /// As [`Apps::take_unsettled`], of those that limits wait for.
    pub fn take_soon(&self, shard: Shard, most: usize) -> Vec<Arc<Entry>> {
        take(&self.line(shard).soon, most, |listed| &listed.soon)
    }

    /// All apps that are to be settled at once.
    pub fn take_at_once(&self) -> Vec<Arc<Entry>> {
        take(&self.at_once, APPS_MAX, |listed| &listed.at_once)
    }

    /// All apps that hold something or are frozen.
    pub fn take_watched(&self) -> Vec<Arc<Entry>> {
        take(&self.watched, APPS_MAX, |listed| &listed.watched)
    }

    /// One part in `parts` of the apps that hold something which nobody else wanted, those first that
    /// wait the longest.
    pub fn take_calm(&self, parts: usize) -> Vec<Arc<Entry>> {
        let mut calm = lock(&self.calm);
        let some = calm.len().div_ceil(parts);
        let taken: Vec<_> = calm.drain(..some).collect();
        for entry in &taken {
            entry.listed.calm.swap(false, Ordering::AcqRel);
        }
        taken
    }

    /// All apps to be saved. Whatever changes from now on puts its app back on the list.
    pub fn take_unsaved(&self) -> Vec<Arc<Entry>> {
        take(&self.unsaved, APPS_MAX, |listed| &listed.unsaved)
    }

    /// All apps that were met. None is ever forgotten.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.map.iter().map(|entry| entry.clone()).collect()
    }

    fn line(&self, shard: Shard) -> &Line {
        &self.lines[usize::from(shard.number())]
    }
}

/// Puts an entry on a list if its flag does not say that it is there. Both are changed under the
/// list's lock: whoever takes the list takes every entry whose flag is set.
fn list(flag: &AtomicBool, list: &Mutex<Vec<Arc<Entry>>>, entry: &Arc<Entry>) {
    if flag.load(Ordering::Acquire) {
        return;
    }
    let mut list = lock(list);
    if !flag.swap(true, Ordering::AcqRel) {
        list.push(entry.clone());
    }
}

/// Takes up to `most` entries off a list, the last first.
fn take(
    list: &Mutex<Vec<Arc<Entry>>>,
    most: usize,
    flag: impl Fn(&Listed) -> &AtomicBool,
) -> Vec<Arc<Entry>> {
    let mut list = lock(list);
    let taken = if list.len() <= most {
        std::mem::take(&mut *list)
    } else {
        let from = list.len() - most;
        list.split_off(from)
    };
    for entry in &taken {
        flag(&entry.listed).swap(false, Ordering::AcqRel);
    }
    taken
}

fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    // Lists are changed in one step; a poisoned one is still whole.
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
