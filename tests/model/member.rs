//! What a member does with answers, and what it says.

use crate::mutant::Mutant;
use crate::scenario::Scenario;
use crate::words::*;

impl Member {
    /// Whether it may admit from memory or take: the lease holds and no freeze is known.
    pub fn may_admit(&self, rules: &Scenario, era: u8) -> bool {
        let heard = self.heard_since == self.gaps || rules.has(Mutant::AdmitsAfterGap);
        self.in_lease(rules, era) && self.frozen.is_none() && heard && !self.leaving
    }
    pub fn in_lease(&self, rules: &Scenario, era: u8) -> bool {
        self.lease == Some(era) || self.lease.is_some() && rules.has(Mutant::LeaseIgnored)
    }
    pub fn attempt_on(&self, id: usize) -> Option<usize> {
        self.attempts.iter().position(|a| a.id == id && !a.aborted)
    }
    /// What this member remembers of an id: the generation in which it is charged.
    pub fn remembers(&self, id: usize) -> Option<u8> {
        let taken = self.answered.iter().find(|a| a.id == id).map(|a| a.gen_);
        taken.or(self.window.iter().find(|w| w.0 == id).map(|w| w.1))
    }

    /// A new journal entry for a take of `id`; the attempt is known before it is sent.
    pub fn begin(&mut self, rules: &Scenario, id: usize) -> u8 {
        if !rules.has(Mutant::AttemptRepeats) || self.next_attempt == 0 {
            self.next_attempt += 1;
        }
        let number = self.next_attempt;
        self.attempts.push(Attempt {
            id,
            number,
            aborted: false,
            acked: false,
        });
        number
    }

    /// Every open attempt is of unknown outcome.
    pub fn abort_all(&mut self, rules: &Scenario) {
        if rules.has(Mutant::NoAbort) {
            self.attempts.retain(|a| a.aborted);
        }
        for attempt in &mut self.attempts {
            attempt.aborted = true;
        }
    }

    /// Takes note of a recount. What this member counted until it hears of it is contained, as far as the
    /// ledger had it if this member acknowledged the freeze, else all of it.
    fn adopt(&mut self, k: usize, shown: Shown) {
        let own = &mut self.totals[k];
        if shown.gen_ <= own.gen_ {
            return;
        }
        own.granted = own.granted.max(shown.entry.granted);
        own.recounted();
        if shown.entry.gen_ == shown.gen_ {
            own.offset = shown.entry.offset;
        }
        own.gen_ = shown.gen_;
    }

    fn is_newer(&self, rules: &Scenario, id: usize, shown: [Shown; K]) -> bool {
        let k = rules.first(id);
        self.totals[k].gen_ > shown[k].gen_
    }

    pub fn taken(&mut self, rules: &Scenario, era: u8, body: &Body) {
        let Body::Taken {
            id,
            attempt,
            allow,
            mine,
            shown,
        } = *body
        else {
            return;
        };
        let at = self
            .attempts
            .iter()
            .position(|a| a.number == attempt && a.id == id);
        let Some(at) = at else { return };
        if self.attempts[at].aborted && !rules.has(Mutant::LateAnswerTaken) {
            return;
        }
        for (k, shown) in shown.iter().enumerate() {
            self.adopt(k, *shown);
        }
        match allow {
            // A refusal decided nothing, and a copy of the call may still decide: withdraw it.
            None => self.attempts[at].aborted = true,
            Some(true) if !self.in_lease(rules, era) => self.attempts[at].aborted = true,
            // What another answered before a recount may be charged no more.
            Some(true)
                if !mine && (!self.may_admit(rules, era) || self.is_newer(rules, id, shown)) =>
            {
                self.attempts[at].aborted = true;
            }
            Some(false) => {
                self.attempts.remove(at);
            }
            Some(true) => {
                let gen_ = shown[rules.first(id)].gen_;
                let entry = Answered {
                    id,
                    attempt,
                    mine,
                    gen_,
                    counted: false,
                };
                self.replies |= 1 << id;
                if rules.has(Mutant::JournalAfterAnswer) {
                    self.unjournaled.push(entry);
                } else {
                    self.journal(rules, entry, at);
                }
            }
        }
    }

