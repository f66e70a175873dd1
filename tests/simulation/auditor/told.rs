//! What gateways were told, and what follows from it for the counts.

use std::hash::Hasher;

use imquota::admission::{Outcome, Refusal, Source, Verdict};
use imquota::quota::{AppId, Counter, Limit, Resource};
use tokio::time::Instant;

use super::{App, Auditor, Deal, Deed, Known, Member, Process, Sum, Told};

/// Whether an ALLOW moved the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anew {
    Not,
    Perhaps,
    Surely,
}

impl App {
    /// What was said before: of a refusal under this very id, else of what is counted.
    fn told_before(&self, deal: &Deal) -> Option<Told> {
        let told = |id: &Option<String>| {
            let known = id.as_ref().and_then(|id| self.ids.get(id));
            known.map(|(told, _)| *told)
        };
        let refused = told(&deal.request).filter(|told| *told == Told::Denied);
        refused.or_else(|| told(&deal.id))
    }

    fn is_in_ledger(&self, deal: &Deal) -> bool {
        deal.id
            .as_ref()
            .is_some_and(|id| self.in_ledger.contains(id))
    }

    /// Counted whether the gateway hears of it or not; one id, one count. Answers the sums that a journal alone has.
    /// `is_telling`: the ledger forgot, and is being told again.
    fn count(&mut self, deal: &Deal, verdict: &Verdict, anew: Anew, is_telling: bool) -> Vec<Sum> {
        let amount = deal.amount();
        let mut unsure = Vec::new();
        for (sum, sure) in deal.sums() {
            let range = self.sums.entry(sum).or_default();
            if anew == Anew::Surely && sure {
                range.low += amount;
            }
            if anew != Anew::Not {
                range.high += amount;
            }
            if anew != Anew::Surely {
                continue;
            }
            if verdict.source != Source::Ledger {
                unsure.push(sum);
                if let Sum::Live(digit) = sum
                    && deal.charge.is_metered()
                {
                    self.created_by_memory(digit, amount, is_telling);
                }
            }
            if let Sum::Gained(day) = sum
                && verdict.source == Source::Degraded
            {
                *self.degraded.entry(day).or_default() += amount;
            }
        }
        unsure
    }

    /// A sidecar has not heard yet that a shared id was counted elsewhere. One of the two is taken back, unless there is a
    /// recount in between: it cannot be told then which side of the truth each is on. Answers what stands in the sums of
    /// who said so until then.
    fn is_counted_again(&mut self, deal: &Deal, source: Source) -> Vec<Sum> {
        let amount = deal.amount();
        let is_alone = source == Source::Degraded;
        self.doubled += amount;
        let sums = deal.sums();
        for (sum, sure) in &sums {
            let range = self.sums.entry(*sum).or_default();
            if self.was_frozen {
                range.high += amount;
            }
            if let Sum::Gained(day) = sum {
                // Of two on two days either may be taken back.
                if !sure {
                    range.low -= amount;
                    range.high += amount;
                }
                if is_alone {
                    *self.degraded.entry(*day).or_default() += amount;
                }
            }
        }
        let sums = sums.into_iter().filter(|_| is_alone);
        sums.map(|(sum, _)| sum).collect()
    }

    fn remember(&mut self, deal: &Deal, told: Told, lifts: bool) {
        let under = match told {
            Told::Allowed => &deal.id,
            Told::Denied if lifts => return,
            Told::Denied => &deal.request,
        };
        // What a sidecar has counted by itself stands, whatever the ledger says before it hears of that.
        let stands = |id: &String| told == Told::Denied && self.alone.contains(id);
        if let Some(id) = under.as_ref().filter(|id| !stands(id)) {
            self.ids.insert(id.clone(), (told, deal.live()));
        }
    }
}

/// Whether an ALLOW counted something. `before`: what was said before; `outlived`: before a recount; `in_ledger`: the
/// ledger allowed it before.
fn counted(
    deal: &Deal,
    verdict: &Verdict,
    (before, outlived, in_ledger): (Option<Told>, bool, bool),
) -> Anew {
    if !deal.keeps_ids {
        return match before {
            // It took a new unit, for an object that is there already; or nobody heard whether it did before.
            _ if outlived => Anew::Perhaps,
            None => Anew::Surely,
            // What was refused is admitted by a policy, while the ledger is away.
            Some(Told::Denied) if deal.is_shared && !verdict.replayed => Anew::Surely,
            Some(_) => Anew::Not,
        };
    }
    // Memory and the ledger do not know of each other. The ledger has one record, whoever hears of it first.
    match (verdict.source, in_ledger) {
        (Source::Ledger, true) if outlived && !verdict.replayed => Anew::Perhaps,
        (Source::Ledger, true) => Anew::Not,
        (Source::Memory | Source::Degraded, _) if verdict.replayed => Anew::Not,
        (Source::Ledger | Source::Memory | Source::Degraded, _) => Anew::Surely,
    }
}

