//! Keeps the truth: what gateways were told, and so what may exist. It knows nothing of how the ledger
//! counts, and is asked after each step and each answer.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use imquota::admission::{Outcome, Refusal, Source, Verdict};
use imquota::clock::Day;
use imquota::quota::{AppId, Charge, Counter, Limit, Limits, Resource};
use redis::{Arg, Cmd, Value};

use crate::books::{self, Books};
use crate::fake::keyspace::Keyspace;

/// A count that must be right at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sum {
    Live(u8),
    Gained(i32),
}

/// Between what the count may be, once everything has arrived.
#[derive(Debug, Clone, Copy, Default)]
struct Range {
    low: i64,
    high: i64,
}

/// A creation under a client's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Allowed,
    Denied,
}

/// A sidecar and the number of its journal: with another journal it is another member.
pub type Member = (usize, u64);

/// What a member was asked: unsure if its journal is lost.
#[derive(Debug, Clone, Copy)]
struct Deed {
    app: AppId,
    sum: Sum,
    low: i64,
    high: i64,
}

#[derive(Debug, Default)]
struct App {
    limits: Option<Limits>,
    sums: BTreeMap<Sum, Range>,
    /// Objects that a gateway was allowed and has not deleted.
    exist: [i64; 3],
    /// Groups admitted by sidecars alone, by day: those may pass the daily gain's limit.
    degraded: BTreeMap<i32, i64>,
    ids: BTreeMap<String, Told>,
    /// Ids whose object a gateway made.
    created: BTreeSet<String>,
}

