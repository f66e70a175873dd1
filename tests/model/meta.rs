//! The meta key's one step, the beat: registration, witness, lease, and how a recovery opens and closes.

use crate::mutant::Mutant;
use crate::scenario::Scenario;
use crate::words::*;

/// What the ledger's server knows without any key.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    pub run: u8,
    pub era: u8,
    /// Never repeats: the server's milliseconds.
    pub clock: u8,
}

fn open(rules: &Scenario, meta: &mut Meta, server: Server, known: u8) {
    let next = meta.epoch.max(known) + 1;
    meta.epoch = if rules.has(Mutant::CounterAsEpoch) {
        meta.epoch + 1
    } else {
        next.max(server.clock)
    };
    meta.open = true;
    meta.run = server.run;
    meta.opened = server.era;
    meta.restated = 0;
    meta.recounted = false;
    meta.roll_stated = false;
    meta.roll_seen = [0; S];
    meta.noted = [0; S];
    meta.noted_version = 0;
    meta.given_up = 0;
    meta.notice = None;
}

/// Answers a beat. `None` where there is nothing to answer: no meta key, and nobody may make one.
pub fn beat(
    rules: &Scenario,
    ledger: &mut Ledger,
    server: Server,
    from: &Message,
) -> Option<Message> {
    let Body::Beat {
        restated,
        roll,
        gone,
        marks,
        roll_version,
        stated_version,
        sent,
        leaving,
        fresh,
        noted,
    } = from.body
    else {
        return None;
    };
    let member = from.member;
    if ledger.meta.is_none() {
        let may = !fresh && !leaving || rules.has(Mutant::EmptyJournalRestores);
        if !may {
            return None;
        }
        let mut meta = Meta {
            made_anew: true,
            ..Meta::default()
        };
        open(rules, &mut meta, server, from.epoch);
        ledger.meta = Some(meta);
    }
    let shard = &mut ledger.shard;
    let meta = ledger.meta.as_mut()?;
    if meta.run != server.run {
        open(rules, meta, server, from.epoch);
    }
    if from.epoch > meta.epoch {
        open(rules, meta, server, from.epoch);
    }
    if has(meta.gone, member) {
        return Some(answer(meta, from, false, sent));
    }
    if !has(meta.registered, member) {
        meta.registered |= 1 << member;
        meta.roll_version += 1;
        meta.joined[member] = meta.roll_version;
        meta.joined_era[member] = server.era;
    }
    if meta.noted[member] > 0 && !meta.open && !rules.has(Mutant::BackUnwitnessed) {
        // Back from silence: a fellow must know before it gets anything.
        meta.noted[member] = 0;
        meta.roll_version += 1;
        meta.joined[member] = meta.roll_version;
        meta.joined_era[member] = server.era;
    }
    if from.epoch == meta.epoch {
        meta.roll_seen[member] = meta.roll_seen[member].max(roll_version);
    }
    if meta.open && restated == meta.epoch {
        state_roll(
            meta,
            member,
            roll,
            gone,
            marks,
            stated_version,
            fresh || leaving,
        );
        if stated_version > meta.noted_version {
            meta.noted_version = stated_version;
            meta.noted = noted;
        }
    }
    if meta.open && closes(rules, meta, shard.as_ref(), server) {
        let knows_all = missing(rules, meta, shard.as_ref()) == 0 && is_known(meta);
        if !knows_all && meta.given_up != 0 && !rules.has(Mutant::GivenUpIsWhole) {
            let counters = shard.iter_mut().flat_map(|shard| &mut shard.counters);
            counters.for_each(|counter| counter.incomplete = true);
        }
        meta.open = false;
        meta.noted = [0; S];
        // Versions of the roll that a snapshot forgot must not name other members.
        meta.roll_version += 1;
        for m in 0..S {
            if has(meta.registered, m) {
                meta.joined[m] = meta.roll_version;
                meta.joined_era[m] = server.era;
            }
        }
    }
    let lease = !meta.open && !leaving && witnessed(rules, meta, member, server);
    Some(answer(meta, from, lease, sent))
}

fn state_roll(
    meta: &mut Meta,
    member: usize,
    roll: Set,
    gone: Set,
    marks: Marks,
    version: u8,
    poor: bool,
) {
    meta.restated |= 1 << member;
    meta.roll_stated |= !poor;
    meta.registered |= roll;
    meta.gone |= gone;
    meta.roll_version = meta.roll_version.max(version);
    raise(&mut meta.marks, marks);
}

fn closes(rules: &Scenario, meta: &Meta, shard: Option<&Shard>, server: Server) -> bool {
    let waited = server.era > meta.opened;
    if rules.has(Mutant::CloseByTimer) {
        return waited;
    }
    let missing = missing(rules, meta, shard);
    // Nobody is waited for any more: neither the missing nor one who knows the members.
    let given_up = meta.given_up != 0 && missing & !meta.given_up == 0;
    if !is_known(meta) && !given_up && !rules.has(Mutant::EmptyJournalRestores) {
        return false;
    }
    waited && (missing == 0 || given_up)
}

/// Whether somebody knew the members when this key was made, or has said so since.
fn is_known(meta: &Meta) -> bool {
    !meta.made_anew || meta.roll_stated
}

/// Those who have not restated and of whom something may be lost.
fn missing(rules: &Scenario, meta: &Meta, shard: Option<&Shard>) -> Set {
    let silent = meta.registered & !meta.gone & !meta.restated;
    let is_excused = |m: usize| {
        // Lost nothing: the shard has every call that a fellow noted after it fell silent.
        let calls = shard.map_or(0, |s| s.calls[m]);
        let noted = meta.noted[m];
        meta.recounted
            || noted > 0 && calls == noted - 1
            || rules.has(Mutant::SilentExcused)
            || rules.has(Mutant::OwnMembersOnly) && meta.joined[m] == 0
    };
    (0..S)
        .filter(|m| has(silent, *m) && !is_excused(*m))
        .fold(0, |set, m| set | 1 << m)
}

fn witnessed(rules: &Scenario, meta: &Meta, member: usize, server: Server) -> bool {
    let others = meta.registered & !meta.gone & !(1 << member);
    let bound = rules.witness_bound && server.era > meta.joined_era[member];
    others == 0
        || (0..S).any(|m| has(others, m) && meta.roll_seen[m] >= meta.joined[member])
        || bound
        || rules.has(Mutant::NoWitness)
}

fn answer(meta: &Meta, from: &Message, lease: bool, sent: u8) -> Message {
    Message {
        member: from.member,
        run: from.run,
        epoch: meta.epoch,
        open: meta.open,
        body: Body::Beaten {
            lease,
            roll: meta.registered,
            gone: meta.gone,
            marks: meta.marks,
            roll_version: meta.roll_version,
            sent,
            notice: meta.notice,
            recall: meta.recall,
            noted: meta.noted,
        },
    }
}
