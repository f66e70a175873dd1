//! Mistakes in the ledger's scripts, made at run time: the simulation must reject each.

use crate::aims;
use crate::fake::Mutation;
use crate::run::{Manner, run};
use crate::scenario::Scenario;

/// So many seeds a mistake may survive.
const SEEDS_MAX: u64 = 400;

fn is_rejected(from: &'static str, to: &'static str) {
    is_rejected_where(None, from, to);
}

/// As [`is_rejected`], in worlds where the mistake shows sooner. They are none that reject what is right.
pub fn is_rejected_where(aim: Option<fn(&mut Scenario)>, from: &'static str, to: &'static str) {
    let mutation = Some(Mutation { from, to });
    let right = Manner {
        aim,
        ..Manner::default()
    };
    is_rejected_by(to, right, Manner { mutation, ..right });
}

/// Looks for a seed in which `wrong` breaks a promise; `right` keeps all in the same one.
pub fn is_rejected_by(to: &str, right: Manner, wrong: Manner) {
    for seed in 0..SEEDS_MAX {
        let outcomes = run(seed, wrong);
        if let Some(Mutation { from, .. }) = wrong.mutation {
            assert!(outcomes.mutated, "no script has the text {from:?}");
        }
        if let Some(fault) = outcomes.faults.first() {
            println!("seed {seed} rejects {to:?}: {fault}");
            let told = run(seed, Manner { log: true, ..right });
            if !told.faults.is_empty() {
                println!("{}", told.log.join("\n"));
            }
            assert_eq!(told.faults, [""; 0], "seed {seed}");
            return;
        }
    }
    panic!("{to:?} survived {SEEDS_MAX} seeds");
}

#[test]
fn a_limit_that_admits_one_more() {
    is_rejected(
        "limit = lowest(c, limit)\n",
        "limit = lowest(c, limit) + 1\n",
    );
}

#[test]
fn a_report_that_replaces_what_was_known() {
    is_rejected_where(
        Some(aims::late_reports),
        // What is older in all sums is found out before they are merged.
        "local me = c.me\n  if me.gen == c.gen and not me.absent and said.consumed <= me.consumed",
        "local me, merged = c.me, function(old, new)\n    local e = {gen = old.gen, offset = old.offset}\n    \
         for _, sum in ipairs(SUMS) do\n      e[sum] = new[sum]\n    end\n    return e\n  end\n  \
         if me.gen == c.gen and not me.absent and said.consumed == me.consumed",
    );
}

#[test]
fn a_report_that_is_added_again() {
    is_rejected(
        "set(c, 'u', c.u + u_after - u_before)",
        "set(c, 'u', c.u + u_after)",
    );
}

#[test]
fn an_abort_that_leaves_no_mark() {
    is_rejected_where(Some(aims::late_takes), "bury(record, claim)\n", "\n");
}

#[test]
fn an_abort_that_withdraws_everybody() {
    is_rejected_where(
        Some(aims::slow_takes),
        "if record.claims ~= '' then\n    return",
        "if false then\n    return",
    );
}

#[test]
fn an_abort_that_frees_nothing() {
    is_rejected(
        "holds.become(app, record, field, 'x', gain_of)\n    record.fp",
        "record.state = 'x'\n    close_record(app, field)\n    record.fp",
    );
}

#[test]
fn an_answer_that_does_not_keep_its_record() {
    is_rejected(
        "if contained then\n    as_said(",
        "if false then\n    as_said(",
    );
}

#[test]
fn a_release_that_is_done_again() {
    is_rejected(
        "return finish(RELEASED, 1, mine and 1 or 0, tonumber(record.number), groups)",
        "record.state = 'x'",
    );
}

#[test]
fn a_release_that_gives_back_too_little() {
    is_rejected(
        "math.min(amount, math.max(0, there))",
        "math.min(amount, math.max(0, there - 1))",
    );
}

#[test]
fn a_second_take_that_adds_no_claim() {
    is_rejected_where(
        Some(aims::slow_takes),
        "if add_claim(record, claim) then\n    write_record()\n  end",
        "",
    );
}

#[test]
fn a_shard_that_never_finds_out_what_it_lost() {
    is_rejected_where(
        Some(aims::lost_takes),
        "if seen > seq or seen > 0 and said > epoch then",
        "if false then",
    );
}

#[test]
fn a_room_that_is_no_group() {
    is_rejected(
        "groups = follows and bounded(number, app[1], app[own]) or number",
        "groups = follows and 0 or number",
    );
}

#[test]
fn a_user_who_is_new_each_time() {
    is_rejected(
        "local added = redis.call('SADD', key, ARGV[places[1] + 1])",
        "redis.call('SADD', key, ARGV[places[1] + 1])\n    local added = 1",
    );
}

#[test]
fn users_who_are_new_each_time_they_come_together() {
    is_rejected(
        "return new[1] and redis.call('SADD', key, unpack(new)) or 0",
        "redis.call('SADD', key, unpack(members))\n  return #members",
    );
}

#[test]
fn an_increment_that_is_added_again() {
    is_rejected(
        "users.increments + total - users.mine",
        "users.increments + total",
    );
}
