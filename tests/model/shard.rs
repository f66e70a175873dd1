//! The shard's steps, each atomic: take, give, settle, restate. The header comes first.

use crate::mutant::Mutant;
use crate::operator::fold_member;
use crate::scenario::Scenario;
use crate::words::*;

/// Whether a call may go on: the shard adopts newer epochs, and refuses callers who are behind.
pub fn admits(rules: &Scenario, shard: &mut Shard, epoch: u8, open: bool) -> bool {
    if epoch < shard.epoch {
        return false;
    }
    if epoch > shard.epoch {
        shard.epoch = epoch;
        shard.open = true;
        // What a snapshot had in `back` may long since stand in its owner's totals.
        if !rules.has(Mutant::EpochKeepsBack) {
            for gift in &mut shard.gifts {
                gift.in_back = false;
            }
            for counter in &mut shard.counters {
                counter.back = 0;
            }
        }
    }
    if shard.open && !open {
        close(rules, shard);
    }
    true
}

fn close(rules: &Scenario, shard: &mut Shard) {
    shard.open = false;
    for k in 0..K {
        let counter = &mut shard.counters[k];
        let mark = (0..S).map(|m| shard.marks[m][k]).max().unwrap_or(0);
        let wanted = counter.stated_version.max(mark);
        // A life since a recount always has a base.
        let no_base = counter.base.gen_ > 0
            && counter.base.version == 0
            && !rules.has(Mutant::LifeWithoutBase);
        if (wanted > counter.base.version || no_base) && !rules.has(Mutant::IncompleteIgnored) {
            counter.incomplete = true;
        }
        counter.stated_version = 0;
    }
}

fn judge(rules: &Scenario, shard: &Shard, id: usize) -> bool {
    (0..K).all(|k| {
        let counter = &shard.counters[k];
        let part = rules.part(id, k);
        let mut seen = counter.seen();
        if rules.has(Mutant::ClampAtZero) {
            seen = seen - counter.u() + counter.u().max(0);
        }
        part == 0 || (!counter.incomplete && seen + part <= rules.limits[k])
    })
}

fn hold(rules: &Scenario, shard: &mut Shard, id: usize, sign: i8) {
    for k in 0..K {
        shard.counters[k].held += sign * rules.part(id, k);
    }
}

fn shown(shard: &Shard, member: usize) -> [Shown; K] {
    std::array::from_fn(|k| shard.counters[k].shown_to(member))
}

/// The generation of the counter that an id is charged to first.
fn gen_of(rules: &Scenario, shard: &Shard, id: usize) -> u8 {
    shard.counters[rules.first(id)].base.gen_
}

pub fn take(rules: &Scenario, shard: &mut Shard, claim: Claim, id: usize) -> Body {
    let attempt = claim.attempt;
    let none = |shard: &Shard| Body::Taken {
        id,
        attempt,
        allow: None,
        mine: false,
        shown: shown(shard, claim.member),
    };
    let refused = shard.open && !rules.has(Mutant::GrantWhileOpen)
        || shard.freeze.is_some()
        || has(shard.gone, claim.member) && !rules.has(Mutant::GoneStillCounts);
    if refused {
        return none(shard);
    }
    shard.seq += 1;
    shard.calls[claim.member] += 1;
    let now = gen_of(rules, shard, id);
    let record = record_of(rules, shard, id);
    if record.tombstones.contains(&claim) {
        return none(shard);
    }
    // A replay under a newer generation is a new take: N may lack what was answered before it.
    let outlived = record.fate == Fate::Counted
        && record.gen_ < now
        && !rules.has(Mutant::ReplayAcrossRecountFree);
    if outlived && record.claims.contains(&claim) {
        // A copy of an old attempt: it takes no second unit.
        return none(shard);
    }
    if record.fate == Fate::Freed || outlived {
        let allowed = judge(rules, shard, id);
        if allowed {
            hold(rules, shard, id, 1);
        }
        let record = record_of(rules, shard, id);
        record.fate = if allowed { Fate::Held } else { Fate::Denied };
        record.gen_ = now;
        record.owner = Some(claim);
        record.claims.clear();
    }
    let record = record_of(rules, shard, id);
    if !record.claims.contains(&claim) {
        record.claims.push(claim);
        record.claims.sort_unstable();
    }
    let allow = Some(record.fate != Fate::Denied);
    let mine = record.owner == Some(claim) || rules.has(Mutant::BothCount);
    Body::Taken {
        id,
        attempt,
        allow,
        mine,
        shown: shown(shard, claim.member),
    }
}

