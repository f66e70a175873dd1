//! One report to the ledger: sums of apps, and the records that these contain.
//!
//! What a report names and what its sums contain must agree: of a take that is named the ledger ends its own
//! charge, of one that is not named it keeps it, and the sums then come without. So the sums are read, and
//! the takes that they contain beside the named ones are found, in one moment: see [`Owed::between_records`](super::owed::Owed::between_records).

use std::sync::Arc;

use super::Ledger;
use super::entry::{Entry, Telling};
use super::guard::cell_of;
use super::owed::{DueRecords, LeftOut};
use crate::quota::AppId;
use crate::store::{AppReport, Cell, Escrow, Report, Settled, Shard, StoreFault, Take};

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
            let must_hear = entry.frozen().is_some() || !entry.is_heard(&ledger.lease);
            if !cells.is_empty() || telling != Telling::News || must_hear {
                on_the_way.entries.push(entry);
                on_the_way.apps.push(AppReport {
                    app,
                    cells,
                    acks_freeze,
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
    let report = Report {
        apps: on_the_way.apps.clone(),
        answered: due.answered.clone(),
        aborts: due.aborts.clone(),
        gave: gave.iter().map(|(_, gave)| gave.clone()).collect(),
    };
    if report == Report::default() {
        return Ok(());
    }
    let Settled { views, acks } = ledger.store.settle(shard, &report, today, now).await?;
    let entries = std::mem::take(&mut on_the_way.entries);
    for ((entry, told), view) in entries.iter().zip(&report.apps).zip(&views) {
        entry.settled(&told.cells);
        ledger.learn(entry, view, today, heard);
        ledger.note_acked(entry, &told.cells);
    }
    owed.gave_told(shard, &gave);
    let generation = |take: &Take| ledger.generation_of(take);
    let yours = owed.settled(&due, &acks, ledger.now(), generation);
    for entry in &entries {
        if !left.is_empty() {
            ledger.apps.to_settle_soon(entry);
        }
        entry.rest();
    }
    for answered in yours {
        if let Ok(Some(entry)) = ledger.entry(answered.take.app) {
            ledger.count_answered(&entry, &answered);
        }
    }
    Ok(())
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