/// Whether an id may be answered otherwise than before: by a sidecar that has not heard of it, where each remembers for
/// itself; and of an object when names were forgotten.
fn may_differ(app: &App, deal: &Deal, may_lack_names: bool) -> bool {
    if deal.is_named {
        return may_lack_names;
    }
    if deal.is_shared {
        return deal.id.as_ref().is_some_and(|id| app.alone.contains(id));
    }
    let is_its = |id: &String| app.allowed_by.contains(&(id.clone(), deal.member));
    deal.keeps_ids && !deal.id.as_ref().is_some_and(is_its)
}

/// A gateway that hears that it may creates. Of two questions asked at once, one answer makes the object.
fn exists(app: &mut App, deal: &Deal, heard: bool, faults: &mut Vec<String>) {
    let is_new = heard
        && deal
            .id
            .as_ref()
            .is_none_or(|id| app.created.insert(id.clone()));
    if is_new {
        app.exist[deal.resource as usize] += deal.amount();
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
}

impl Auditor {
    /// A creation was answered. `heard`: the gateway got the answer, and creates.
    pub fn created(&self, deal: &Deal, verdict: &Verdict, heard: bool) {
        self.with(|known| {
            known.trace.write_u64(verdict.used);
            known.moves(deal);
            let amount = deal.amount();
            let may_lack_names = known.may_lack_names();
            let Known { apps, faults, .. } = known;
            let app = apps.get_mut(&deal.app).expect("an app of the run");
            let before = app.told_before(deal);
            let told = match verdict.outcome {
                Outcome::Allow => Told::Allowed,
                Outcome::Exceeds(_) | Outcome::Shadowed(_) => {
                    unreachable!("no gateway here records, and no app is only watched")
                }
                Outcome::Deny(Refusal::StoreUnavailable { .. }) => {
                    known.answers[2] += 1;
                    return known.note_undone(deal);
                }
                Outcome::Deny(_) => Told::Denied,
            };
            known.answers[told as usize] += 1;
            let outlived = deal.id.as_ref().is_some_and(|id| app.outlived.contains(id));
            if deal.is_shared && told == Told::Allowed && verdict.source == Source::Degraded {
                app.alone.extend(deal.id.clone());
            }
            if let Some(before) = before
                && before != told
                && !outlived
                && !may_differ(app, deal, may_lack_names)
            {
                faults.push(format!("{deal:?}: was {before:?}, is now {told:?}"));
            }
            // A refusal that only what others hold unspent stood behind is not remembered: it may be
            // lifted for whoever asks again.
            let lifts = verdict.limit.is_some_and(|limit| match limit {
                Limit::AtMost(limit) => verdict.used + amount.unsigned_abs() <= limit,
                Limit::Unlimited => false,
            });
            app.remember(deal, told, lifts);
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
            let anew = counted(deal, verdict, (before, outlived, app.is_in_ledger(deal)));
            if let Some(id) = deal
                .id
                .as_ref()
                .filter(|_| verdict.source == Source::Ledger)
            {
                app.in_ledger.insert(id.clone());
            }
            if anew == Anew::Surely && before == Some(Told::Allowed) && !deal.keeps_ids {
                faults.push(format!("{deal:?}: is counted twice"));
            }
            if deal.keeps_ids
                && let Some(id) = &deal.id
                && !app.allowed_by.insert((id.clone(), deal.member))
                && anew == Anew::Surely
                && !outlived
                && !known.ever_forgot
            {
                faults.push(format!("{deal:?}: is counted twice by one member"));
            }
            let unsure = app.count(deal, verdict, anew, known.forgot.is_some());
            let mut doubles = Vec::new();
            if deal.is_shared && anew == Anew::Not && !verdict.replayed {
                doubles = app.is_counted_again(deal, verdict.source);
            }
            app.is_told(deal);
            exists(app, deal, heard, faults);
            for sum in unsure {
                known.note(deal, sum, -amount, 0);
            }
            for sum in doubles {
                known.note_double(deal, sum);
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
            app.is_deleted(deal);
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
                brings: by,
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
