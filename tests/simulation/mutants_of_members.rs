//! Mistakes in what members share: grants, recoveries, leaves, retirements, recounts.

use crate::aims;
use crate::mutants::is_rejected_where;

#[test]
fn a_grant_that_ignores_what_is_lent() {
    is_rejected_where(
        Some(aims::lending),
        "local free = limit - shown(c) - c.out",
        "local free = limit - shown(c)",
    );
}

#[test]
fn a_grant_that_is_no_share_of_what_is_free() {
    is_rejected_where(
        Some(aims::lending),
        "math.min(said.units - spare, math.floor(free / ways))",
        "said.units - spare",
    );
}

#[test]
fn an_open_recovery_that_counts() {
    is_rejected_where(
        Some(aims::emptied),
        // Whoever knows that members restate asks nothing; who has not heard is refused for the epoch as well.
        "if said < epoch then",
        "if is_open and not is_gone and not may.open and (said < epoch or ARGV[3] == '-') then\n    return\n  end\n  \
         if said < epoch then",
    );
}

#[test]
fn a_recovery_that_ends_by_the_timer_alone() {
    is_rejected_where(
        Some(aims::losses),
        "(given_up or not missing or waited >= patience) then\n    close(of, missing)",
        "true then\n    close(of, false)",
    );
}

#[test]
fn a_release_that_outlives_its_epoch() {
    is_rejected_where(
        Some(aims::losses),
        "h.stale = not h.fresh and num(f[1]) < epoch",
        "h.stale = false",
    );
}

#[test]
fn a_recount_that_begins_no_new_life() {
    is_rejected_where(
        Some(aims::recounts),
        "local gen = math.max(now, c.gen + 1)",
        "local gen = c.gen",
    );
}

#[test]
fn sums_of_an_older_life_that_count() {
    is_rejected_where(
        Some(aims::recounts_forgotten),
        "if e.gen ~= c.gen then\n    return 0, 0\n  end",
        "",
    );
}

#[test]
fn a_member_that_is_gone_and_counts() {
    is_rejected_where(
        Some(aims::leaves),
        "if is_gone and not may.gone then",
        "if false then",
    );
}

#[test]
fn a_leave_that_drops_the_sums() {
    is_rejected_where(
        Some(aims::leaves),
        "set(c, 'u', c.u + used)",
        "set(c, 'u', c.u - u)",
    );
}

#[test]
fn a_leave_that_leaves_no_base() {
    is_rejected_where(
        Some(aims::leaves_forgotten),
        "write_base(app, k, this_version(), c.base + u + used)",
        "",
    );
}

#[test]
fn a_retirement_that_frees_what_was_lent() {
    is_rejected_where(
        Some(aims::deaths),
        "local used = lent_is_used and out or 0",
        "local used = 0",
    );
}

#[test]
fn an_answer_that_nobody_is_told_to_count() {
    is_rejected_where(
        Some(aims::slow_takes),
        "record.owner = said.claim\n  return YOURS",
        "return AGAIN",
    );
}
