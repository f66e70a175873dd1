//! A shared ledger of one app in a few lines: sums merged by maximum, records, grants, freezes, recounts.
//! One day, no recoveries, nothing forgotten.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::{pending, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use crate::clock::{Day, Millis, Month};
use crate::quota::{
    AppId, COUNTERS, Charge, Counter, ObjectNumber, Registered, RequestId, Resource,
};
use crate::store::*;

#[derive(Debug, Clone, Copy, Default)]
struct Of {
    totals: Totals,
    escrow: Escrow,
}

impl Of {
    fn net(&self) -> i64 {
        self.escrow.net(self.totals)
    }
}

#[derive(Debug, Default)]
struct Count {
    base: i64,
    generation: u64,
    held: i64,
    back: i64,
    of: BTreeMap<u64, Of>,
}

impl Count {
    fn current(&self) -> impl Iterator<Item = &Of> {
        let now = self.generation;
        self.of
            .values()
            .filter(move |of| of.escrow.generation == now)
    }

    fn shown(&self) -> i64 {
        let nets = self.current().map(|of| of.net() - of.escrow.offset);
        self.base + nets.sum::<i64>() + self.held - self.back
    }

    fn outstanding(&self) -> i64 {
        self.current()
            .map(|of| of.escrow.spare().cast_signed())
            .sum()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Held,
    Pinned,
    Counted,
    Freed,
}

type Claim = (u64, Attempt);

#[derive(Debug, Clone)]
struct Rec {
    fate: Fate,
    charge: Charge,
    owner: Option<Claim>,
    generation: u64,
    claims: BTreeSet<Claim>,
    withdrawn: BTreeSet<Claim>,
}

#[derive(Debug, Clone, Copy)]
struct Gift {
    owner: u64,
    given: u32,
    generation: u64,
    in_back: bool,
}

/// What all members share.
#[derive(Debug, Default)]
pub struct Shared {
    counts: [Count; 4],
    records: HashMap<RecordKey, Rec>,
    /// What each member's records count.
    counted: BTreeMap<u64, u64>,
    gifts: HashMap<RecordKey, Gift>,
    frozen: Option<u64>,
    acks: BTreeSet<u64>,
    seq: u64,
    pub recalled: bool,
    pub settles: u64,
    pub takes: u64,
    pub recounts: u64,
    /// After so many takes one is not answered any more.
    pub hangs_after: Option<u64>,
    /// Whether every refusal is for want of what others were lent.
    pub denies_recallable: bool,
}

impl Shared {
    pub fn shown(&self, counter: Counter) -> i64 {
        self.counts[counter.index()].shown()
    }

    pub fn outstanding(&self, counter: Counter) -> i64 {
        self.counts[counter.index()].outstanding()
    }

    pub fn freeze(&mut self) -> u64 {
        self.seq += 1;
        self.acks.clear();
        self.frozen = Some(self.seq);
        self.seq
    }

    pub fn has_acked(&self, member: u64) -> bool {
        self.acks.contains(&member)
    }

    /// Every group that a record counts, and that is charged nowhere else, is in its owner's sums.
    fn assert_counted_once(&self) {
        if self.recounts > 0 {
            return; // Sums speak of all lives of the counter, records of one.
        }
        for (member, counted) in &self.counted {
            let taken = self.counts[Counter::Groups.index()].of[member].escrow.taken;
            assert!(*counted <= taken, "{counted} counted, {taken} in the sums");
        }
    }

    /// Ends the freeze with the truth.
    pub fn recount(&mut self, counter: Counter, to: i64) {
        self.seq += 1;
        self.recounts += 1;
        let count = &mut self.counts[counter.index()];
        count.generation += 1;
        (count.base, count.back) = (to, 0);
        for (member, of) in &mut count.of {
            if self.acks.contains(member) {
                (of.escrow.generation, of.escrow.offset) = (count.generation, of.net());
            }
        }
        for gift in self.gifts.values_mut() {
            gift.in_back = false;
        }
        self.frozen = None;
    }

    fn hold(&mut self, charge: &Charge, sign: i64) {
        for part in charge.parts() {
            self.counts[part.counter.index()].held += sign * i64::from(charge.amount().get());
        }
    }

    fn view(&self, member: u64) -> View {
        let each = |what: &dyn Fn(&Count) -> i64| COUNTERS.map(|c| what(&self.counts[c.index()]));
        let own = COUNTERS.map(|c| self.counts[c.index()].of.get(&member).copied());
        let own = own.map(Option::unwrap_or_default);
        View {
            net: each(&Count::shown),
            mine: own.map(|of| of.totals),
            escrow: own.map(|of| of.escrow),
            generations: each(&|count| count.generation.cast_signed()).map(i64::cast_unsigned),
            outstanding: each(&Count::outstanding).map(i64::cast_unsigned),
            reserved: [0; 4],
            frozen: self.frozen,
            seq: self.seq,
            recalled: self.recalled,
        }
    }

