//! What recounts and retirements change in the truth.

use std::time::Duration;

use imquota::clock::Day;
use imquota::quota::{AppId, Resource};
use tokio::time::Instant;

use super::{App, Auditor, Known, Sum};
use crate::books::{self, Books};
use crate::fake::keyspace::Keyspace;

/// How long it may take until all sidecars have heard of a recount. What is deleted at one that has not may
/// stay charged until the next one: it cannot tell which side of the truth it is on.
const HEARD: Duration = Duration::from_secs(9);

/// How long it may take after a recovery until all sidecars have a lease and a witness.
const SERVED_AGAIN: Duration = Duration::from_secs(12);

/// Rooms are groups as well.
const LINKED: [[u8; 2]; 2] = [[1, 2], [2, 1]];

impl App {
    /// Whether a deletion of now, which moves `sums`, may have been overtaken by a recount of one of its live counts: it
    /// is given back as a whole or not at all.
    pub(super) fn may_be_outlived(&self, sums: &[(Sum, bool)]) -> bool {
        let recounted = |sum: &(Sum, bool)| match sum.0 {
            Sum::Live(digit) => self.recounted_at.get(&digit),
            Sum::Gained(_) | Sum::Increments(_) => None,
        };
        let mut recounted = sums.iter().filter_map(recounted);
        recounted.any(|at| at.elapsed() < HEARD)
    }

    /// The ledger forgets, perhaps a recount that not all members have heard of. Who has not takes all that it counted
    /// by then for counted before.
    pub(super) fn doubt_since_recount(&mut self) {
        for (digit, at) in &self.recounted_at {
            if at.elapsed() < HEARD {
                let since = self.since_recount.remove(digit).unwrap_or(0);
                self.sums.entry(Sum::Live(*digit)).or_default().low -= since;
            }
        }
    }

    /// Memory has created something of a live count.
    pub(super) fn created_by_memory(&mut self, digit: u8, amount: i64, is_telling: bool) {
        if self
            .recounted_at
            .get(&digit)
            .is_some_and(|at| at.elapsed() < HEARD * 2)
        {
            if is_telling {
                self.sums.entry(Sum::Live(digit)).or_default().low -= amount;
            } else {
                *self.since_recount.entry(digit).or_default() += amount;
            }
        }
    }

    /// Members have told the ledger what they know, and nothing else could be told meanwhile: what was deleted since is on
    /// its way as soon as each has a lease and a witness again.
    pub(super) fn is_heard_again(&mut self, since: Instant) {
        for (at, _) in &mut self.rooms_deleted {
            if *at + HEARD > since {
                *at = Instant::now() + SERVED_AGAIN;
            }
        }
    }

    /// A room that was deleted shortly before may stay charged as a group, and the other way round.
    fn may_stay_charged(&mut self, recounted: u8) {
        if let Some(other) = LINKED.iter().find(|link| link[0] == recounted) {
            let rooms = std::mem::take(&mut self.rooms_deleted).into_iter();
            let late: i64 = rooms
                .filter(|(at, _)| at.elapsed() < HEARD)
                .map(|(_, n)| n)
                .sum();
            self.sums.entry(Sum::Live(other[1])).or_default().high += late;
        }
    }
}

impl Auditor {
    /// What a lost member was lent counts as used from now on, also of days.
    pub fn retires(&self, books: &impl Books, prefix: &str, id: AppId, incarnation: u64) {
        self.with(|known| {
            let moved = known.daily.keys().filter(|(of, _)| *of == id);
            let moved: Vec<Sum> = moved.map(|(_, sum)| *sum).collect();
            let app = known.apps.get_mut(&id).expect("an app of the run");
            let live = books::lent_to(books, prefix, id, incarnation);
            for (at, lent) in (0..).zip(live) {
                app.sums.entry(Sum::Live(at)).or_default().high += lent;
            }
            for sum in moved {
                if let Sum::Gained(day) = sum {
                    let day = Day::from_number(day).expect("a day");
                    let lent = books::gain_lent_to(books, prefix, id, day, incarnation);
                    app.sums.entry(sum).or_default().high += lent;
                }
            }
        });
    }

