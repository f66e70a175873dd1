//! The apps that this sidecar has met, and which of them have something to settle or to save.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::one::Ref;
use rustc_hash::FxBuildHasher;
use tokio::time::Instant;

use super::cell::LiveCell;
use super::days::Days;
use super::journal::Saved;
use crate::clock::Day;
use crate::quota::{AppId, AppRules, Counter, RESOURCES, Resource};
use crate::store::{Cell, CellReport, SHARDS, Shard, View};

/// The most apps that one sidecar keeps in memory.
pub const APPS_MAX: usize = 1_000_000;

/// An app that this sidecar has met.
#[derive(Debug)]
pub struct Entry {
    /// Its id.
    pub app: AppId,
    /// The rules it lives under.
    pub rules: Arc<AppRules>,
    live: [LiveCell; 3],
    days: Mutex<Days>,
    unsettled: AtomicBool,
    unsaved: AtomicBool,
}

impl Entry {
    /// An app as the journal kept it.
    pub fn restored(app: AppId, rules: Arc<AppRules>, cells: Vec<(Cell, Saved)>) -> Self {
        let mut live: [LiveCell; 3] = Default::default();
        let mut days = Days::default();
        for (cell, saved) in cells {
            match cell {
                Cell::Live(resource) => live[resource as usize] = LiveCell::restored(saved),
                Cell::Gained(_) | Cell::Increment(_) => days.restore(cell, saved),
            }
        }
        let (unsettled, unsaved) = (AtomicBool::new(false), AtomicBool::new(false));
        Self {
            app,
            rules,
            live,
            days: Mutex::new(days),
            unsettled,
            unsaved,
        }
    }

    /// A resource's live count.
    pub fn live(&self, resource: Resource) -> &LiveCell {
        &self.live[resource as usize]
    }

    /// The sums that belong to days. Held for a few instructions, never across an await.
    pub fn days(&self) -> MutexGuard<'_, Days> {
        // No step of a change panics, so a poisoned value is still whole.
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the ledger's word on the counts of everybody else; the view's gain is `day`'s.
    pub fn learn(&self, view: &View, day: Day) {
        for resource in RESOURCES {
            self.live(resource).learn(view.others(resource.counter()));
        }
        self.days().of(day).gained.others = view.others(Counter::GroupsGained);
    }

    /// Whether the ledger has yet to hear of objects of this app.
    pub fn is_owed(&self) -> bool {
        RESOURCES
            .into_iter()
            .any(|resource| self.live(resource).is_owed())
    }

    /// What the ledger has yet to hear of this app.
    pub fn report(&self) -> Vec<CellReport> {
        let live = RESOURCES
            .into_iter()
            .filter(|resource| self.live(*resource).is_owed());
        let mut cells: Vec<_> = live
            .map(|resource| {
                let (totals, high) = self.live(resource).report();
                CellReport {
                    cell: Cell::Live(resource),
                    totals,
                    high,
                    escrow: None,
                    wish: None,
                }
            })
            .collect();
        cells.extend(self.days().reports());
        cells
    }

    /// The ledger acknowledged `cells` and answered `view`, whose gain is `today`'s.
    pub fn settled(&self, cells: &[CellReport], view: &View, today: Day) {
        for report in cells {
            if let Cell::Live(resource) = report.cell {
                self.live(resource).settled(report.totals);
            }
        }
        let mut days = self.days();
        for report in cells {
            days.settled(report);
        }
        drop(days);
        self.learn(view, today);
    }

    /// A report did not arrive.
    pub fn report_failed(&self, cells: &[CellReport]) {
        for report in cells {
            if let Cell::Live(resource) = report.cell {
                self.live(resource).report_failed(report.high);
            }
        }
    }

    /// Every cell as the journal keeps it.
    pub fn saved(&self) -> Vec<(Cell, Saved)> {
        let live = RESOURCES
            .into_iter()
            .map(|r| (Cell::Live(r), self.live(r).saved()));
        let mut cells: Vec<_> = live
            .filter(|(_, saved)| *saved != Saved::default())
            .collect();
        cells.extend(self.days().saved());
        cells
    }
}

/// One ledger shard's apps that have something to settle.
#[derive(Debug)]
struct Line {
    unsettled: Mutex<Vec<Arc<Entry>>>,
    settled_at: Mutex<Option<Instant>>,
}

/// All apps that this sidecar has met.
#[derive(Debug)]
pub struct Apps {
    map: DashMap<AppId, Arc<Entry>, FxBuildHasher>,
    lines: Box<[Line]>,
    unsaved: Mutex<Vec<Arc<Entry>>>,
}

impl Default for Apps {
    fn default() -> Self {
        let line = || Line {
            unsettled: Mutex::default(),
            settled_at: Mutex::default(),
        };
        Self {
            map: DashMap::default(),
            lines: (0..SHARDS).map(|_| line()).collect(),
            unsaved: Mutex::default(),
        }
    }
}

impl Apps {
    /// An app that was met before. The guard must not live across an await.
    pub fn get(&self, app: AppId) -> Option<Ref<'_, AppId, Arc<Entry>>> {
        self.map.get(&app)
    }

    /// All apps that were met.
    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.map.iter().map(|entry| entry.clone()).collect()
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

    /// Takes note that `entry` has something to settle. Comes after the change.
    pub fn to_settle(&self, entry: &Arc<Entry>) {
        list(
            &entry.unsettled,
            &self.line(Shard::of(entry.app)).unsettled,
            entry,
        );
    }

    /// Takes note that `entry` is to be saved. Comes before the journal's record of the change, as the
    /// journal's mark, and after the change itself.
    pub fn to_save(&self, entry: &Arc<Entry>) {
        list(&entry.unsaved, &self.unsaved, entry);
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
        let mut unsettled = lock(&self.line(shard).unsettled);
        let from = unsettled.len().saturating_sub(most);
        let taken = unsettled.split_off(from);
        for entry in &taken {
            entry.unsettled.swap(false, Ordering::AcqRel);
        }
        taken
    }

    /// All apps to be saved. Whatever changes from now on puts its app back on the list.
    pub fn take_unsaved(&self) -> Vec<Arc<Entry>> {
        let mut unsaved = lock(&self.unsaved);
        for entry in unsaved.iter() {
            entry.unsaved.swap(false, Ordering::AcqRel);
        }
        std::mem::take(&mut *unsaved)
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

fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    // Lists are changed in one step; a poisoned one is still whole.
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