    fn take(&mut self, member: u64, take: &Take) -> Taken {
        self.takes += 1;
        if self.frozen.is_some() {
            return Taken::Undecided(Undecided::Frozen);
        }
        self.seq += 1;
        let claim = (member, take.attempt);
        let own = take.charge.parts()[0].counter.index();
        let now = self.counts[own].generation;
        let record = self.records.get(&take.key).cloned();
        if record
            .as_ref()
            .is_some_and(|r| r.withdrawn.contains(&claim))
        {
            return Taken::Withdrawn;
        }
        let outlived = |r: &Rec| r.fate == Fate::Counted && r.generation < now;
        if record
            .as_ref()
            .is_some_and(|r| outlived(r) && r.claims.contains(&claim))
        {
            return Taken::Undecided(Undecided::Outlived);
        }
        let charged = record.filter(|r| r.fate != Fate::Freed && !outlived(r));
        let replayed = charged.is_some();
        let mut record = if let Some(record) = charged {
            record
        } else {
            let amount = i64::from(take.charge.amount().get());
            for part in take.charge.parts() {
                let count = &self.counts[part.counter.index()];
                let Some(limit) = part.limit.get() else {
                    continue;
                };
                let shown = count.shown() + amount;
                if shown + count.outstanding() > limit.cast_signed() {
                    return Taken::Denied {
                        counter: part.counter,
                        view: self.view(member),
                        replayed: false,
                        recallable: self.denies_recallable || shown <= limit.cast_signed(),
                    };
                }
            }
            self.hold(&take.charge, 1);
            let withdrawn = self.records.get(&take.key);
            Rec {
                fate: Fate::Held,
                charge: take.charge,
                owner: Some(claim),
                generation: now,
                claims: BTreeSet::new(),
                withdrawn: withdrawn.map(|r| r.withdrawn.clone()).unwrap_or_default(),
            }
        };
        record.claims.insert(claim);
        let mine = record.owner == Some(claim);
        self.records.insert(take.key.clone(), record);
        Taken::Allowed {
            beside: Beside::default(),
            view: self.view(member),
            replayed,
            whose: if mine { Whose::Asker } else { Whose::Another },
        }
    }

    fn release(&mut self, member: u64, give_back: &GiveBack) -> GivenBack {
        if self.frozen.is_some() {
            return GivenBack::Undecided(Undecided::Frozen);
        }
        self.seq += 1;
        assert_eq!(give_back.resource, Resource::Group);
        let own = Counter::Groups.index();
        let now = self.counts[own].generation;
        let replayed = self.gifts.contains_key(&give_back.key);
        let bound = self.counts[own].shown() + self.counts[own].outstanding();
        let bound = u32::try_from(bound.max(0)).unwrap();
        let gift = *self.gifts.entry(give_back.key.clone()).or_insert(Gift {
            owner: member,
            given: give_back.amount.get().min(bound),
            generation: now,
            in_back: true,
        });
        if !replayed {
            for counter in [Counter::Groups, Counter::GroupsGained] {
                self.counts[counter.index()].back += i64::from(gift.given);
            }
        }
        GivenBack::Released {
            resource: give_back.resource,
            released: gift.given,
            groups: gift.given,
            view: self.view(member),
            replayed,
            mine: gift.owner == member && gift.in_back && gift.generation == now,
        }
    }

    fn merge(&mut self, member: u64, cell: &CellReport) {
        let counter = match cell.cell {
            Cell::Live(resource) => resource.counter(),
            Cell::Gained(_) => Counter::GroupsGained,
            Cell::Increment(_) => return,
        };
        let count = &mut self.counts[counter.index()];
        let said = cell.escrow.unwrap_or_default();
        let of = count.of.entry(member).or_default();
        assert!(said.granted <= of.escrow.granted, "lent by nobody");
        of.totals.consumed = of.totals.consumed.max(cell.totals.consumed);
        of.totals.released = of.totals.released.max(cell.totals.released);
        of.escrow.taken = of.escrow.taken.max(said.taken);
        of.escrow.given = of.escrow.given.max(said.given);
        of.escrow.done = of.escrow.done.max(said.done);
        if of.escrow.generation < count.generation {
            of.escrow.done = of.escrow.done.max(of.escrow.granted);
            of.escrow.offset = of.net();
            if said.generation == count.generation {
                (of.escrow.generation, of.escrow.offset) = (said.generation, said.offset);
            }
        }
    }

