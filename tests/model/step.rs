//! One event and what it does to the world.

use std::hash::BuildHasher;

use rustc_hash::FxBuildHasher;

use crate::meta::{self, Server};
use crate::mutant::Mutant;
use crate::scenario::Scenario;
use crate::shard;
use crate::words::*;
use crate::world::{Act, World};

impl World {
    pub fn after(&self, rules: &Scenario, act: Act) -> World {
        let mut next = self.clone();
        next.apply(rules, act);
        // The net is a multiset: two states that differ in the order of messages are one.
        next.net
            .sort_by_cached_key(|n| (n.member, n.body.kind(), FxBuildHasher.hash_one(n)));
        next.truth.look(rules, &next.ledger, next.run);
        next
    }

    fn server(&self) -> Server {
        Server {
            run: self.run,
            era: self.era,
            clock: self.clock,
        }
    }

    fn send(&mut self, m: usize, body: Body) {
        let me = &self.members[m];
        let run = if matches!(body, Body::Beat { .. }) {
            self.run
        } else {
            me.run
        };
        let (epoch, open) = (me.epoch, me.open);
        self.net.push(Message {
            member: m,
            run,
            epoch,
            open,
            body,
        });
    }

    fn apply(&mut self, rules: &Scenario, act: Act) {
        match act {
            Act::Ask(m, id) => self.ask(rules, m, id),
            Act::Reply(m, id) => {
                self.members[m].replies &= !(1 << id);
                self.truth.created |= 1 << id;
            }
            Act::JournalLate(m) => {
                let entry = self.members[m].unjournaled.remove(0);
                if let Some(at) = self.members[m].attempt_on(entry.id) {
                    self.members[m].journal(rules, entry, at);
                }
            }
            Act::Release(m, id) => self.release(rules, m, id),
            Act::GiveAgain(m, id) => self.send(m, Body::Give { id }),
            Act::GiveUp(m) => self.members[m].abort_all(rules),
            Act::Beat(m) => self.beat(m),
            Act::Settle(m) => self.report(rules, m, [0; K]),
            Act::Wish(m, k) => {
                let mut wish = [0; K];
                wish[k] = 2;
                self.report(rules, m, wish);
            }
            Act::ReadConsumed(m) => {
                let me = &mut self.members[m];
                me.half_report = Some(std::array::from_fn(|k| me.totals[k].consumed));
            }
            Act::Return(m) => self.members[m].return_spare(),
            Act::Restate(m) => self.restate(rules, m),
            Act::Deliver(at) => {
                let message = self.net.remove(at);
                self.deliver(rules, &message);
            }
            Act::Double(at) => {
                self.left.doubles -= 1;
                let message = self.net[at].clone();
                self.deliver(rules, &message);
            }
            Act::Drop(at) => {
                self.left.drops -= 1;
                self.net.remove(at);
            }
            Act::Restart(m) => {
                self.left.restarts -= 1;
                self.members[m].restart(rules);
                // Nobody hears what the ledger answers to a process that is gone.
                self.net
                    .retain(|n| n.member != m || Self::to_ledger(&n.body));
            }
            Act::Lose(m) => self.lose(rules, m),
            Act::Join(m) => {
                self.left.joins -= 1;
                self.members[m] = Member {
                    life: Life::Up,
                    ..Member::default()
                };
            }
            Act::LeaseEnds(m) => {
                self.left.lease_ends -= 1;
                self.members[m].lease = None;
                self.free_on_expiry(rules);
            }
            Act::TtlPasses => {
                self.left.ttls -= 1;
                self.era += 1;
                // No caller waits that long for a reply; it asks again.
                for member in &mut self.members {
                    member.replies = 0;
                }
                self.free_on_expiry(rules);
            }
            Act::Ghost(m, id) => {
                self.members[m].ghost[rules.first(id)] -= 1;
                self.truth.created |= 1 << id;
            }
            Act::Leave(m) => {
                self.left.leaves -= 1;
                self.members[m].leaving = true;
                self.members[m].return_spare();
            }
            _ => self.apply_to_ledger(rules, act),
        }
    }

    fn ask(&mut self, rules: &Scenario, m: usize, id: usize) {
        self.left.asks -= 1;
        let era = self.era;
        let created = has(self.truth.created, id);
        let me = &mut self.members[m];
        if !me.may_admit(rules, era) && !rules.has(Mutant::ReplayWithoutLease) {
            return;
        }
        if let Some(gen_) = me.remembers(id) {
            let current = gen_ == me.totals[rules.first(id)].gen_;
            if current || rules.has(Mutant::ReplayAcrossRecountFree) {
                me.replies |= 1 << id;
                return;
            }
            if me.answered.iter().any(|a| a.id == id && !a.counted) {
                // Whether it is still charged is known when it has settled.
                return;
            }
            // Charged anew, though it may exist: only a recount can know.
            self.truth.inexact |= created;
        }
        let me = &mut self.members[m];
        if !me.may_admit(rules, era) {
            return;
        }
        let crosses = rules.has(Mutant::SpareCrossesDays);
        let other_day: [bool; K] = std::array::from_fn(|k| crosses && me.totals[k].spare() == 0);
        let spent_from = |k: usize| if other_day[k] { 1 - k } else { k };
        let parts = |k: usize| rules.part(id, k) > 0;
        let from_memory = (0..K)
            .filter(|k| parts(*k))
            .all(|k| rules.leased[k] && me.totals[spent_from(k)].spare() > 0);
        if from_memory {
            for k in (0..K).filter(|k| parts(*k)) {
                let from = spent_from(k);
                me.totals[from].done += 1;
                me.totals[k].consumed += 1;
            }
            let gen_ = me.totals[rules.first(id)].gen_;
            me.answered.retain(|a| a.id != id);
            me.window.retain(|w| w.0 != id);
            me.window.push((id, gen_));
            me.replies |= 1 << id;
            return;
        }
        let settled = !me.open && me.restated == me.epoch || rules.has(Mutant::GrantWhileOpen);
        if !settled || self.net.len() >= crate::world::NET {
            return;
        }
        let attempt = me.begin(rules, id);
        self.send(m, Body::Take { id, attempt });
    }

