//! Mistakes in what is done once: ids, answers, confirmations, deletions by name. Those in what a batch answers are made
//! at the door (`grpc_edge`): here one check is asked at a time.

use crate::aims;
use crate::mutants::{is_rejected_by, is_rejected_where};
use crate::run::Manner;

#[test]
fn an_id_that_is_forgotten_early() {
    is_rejected_where(
        Some(aims::repeats),
        "if num(r.since) + WINDOW_MS + FOLD_MARGIN_MS > now then",
        "if num(r.since) >= now then",
    );
}

#[test]
fn an_answer_of_the_ledger_that_is_not_written() {
    is_rejected_where(
        Some(aims::repeats),
        "open_record(app, field)\nwrite_record()\nreturn finish(ALLOWED, 0, 1)",
        "open_record(app, field)\nreturn finish(ALLOWED, 0, 1)",
    );
}

#[test]
fn an_answer_that_goes_out_before_it_is_journaled() {
    let right = Manner {
        aim: Some(aims::kills),
        ..Manner::default()
    };
    let wrong = Manner {
        late_journal: true,
        ..right
    };
    is_rejected_by("a late journal", right, wrong);
}

#[test]
fn a_confirmation_that_counts_each_time() {
    is_rejected_where(
        Some(aims::reservations),
        "{replayed = how ~= 'c', mine = record.owner == claim, settled = settled, late = how ~= '0'}",
        "{mine = true, late = how ~= '0'}",
    );
}

#[test]
fn a_second_confirmation_that_is_told() {
    is_rejected_where(
        None,
        "mine = record.owner == claim, settled = settled, late = how ~= '0'}",
        "mine = record.owner == claim, late = how ~= '0'}",
    );
}

#[test]
fn a_named_object_that_is_released_by_amount() {
    is_rejected_where(
        Some(aims::names),
        "if is_charged(named) and not holds.is_open(named) then\n  return undo()\nend",
        "do\n  local incomplete, number, groups = give(own, ARGV[12] == '1')\n  \
         return incomplete or finish(RELEASED, 0, 1, number, groups, own)\nend",
    );
}

#[test]
fn an_answer_under_an_id_that_is_forgotten_with_its_object() {
    is_rejected_where(
        Some(aims::names),
        "if is_over or is_copy then\n    return repeat_told()",
        "if is_over or is_copy then\n    return write()",
    );
}

#[test]
fn a_shared_id_that_two_counted_and_none_takes_back() {
    is_rejected_where(
        Some(aims::shared_ids),
        "return GONE_OBJECT\n  end\n  if is_new then\n    revive(app, record, said)",
        "return COUNTED\n  end\n  if is_new then\n    revive(app, record, said)",
    );
}

#[test]
fn a_shared_id_that_both_take_back() {
    is_rejected_where(
        Some(aims::shared_ids),
        "generation(app, said.counters) or listed(record.claims, said.claim .. '.') then\n    return COUNTED\n  end\n  local is_new",
        "generation(app, said.counters) then\n    return COUNTED\n  end\n  local is_new",
    );
}
