//! Compares what the ledger counts with the truth.

use std::collections::BTreeSet;

use imquota::clock::Day;
use imquota::quota::{AppId, COUNTERS, Limit, Resource};
use tokio::time::Instant;

use super::{Auditor, Known, Sum};
use crate::books::{self, Books, Held};
use crate::fake::keyspace::Keyspace;

impl Auditor {
    /// Looks at the ledger after a step: a hard limit holds, and whatever exists is charged.
    pub fn look(&self, keys: &Keyspace) {
        self.with(|known| known.look(keys));
    }

    /// Everything has arrived: where the ledger's counts are not the truth.
    /// `members`: those that sidecars are now.
    pub fn differences(&self, books: &impl Books, prefix: &str, members: &[u64]) -> Vec<String> {
        self.with(|known| {
            let mut faults = Vec::new();
            known.gaps.clear();
            let Known {
                apps,
                lost,
                unknowable,
                left,
                ever_forgot,
                gaps,
                ..
            } = known;
            for (id, app) in apps.iter() {
                let counts = books::counts(books, prefix, *id);
                let held = books::held(books, prefix, *id);
                // A snapshot of before a member left has its records as held. The base has them as well: they
                // stay charged twice until a recount.
                let (left_over, held): (Vec<Held>, Vec<Held>) =
                    held.into_iter().partition(|held| {
                        let mut by = held.claimed_by.iter();
                        let claimed = !held.claimed_by.is_empty();
                        *ever_forgot && claimed && by.all(|member| !members.contains(member))
                    });
                for (sum, range) in &app.sums {
                    let count = match sum {
                        Sum::Live(counter) => counts[usize::from(*counter)].shown(),
                        Sum::Gained(day) => {
                            let day = Day::from_number(*day).expect("a day");
                            books::gained(books, prefix, *id, day).shown()
                        }
                        Sum::Increments(day) => books::users(books, prefix, *id, *day).1,
                    };
                    // A group that a lost journal forgot is deleted at the cost of another: what falls
                    // with the next one is then bounded by a count that is too small.
                    let spared = match sum {
                        Sum::Live(1) | Sum::Gained(_) if !lost.is_empty() => app.followed,
                        Sum::Gained(_) if app.was_recounted => app.followed + app.doubled,
                        _ => 0,
                    };
                    let left_over = charged_by(&left_over, *sum);
                    let (low, high) = (range.low, range.high + spared + left_over);
                    if !(low..=high).contains(&count) && !unknowable.contains(&(*id, *sum)) {
                        let faults = if left.contains(&(*id, *sum)) {
                            &mut *gaps
                        } else {
                            &mut faults
                        };
                        faults.push(format!(
                            "app {id}, {sum:?}: {count} are counted, {low} to {high} are true"
                        ));
                    }
                }
                let days: BTreeSet<i32> = app.users.keys().map(|(day, _)| *day).collect();
                for day in days {
                    let of_day = || app.users.iter().filter(|((d, _), _)| *d == day);
                    let sure = of_day().filter(|(_, members)| !members.is_empty()).count();
                    let range = sure..=of_day().count();
                    let count = books::users(books, prefix, *id, day).0;
                    if !usize::try_from(count).is_ok_and(|count| range.contains(&count)) {
                        faults.push(format!(
                            "app {id}, day {day}: {count} users are counted, {range:?} are true"
                        ));
                    }
                }
                // What a lost journal's member held stays held: nobody knows whether it was answered.
                let held: Vec<String> = held.into_iter().map(|held| held.words).collect();
                if lost.is_empty() && !held.is_empty() {
                    faults.push(format!("app {id}: still held: {held:?}"));
                }
                let lent = members
                    .iter()
                    .map(|of| books::lent_to(books, prefix, *id, *of));
                let lent = lent.fold([0; 3], |a, b| [a[0] + b[0], a[1] + b[1], a[2] + b[2]]);
                if lent != counts.map(|count| count.lent) {
                    faults.push(format!(
                        "app {id}: {lent:?} are lent to members that there are, of {counts:?}"
                    ));
                }
                for (at, count) in (0..).zip(counts) {
                    let left_over = charged_by(&left_over, Sum::Live(at));
                    if lost.is_empty() && (count.held, count.back) != (left_over, 0) {
                        faults.push(format!("app {id}: {count:?} at rest"));
                    }
                }
            }
            faults
        })
    }