    fn answered(&mut self, member: u64, answered: &Answered) -> Ack {
        let own = answered.take.charge.parts()[0].counter.index();
        let now = self.counts[own].generation;
        let claim = (member, answered.take.attempt);
        let mut record = self.records[&answered.take.key].clone();
        if !matches!(record.fate, Fate::Held | Fate::Pinned) {
            return Ack::Counted;
        }
        let ack = if answered.contained == Some(now) {
            self.hold(&record.charge, -1);
            record.fate = Fate::Counted;
            *self.counted.entry(member).or_default() += u64::from(record.charge.amount().get());
            Ack::Counted
        } else {
            record.fate = Fate::Pinned;
            if record.owner.is_some_and(|owner| owner != claim) {
                Ack::Again
            } else {
                record.owner = Some(claim);
                Ack::Yours
            }
        };
        self.records.insert(answered.take.key.clone(), record);
        ack
    }

    fn abort(&mut self, member: u64, abort: &Abort, charge: Option<Charge>) {
        let claim = (member, abort.attempt);
        if !self.records.contains_key(&abort.key) {
            let Some(charge) = charge else { return };
            let record = Rec {
                fate: Fate::Freed,
                charge,
                owner: None,
                generation: 0,
                claims: BTreeSet::new(),
                withdrawn: BTreeSet::new(),
            };
            self.records.insert(abort.key.clone(), record);
        }
        let record = self.records.get_mut(&abort.key).unwrap();
        record.withdrawn.insert(claim);
        record.claims.remove(&claim);
        if record.owner == Some(claim) {
            record.owner = None;
        }
        if record.fate == Fate::Held && record.claims.is_empty() {
            record.fate = Fate::Freed;
            let charge = record.charge;
            self.hold(&charge, -1);
        }
    }

    fn lend(&mut self, member: u64, cell: &CellReport) {
        let (counter, Some(wish)) = (
            match cell.cell {
                Cell::Live(resource) => resource.counter(),
                _ => Counter::GroupsGained,
            },
            cell.wish,
        ) else {
            return;
        };
        let count = &mut self.counts[counter.index()];
        let free = wish.limit.cast_signed() - count.shown() - count.outstanding();
        let now = count.generation;
        let of = count.of.entry(member).or_default();
        let current =
            of.escrow.generation == now && cell.escrow.is_some_and(|said| said.generation == now);
        if self.frozen.is_some() || !current {
            return;
        }
        let share = u64::try_from(free / 4).unwrap_or(0);
        let more = share.min(wish.units.saturating_sub(of.escrow.spare()));
        if of.escrow.spare() + more >= 4 {
            of.escrow.granted += more;
        }
    }

    fn settle(&mut self, member: u64, report: &Report) -> Settled {
        let records = report.answered.len() + report.aborts.len() + report.gave.len();
        assert!(records <= REPORT_RECORDS_MAX, "{records} records");
        self.settles += 1;
        self.seq += 1;
        for app in &report.apps {
            for cell in &app.cells {
                self.merge(member, cell);
            }
            if app.acks_freeze.is_some() && app.acks_freeze == self.frozen {
                self.acks.insert(member);
            }
        }
        let acks = report.answered.iter().map(|a| self.answered(member, a));
        let acks = acks.collect();
        for abort in &report.aborts {
            let any = Charge::new(
                Resource::Group,
                crate::quota::Amount::ONE,
                &crate::quota::Limits::UNLIMITED,
            );
            self.abort(member, abort, Some(any));
        }
        for gave in &report.gave {
            let gift = self.gifts.get_mut(&gave.key).unwrap();
            if std::mem::take(&mut gift.in_back) {
                for counter in [Counter::Groups, Counter::GroupsGained] {
                    self.counts[counter.index()].back -= i64::from(gift.given);
                }
            }
        }
        for cell in report.apps.iter().flat_map(|app| &app.cells) {
            self.lend(member, cell);
        }
        self.assert_counted_once();
        let views = report.apps.iter().map(|_| self.view(member)).collect();
        Settled {
            views,
            acks,
            too_late: Vec::new(),
        }
    }
}

/// The ledger as one member sees it.
pub struct Lender {
    shared: Arc<Mutex<Shared>>,
    member: OnceLock<u64>,
    /// Whether answers get lost: what is asked is done, and nobody hears of it.
    pub deaf: Arc<AtomicBool>,
}

impl Lender {
    pub fn new(shared: Arc<Mutex<Shared>>, deaf: Arc<AtomicBool>) -> Self {
        Self {
            shared,
            member: OnceLock::new(),
            deaf,
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    fn me(&self) -> u64 {
        *self.member.get().unwrap()
    }

    fn answer<T: Send + 'static>(&self, answer: T) -> Reply<'_, T> {
        let deaf = self.deaf.load(Ordering::Relaxed);
        let fault = StoreFault::Away("the answer got lost".into());
        Box::pin(ready(if deaf { Err(fault) } else { Ok(answer) }))
    }
}

impl Store for Lender {
    fn hello<'a>(
        &'a self,
        member: &'a Member,
        _: Option<Installation>,
        _: Millis,
    ) -> Reply<'a, Installation> {
        self.member.get_or_init(|| member.incarnation);
        self.answer(Installation {
            id: 1,
            user_key: [0; 16],
        })
    }