/// The record-path release of the object of `id`.
pub fn give(rules: &Scenario, shard: &mut Shard, member: usize, id: usize) -> Option<Body> {
    if shard.open || shard.freeze.is_some() || has(shard.gone, member) {
        return None;
    }
    shard.seq += 1;
    shard.calls[member] += 1;
    if !shard.gifts.iter().any(|g| g.id == id) {
        let given: [i8; K] =
            std::array::from_fn(|k| rules.part(id, k).min(shard.counters[k].seen().max(0)));
        for (counter, given) in shard.counters.iter_mut().zip(given) {
            counter.back += given;
        }
        let gen_ = gen_of(rules, shard, id);
        shard.gifts.push(Gift {
            id,
            owner: member,
            given,
            gen_,
            in_back: true,
        });
        shard.gifts.sort_by_key(|g| g.id);
    }
    let gift = shard.gifts.iter().find(|g| g.id == id).unwrap();
    let mine = gift.owner == member || rules.has(Mutant::ReleaseByBoth);
    Some(Body::Gave {
        id,
        given: gift.given,
        mine,
        gen_: gift.gen_,
        shown: shown(shard, member),
    })
}

fn merge(rules: &Scenario, shard: &mut Shard, member: usize, report: &Report, restating: bool) {
    for k in 0..K {
        let said = report.totals[k];
        let counter = &mut shard.counters[k];
        if said.gen_ > counter.base.gen_ {
            // Only a recovery brings this: the recount itself was forgotten.
            let base = Base {
                gen_: said.gen_,
                ..Base::default()
            };
            counter.recount(base, 0);
        }
        let now = counter.base.gen_;
        let of = &mut counter.of[member];
        if rules.has(Mutant::DeltaInsteadOfTotal) && !restating {
            of.consumed += report.delta[k];
        } else {
            of.consumed = of.consumed.max(said.consumed);
        }
        of.released = of.released.max(said.released);
        of.granted = of.granted.max(said.granted);
        of.done = of.done.max(said.done);
        if of.gen_ < now && said.gen_ == now {
            // It has heard: what it counts from here on is new.
            of.gen_ = now;
            of.offset = said.offset;
        } else if of.gen_ < now {
            of.recounted();
        }
        if rules.has(Mutant::ClampAtZero) && counter.u() < 0 {
            counter.base.amount -= counter.u();
        }
    }
}

/// The record of an id; a new one is charged to nobody.
fn record_of<'a>(rules: &Scenario, shard: &'a mut Shard, id: usize) -> &'a mut Record {
    if !shard.records.iter().any(|r| r.id == id) {
        let gen_ = gen_of(rules, shard, id);
        let (claims, tombstones) = (Vec::new(), Vec::new());
        shard.records.push(Record {
            id,
            fate: Fate::Freed,
            gen_,
            owner: None,
            claims,
            tombstones,
        });
        shard.records.sort_by_key(|r| r.id);
    }
    let at = shard.records.iter().position(|r| r.id == id).unwrap();
    &mut shard.records[at]
}

/// One answered take in a report. `None` where it is to be reported again.
fn answered(rules: &Scenario, shard: &mut Shard, member: usize, entry: &Answered) -> Option<Ack> {
    let now = gen_of(rules, shard, entry.id);
    let current = entry.gen_ == now || rules.has(Mutant::OldGenerationContains);
    let contained = entry.mine && current || entry.counted;
    let (open, gone) = (shard.open, shard.gone);
    let record = record_of(rules, shard, entry.id);
    if record.fate == Fate::Freed {
        // Only a recovery brings this: the record was forgotten, or this claim to it was.
        record.gen_ = now;
        record.fate = if contained {
            Fate::Counted
        } else {
            Fate::Pinned
        };
        if !contained {
            hold(rules, shard, entry.id, 1);
        }
    }
    let record = record_of(rules, shard, entry.id);
    if !matches!(record.fate, Fate::Held | Fate::Pinned) {
        return Some(Ack::Counted);
    }
    if contained {
        record.fate = Fate::Counted;
        hold(rules, shard, entry.id, -1);
        return Some(Ack::Counted);
    }
    // Answered, and in no totals: it is charged here until its owner has counted it.
    record.fate = Fate::Pinned;
    let claim = Claim {
        member,
        attempt: entry.attempt,
    };
    // One who is gone counts nothing any more.
    let counts = |owner: Claim| {
        owner != claim && (!has(gone, owner.member) || rules.has(Mutant::GoneStillOwns))
    };
    if open || record.owner.is_some_and(counts) {
        return None;
    }
    record.owner = Some(claim);
    Some(Ack::Yours)
}

