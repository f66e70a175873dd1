//! One report to the ledger: sums of apps, and the records that these contain.
//!
//! What a report names and what its sums contain must agree: of a take that is named the ledger ends its own
//! charge, of one that is not named it keeps it, and the sums then come without. So the sums are read, and
//! the takes that they contain beside the named ones are found, in one moment: see [`Owed::between_records`](super::owed::Owed::between_records).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Ledger;
use super::entry::{Entry, Telling};
use super::guard::cell_of;
use super::journal::LogFull;
use super::owed::{DueRecords, LeftOut};
use crate::quota::AppId;
use crate::store::{
    AppReport, Cell, CellReport, Escrow, Report, Settled, Shard, StoreFault, Take, Totals,
};

/// A report on its way. If it is dropped before the ledger has answered, all that it says is due
/// again.
struct OnTheWay<'a> {
    ledger: &'a Ledger,
    entries: Vec<Arc<Entry>>,
    apps: Vec<AppReport>,
}

impl Drop for OnTheWay<'_> {
    fn drop(&mut self) {
        for (entry, told) in self.entries.iter().zip(&self.apps) {
            entry.report_failed(&told.cells);
            if told.cells.iter().any(|cell| cell.escrow.is_some()) {
                self.ledger.apps.to_settle_soon(entry);
            } else {
                self.ledger.apps.to_settle(entry);
            }
        }
    }
}

/// One call to the ledger. If it fails, all that it would have settled is due again.
pub(super) async fn tell(
    ledger: &Ledger,
    shard: Shard,
    entries: Vec<(Arc<Entry>, Telling)>,
    due: DueRecords,
) -> Result<(), StoreFault> {
    let now = ledger.now();
    let today = ledger.zone.day(now);
    let heard = ledger.composing();
    // Acknowledged before the sums are read: what is acknowledged has nothing to come.
    let entries: Vec<_> = entries
        .into_iter()
        .map(|(entry, telling)| {
            let quiet = entry.acks_freeze();
            let acks_freeze = quiet.filter(|_| ledger.owed.nothing_open(entry.app));
            (entry, telling, acks_freeze)
        })
        .collect();
    let mut on_the_way = OnTheWay {
        ledger,
        entries: Vec::with_capacity(entries.len()),
        apps: Vec::with_capacity(entries.len()),
    };
    let owed = &ledger.owed;
    let (left, gave) = owed.between_records(shard, |records| {
        for (entry, telling, acks_freeze) in entries {
            let (app, cells) = (entry.app, entry.report(now, telling));
            let untold = !entry.plan_told.load(Ordering::Relaxed);
            let plan = untold.then(|| entry.rules().plan.name.clone());
            let must_hear = entry.frozen().is_some() || !entry.is_heard(&ledger.lease);
            if !cells.is_empty() || telling != Telling::News || must_hear || untold {
                on_the_way.entries.push(entry);
                on_the_way.apps.push(AppReport {
                    app,
                    cells,
                    acks_freeze,
                    plan,
                });
            } else {
                entry.rest();
            }
        }
        let mut left = records.left_out(&on_the_way.apps, &due.answered);
        let (gave, given) = records.gave(&on_the_way.apps, due.len());
        left.extend(given);
        (left, gave)
    });
    leave_out(&mut on_the_way.apps, &left);
    keep_wishes(ledger, &on_the_way.entries, &mut on_the_way.apps);
    let report = Report {
        apps: on_the_way.apps.clone(),
        answered: due.answered.clone(),
        aborts: due.aborts.clone(),
        gave: gave.iter().map(|(_, gave)| gave.clone()).collect(),
    };
    if report == Report::default() {
        return Ok(());
    }
    let settled = ledger.store.settle(shard, &report, today, now).await?;
    let Settled {
        views,
        acks,
        too_late,
    } = settled;
    ledger.too_late.note(&too_late, now);
    let entries = std::mem::take(&mut on_the_way.entries);
    for ((entry, told), view) in entries.iter().zip(&report.apps).zip(&views) {
        entry.settled(&told.cells);
        if told.plan.is_some() {
            entry.plan_told.store(true, Ordering::Relaxed);
        }
        ledger.learn(entry, view, today, heard);
        ledger.note_acked(entry, &told.cells);
    }
    owed.gave_told(shard, &gave);
    let lives = |take: &Take| ledger.lives_of(take);
    let verdicts = owed.settled(&due, &acks, ledger.now(), lives);
    for entry in &entries {
        if !left.is_empty() {
            ledger.apps.to_settle_soon(entry);
        }
        entry.rest();
    }
    for answered in &verdicts.yours {
        if let Ok(Some(entry)) = ledger.entry(answered.take.app) {
            ledger.count_answered(&entry, answered);
        }
    }
    for answered in &verdicts.gone {
        if let Ok(Some(entry)) = ledger.entry(answered.take.app) {
            ledger.give_gone(&entry, answered);
        }
    }
    Ok(())
}

/// Has the journal know of each app of which units are wished for, before the wish is told: a member that is killed
/// before it hears the answer may have been lent some, and leaves by what its journal knows.
fn keep_wishes(ledger: &Ledger, entries: &[Arc<Entry>], apps: &mut [AppReport]) {
    if ledger.store.is_local() {
        return;
    }
    for (entry, told) in entries.iter().zip(apps) {
        let mut wishing = told.cells.iter().filter(|told| told.wish.is_some());
        let Some(first) = wishing.next().filter(|first| is_unkept(first)) else {
            continue;
        };
        if !wishing.all(is_unkept) {
            continue;
        }
        let cell = first.cell;
        let kept =
            ledger
                .journal
                .append_with(ledger.clock.now(), |frames| -> Result<(), LogFull> {
                    ledger.apps.to_save(entry);
                    let mut books = entry.books();
                    frames.escrow(entry.app, cell, &books.guard_mut().open(cell).sums());
                    Ok(())
                });
        if let Err(full) = kept {
            tracing::warn!(app = %entry.app, %full, "nothing is wished for");
            for told in &mut told.cells {
                told.wish = None;
            }
        }
    }
}

/// Whether nothing ever changed in a cell that the journal would have been told of.
fn is_unkept(told: &CellReport) -> bool {
    let untouched = |sums: Escrow| {
        let unspent = Escrow { granted: 0, ..sums };
        unspent == Escrow::default()
    };
    told.totals == Totals::default() && told.escrow.is_none_or(untouched)
}

/// Takes out of the sums what a report does not name.
fn leave_out(apps: &mut [AppReport], left: &[LeftOut]) {
    let mut without = |app: AppId, cell: Cell, how: &dyn Fn(&mut Escrow)| {
        let told = apps.iter_mut().filter(|told| told.app == app);
        let cells = told.flat_map(|told| &mut told.cells);
        let cells = cells.filter(|told| told.cell == cell);
        cells.filter_map(|told| told.escrow.as_mut()).for_each(how);
    };
    for left in left {
        match *left {
            LeftOut::Taken(app, charge, day) => {
                let amount = u64::from(charge.amount().get());
                for part in charge.parts() {
                    without(app, cell_of(part.counter, day), &|told| {
                        told.taken = told.taken.saturating_sub(amount);
                    });
                }
            }
            LeftOut::Given(app, cell, most) => without(app, cell, &|told| {
                told.given = told.given.saturating_sub(most);
            }),
        }
    }
}