    fn release(&mut self, rules: &Scenario, m: usize, id: usize) {
        self.left.releases -= 1;
        let era = self.era;
        let all_leased = (0..K).all(|k| rules.leased[k] || rules.part(id, k) == 0);
        let first = self.truth.asked_to_release & (1 << id) == 0;
        self.truth.asked_to_release |= 1 << id;
        let me = &mut self.members[m];
        if first && all_leased && me.may_admit(rules, era) {
            for k in 0..K {
                me.totals[k].released += rules.part(id, k);
            }
            return;
        }
        me.given.push(Given {
            id,
            done: false,
            acked: false,
        });
        self.send(m, Body::Give { id });
    }

    fn beat(&mut self, m: usize) {
        let me = &self.members[m];
        let body = Body::Beat {
            restated: me.restated,
            roll: me.roll,
            gone: me.gone,
            marks: me.marks,
            roll_version: me.roll_version,
            stated_version: me.roll_known,
            sent: self.era,
            leaving: me.leaving,
            fresh: !me.knows,
            noted: me.noted,
        };
        self.send(m, body);
    }

    fn report(&mut self, rules: &Scenario, m: usize, wish: [i8; K]) {
        let me = &mut self.members[m];
        let nothing_open = me.replies == 0 && !me.owes();
        let leave = me.leaving && nothing_open;
        let report = me.report(rules, m, wish, leave, false);
        self.send(m, Body::Settle(Box::new(report)));
    }

    fn restate(&mut self, rules: &Scenario, m: usize) {
        let report = self.members[m].report(rules, m, [0; K], false, true);
        self.send(m, Body::Restate(Box::new(report)));
    }

    fn lose(&mut self, rules: &Scenario, m: usize) {
        self.left.losses -= 1;
        self.truth.inexact = true;
        if rules.has(Mutant::AdoptGrant) {
            let me = &mut self.members[m];
            let mut reborn = Member {
                life: Life::Up,
                epoch: me.epoch,
                restated: me.restated,
                run: me.run,
                ..Member::default()
            };
            if let Some(shard) = &self.ledger.shard {
                for k in 0..K {
                    let of = shard.counters[k].of[m];
                    reborn.totals[k] = of;
                }
            }
            *me = reborn;
            return;
        }
        self.members[m] = Member {
            life: Life::Lost,
            ..Member::default()
        };
    }

    fn deliver(&mut self, rules: &Scenario, message: &Message) {
        let m = message.member;
        match &message.body {
            Body::Beat { .. } => {
                let server = self.server();
                if let Some(answer) = meta::beat(rules, &mut self.ledger, server, message) {
                    self.net.push(answer);
                }
            }
            Body::Take { .. } | Body::Give { .. } | Body::Settle(_) | Body::Restate(_) => {
                self.shard_call(rules, message);
            }
            answer => {
                let era = self.era;
                let me = &mut self.members[m];
                let beaten = matches!(answer, Body::Beaten { .. });
                // From the composing of a restatement on, older epochs are not heard.
                let old = message.epoch < me.epoch && !rules.has(Mutant::OldEpochAnswerTaken);
                let newer = message.epoch > me.epoch && !beaten;
                if me.life != Life::Up || old || newer {
                    return;
                }
                match answer {
                    Body::Beaten { .. } => me.beaten(rules, era, message),
                    Body::Taken { .. } => me.taken(rules, era, answer),
                    Body::Gave { .. } => me.gave(rules, answer),
                    Body::Settled(view) => me.settled(rules, view),
                    Body::Restated => me.restated = me.restated.max(message.epoch),
                    _ => {}
                }
            }
        }
    }

    fn shard_call(&mut self, rules: &Scenario, message: &Message) {
        let m = message.member;
        let restating = matches!(message.body, Body::Restate(_));
        if self.ledger.shard.is_none() && restating && self.ledger.meta.is_some() {
            self.ledger.shard = Some(Shard::default());
        }
        let Some(shard) = &mut self.ledger.shard else {
            return;
        };
        if !shard::admits(rules, shard, message.epoch, message.open) {
            return;
        }
        let body = match &message.body {
            Body::Take { id, attempt } => Some(shard::take(
                rules,
                shard,
                Claim {
                    member: m,
                    attempt: *attempt,
                },
                *id,
            )),
            Body::Give { id } => shard::give(rules, shard, m, *id),
            Body::Settle(report) => {
                shard::settle(rules, shard, m, report).map(|v| Body::Settled(Box::new(v)))
            }
            Body::Restate(report) => {
                shard::restate(rules, shard, m, report);
                Some(Body::Restated)
            }
            _ => None,
        };
        let left = matches!(&body, Some(Body::Settled(v)) if v.left);
        if let Some(body) = body {
            let (epoch, open) = (shard.epoch, shard.open);
            self.net.push(Message {
                member: m,
                run: message.run,
                epoch,
                open,
                body,
            });
        }
        if left
            && self
                .ledger
                .meta
                .as_ref()
                .is_some_and(|meta| !has(meta.gone, m))
        {
            self.mark_gone(m);
        }
    }
}