    /// One append: the answer, and the totals that contain it.
    pub fn journal(&mut self, rules: &Scenario, entry: Answered, attempt: usize) {
        self.attempts.remove(attempt);
        if entry.mine {
            for k in 0..K {
                self.totals[k].consumed += rules.part(entry.id, k);
            }
        }
        self.answered.retain(|a| a.id != entry.id);
        self.answered.push(entry);
        self.answered.sort_by_key(|a| a.id);
    }

    pub fn gave(&mut self, rules: &Scenario, body: &Body) {
        let Body::Gave {
            id,
            given,
            mine,
            gen_,
            shown,
        } = *body
        else {
            return;
        };
        let k = rules.first(id);
        for (each, shown) in shown.iter().enumerate() {
            self.adopt(each, *shown);
        }
        let current = self.totals[k].gen_ == gen_ || rules.has(Mutant::OldGenerationContains);
        let Some(own) = self.given.iter_mut().find(|g| g.id == id && !g.done) else {
            return;
        };
        own.done = true;
        own.acked = !mine;
        if mine && current {
            for (totals, given) in self.totals.iter_mut().zip(given) {
                totals.released += given;
            }
        }
    }

    pub fn settled(&mut self, rules: &Scenario, view: &View) {
        for k in 0..K {
            self.adopt(k, view.shown[k]);
            let own = &mut self.totals[k];
            own.granted = own.granted.max(view.shown[k].entry.granted);
            let (new, old) = (view.bases[k], self.bases[k]);
            if (new.gen_, new.version) > (old.gen_, old.version) {
                self.bases[k] = new;
            }
        }
        // A freeze ends by an answer from after it, which shows the generation too.
        if let Some(token) = self.frozen
            && (view.seq > token || rules.has(Mutant::UnfreezeByOldAnswer))
        {
            self.frozen = view.frozen;
        } else {
            self.frozen = self.frozen.max(view.frozen);
        }
        self.heard_since = self.heard_since.max(view.gaps);
        self.seq = self.seq.max(view.seq);
        for (id, ack) in &view.answered {
            let now = self.totals[rules.first(*id)].gen_;
            let Some(own) = self.answered.iter_mut().find(|a| a.id == *id && !a.counted) else {
                continue;
            };
            match ack {
                Ack::Counted => own.counted = true,
                Ack::Yours if own.mine && own.gen_ == now => {}
                Ack::Yours => {
                    // One append: the entry, and the totals that contain it from now on.
                    own.mine = true;
                    own.gen_ = now;
                    for k in 0..K {
                        self.totals[k].consumed += rules.part(*id, k);
                    }
                }
            }
        }
        for own in &mut self.attempts {
            own.acked |= own.aborted && view.aborted.contains(&own.number);
        }
        for own in &mut self.given {
            own.acked |= own.done && view.given.contains(&own.id);
        }
        if view.left {
            self.life = Life::Left;
        }
    }

