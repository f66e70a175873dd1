//! What gateways were told, and what follows from it for the counts.

use std::hash::Hasher;

use imquota::admission::{Outcome, Refusal, Source, Verdict};
use imquota::quota::{AppId, Counter, Limit, Resource};
use tokio::time::Instant;

use super::{Auditor, Deal, Deed, Known, Member, Process, Sum, Told};

impl Auditor {
    /// A creation was answered. `heard`: the gateway got the answer, and creates.
    pub fn created(&self, deal: &Deal, verdict: &Verdict, heard: bool) {
        self.with(|known| {
            known.trace.write_u64(verdict.used);
            known.moves(deal);
            let amount = deal.amount();
            let Known { apps, faults, .. } = known;
            let app = apps.get_mut(&deal.app).expect("an app of the run");
            let before = deal.id.as_ref().and_then(|id| app.ids.get(id));
            let before = before.map(|(told, _)| *told);
            let told = match verdict.outcome {
                Outcome::Allow => Told::Allowed,
                Outcome::Exceeds(_) => unreachable!("no gateway here records"),
                Outcome::Deny(Refusal::StoreUnavailable { .. }) => {
                    known.answers[2] += 1;
                    return known.note_undone(deal);
                }
                Outcome::Deny(_) => Told::Denied,
            };
            known.answers[told as usize] += 1;
            let outlived = deal.id.as_ref().is_some_and(|id| app.outlived.contains(id));
            if let Some(before) = before
                && before != told
                && !outlived
            {
                faults.push(format!("{deal:?}: was {before:?}, is now {told:?}"));
            }
            // A refusal that only what others hold unspent stood behind is not remembered: it may be
            // lifted for whoever asks again.
            let lifts = verdict.limit.is_some_and(|limit| match limit {
                Limit::AtMost(limit) => verdict.used + amount.unsigned_abs() <= limit,
                Limit::Unlimited => false,
            });
            if let Some(id) = &deal.id
                && (told == Told::Allowed || !lifts)
            {
                app.ids.insert(id.clone(), (told, deal.live()));
            }
            if told == Told::Denied {
                return;
            }
            let hard =
                deal.charge.parts().iter().any(|part| {
                    part.counter != Counter::GroupsGained && part.limit.get().is_some()
                });
            if let Some(recount) = &mut app.recount {
                if hard && recount.counted && recount.done.is_none() {
                    faults.push(format!(
                        "{deal:?}: allowed while the truth is being counted"
                    ));
                }
                recount.created += amount;
            }
            let mut unsure = Vec::new();
            if before.is_some() && outlived {
                // It took a new unit, for an object that is there already.
                for (sum, _) in deal.sums() {
                    app.sums.entry(sum).or_default().high += amount;
                }
            }
            if before.is_none() {
                // Counted whether the gateway hears of it or not; one id, one count.
                for (sum, sure) in deal.sums() {
                    let range = app.sums.entry(sum).or_default();
                    range.low += if sure { amount } else { 0 };
                    range.high += amount;
                    if verdict.source != Source::Ledger {
                        unsure.push(sum);
                    }
                    if let Sum::Gained(day) = sum
                        && verdict.source == Source::Degraded
                    {
                        *app.degraded.entry(day).or_default() += amount;
                    }
                }
            }
            // Of two questions asked at once, one answer makes the object.
            let is_new = heard
                && deal
                    .id
                    .as_ref()
                    .is_none_or(|id| app.created.insert(id.clone()));
            if is_new {
                app.exist[deal.resource as usize] += amount;
            }
            let limits = app.limits.as_ref().expect("it was opened");
            for part in deal.charge.parts() {
                if let Limit::AtMost(limit) = limits.of(part.counter)
                    && let Some(exist) = app.exist(part.counter)
                    && exist > limit.cast_signed()
                {
                    faults.push(format!("{deal:?}: {exist} exist, the limit is {limit}"));
                }
            }
            for sum in unsure {
                known.note(deal, sum, -amount, 0);
            }
        });
    }

