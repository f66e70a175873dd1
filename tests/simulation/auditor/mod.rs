//! Keeps the truth: what gateways were told, and so what may exist. It knows nothing of how the ledger
//! counts, and is asked after each step and each answer.

mod holds;
mod judge;
mod names;
mod recounts;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use imquota::quota::{AppId, Charge, Counter, Limits, Resource};
use imquota::store::Shard;
use redis::{Arg, Cmd, Value};
use tokio::time::Instant;

use crate::books;
use crate::fake::keyspace::Keyspace;

/// A count that must be right at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sum {
    Live(u8),
    Gained(i32),
    /// Users of a day whom gateways told apart themselves.
    Increments(i32),
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

/// A sidecar and its incarnation: with another journal, or after it has left, it is another member.
pub type Member = (usize, u64);
/// A sidecar and the number of its process.
pub type Process = (usize, u64);

/// What a member was asked: unsure if its journal is lost.
#[derive(Debug, Clone, Copy)]
struct Deed {
    app: AppId,
    sum: Sum,
    low: i64,
    high: i64,
    /// What of it the member's own sums have.
    brings: i64,
}

/// A recount that is under way.
#[derive(Debug, Clone, Copy, Default)]
struct Recount {
    /// Objects deleted since the app was about to be frozen.
    deleted: i64,
    /// Objects created since then that no limit stops.
    created: i64,
    /// Whether the truth was counted: its token is out.
    counted: bool,
    /// The count that was set to it.
    done: Option<u8>,
}

#[derive(Debug, Default)]
struct App {
    limits: Option<Limits>,
    sums: BTreeMap<Sum, Range>,
    /// Objects that a gateway was allowed and has not deleted.
    exist: [i64; 3],
    /// Groups admitted by sidecars alone, by day: those may pass the daily gain's limit.
    degraded: BTreeMap<i32, i64>,
    /// What was said under an id, and what live counts that moves.
    ids: BTreeMap<String, (Told, Vec<u8>)>,
    /// Objects deleted with which groups and the gain fall.
    followed: i64,
    /// Active users by day, and who said so; none: perhaps.
    users: BTreeMap<(i32, u32), BTreeSet<(Member, Process)>>,
    /// The recount that is under way.
    recount: Option<Recount>,
    /// Rooms deleted, and when: a release is given back as a whole or not at all.
    rooms_deleted: Vec<(Instant, i64)>,
    /// Truths that are on their way to the ledger, by live count.
    truths: BTreeMap<u8, u64>,
    /// The newest life of each live count that the ledger ever had.
    lives: [u64; 3],
    /// When each live count was last recounted.
    recounted_at: BTreeMap<u8, Instant>,
    /// What memory created since then: so much is in doubt if the ledger forgets the recount before all have heard.
    since_recount: BTreeMap<u8, i64>,
    /// Whether the app was ever frozen for one.
    was_frozen: bool,
    /// Whether one was ever done: what was deleted before it may stay in a day's gain.
    was_recounted: bool,
    /// Ids answered before a recount: asked again they are judged anew.
    outlived: BTreeSet<String>,
    /// What limits see of each count, as the ledger had it when it was last looked at.
    charged: [i64; 3],
    /// Ids whose object a gateway made.
    created: BTreeSet<String>,
    /// Objects that are made and not confirmed yet, by their ids.
    unconfirmed: BTreeMap<String, Resource>,
    /// Who allowed what, where ids are not shared.
    allowed_by: BTreeSet<(String, Member)>,
    /// Ids that the ledger allowed.
    in_ledger: BTreeSet<String>,
    /// Shared ids under which a sidecar counted by itself.
    alone: BTreeSet<String>,
    /// What was counted twice on a day under such an id, until it is taken back.
    doubled: i64,
    /// Named objects that were told more than once, and when last.
    told_again: BTreeMap<String, (u32, Instant)>,
    /// Such objects that were deleted soon after, and when.
    deleted_soon: Vec<(Instant, Deal)>,
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
    /// Processes that are over: what they knew beside their journals is forgotten.
    ended: BTreeSet<Process>,
    /// Members in whose place another one began. Until the ledger has marked one gone, its successor's journal is its own.
    replaced: BTreeSet<Member>,
    /// The ledger that was made first: no other one may take its place.
    installation: Option<String>,
    /// The newest recovery that the ledger ever had, and the first.
    epoch: u64,
    first_epoch: u64,
    /// The ledger forgot something, and no recovery above this one has ended since.
    forgot: Option<u64>,
    /// Since when members tell it what they know, if they do.
    telling_since: Option<Instant>,
    /// Whether the ledger ever forgot something.
    ever_forgot: bool,
    /// Who moved which sum of a day.
    daily: BTreeMap<(AppId, Sum), BTreeSet<Member>>,
    /// Sums of days that a lost member moved, before the ledger forgot them: nobody knows those.
    unknowable: BTreeSet<(AppId, Sum)>,
    /// Users told apart by gateways, as a member said that had left when the ledger forgot them. What is
    /// wrong with them is a gap of the program: no base has what left members added to a day's users.
    left: BTreeSet<(AppId, Sum)>,
    /// The gains of days that such a member moved. Bases have those. But one who left when nobody else was there has its
    /// base in the ledger alone until its next start has read it: if that is forgotten, the recovery ends incomplete, a
    /// recount sets what lives, and the gain, which is never recounted, nobody knows.
    left_gains: BTreeSet<(AppId, Sum)>,
    gaps: Vec<String>,
    /// What gateways are never told.
    given_up: Vec<String>,
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
    /// What is counted once: an object's name, or the client's id.
    pub id: Option<String>,
    /// The client's id, with which a refusal goes.
    pub request: Option<String>,
    pub is_named: bool,
    /// Whether each sidecar remembers the id for itself.
    pub keeps_ids: bool,
    /// Whether all are to know the id, and a sidecar counts under it by itself while the ledger is away.
    pub is_shared: bool,
}