    pub fn beaten(&mut self, rules: &Scenario, era: u8, message: &Message) {
        let Body::Beaten {
            lease,
            roll,
            gone,
            marks,
            roll_version,
            sent,
            notice,
            recall,
            noted,
        } = message.body
        else {
            return;
        };
        if message.epoch > self.epoch {
            if self.epoch == 0 && !message.open {
                self.restated = message.epoch;
            }
            self.epoch = message.epoch;
            self.open = message.open;
            self.roll_version = 0;
            self.abort_all(rules);
        }
        self.open &= message.open;
        self.knows |= !self.open;
        self.run = message.run;
        self.roll |= roll;
        self.gone |= gone;
        if roll_version > self.roll_version {
            self.roll_version = roll_version;
            // While a recovery is open the ledger's own word of the silent is a snapshot's.
            if !self.open {
                self.noted = noted;
                self.roll_known = roll_version;
            }
        }
        if !rules.has(Mutant::MarkWithoutVersion) {
            raise(&mut self.marks, marks);
        }
        self.frozen = self.frozen.max(notice);
        if lease && !self.open {
            let counted = if rules.has(Mutant::LeaseFromReceipt) {
                era
            } else {
                sent
            };
            if self.lease != Some(era) && sent == era {
                // After a gap a recount may have come and gone: the app's shard is asked first.
                self.gaps += 1;
            }
            self.lease = self.lease.max(Some(counted));
        }
        if recall && !rules.has(Mutant::ForgottenRecall) {
            self.return_spare();
        }
    }

    pub fn return_spare(&mut self) {
        for totals in &mut self.totals {
            totals.done = totals.granted.max(totals.done);
        }
    }

    /// A kill and a restart: the journal stays, the memory goes.
    pub fn restart(&mut self, rules: &Scenario) {
        if rules.has(Mutant::NoFence) {
            self.ghost = std::array::from_fn(|k| self.totals[k].spare());
        }
        self.lease = None;
        self.frozen = None;
        self.replies = 0;
        self.unjournaled.clear();
        self.half_report = None;
        self.reported = std::array::from_fn(|k| self.totals[k].consumed);
        self.abort_all(rules);
    }

    pub fn owes(&self) -> bool {
        self.answered.iter().any(|a| !a.counted)
            || self.attempts.iter().any(|a| !a.acked)
            || self.given.iter().any(|g| !g.acked)
            || !self.unjournaled.is_empty()
            || self.replies != 0
    }

    /// Whether it may acknowledge a freeze: nothing is left to spend, to decide or to tell.
    pub fn quiet(&self) -> bool {
        self.replies == 0 && self.attempts.iter().all(|a| a.aborted) && self.unjournaled.is_empty()
    }

    pub fn report(
        &mut self,
        rules: &Scenario,
        member: usize,
        wish: [i8; K],
        leave: bool,
        everything: bool,
    ) -> Report {
        let mut totals = self.totals;
        if let Some(consumed) = self.half_report.take() {
            for k in 0..K {
                totals[k].consumed = consumed[k];
            }
        }
        let mut delta = [0; K];
        for k in 0..K {
            delta[k] = totals[k].consumed - self.reported[k];
            self.reported[k] = totals[k].consumed;
        }
        let newer_only = everything && rules.has(Mutant::RestateOnlyNewer);
        let mut entries: Vec<_> = self.answered.clone();
        entries.retain(|a| (everything && !newer_only) || !a.counted);
        if rules.has(Mutant::NoPin) {
            entries.retain(|a| a.mine);
        }
        if rules.has(Mutant::AnsweredWithoutTotals) && !entries.is_empty() && !everything {
            totals = std::array::from_fn(|k| Totals::new(totals[k].gen_));
        }
        if newer_only {
            // "Newer" by the version it saw last: what was acknowledged then is left out.
            totals = std::array::from_fn(|k| Totals::new(totals[k].gen_));
        }
        let aborted: Vec<_> = self
            .attempts
            .iter()
            .filter(|a| a.aborted && (everything || !a.acked))
            .collect();
        Report {
            totals,
            delta,
            bases: self.bases,
            seq: self.seq,
            answered: entries,
            aborts: aborted
                .iter()
                .map(|a| Claim {
                    member,
                    attempt: a.number,
                })
                .collect(),
            abort_ids: aborted.iter().map(|a| a.id).collect(),
            given: self
                .given
                .iter()
                .filter(|g| g.done && !g.acked)
                .map(|g| g.id)
                .collect(),
            wish,
            acks_freeze: self.frozen.filter(|_| self.quiet()),
            gaps: self.gaps,
            leave,
            gone: self.gone,
            marks: self.marks,
        }
    }
}
