//! The apps that a thread asks for, as it remembers them itself: to find one takes no lock, and no line of the
//! cache that another thread writes.
//!
//! An entry is never forgotten and never replaced, so what a thread remembers is right for ever. What it remembers
//! of a ledger that has ended it keeps until something else takes its place.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::entry::Entry;
use crate::quota::AppId;

/// How many apps a thread has room to remember, at first and at most: 16 bytes each.
const PLACES_MIN: usize = 1 << 10;
const PLACES_MAX: usize = 1 << 16;

thread_local! {
    static NEAR: RefCell<Near> = const { RefCell::new(Near::new()) };
}

/// Which of the ledgers in this process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Which(u64);

impl Default for Which {
    /// Another one each time.
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What `then` makes of an app's entry, which `find` finds where the thread does not remember it.
#[inline]
pub fn with<R>(
    which: Which,
    app: AppId,
    find: impl FnOnce() -> Option<Arc<Entry>>,
    then: impl FnOnce(&Arc<Entry>) -> R,
) -> Option<R> {
    NEAR.with(|near| {
        if let Ok(near) = near.try_borrow()
            && let Some(entry) = near.get(which, app)
        {
            return Some(then(entry));
        }
        let entry = find()?;
        // Within `then` of another one nothing is remembered.
        if let Ok(mut near) = near.try_borrow_mut() {
            near.put(which, &entry);
        }
        Some(then(&entry))
    })
}

/// Looks at the entries of apps that are asked for in a moment: what has to come from memory comes for all of them at
/// the same time.
pub fn foresee(which: Which, apps: impl Iterator<Item = AppId>) {
    NEAR.with(|near| {
        let Ok(near) = near.try_borrow() else {
            return;
        };
        let gone = apps.filter(|app| near.get(which, *app).is_some_and(|entry| entry.is_gone()));
        std::hint::black_box(gone.count());
    });
}

type Place = Option<(Which, Arc<Entry>)>;

/// Each app has one place, where the one that was asked for last is remembered.
#[derive(Debug)]
struct Near {
    places: Vec<Place>,
    /// How many were put out since there are so many places.
    put_out: usize,
}

impl Near {
    const fn new() -> Self {
        Self {
            places: Vec::new(),
            put_out: 0,
        }
    }

    fn get(&self, which: Which, app: AppId) -> Option<&Arc<Entry>> {
        let (of, entry) = self
            .places
            .get(place(which, app, self.places.len())?)?
            .as_ref()?;
        (*of == which && entry.app == app).then_some(entry)
    }

    fn put(&mut self, which: Which, entry: &Arc<Entry>) {
        if self.places.is_empty() {
            self.places.resize(PLACES_MIN, None);
        } else if self.put_out > self.places.len() / 4 && self.places.len() < PLACES_MAX {
            self.grow();
        }
        let Some(at) = place(which, entry.app, self.places.len()) else {
            return;
        };
        let before = self.places[at].replace((which, entry.clone()));
        self.put_out += usize::from(before.is_some());
    }

    fn grow(&mut self) {
        let more = vec![None; self.places.len() * 4];
        let before = std::mem::replace(&mut self.places, more);
        self.put_out = 0;
        for (which, entry) in before.into_iter().flatten() {
            if let Some(at) = place(which, entry.app, self.places.len()) {
                self.places[at] = Some((which, entry));
            }
        }
    }
}

/// The place of an app among so many, which are a power of two.
fn place(which: Which, app: AppId, places: usize) -> Option<usize> {
    let bits = places.checked_ilog2()?;
    // Fibonacci hashing: neighbouring ids spread over all places.
    let mixed = (app.get() ^ which.0 << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> (u64::BITS - bits)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{AppSpec, Limits, Plan, PlanName};

    fn app(number: u64) -> AppId {
        AppId::new(number).expect("not 0")
    }

    fn entry(number: u64) -> Arc<Entry> {
        let plan = Arc::new(Plan {
            name: PlanName::parse("any").expect("a name"),
            limits: Limits::UNLIMITED,
            fees: Vec::new(),
        });
        let rules = AppSpec::of(plan.name.clone()).rules(&plan, 0);
        Arc::new(Entry::restored(app(number), Arc::new(rules), &[]))
    }

    #[test]
    fn an_entry_is_looked_for_once() {
        let (which, entry) = (Which::default(), entry(7));
        for finds in [true, false, false] {
            let find = || finds.then(|| entry.clone());
            let same = with(which, app(7), find, |found| Arc::ptr_eq(found, &entry));
            assert_eq!(same, Some(true));
        }
        assert_eq!(with(which, app(8), || None, |_| ()), None);
        let other = Which::default();
        assert_eq!(
            with(other, app(7), || None, |_| ()),
            None,
            "of another ledger"
        );
    }

    #[test]
    fn one_within_another_is_found() {
        let which = Which::default();
        let (outer, inner) = (entry(1), entry(2));
        for _ in 0..2 {
            let both = with(
                which,
                app(1),
                || Some(outer.clone()),
                |_| with(which, app(2), || Some(inner.clone()), |found| found.app),
            );
            assert_eq!(both, Some(Some(app(2))));
        }
    }

    #[test]
    fn there_is_a_bound_and_each_app_is_found_as_itself() {
        let which = Which::default();
        let mut near = Near::new();
        let entries: Vec<_> = (1..=3_000).map(entry).collect();
        for _ in 0..100 {
            for entry in &entries {
                if near.get(which, entry.app).is_none() {
                    near.put(which, entry);
                }
                let found = near.get(which, entry.app).expect("it was put there");
                assert!(Arc::ptr_eq(found, entry));
            }
        }
        assert!(near.places.len() <= PLACES_MAX);
        assert!(near.places.len() >= entries.len(), "it has grown");
    }
}
