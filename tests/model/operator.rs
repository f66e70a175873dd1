//! What befalls the ledger itself: snapshots, fail-overs, and the operator's verbs.

use crate::mutant::Mutant;
use crate::scenario::Scenario;
use crate::words::*;
use crate::world::{Act, World};

impl World {
    pub fn apply_to_ledger(&mut self, rules: &Scenario, act: Act) {
        match act {
            Act::Snapshot => self.snapshot = Some(Box::new(self.ledger.clone())),
            Act::Rollback => {
                self.left.rollbacks -= 1;
                self.run += 1;
                self.clock += 1;
                let old = *self.snapshot.take().expect("only offered with one");
                let gone = self.ledger.shard.as_ref().map_or(0, |s| s.gone);
                let charged = |r: &Record| matches!(r.fate, Fate::Held | Fate::Pinned);
                let of_gone =
                    |r: &Record| charged(r) && r.owner.is_some_and(|o| has(gone, o.member));
                // What a member that left had in `held` then stays charged beside its base.
                self.truth.inexact |= old
                    .shard
                    .as_ref()
                    .is_some_and(|s| s.records.iter().any(of_gone));
                self.ledger = old;
                self.truth.forgotten = true;
            }
            Act::Flush => {
                self.left.flushes -= 1;
                self.clock += 1;
                self.ledger = Ledger::default();
                self.truth.forgotten = true;
            }
            Act::Retire(m) => {
                self.left.retires -= 1;
                self.truth.inexact = true;
                self.gone(rules, m, true);
            }
            Act::GiveUpMember(m) => {
                self.left.retires -= 1;
                if let Some(meta) = &mut self.ledger.meta {
                    meta.given_up |= 1 << m;
                }
            }
            Act::Silent(m) => {
                self.left.silences -= 1;
                let calls = self.ledger.shard.as_ref().map_or(0, |s| s.calls[m]);
                if let Some(meta) = &mut self.ledger.meta {
                    meta.noted[m] = calls + 1;
                    meta.roll_version += 1;
                }
            }
            Act::Freeze => {
                self.left.recounts -= 1;
                if let Some(shard) = &mut self.ledger.shard {
                    shard.seq += 1;
                    shard.freeze = Some(Freeze {
                        token: shard.seq,
                        acks: 0,
                        noticed: None,
                    });
                }
            }
            Act::Notice => {
                if let (Some(shard), Some(meta)) = (&mut self.ledger.shard, &mut self.ledger.meta)
                    && let Some(freeze) = &mut shard.freeze
                {
                    freeze.noticed = Some(self.era);
                    meta.notice = Some(freeze.token);
                }
            }
            Act::Cancel => {
                self.left.cancels -= 1;
                // One more freeze may follow the cancelled one.
                self.left.recounts += 1;
                self.unfreeze();
            }
            Act::Commit => self.commit(rules),
            Act::Fold(id) => {
                self.left.folds -= 1;
                if let Some(shard) = &mut self.ledger.shard
                    && let Some(at) = shard.records.iter().position(|r| r.id == id)
                {
                    let record = shard.records.remove(at);
                    if matches!(record.fate, Fate::Held | Fate::Pinned) {
                        for k in 0..K {
                            shard.counters[k].held -= rules.part(id, k);
                        }
                    }
                }
            }
            _ => unreachable!("handled by apply"),
        }
    }

    fn unfreeze(&mut self) {
        if let Some(shard) = &mut self.ledger.shard {
            shard.seq += 1;
            shard.freeze = None;
        }
        if let Some(meta) = &mut self.ledger.meta {
            meta.notice = None;
        }
    }

    /// N is what the gateways count when the token is out.
    fn commit(&mut self, rules: &Scenario) {
        self.clock += 1;
        let freeze = self.ledger.shard.as_ref().and_then(|s| s.freeze.clone());
        self.unfreeze();
        let clock = self.clock;
        let live: [i8; K] = std::array::from_fn(|k| self.truth.live(rules, k));
        let Some(shard) = &mut self.ledger.shard else {
            return;
        };
        let all_quiet = self.members.iter().all(|m| m.life != Life::Up || !m.owes());
        if shard
            .records
            .iter()
            .any(|r| matches!(r.fate, Fate::Held | Fate::Pinned))
            || !all_quiet
        {
            self.truth.inexact = true;
        }
        let seq = shard.seq;
        let acks = freeze.map_or(0, |freeze| freeze.acks);
        for (k, counter) in shard.counters.iter_mut().enumerate() {
            let gen_ = if rules.has(Mutant::RecountKeepsGeneration) {
                counter.base.gen_
            } else {
                clock.max(counter.base.gen_ + 1)
            };
            let back = counter.back;
            let base = Base {
                gen_,
                amount: live[k],
                version: seq,
            };
            counter.recount(base, acks);
            counter.incomplete = false;
            counter.stated_version = 0;
            if rules.has(Mutant::RecountKeepsBack) {
                counter.back = back;
            }
        }
        if !rules.has(Mutant::RecountKeepsBack) {
            for gift in &mut shard.gifts {
                gift.in_back = false;
            }
        }
        if let Some(meta) = &mut self.ledger.meta {
            meta.recounted |= meta.open;
            self.truth.recounted_open |= meta.open;
        }
        self.truth.recounted = true;
    }

    fn gone(&mut self, rules: &Scenario, m: usize, outstanding_is_used: bool) {
        if let Some(shard) = &mut self.ledger.shard
            && !has(shard.gone, m)
        {
            fold_member(rules, shard, m, outstanding_is_used);
        }
        self.mark_gone(m);
    }

    pub fn mark_gone(&mut self, m: usize) {
        if let (Some(shard), Some(meta)) = (&self.ledger.shard, &mut self.ledger.meta) {
            meta.gone |= 1 << m;
            meta.marks[m] = shard.marks[m];
            meta.roll_version += 1;
        }
    }

    pub fn free_on_expiry(&mut self, rules: &Scenario) {
        if !rules.has(Mutant::FreeOnExpiry) {
            return;
        }
        let era = self.era;
        let Some(shard) = &mut self.ledger.shard else {
            return;
        };
        for m in 0..S {
            if self.members[m].lease != Some(era) {
                for counter in &mut shard.counters {
                    counter.of[m].done = counter.of[m].granted;
                }
            }
        }
    }
}

/// Folds what a member that left or is retired counted into the bases.
pub fn fold_member(rules: &Scenario, shard: &mut Shard, member: usize, outstanding_is_used: bool) {
    shard.seq += 1;
    shard.gone |= 1 << member;
    for k in 0..K {
        let counter = &mut shard.counters[k];
        let of = counter.of[member];
        if !rules.has(Mutant::LeaveDropsTotals) {
            counter.base.amount += of.net();
        }
        if outstanding_is_used && !rules.has(Mutant::RetireFrees) {
            counter.base.amount += of.spare();
        }
        if of.net() != 0 || of.spare() != 0 {
            counter.base.version = shard.seq;
        }
        shard.marks[member][k] = counter.base.version;
        counter.of[member] = Totals::new(counter.base.gen_);
    }
}