    /// A creation was broken off: by a kill, or by the gateway. It must not stay counted.
    pub fn broken_off(&self, deal: &Deal) {
        self.with(|known| {
            known.answers[3] += 1;
            known.note_undone(deal);
        });
    }

    /// A gateway deletes objects, and is about to say so; `deal` names all days on which it may.
    pub fn deletes(&self, deal: &Deal) {
        self.with(|known| {
            known.moves(deal);
            let app = known.apps.get_mut(&deal.app).expect("an app of the run");
            app.exist[deal.resource as usize] -= deal.amount();
            if let Some(recount) = &mut app.recount {
                recount.deleted += deal.amount();
            }
            if deal.resource == Resource::AvRoom {
                app.rooms_deleted.push((Instant::now(), deal.amount()));
            }
            if deal.charge.parts().len() > 1 {
                app.followed += deal.amount();
            }
            let sums = deal.sums();
            let outlived = app.may_be_outlived(&sums);
            for (sum, _) in sums {
                let stays = outlived && matches!(sum, Sum::Live(_));
                let slack = if stays { deal.amount() } else { 0 };
                let range = app.sums.entry(sum).or_default();
                range.low -= deal.amount();
                range.high += slack;
            }
        });
    }

    /// The gateway said it again on another day: that one's gain may fall instead.
    pub fn deletes_again(&self, deal: &Deal, day: i32) {
        self.with(|known| {
            let app = known.apps.get_mut(&deal.app).expect("an app of the run");
            app.sums.entry(Sum::Gained(day)).or_default().low -= deal.amount();
        });
    }

    /// A deletion will be, or has been, counted with `given`; `None`: nobody can tell how much.
    pub fn deleted(&self, deal: &Deal, given: Option<u64>) {
        self.with(|known| {
            let amount = deal.amount();
            known.moves(deal);
            let Some(given) = given else { return };
            let given = i64::try_from(given).expect("a small amount");
            for (sum, sure) in deal.sums() {
                if !sure {
                    continue;
                }
                let app = known.apps.get_mut(&deal.app).expect("an app of the run");
                let range = app.sums.entry(sum).or_default();
                range.high -= given;
                range.low += amount - given;
                known.note(deal, sum, 0, given);
            }
        });
    }

    /// All that a member was told and has not settled may be lost, but for what the ledger has.
    pub fn journal_lost(&self, member: Member) {
        self.with(|known| {
            known.lost.insert(member);
            for members in known
                .apps
                .values_mut()
                .flat_map(|app| app.users.values_mut())
            {
                members.retain(|(of, _)| *of != member);
            }
            if known.ever_forgot {
                // It may not have told all again.
                let moved = known.daily.iter();
                let moved = moved.filter(|(_, by)| by.contains(&member));
                known.unknowable.extend(moved.map(|(sum, _)| *sum));
            }
            for deed in known.deeds.remove(&member).unwrap_or_default() {
                known.unsettle(deed);
            }
        });
    }

    /// A gateway was told that so many more users were active.
    pub fn incremented(&self, member: Member, app: AppId, day: i32, by: u64) {
        self.with(|known| {
            let by = i64::try_from(by).expect("a small number");
            let sum = Sum::Increments(day);
            known.daily.entry((app, sum)).or_default().insert(member);
            let sums = &mut known.apps.get_mut(&app).expect("an app of the run").sums;
            sums.entry(sum).or_default().low += by;
            sums.entry(sum).or_default().high += by;
            let deed = Deed {
                app,
                sum,
                low: -by,
                high: 0,
            };
            known.deeds.entry(member).or_default().push(deed);
        });
    }

    /// Users are active on a day: said by a member, or, without one, perhaps.
    pub fn logged_in(&self, by: Option<(Member, Process)>, app: AppId, day: i32, users: &[u32]) {
        self.with(|known| {
            let app = known.apps.get_mut(&app).expect("an app of the run");
            for user in users {
                app.users.entry((day, *user)).or_default().extend(by);
            }
        });
    }
}
