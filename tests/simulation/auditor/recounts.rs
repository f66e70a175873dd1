//! What recounts and retirements change in the truth.

use std::time::Duration;

use imquota::quota::{AppId, Resource};
use tokio::time::Instant;

use super::{App, Auditor, Sum};

/// How long it may take until all sidecars have heard of a recount. What is deleted at one that has not may
/// stay charged until the next one: it cannot tell which side of the truth it is on.
const HEARD: Duration = Duration::from_secs(9);

impl App {
    /// Whether a deletion of now may have been overtaken by a recount of a live count.
    pub(super) fn may_be_outlived(&self, sum: Sum) -> bool {
        let Sum::Live(digit) = sum else {
            return false;
        };
        let at = self.recounted_at.get(&digit);
        at.is_some_and(|at| at.elapsed() < HEARD)
    }
}

impl Auditor {
    /// What a lost member was lent counts as used from now on.
    pub fn retires(&self, app: AppId, lent: [i64; 3]) {
        self.with(|known| {
            let app = known.apps.get_mut(&app).expect("an app of the run");
            for (at, lent) in (0..).zip(lent) {
                app.sums.entry(Sum::Live(at)).or_default().high += lent;
            }
        });
    }

    /// An app is about to be frozen.
    pub fn recount_begins(&self, app: AppId) {
        self.with(|known| {
            let app = known.apps.get_mut(&app).expect("an app of the run");
            app.recount = Some(super::Recount {
                deleted: 0,
                created: 0,
                counted: false,
            });
        });
    }

    /// The token of the freeze is out: how many objects of a resource exist, as its counter sees them.
    pub fn counts_truth(&self, app: AppId, resource: Resource) -> u64 {
        self.with(|known| {
            let app = known.apps.get_mut(&app).expect("an app of the run");
            if let Some(recount) = &mut app.recount {
                recount.counted = true;
            }
            let exist = app.exist(resource.counter()).unwrap_or(0);
            u64::try_from(exist).expect("nothing exists that was not created")
        })
    }

    /// A count was set to `to`, with `held` on top of it. What was held then and exists is charged twice
    /// until the next recount; what was deleted while the app was frozen may be, since it cannot be told
    /// whether the truth has it. Of what no limit stops it cannot be told either what was created.
    pub fn recounted(&self, app: AppId, resource: Resource, to: u64, held: u64) {
        self.with(|known| {
            let digit = u8::try_from(resource.counter().index()).expect("a digit");
            let live = Sum::Live(digit);
            for deeds in known.deeds.values_mut() {
                deeds.retain(|deed| deed.app != app || deed.sum != live);
            }
            let app = known.apps.get_mut(&app).expect("an app of the run");
            let recount = app.recount.unwrap_or_default();
            let (to, held) = (to.cast_signed(), held.cast_signed());
            let range = app.sums.entry(live).or_default();
            range.low = to - recount.deleted - recount.created;
            range.high = to + held + recount.deleted + recount.created;
            // An answer that nobody heard is in no truth: asked again it takes a new unit.
            let created = &app.created;
            app.ids.retain(|id, _| created.contains(id));
            app.outlived.extend(app.ids.keys().cloned());
            app.was_recounted = true;
            app.recounted_at.insert(digit, Instant::now());
        });
    }

    /// The freeze is over, or was never begun.
    pub fn recount_ends(&self, app: AppId) {
        self.with(|known| {
            known.apps.get_mut(&app).expect("an app of the run").recount = None;
        });
    }
}
