//! The counts that are nearest to their limits, and the apps with the most active users, as far as they were
//! looked at.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use crate::clock::Day;
use crate::quota::{AppId, Counter};

/// The most that are kept of each kind. Far more than anybody is shown: one that was left out comes back when it
/// is looked at, not when others fall.
const KEPT_MAX: usize = 1_024;

/// A count and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Near {
    /// Whose count.
    pub app: AppId,
    /// Of what.
    pub counter: Counter,
    /// The count, when it was last looked at.
    pub count: u64,
    /// Its limit, which is not 0.
    pub limit: u64,
    /// When: a gain belongs to its day.
    day: Day,
}

impl Near {
    /// Millionths of the limit that are used.
    #[must_use]
    pub fn millionths(&self) -> u64 {
        let millionths = u128::from(self.count) * 1_000_000 / u128::from(self.limit.max(1));
        u64::try_from(millionths).unwrap_or(u64::MAX)
    }
}

/// An app's active users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    /// The app.
    pub app: AppId,
    /// How many.
    pub users: u64,
    /// On which day.
    day: Day,
}

/// What is kept.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    near: Mutex<Ranked<(AppId, Counter), Near>>,
    active: Mutex<Ranked<AppId, Active>>,
}

/// Values by their keys, those of the lowest rank left out.
#[derive(Debug)]
struct Ranked<K, V> {
    kept: FxHashMap<K, V>,
    /// What has a lower rank is not taken on.
    floor: u64,
}

impl<K, V> Default for Ranked<K, V> {
    fn default() -> Self {
        Self {
            kept: FxHashMap::default(),
            floor: 0,
        }
    }
}

impl<K: Eq + Hash + Copy, V> Ranked<K, V> {
    fn put(&mut self, key: K, value: V, rank: impl Fn(&V) -> u64) {
        if let Some(kept) = self.kept.get_mut(&key) {
            *kept = value;
            return;
        }
        let is_full = self.kept.len() >= KEPT_MAX;
        let of_value = rank(&value);
        if of_value < self.floor || is_full && of_value == self.floor {
            return;
        }
        if is_full {
            // The lowest eighth at a time, so that it is seldom done.
            let mut ranks: Vec<_> = self.kept.values().map(&rank).collect();
            ranks.sort_unstable();
            let (mut left, floor) = (KEPT_MAX / 8, ranks[KEPT_MAX / 8]);
            self.floor = floor;
            self.kept.retain(|_, value| {
                let goes = left > 0 && rank(value) <= floor;
                left -= usize::from(goes);
                !goes
            });
        }
        self.kept.insert(key, value);
    }

    /// Forgets what is not wanted any more; there is room for others then.
    fn only(&mut self, wanted: impl Fn(&V) -> bool) {
        self.kept.retain(|_, value| wanted(value));
        if self.kept.len() < KEPT_MAX / 2 {
            self.floor = 0;
        }
    }
}

impl Ranks {
    /// Looks at a count under a limit, on `day`.
    pub(super) fn look(&self, app: AppId, counter: Counter, count: u64, limit: u64, day: Day) {
        let near = Near {
            app,
            counter,
            count,
            limit,
            day,
        };
        lock(&self.near).put((app, counter), near, Near::millionths);
    }

    /// Looks at the active users of `day`.
    pub(super) fn look_at_actives(&self, app: AppId, users: u64, day: Day) {
        let mut active = lock(&self.active);
        // What comes late for the day before says nothing of this one.
        if active.kept.get(&app).is_none_or(|known| known.day <= day) {
            active.put(app, Active { app, users, day }, |active| active.users);
        }
    }

    /// The nearest first; gains of other days than `today` are over.
    pub(super) fn nearest(&self, most: usize, today: Day) -> Vec<Near> {
        let mut near = lock(&self.near);
        near.only(|near| near.day >= today || near.counter != Counter::GroupsGained);
        let mut all: Vec<_> = near.kept.values().copied().collect();
        drop(near);
        all.sort_by_key(|near| {
            (
                std::cmp::Reverse(near.millionths()),
                near.app,
                near.counter as u8,
            )
        });
        all.truncate(most);
        all
    }

    /// The apps with the most active users of `today`, those first.
    pub(super) fn most_active(&self, most: usize, today: Day) -> Vec<Active> {
        let mut active = lock(&self.active);
        active.only(|active| active.day >= today);
        let mut all: Vec<_> = active.kept.values().copied().collect();
        drop(active);
        all.retain(|active| active.day == today);
        all.sort_by_key(|active| (std::cmp::Reverse(active.users), active.app));
        all.truncate(most);
        all
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole, or makes a value less known at most.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(id: u64) -> AppId {
        AppId::new(id).expect("not 0")
    }

    fn day(number: i32) -> Day {
        Day::from_number(number).expect("a day of this century")
    }

    #[test]
    fn the_nearest_come_first_and_are_as_they_were_last_seen() {
        let ranks = Ranks::default();
        for (id, count) in [(1, 10), (2, 99), (3, 50), (2, 20)] {
            ranks.look(app(id), Counter::Accounts, count, 100, day(20_000));
        }
        let near = ranks.nearest(2, day(20_001));
        let of: Vec<_> = near.iter().map(|n| (n.app.get(), n.millionths())).collect();
        assert_eq!(of, [(3, 500_000), (2, 200_000)]);
    }

    #[test]
    fn a_gain_is_over_with_its_day() {
        let ranks = Ranks::default();
        ranks.look(app(1), Counter::GroupsGained, 90, 100, day(20_000));
        assert_eq!(ranks.nearest(9, day(20_000)).len(), 1);
        assert_eq!(ranks.nearest(9, day(20_001)), []);
        ranks.look_at_actives(app(1), 7, day(20_000));
        ranks.look_at_actives(app(2), 9, day(20_001));
        ranks.look_at_actives(app(2), 500, day(20_000));
        let today = ranks.most_active(9, day(20_001));
        let of: Vec<_> = today.iter().map(|one| (one.app.get(), one.users)).collect();
        assert_eq!(of, [(2, 9)]);
    }

    #[test]
    fn of_many_the_highest_are_kept() {
        let ranks = Ranks::default();
        let many = 20 * KEPT_MAX as u64;
        for id in 1..=many {
            // In an order that is neither up nor down.
            let count = (id * 7_919) % many;
            ranks.look(app(id), Counter::Groups, count, many, day(20_000));
        }
        assert!(lock(&ranks.near).kept.len() <= KEPT_MAX);
        let near = ranks.nearest(100, day(20_000));
        let counts: Vec<_> = near.iter().map(|near| near.count).collect();
        let highest: Vec<_> = (many - 100..many).rev().collect();
        assert_eq!(counts, highest);
    }
}