/// The withdrawal of one claim.
fn abort(rules: &Scenario, shard: &mut Shard, claim: Claim, id: usize) {
    let record = record_of(rules, shard, id);
    if !record.tombstones.contains(&claim) && !rules.has(Mutant::AbortWithoutTombstone) {
        record.tombstones.push(claim);
        record.tombstones.sort_unstable();
    }
    record.claims.retain(|c| *c != claim);
    if record.owner == Some(claim) {
        record.owner = None;
    }
    let alone = record.claims.is_empty() || rules.has(Mutant::AbortFreesOthers);
    if record.fate == Fate::Held && alone {
        record.fate = Fate::Freed;
        hold(rules, shard, id, -1);
    }
}

fn gave(shard: &mut Shard, id: usize) {
    let Some(gift) = shard.gifts.iter_mut().find(|g| g.id == id) else {
        return;
    };
    if gift.in_back {
        gift.in_back = false;
        for k in 0..K {
            shard.counters[k].back -= gift.given[k];
        }
    }
}

type Acks = (Vec<(usize, Ack)>, Vec<u8>);

fn apply(
    rules: &Scenario,
    shard: &mut Shard,
    member: usize,
    report: &Report,
    restating: bool,
) -> Acks {
    merge(rules, shard, member, report, restating);
    let mut aborted = Vec::new();
    for (claim, id) in report.aborts.iter().zip(&report.abort_ids) {
        abort(rules, shard, *claim, *id);
        aborted.push(claim.attempt);
    }
    let mut acks = Vec::new();
    for entry in &report.answered {
        if let Some(ack) = answered(rules, shard, member, entry) {
            acks.push((entry.id, ack));
        }
    }
    for id in &report.given {
        gave(shard, *id);
    }
    (acks, aborted)
}

/// One report of one member. `None` where the call is refused.
pub fn settle(rules: &Scenario, shard: &mut Shard, member: usize, report: &Report) -> Option<View> {
    if has(shard.gone, member) && !rules.has(Mutant::GoneStillCounts) {
        return Some(View {
            shown: std::array::from_fn(|k| Shown {
                gen_: report.totals[k].gen_,
                entry: report.totals[k],
            }),
            bases: report.bases,
            seq: shard.seq,
            frozen: None,
            answered: Vec::new(),
            aborted: Vec::new(),
            given: Vec::new(),
            gaps: report.gaps,
            left: true,
        });
    }
    if shard.open && !rules.has(Mutant::GrantWhileOpen) {
        return None;
    }
    shard.seq += 1;
    shard.calls[member] += 1;
    let (acks, aborted) = apply(rules, shard, member, report, false);
    for k in 0..K {
        let counter = &mut shard.counters[k];
        let current = report.totals[k].gen_ == counter.base.gen_;
        if shard.freeze.is_none() && current && !counter.incomplete && rules.leased[k] {
            let free = rules.limits[k] - counter.seen();
            let more = report.wish[k].min(free).max(0);
            counter.of[member].granted += more;
        }
    }
    if let (Some(freeze), Some(token)) = (&mut shard.freeze, report.acks_freeze)
        && (token == freeze.token || rules.has(Mutant::AnyAck))
    {
        freeze.acks |= 1 << member;
    }
    let mut view = View {
        shown: shown(shard, member),
        bases: std::array::from_fn(|k| shard.counters[k].base),
        seq: shard.seq,
        frozen: shard.freeze.as_ref().map(|f| f.token),
        answered: acks,
        aborted,
        given: report.given.clone(),
        gaps: report.gaps,
        left: false,
    };
    if report.leave && !has(shard.gone, member) {
        fold_member(rules, shard, member, false);
        view.left = true;
    }
    Some(view)
}

/// Everything a member has to say to a ledger that forgot.
pub fn restate(rules: &Scenario, shard: &mut Shard, member: usize, report: &Report) {
    shard.seq = shard.seq.max(report.seq) + 1;
    for k in 0..K {
        let said = report.bases[k];
        let counter = &mut shard.counters[k];
        if shard.open && said.gen_ == counter.base.gen_ && said.version > counter.base.version {
            counter.base = said;
        }
        counter.stated_version = counter.stated_version.max(said.version);
    }
    if has(shard.gone, member) {
        return;
    }
    apply(rules, shard, member, report, true);
    for k in 0..K {
        // A recount that only this member remembers came with its totals; its base comes now.
        let said = report.bases[k];
        let counter = &mut shard.counters[k];
        if shard.open && said.gen_ == counter.base.gen_ && said.version > counter.base.version {
            counter.base = said;
        }
    }
    shard.gone |= report.gone;
    for m in 0..S {
        for k in 0..K {
            shard.marks[m][k] = shard.marks[m][k].max(report.marks[m][k]);
            let counter = &mut shard.counters[k];
            let contained = counter.base.version >= shard.marks[m][k];
            if has(shard.gone, m) && contained && shard.open {
                counter.of[m] = Totals::new(counter.base.gen_);
            }
        }
    }
}