impl App {
    /// How many objects exist that `counter` counts; the gain of a day is no such number.
    fn exist(&self, counter: Counter) -> Option<i64> {
        let [accounts, groups, rooms] = self.exist;
        match counter {
            Counter::Accounts => Some(accounts),
            Counter::Groups => Some(groups + rooms),
            Counter::AvRooms => Some(rooms),
            Counter::GroupsGained => None,
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    apps: BTreeMap<AppId, App>,
    deeds: BTreeMap<Member, Vec<Deed>>,
    lost: BTreeSet<Member>,
    faults: Vec<String>,
    /// The ledger was put back: what it counts is not compared any more.
    forgot: bool,
    trace: DefaultHasher,
    log: Option<Vec<String>>,
    steps: u64,
    answers: [u64; 4],
}

/// The auditor of one run.
#[derive(Debug, Default)]
pub struct Auditor(Mutex<Known>);

/// A creation or deletion that a gateway asks for.
#[derive(Debug, Clone)]
pub struct Deal {
    /// The sidecar, and which of its journals.
    pub member: Member,
    pub app: AppId,
    pub charge: Charge,
    pub resource: Resource,
    /// The days that it may count for: those on which it was asked.
    pub days: BTreeSet<i32>,
    pub id: Option<String>,
}

impl Deal {
    fn amount(&self) -> i64 {
        self.charge.amount().get().into()
    }

    /// What it moves, and whether it is sure that it moves that.
    fn sums(&self) -> Vec<(Sum, bool)> {
        let mut sums = Vec::new();
        for part in self.charge.parts() {
            match part.counter {
                Counter::GroupsGained => {
                    let sure = self.days.len() == 1;
                    sums.extend(self.days.iter().map(|day| (Sum::Gained(*day), sure)));
                }
                counter => {
                    let digit = u8::try_from(counter.index()).expect("a digit");
                    sums.push((Sum::Live(digit), true));
                }
            }
        }
        sums
    }
}

impl Auditor {
    pub fn keep_log(&self) {
        self.with(|known| known.log = Some(Vec::new()));
    }

    pub fn open_app(&self, app: AppId, limits: Limits) {
        self.with(|known| known.apps.entry(app).or_default().limits = Some(limits));
    }

    /// Notes something for the log of a replay.
    pub fn say(&self, words: impl FnOnce() -> String) {
        self.with(|known| {
            if known.log.is_some() {
                let words = words();
                known.log.iter_mut().for_each(|log| log.push(words.clone()));
            }
        });
    }

    pub fn fault(&self, words: String) {
        self.with(|known| known.faults.push(words));
    }

    pub fn has_faults(&self) -> bool {
        self.with(|known| !known.faults.is_empty())
    }

    pub fn end(&self) -> (Vec<String>, u64, Vec<String>, u64, [u64; 4]) {
        self.with(|known| {
            let log = known.log.take().unwrap_or_default();
            let faults = std::mem::take(&mut known.faults);
            (
                faults,
                known.trace.finish(),
                log,
                known.steps,
                known.answers,
            )
        })
    }

    /// What the ledger counts means nothing from now on, but that limits hold.
    pub fn ledger_forgot(&self) {
        self.with(|known| known.forgot = true);
    }

    /// A creation was answered. `heard`: the gateway got the answer, and creates.
    pub fn created(&self, deal: &Deal, verdict: &Verdict, heard: bool) {
        self.with(|known| {
            known.trace.write_u64(verdict.used);
            let amount = deal.amount();
            let Known { apps, faults, .. } = known;
            let app = apps.get_mut(&deal.app).expect("an app of the run");
            let before = deal.id.as_ref().and_then(|id| app.ids.get(id).copied());
            let told = match verdict.outcome {
                Outcome::Allow => Told::Allowed,
                Outcome::Deny(Refusal::StoreUnavailable { .. }) => {
                    known.answers[2] += 1;
                    return known.note_undone(deal);
                }
                Outcome::Deny(_) => Told::Denied,
            };
            known.answers[told as usize] += 1;
            if let Some(before) = before
                && before != told
            {
                faults.push(format!("{deal:?}: was {before:?}, is now {told:?}"));
            }
            if let Some(id) = &deal.id {
                app.ids.insert(id.clone(), told);
            }
            if told == Told::Denied {
                return;
            }
            let mut unsure = Vec::new();
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
            let app = known.apps.get_mut(&deal.app).expect("an app of the run");
            app.exist[deal.resource as usize] -= deal.amount();
            for (sum, _) in deal.sums() {
                app.sums.entry(sum).or_default().low -= deal.amount();
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
            for deed in known.deeds.remove(&member).unwrap_or_default() {
                known.unsettle(deed);
            }
        });
    }

    /// Takes note of a step for the trace.
    pub fn note_step(&self, command: &Cmd, answer: &Value) {
        self.with(|known| {
            known.steps += 1;
            for arg in command.args_iter() {
                if let Arg::Simple(bytes) = arg {
                    bytes.hash(&mut known.trace);
                }
            }
            hash_value(answer, &mut known.trace);
        });
    }

    /// Looks at the ledger after a step: a hard limit holds, and whatever exists is counted.
    pub fn look(&self, keys: &Keyspace) {
        self.with(|known| {
            let Known { apps, faults, forgot, .. } = known;
            for (id, app) in apps.iter() {
                let limits = app.limits.as_ref().expect("it was opened");
                let counts = books::live_counts(keys, *id);
                for (at, &count) in counts.iter().enumerate() {
                    let counter = imquota::quota::COUNTERS[at];
                    let Limit::AtMost(limit) = limits.of(counter) else {
                        continue;
                    };
                    let exist = app.exist(counter).unwrap_or(0);
                    if count > limit.cast_signed() {
                        faults.push(format!("app {id}: {counter:?} is {count}, the limit is {limit}"));
                    }
                    if exist > count && !*forgot {
                        faults.push(format!("app {id}: {exist} {counter:?} exist, {count} are counted"));
                    }
                }
                for (day, degraded) in &app.degraded {
                    let Limit::AtMost(limit) = limits.groups_gained_daily else {
                        continue;
                    };
                    let day = Day::from_number(*day).expect("a day");
                    let gained = books::gained(keys, books::PREFIX, *id, day);
                    if gained > limit.cast_signed() + degraded {
                        faults.push(format!(
                            "app {id}: {gained} groups gained, the limit is {limit}, {degraded} of them by sidecars alone"
                        ));
                    }
                }
            }
        });
    }

    /// Everything has arrived: where the ledger's counts are not the truth.
    pub fn differences(&self, books: &impl Books, prefix: &str) -> Vec<String> {
        self.with(|known| {
            let mut faults = Vec::new();
            let Known {
                apps, forgot, lost, ..
            } = known;
            for (id, app) in apps.iter() {
                if *forgot {
                    continue;
                }
                let counts = books::counts(books, prefix, *id);
                for (sum, range) in &app.sums {
                    let count = match sum {
                        Sum::Live(counter) => counts[usize::from(*counter)],
                        Sum::Gained(day) => {
                            let day = Day::from_number(*day).expect("a day");
                            books::gained(books, prefix, *id, day)
                        }
                    };
                    if !(range.low..=range.high).contains(&count) {
                        faults.push(format!(
                            "app {id}, {sum:?}: {count} are counted, {} to {} are true",
                            range.low, range.high
                        ));
                    }
                }
                // What a lost journal's member held stays held: nobody knows whether it was answered.
                let held = books::held(books, prefix, *id);
                if lost.is_empty() && !held.is_empty() {
                    faults.push(format!("app {id}: still held: {held:?}"));
                }
            }
            faults
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        act(&mut self.0.lock().expect("never poisoned"))
    }
}

impl Known {
    /// A creation that was not allowed leaves nothing behind, unless its journal is lost.
    fn note_undone(&mut self, deal: &Deal) {
        for (sum, _) in deal.sums() {
            self.note(deal, sum, 0, deal.amount());
        }
    }

    /// What may be otherwise if the member's journal is lost, or is otherwise if it was.
    fn note(&mut self, deal: &Deal, sum: Sum, low: i64, high: i64) {
        let deed = Deed {
            app: deal.app,
            sum,
            low,
            high,
        };
        if self.lost.contains(&deal.member) {
            self.unsettle(deed);
        } else {
            self.deeds.entry(deal.member).or_default().push(deed);
        }
    }

    fn unsettle(&mut self, deed: Deed) {
        let app = self.apps.get_mut(&deed.app).expect("an app of the run");
        let range = app.sums.entry(deed.sum).or_default();
        range.low += deed.low;
        range.high += deed.high;
    }
}

fn hash_value(value: &Value, trace: &mut DefaultHasher) {
    match value {
        Value::Int(number) => number.hash(trace),
        Value::BulkString(bytes) => bytes.hash(trace),
        Value::Array(items) => items.iter().for_each(|item| hash_value(item, trace)),
        Value::Nil => 1_u8.hash(trace),
        other => format!("{other:?}").hash(trace),
    }
}