    /// An app is about to be frozen.
    pub fn recount_begins(&self, app: AppId) {
        self.with(|known| {
            let app = known.apps.get_mut(&app).expect("an app of the run");
            app.recount = Some(super::Recount::default());
            app.was_frozen = true;
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
            let made = app.unconfirmed.values().filter(|of| {
                let is_group = resource == Resource::Group && **of == Resource::AvRoom;
                **of == resource || is_group
            });
            let exist = exist + i64::try_from(made.count()).expect("a few");
            u64::try_from(exist).expect("nothing exists that was not created")
        })
    }

    /// A count is about to be set to `to`. Whether it was is seen in the ledger, not in the answer: that may be
    /// lost.
    pub fn commits(&self, app: AppId, resource: Resource, to: u64) {
        self.with(|known| {
            let digit = u8::try_from(resource.counter().index()).expect("a digit");
            let app = known.apps.get_mut(&app).expect("an app of the run");
            app.truths.insert(digit, to);
        });
    }

    /// The freeze is over, or was never begun. Until now nobody could tell which side of a truth that was set
    /// meanwhile something was on.
    pub fn recount_ends(&self, app: AppId) {
        self.with(|known| {
            let app = known.apps.get_mut(&app).expect("an app of the run");
            let recount = app.recount.take().unwrap_or_default();
            if let Some(digit) = recount.done {
                app.may_stay_charged(digit);
                let range = app.sums.entry(Sum::Live(digit)).or_default();
                range.low -= recount.deleted + recount.created;
                range.high += recount.deleted + recount.created;
            }
        });
    }
}

impl Known {
    /// A new life of a live count has begun: it was set to a truth, if one was on its way. What records hold (`held`: but for reservations)
    /// stays on top of that, so that what was held then and exists is charged twice until the next recount; what was
    /// deleted while the app was frozen may be, since it cannot be told whether the truth has it. Of what no
    /// limit stops it cannot be told either what was created.
    ///
    /// One that has never met the ledger says of what it counted by itself neither that it was before the
    /// recount: its objects are in the truth, and in the sums that it brings.
    pub(super) fn begins_life(&mut self, id: AppId, digit: u8, held: i64, keys: &Keyspace) {
        let live = Sum::Live(digit);
        let app = self.apps.get_mut(&id).expect("an app of the run");
        let Some(to) = app.truths.remove(&digit) else {
            return;
        };
        let mut unmet = 0;
        for ((_, incarnation), deeds) in &mut self.deeds {
            let of_it = deeds.extract_if(.., |deed| deed.app == id && deed.sum == live);
            let net: i64 = of_it.map(|deed| deed.brings).sum();
            if !books::is_present(keys, *incarnation) {
                unmet += net.max(0);
            }
        }
        let mut rest = super::Recount::default();
        let recount = app.recount.as_mut().unwrap_or(&mut rest);
        let to = to.cast_signed();
        let range = app.sums.entry(live).or_default();
        range.low = to - recount.deleted - recount.created;
        range.high = to + held + unmet + recount.deleted + recount.created;
        (recount.deleted, recount.created, recount.done) = (0, 0, Some(digit));
        app.may_stay_charged(digit);
        // An answer that nobody heard is in no truth: asked again it takes a new unit. Of what moves other counts
        // alone nothing was recounted.
        let (created, unconfirmed) = (&app.created, &app.unconfirmed);
        let exists = |id: &String| created.contains(id) || unconfirmed.contains_key(id);
        app.ids
            .retain(|id, (_, live)| !live.contains(&digit) || exists(id));
        let moved = app
            .ids
            .iter()
            .filter(|(_, (_, live))| live.contains(&digit));
        app.outlived.extend(moved.map(|(id, _)| id.clone()));
        // Whether what is confirmed now was confirmed before, nobody may have heard.
        app.outlived.extend(app.unconfirmed.keys().cloned());
        app.was_recounted = true;
        app.since_recount.remove(&digit);
        app.recounted_at.insert(digit, Instant::now());
    }
}
