//! One state of everything, and what can happen next.

use crate::auditor::Truth;
use crate::mutant::Mutant;
use crate::scenario::{Budget, Scenario};
use crate::words::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub ledger: Ledger,
    pub snapshot: Option<Box<Ledger>>,
    pub run: u8,
    /// Lease ttls that have passed. A lease rests on a beat that was sent in this era.
    pub era: u8,
    /// The server's clock as far as numbers are drawn from it.
    pub clock: u8,
    pub members: [Member; S],
    pub net: Vec<Message>,
    pub left: Budget,
    pub truth: Truth,
}

/// More messages on their way than this are not followed.
pub const NET: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    Ask(usize, usize),
    Reply(usize, usize),
    JournalLate(usize),
    Release(usize, usize),
    GiveAgain(usize, usize),
    GiveUp(usize),
    Beat(usize),
    Settle(usize),
    Wish(usize, usize),
    ReadConsumed(usize),
    Return(usize),
    Restate(usize),
    Deliver(usize),
    Double(usize),
    Drop(usize),
    Restart(usize),
    Lose(usize),
    Join(usize),
    LeaseEnds(usize),
    TtlPasses,
    Snapshot,
    Rollback,
    Flush,
    Leave(usize),
    Retire(usize),
    GiveUpMember(usize),
    Silent(usize),
    Freeze,
    Notice,
    Cancel,
    Commit,
    Fold(usize),
    Ghost(usize, usize),
}

impl World {
    pub fn start(rules: &Scenario) -> Self {
        let everyone: Set = (1 << rules.members) - 1;
        let meta = Meta {
            epoch: 1,
            registered: everyone,
            roll_version: 1,
            joined: std::array::from_fn(|m| u8::from(m < rules.members)),
            roll_seen: std::array::from_fn(|m| u8::from(m < rules.members)),
            ..Meta::default()
        };
        let shard = Shard {
            epoch: 1,
            seq: 1,
            ..Shard::default()
        };
        let members = std::array::from_fn(|m| Member {
            life: if m < rules.members {
                Life::Up
            } else {
                Life::Unborn
            },
            epoch: u8::from(m < rules.members),
            restated: 1,
            roll: if m < rules.members { everyone } else { 0 },
            roll_version: 1,
            roll_known: 1,
            knows: m < rules.members,
            lease: (m < rules.members).then_some(0),
            ..Member::default()
        });
        Self {
            ledger: Ledger {
                meta: Some(meta),
                shard: Some(shard),
            },
            snapshot: None,
            run: 0,
            era: 0,
            clock: 1,
            members,
            net: Vec::new(),
            left: rules.budget,
            truth: Truth::default(),
        }
    }

    pub fn to_ledger(body: &Body) -> bool {
        matches!(
            body,
            Body::Take { .. }
                | Body::Give { .. }
                | Body::Settle(_)
                | Body::Restate(_)
                | Body::Beat { .. }
        )
    }

    /// A connection ends with the run that it was made to.
    pub fn connected(&self, rules: &Scenario, message: &Message) -> bool {
        let shard_call = !matches!(message.body, Body::Beat { .. });
        !Self::to_ledger(&message.body)
            || message.run == self.run
            || shard_call && rules.has(Mutant::RunSeenByBeatOnly)
    }

    fn has_sent(&self, m: usize, what: fn(&Body) -> bool) -> bool {
        self.net.iter().any(|n| n.member == m && what(&n.body))
    }

    pub fn acts(&self, rules: &Scenario, acts: &mut Vec<Act>) {
        for m in 0..S {
            self.acts_of(rules, m, acts);
        }
        for at in 0..self.net.len() {
            if at > 0 && self.net[at] == self.net[at - 1] {
                continue;
            }
            if self.connected(rules, &self.net[at]) {
                acts.push(Act::Deliver(at));
                if self.left.doubles > 0 && self.net.len() < NET {
                    acts.push(Act::Double(at));
                }
            }
            if self.left.drops > 0 {
                acts.push(Act::Drop(at));
            }
        }
        if self.left.ttls > 0 {
            acts.push(Act::TtlPasses);
        }
        if self.left.rollbacks > 0 {
            acts.push(if self.snapshot.is_none() {
                Act::Snapshot
            } else {
                Act::Rollback
            });
        }
        if self.left.flushes > 0 {
            acts.push(Act::Flush);
        }
        let (Some(shard), Some(meta)) = (&self.ledger.shard, &self.ledger.meta) else {
            return;
        };
        match &shard.freeze {
            None if self.left.recounts > 0 && meta.run == self.run && shard.epoch == meta.epoch => {
                acts.push(Act::Freeze);
            }
            None => {}
            Some(freeze) => {
                if freeze.noticed.is_none() {
                    acts.push(Act::Notice);
                }
                if self.left.cancels > 0 {
                    acts.push(Act::Cancel);
                }
                if self.token_is_out(rules, freeze, meta) {
                    acts.push(Act::Commit);
                }
            }
        }
        if self.left.folds > 0 {
            for record in &shard.records {
                if self.foldable(rules, record) {
                    acts.push(Act::Fold(record.id));
                }
            }
        }
    }

    fn token_is_out(&self, rules: &Scenario, freeze: &Freeze, meta: &Meta) -> bool {
        let all = meta.registered & !meta.gone;
        freeze.acks & all == all
            || freeze.noticed.is_some_and(|era| self.era > era)
            || rules.has(Mutant::RecountWithoutWait)
    }

