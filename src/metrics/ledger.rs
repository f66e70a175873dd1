//! How the sidecar stands with its ledger, and what that costs.

use std::fmt;

use super::counter_name;
use super::sheet::Sheet;
use crate::ledger::{Figures, State};
use crate::store::CallCounts;

#[allow(
    clippy::too_many_lines,
    reason = "a list of names and what they mean, read from top to bottom"
)]
pub(super) fn write(sheet: &mut Sheet<'_>, figures: &Figures) -> fmt::Result {
    let Figures {
        state,
        cause: _,
        leased,
        sync_age,
        clock_error,
        epoch,
        epochs,
        members,
        silent,
        apps,
        unsettled_apps,
        unsettled_units,
        takes,
        releases,
        users,
        journal,
        ids,
        id_window,
        lent,
        recalls,
        lifted,
        in_doubt,
        marks,
        users_too_late,
        users_told_again,
        users_not_remembered,
    } = figures;
    let one_if = |yes: bool| if yes { 1.0 } else { 0.0 };
    sheet.gauge(
        "imquota_ledger_up",
        "Whether the ledger answers",
        one_if(*state == State::Up),
    )?;
    sheet.gauge(
        "imquota_ledger_frozen",
        "Whether the ledger has forgotten something and is being told it",
        one_if(*state == State::Frozen),
    )?;
    sheet.gauge(
        "imquota_lease_valid",
        "Whether this sidecar may admit from memory what a limit guards",
        one_if(*leased),
    )?;
    if let Some(age) = sync_age {
        sheet.gauge(
            "imquota_sync_age_seconds",
            "How long ago the ledger had all that was due; absent before the first time",
            age.as_secs_f64(),
        )?;
    }
    sheet.gauge(
        "imquota_clock_error_seconds",
        "How far this machine's clock is from the ledger's, in either direction",
        clock_error.as_secs_f64(),
    )?;
    sheet.gauge(
        "imquota_ledger_epoch",
        "The number of the newest recovery, a time in milliseconds; 0: there was none",
        whole(*epoch),
    )?;
    sheet.counter(
        "imquota_ledger_epoch_changes",
        "How often the ledger was found to have forgotten something",
        *epochs,
    )?;
    sheet.gauge(
        "imquota_members",
        "Sidecars of this ledger, this one and silent ones included",
        count(*members),
    )?;
    sheet.gauge(
        "imquota_members_silent",
        "Those that have been silent for a minute or longer",
        count(silent.len()),
    )?;
    sheet.gauge("imquota_apps", "Apps in memory", count(*apps))?;
    sheet.gauge(
        "imquota_unsettled_apps",
        "Apps of which the ledger has yet to hear something",
        count(*unsettled_apps),
    )?;
    sheet.gauge(
        "imquota_unsettled_units",
        "Creations and deletions that the ledger has yet to hear of",
        whole(*unsettled_units),
    )?;
    sheet.gauges(
        "imquota_unsettled_records",
        "Single requests that wait for the ledger's word or to be told to it",
        [("take", takes), ("release", releases), ("user", users)]
            .map(|(kind, number)| (vec![("kind", kind.to_owned())], count(*number))),
    )?;
    sheet.gauge(
        "imquota_journal_bytes",
        "Bytes of the journal that wait for a checkpoint",
        whole(journal.0),
    )?;
    sheet.gauge(
        "imquota_journal_max_bytes",
        "The bytes above which nothing more is taken on",
        whole(journal.1),
    )?;
    sheet.gauge(
        "imquota_request_ids",
        "Request ids that are remembered",
        count(ids.0),
    )?;
    sheet.gauge(
        "imquota_request_ids_max",
        "The request ids that fit into request_ids.max_memory",
        count(ids.1),
    )?;
    sheet.gauge(
        "imquota_request_id_window_seconds",
        "For how long request ids are remembered just now: request_ids.window, less where memory is short",
        id_window.as_secs_f64(),
    )?;
    sheet.counter(
        "imquota_granted_units",
        "Places that the ledger lent to this sidecar",
        *lent,
    )?;
    sheet.counters(
        "imquota_recalls",
        "How often this sidecar starved and asked for what others hold, and returned what others starved for",
        [("asked", recalls.0), ("heard", recalls.1)]
            .map(|(way, times)| (vec![("direction", way.to_owned())], times)),
    )?;
    let of = |counter| vec![("of", counter_name(counter).to_owned())];
    sheet.gauges(
        "imquota_limit_lifted",
        "Whether the outage policy admits beyond a hard limit just now",
        lifted.map(|(counter, open, _)| (of(counter), one_if(open))),
    )?;
    sheet.counters(
        "imquota_admitted_by_policy",
        "Objects that the outage policy admitted where a hard limit could not be judged",
        lifted.map(|(counter, _, ever)| (of(counter), ever)),
    )?;
    sheet.gauge(
        "imquota_holds_in_doubt",
        "Reservations that expired and were neither confirmed nor cancelled, of apps that reserved through this \
         sidecar; of each app 256 at most",
        count(*in_doubt),
    )?;
    sheet.counter(
        "imquota_active_users_too_late",
        "Active users of whom the ledger was told when their day was sealed: they are in no count, and the bill of \
         their month has a note; the log names the app and the day",
        *users_too_late,
    )?;
    sheet.counter(
        "imquota_active_users_told_again",
        "Active users whom this sidecar told again to a ledger that may have forgotten them",
        *users_told_again,
    )?;
    sheet.gauge(
        "imquota_active_users_not_remembered",
        "Active users of days that are not sealed whom this sidecar recorded and does not remember any more, since \
         there were too many: a ledger that forgets them, too, is not told of them",
        whole(*users_not_remembered),
    )?;
    sheet.counters(
        "imquota_marks_passed",
        "How often this sidecar saw a count pass a mark: percent of a hard limit, the free quantity, a further \
         block of what is billed; the log names the app",
        marks.iter().map(|mark| {
            let labels = vec![("of", mark.of.to_owned()), ("mark", mark.mark.to_owned())];
            (labels, mark.times)
        }),
    )
}

/// What Redis costs.
pub(super) fn write_calls(sheet: &mut Sheet<'_>, calls: &CallCounts) -> fmt::Result {
    sheet.times(
        "imquota_redis_call_duration_seconds",
        "How long Redis took to answer, the wait for a place on the connection included",
        [(Vec::new(), calls.took)],
    )?;
    sheet.counters(
        "imquota_redis_errors",
        "Calls to Redis that failed: timeout, connection, or refused by the server",
        calls
            .failed
            .map(|(kind, times)| (vec![("kind", kind.to_owned())], times)),
    )?;
    sheet.counter(
        "imquota_redis_connections",
        "Connections to Redis that were made",
        calls.connected,
    )
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a gauge is a float for whoever scrapes it; counts stay far below 2^53"
)]
fn whole(number: u64) -> f64 {
    number as f64
}

fn count(number: usize) -> f64 {
    whole(number as u64)
}