    /// At rest more is `charged` than a hard limit allows: what is wrong with that. Where a journal was lost, so may
    /// what it had given back be, and what was asked of it and never answered: that much is charged for what is not
    /// there, and nothing that was admitted stands above the limit.
    pub fn admitted_above(&self, id: AppId, resource: Resource, charged: i64) -> Option<String> {
        self.with(|known| {
            let app = &known.apps[&id];
            let counter = resource.counter();
            let Limit::AtMost(limit) = app.limits.as_ref()?.of(counter) else {
                return None;
            };
            let exist = app.exist(counter)?;
            let digit = u8::try_from(counter.index()).expect("a digit");
            let sure = app.sums.get(&Sum::Live(digit)).map_or(0, |sum| sum.low);
            let is_explained = !known.lost.is_empty() && exist.max(sure) <= limit.cast_signed();
            (!is_explained).then(|| {
                format!(
                    "app {id}: {charged} {counter:?} are charged under a limit of {limit}: {exist} exist, {sure} are \
                     sure to be charged, {} journals are lost",
                    known.lost.len()
                )
            })
        })
    }
}

impl Known {
    /// Who knows a ledger brings it back: one that is made in its place has nothing of what was counted.
    fn look_for_another(&mut self, keys: &Keyspace) {
        let Some(there) = books::installation(keys) else {
            return;
        };
        match self.installation.as_deref() {
            Some(first) if first == there => {}
            Some(first) => {
                let words = format!("ledger {there} was made in the place of {first}");
                if !self.faults.contains(&words) {
                    self.faults.push(words);
                }
            }
            None => self.installation = Some(there.to_owned()),
        }
    }

    fn look(&mut self, keys: &Keyspace) {
        self.look_for_another(keys);
        let recovery = books::recovery(keys);
        self.epoch = self.epoch.max(recovery.epoch);
        if self.first_epoch == 0 {
            self.first_epoch = recovery.epoch;
        }
        if self.forgot.is_some_and(|before| recovery.epoch > before) && !recovery.open {
            self.forgot = None;
            if recovery.waiting_since == recovery.epoch {
                self.unknowable.append(&mut self.left_gains);
            }
        }
        // Nothing was forgotten or told again so far.
        let calm = self.epoch == self.first_epoch && self.forgot.is_none();
        // While members tell what they know, each part of it alone may be more than there is, or less:
        // records are told before the sums that contain them. Nothing is admitted meanwhile.
        let telling = recovery.open || self.forgot.is_some();
        if telling {
            self.telling_since.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.telling_since.take() {
            let apps = self.apps.values_mut();
            apps.for_each(|app| app.is_heard_again(since));
        }
        let mut begun = Vec::new();
        for (id, app) in &mut self.apps {
            let limits = app.limits.as_ref().expect("it was opened");
            let counts = books::look(keys, *id);
            for (at, count) in counts.iter().enumerate() {
                if count.generation > app.lives[at] {
                    app.lives[at] = count.generation;
                    let held = count.held - count.reserved;
                    begun.push((*id, u8::try_from(at).expect("a digit"), held));
                }
                let (counter, charged) = (COUNTERS[at], count.charged());
                let before = std::mem::replace(&mut app.charged[at], charged);
                let Limit::AtMost(limit) = limits.of(counter) else {
                    continue;
                };
                let waits = count.waits(recovery.waiting_since);
                let grew = charged > before && !telling && !waits;
                if charged > limit.cast_signed()
                    && (calm || grew)
                    && charged > limit.cast_signed() + books::gone(keys, books::PREFIX, *id, at)
                {
                    self.faults.push(format!(
                        "app {id}: {counter:?} is {count:?}, the limit is {limit}"
                    ));
                }
                let exist = [app.exist[0], app.exist[1] + app.exist[2], app.exist[2]][at];
                if exist > charged && !telling && !waits {
                    self.faults.push(format!(
                        "app {id}: {exist} {counter:?} exist, {count:?} is charged"
                    ));
                }
            }
            for (day, degraded) in &app.degraded {
                let Limit::AtMost(limit) = limits.groups_gained_daily else {
                    continue;
                };
                let day = Day::from_number(*day).expect("a day");
                let gained = books::gained(keys, books::PREFIX, *id, day);
                if calm && gained.shown() > limit.cast_signed() + degraded {
                    self.faults.push(format!(
                        "app {id}: {gained:?} groups gained, the limit is {limit}, {degraded} of them by sidecars alone"
                    ));
                }
            }
        }
        for (id, digit, held) in begun {
            self.begins_life(id, digit, held, keys);
        }
    }
}

/// What of a count records charge.
fn charged_by(records: &[Held], sum: Sum) -> i64 {
    let charged = records.iter().filter(|record| match sum {
        Sum::Live(digit) => record.counters.contains(char::from(b'0' + digit)),
        Sum::Gained(day) => record.counters.contains('3') && record.day == day,
        Sum::Increments(_) => false,
    });
    charged.map(|record| record.amount).sum()
}