    /// Older than the id window: nothing about it is on its way, and everyone concerned has settled.
    fn foldable(&self, rules: &Scenario, record: &Record) -> bool {
        let about = |n: &Message| match &n.body {
            Body::Take { id, .. } | Body::Taken { id, .. } => *id == record.id,
            Body::Settle(r) | Body::Restate(r) => {
                r.answered.iter().any(|a| a.id == record.id) || r.abort_ids.contains(&record.id)
            }
            _ => false,
        };
        if self.net.iter().any(about) {
            return false;
        }
        if matches!(record.fate, Fate::Held | Fate::Pinned) {
            return rules.has(Mutant::FoldHeld);
        }
        self.members.iter().all(|m| {
            m.attempts.iter().all(|a| a.id != record.id || a.acked)
                && m.answered.iter().all(|a| a.id != record.id || a.counted)
        })
    }

    fn acts_of(&self, rules: &Scenario, m: usize, acts: &mut Vec<Act>) {
        let me = &self.members[m];
        if me.life == Life::Unborn
            && self.left.joins > 0
            && (0..m).all(|n| self.members[n].life != Life::Unborn)
        {
            acts.push(Act::Join(m));
        }
        if me.life != Life::Up {
            if me.life == Life::Lost {
                self.acts_on_silent(m, acts);
            }
            return;
        }
        let room = self.net.len() < NET;
        for id in 0..rules.ids.len() {
            let at_home = rules.home(id).is_none_or(|home| home == m);
            let wanted = !has(self.truth.created, id)
                || me.remembers(id).is_some() && rules.budget.recounts > 0;
            if self.left.asks > 0 && at_home && wanted && me.attempt_on(id).is_none() && !me.leaving
            {
                acts.push(Act::Ask(m, id));
            }
            if has(me.replies, id) {
                acts.push(Act::Reply(m, id));
            }
            let live = has(self.truth.created, id) && !has(self.truth.asked_to_release, id);
            // A gateway that got no answer may ask another sidecar.
            let unanswered = me.given.iter().all(|g| g.id != id)
                && self
                    .members
                    .iter()
                    .any(|n| n.given.iter().any(|g| g.id == id && !g.done));
            if (live || unanswered) && self.left.releases > 0 && room && !me.leaving {
                acts.push(Act::Release(m, id));
            }
            if me.given.iter().any(|g| g.id == id && !g.done)
                && room
                && me.may_admit(rules, self.era)
                && !me.open
            {
                acts.push(Act::GiveAgain(m, id));
            }
            if me.ghost[rules.first(id)] > 0 && !has(self.truth.created, id) {
                acts.push(Act::Ghost(m, id));
            }
        }
        if !me.unjournaled.is_empty() {
            acts.push(Act::JournalLate(m));
        }
        if me.attempts.iter().any(|a| !a.aborted) {
            acts.push(Act::GiveUp(m));
        }
        let current = me.restated == me.epoch && !me.open || rules.has(Mutant::GrantWhileOpen);
        if room {
            if !self.has_sent(m, |b| matches!(b, Body::Beat { .. })) {
                acts.push(Act::Beat(m));
            }
            let settling = self
                .net
                .iter()
                .filter(|n| n.member == m && n.body.kind() == Kind::Settle)
                .count()
                > 1;
            if current && me.epoch > 0 && !settling {
                acts.push(Act::Settle(m));
                for k in 0..K {
                    let wanted = rules.leased[k] && me.totals[k].spare() == 0;
                    if wanted && me.may_admit(rules, self.era) {
                        acts.push(Act::Wish(m, k));
                    }
                }
            }
            if me.epoch > 0
                && me.restated < me.epoch
                && !self.has_sent(m, |b| matches!(b, Body::Restate(_)))
            {
                acts.push(Act::Restate(m));
            }
        }
        if (0..K).any(|k| me.totals[k].spare() > 0) {
            acts.push(Act::Return(m));
        }
        if rules.has(Mutant::DoneReadAfterConsumed) && me.half_report.is_none() {
            acts.push(Act::ReadConsumed(m));
        }
        if self.left.restarts > 0 {
            acts.push(Act::Restart(m));
        }
        if self.left.losses > 0 {
            acts.push(Act::Lose(m));
        }
        if self.left.lease_ends > 0 && me.lease == Some(self.era) {
            acts.push(Act::LeaseEnds(m));
        }
        if self.left.leaves > 0 && !me.leaving {
            acts.push(Act::Leave(m));
        }
        self.acts_on_silent(m, acts);
    }

    /// A member without a lease, from which nothing is on its way.
    fn acts_on_silent(&self, m: usize, acts: &mut Vec<Act>) {
        let me = &self.members[m];
        let quiet = !self.net.iter().any(|n| n.member == m);
        let ended = me.lease != Some(self.era) || me.life == Life::Lost;
        let Some(meta) = &self.ledger.meta else {
            return;
        };
        let normal =
            !meta.open && meta.run == self.run && has(meta.registered, m) && !has(meta.gone, m);
        if self.left.retires > 0 && normal && ended && quiet {
            acts.push(Act::Retire(m));
        }
        let restates = meta.open && meta.run == self.run && has(meta.registered, m);
        if self.left.retires > 0 && restates && !has(meta.gone | meta.given_up, m) && ended && quiet
        {
            acts.push(Act::GiveUpMember(m));
        }
        if self.left.silences > 0 && normal && ended && quiet && meta.noted[m] == 0 {
            acts.push(Act::Silent(m));
        }
    }
}