impl Deal {
    fn amount(&self) -> i64 {
        self.charge.amount().get().into()
    }

    /// The live counts that it moves.
    fn live(&self) -> Vec<u8> {
        let sums = self.sums().into_iter();
        sums.filter_map(|(sum, _)| match sum {
            Sum::Live(digit) => Some(digit),
            Sum::Gained(_) | Sum::Increments(_) => None,
        })
        .collect()
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

    /// The ledger has forgotten something: until members have told it again, things exist that it does
    /// not count. Users are told again by the processes that know them.
    /// `keys`: what it knew until then.
    pub fn ledger_forgot(&self, keys: &Keyspace) {
        self.with(|known| {
            for (sum, by) in &known.daily {
                if by.iter().any(|member| known.is_lost(*member, keys)) {
                    known.unknowable.insert(*sum);
                } else if by.iter().any(|(_, of)| books::is_gone(keys, *of)) {
                    match sum.1 {
                        Sum::Increments(_) => known.left.insert(*sum),
                        Sum::Gained(_) | Sum::Live(_) => known.left_gains.insert(*sum),
                    };
                }
            }
            known.forgot = Some(known.epoch);
            known.ever_forgot = true;
            for app in known.apps.values_mut() {
                app.doubt_since_recount();
                app.doubt_deleted();
            }
            let ended: Vec<Process> = known.ended.iter().copied().collect();
            for process in ended {
                known.users_forgotten(process);
            }
        });
    }

    /// What is wrong, and known to be.
    pub fn gaps(&self) -> Vec<String> {
        self.with(|known| std::mem::take(&mut known.gaps))
    }

    /// How many creations were counted twice for a while.
    pub fn doubled(&self) -> i64 {
        self.with(|known| known.apps.values().map(|app| app.doubled).sum())
    }

    /// Whether it may be that no ledger is there.
    pub fn ledger_may_be_gone(&self) -> bool {
        self.with(|known| known.forgot.is_some())
    }

    /// Another member began in the place of this one.
    pub fn replaced(&self, member: Member) {
        self.with(|known| known.replaced.insert(member));
    }

    /// A process ends, however it does.
    pub fn process_ended(&self, process: Process) {
        self.with(|known| {
            known.ended.insert(process);
            if known.ever_forgot {
                // It may not have told all again.
                known.users_forgotten(process);
            }
        });
    }

    /// Takes note of a step for the trace.
    pub fn note_step(&self, command: &Cmd, answer: &Value) {
        self.with(|known| {
            known.steps += 1;
            let loads = first_word(command).is_some_and(|word| word == b"SCRIPT");
            for arg in command.args_iter() {
                if let Arg::Simple(bytes) = arg {
                    // The scripts' text is the same in every run.
                    if loads {
                        bytes.len().hash(&mut known.trace);
                    } else {
                        bytes.hash(&mut known.trace);
                    }
                }
            }
            hash_value(answer, &mut known.trace);
        });
    }

    /// Whether a command may have changed anything that is looked at: most are on shards of no app.
    pub fn cares_for(&self, command: &Cmd) -> bool {
        let mut args = command.args_iter();
        let Some(Arg::Simple(key)) = args.nth(3) else {
            return true;
        };
        let shard_of = |key: &[u8]| {
            let text = std::str::from_utf8(key).ok()?;
            let rest = text.strip_prefix('{')?.strip_prefix(books::PREFIX)?;
            u16::from_str_radix(rest.strip_prefix(':')?.get(..2)?, 16).ok()
        };
        shard_of(key).is_none_or(|shard| {
            self.with(|known| {
                known
                    .apps
                    .keys()
                    .any(|app| Shard::of(*app).number() == shard)
            })
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        act(&mut self.0.lock().expect("never poisoned"))
    }
}

impl Known {
    fn moves(&mut self, deal: &Deal) {
        for (sum, _) in deal.sums() {
            if matches!(sum, Sum::Gained(_)) {
                self.daily
                    .entry((deal.app, sum))
                    .or_default()
                    .insert(deal.member);
            }
        }
    }

    /// Whether the journal that speaks for the member is lost: its own, or that of a successor which had yet to leave for it.
    /// `keys`: what the ledger knows.
    fn is_lost(&self, member: Member, keys: &Keyspace) -> bool {
        let (number, of) = member;
        let was_leaving = || self.replaced.contains(&member) && !books::is_gone(keys, of);
        let its_folder = || self.lost.iter().any(|(lost, _)| *lost == number);
        self.lost.contains(&member) || was_leaving() && its_folder()
    }

    /// Nobody tells users again whom only this process knew.
    fn users_forgotten(&mut self, process: Process) {
        for by in self
            .apps
            .values_mut()
            .flat_map(|app| app.users.values_mut())
        {
            by.retain(|(_, of)| *of != process);
        }
    }

    /// A creation that was not allowed leaves nothing behind, unless its journal is lost.
    fn note_undone(&mut self, deal: &Deal) {
        for (sum, _) in deal.sums() {
            self.note(deal, sum, 0, deal.amount());
        }
    }

    /// What may be otherwise if the member's journal is lost, or is otherwise if it was.
    fn note(&mut self, deal: &Deal, sum: Sum, low: i64, high: i64) {
        self.note_deed(
            deal.member,
            Deed {
                app: deal.app,
                sum,
                low,
                high,
                brings: -low - high,
            },
        );
    }

    /// As [`Known::note`], of what stands in the member's sums beside the one that counts, until it is taken back.
    fn note_double(&mut self, deal: &Deal, sum: Sum) {
        let amount = deal.amount();
        self.note_deed(
            deal.member,
            Deed {
                app: deal.app,
                sum,
                low: 0,
                high: amount,
                brings: amount,
            },
        );
    }

    fn note_deed(&mut self, member: Member, deed: Deed) {
        if self.lost.contains(&member) {
            self.unsettle(deed);
        } else {
            self.deeds.entry(member).or_default().push(deed);
        }
    }

    fn unsettle(&mut self, deed: Deed) {
        let app = self.apps.get_mut(&deed.app).expect("an app of the run");
        let range = app.sums.entry(deed.sum).or_default();
        range.low += deed.low;
        range.high += deed.high;
    }
}

fn first_word(command: &Cmd) -> Option<&[u8]> {
    match command.args_iter().next() {
        Some(Arg::Simple(word)) => Some(word),
        _ => None,
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