    fn take<'a>(&'a self, take: &'a Take, _: Millis) -> Reply<'a, Taken> {
        let mut shared = self.shared();
        let taken = shared.take(self.me(), take);
        if shared.hangs_after.is_some_and(|most| shared.takes > most) {
            return Box::pin(pending());
        }
        drop(shared);
        self.answer(taken)
    }

    fn release<'a>(&'a self, give_back: &'a GiveBack, _: Millis) -> Reply<'a, GivenBack> {
        let given = self.shared().release(self.me(), give_back);
        self.answer(given)
    }

    fn settle<'a>(&'a self, _: Shard, report: &'a Report, _: Day, _: Millis) -> Reply<'a, Settled> {
        let settled = self.shared().settle(self.me(), report);
        self.answer(settled)
    }

    fn beat<'a>(&'a self, _: &'a Beat) -> Reply<'a, Beaten> {
        self.answer(Beaten {
            epoch: 1,
            leased: true,
            ..Beaten::default()
        })
    }

    fn restate<'a>(&'a self, _: Shard, _: &'a Statement, _: Day) -> Reply<'a, ()> {
        self.answer(())
    }

    fn bases(&self, _: Shard, _: u64) -> Reply<'_, Bases> {
        self.answer(Bases::default())
    }

    fn fold<'a>(&'a self, _: Shard, apps: &'a [AppId]) -> Reply<'a, ()> {
        let mut shared = self.shared();
        for count in shared.counts.iter_mut().filter(|_| !apps.is_empty()) {
            let of = count.of.remove(&self.me()).unwrap_or_default();
            count.base += of.net() - of.escrow.offset;
        }
        drop(shared);
        self.answer(())
    }

    fn leave(&self) -> Reply<'_, u64> {
        self.answer(0)
    }

    fn recall(&self, _: AppId) -> Reply<'_, ()> {
        self.shared().recalled = true;
        self.answer(())
    }

    fn record_active<'a>(&'a self, _: Shard, _: &'a [Login], _: Millis) -> Reply<'a, Vec<Active>> {
        self.answer(Vec::new())
    }

    fn hold<'a>(&'a self, _: AppId, _: &'a RequestId, _: Millis) -> Reply<'a, Option<Hold>> {
        self.answer(None)
    }

    fn holds(&self, _: AppId, _: usize, _: Millis) -> Reply<'_, Vec<Hold>> {
        self.answer(Vec::new())
    }

    fn knows_object(&self, _: AppId, _: ObjectNumber) -> Reply<'_, bool> {
        self.answer(false)
    }

    fn adopt<'a>(
        &'a self,
        _: AppId,
        _: Resource,
        _: &'a [ObjectNumber],
        _: Millis,
    ) -> Reply<'a, Vec<Adopted>> {
        self.answer(Vec::new())
    }

    fn usage(&self, _: AppId, _: Day, _: Millis) -> Reply<'_, Usage> {
        let view = self.shared().view(self.me());
        self.answer(Usage {
            view,
            ..Usage::default()
        })
    }

    fn month(&self, _: AppId, _: Month, _: Day, _: Millis) -> Reply<'_, MonthHistory> {
        self.answer(MonthHistory::default())
    }

    fn register(&self, since: u64) -> Reply<'_, RegisterPage> {
        Box::pin(async move {
            Ok(RegisterPage {
                next: since,
                ..RegisterPage::default()
            })
        })
    }

    fn state_register<'a>(&'a self, _: &'a [Registered]) -> Reply<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn glance(&self, _: AppId, _: Day) -> Option<View> {
        None
    }

    fn checkpoint(&self, _: Millis) -> Reply<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn is_local(&self) -> bool {
        false
    }
}
