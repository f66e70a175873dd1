//! What a checkpoint writes: a snapshot of each shard, one after the other, in one transaction.

use std::sync::Arc;

use redb::{ReadableTable, WriteTransaction};

use super::file::{
    APPS, BILLS, LedgerFile, META, NOTES, OBJECTS, OPEN_FROM, PAST_DAYS, PAST_MONTHS, RECORDS,
    TOMBS, USERS,
};
use super::kept::Round;
use super::objects::{Layer, Name, Place};
use super::record::{Minute, Record, RecordId};
use super::records::Frozen;
use super::{format, notes};
use crate::clock::{Day, Millis, Month, Zone};
use crate::quota::{AppId, Retention};
use crate::store::{ID_WINDOW_MS, SEALED_AFTER_MS, Shard, StoreFault};

/// For how long after its end a day stays open here: until it is sealed, and an hour more for clocks that are set.
const DAY_OPEN_MS: i64 = SEALED_AFTER_MS + 60 * 60 * 1000;
/// How much older than the journal a record must be to be folded: longer than any call takes from
/// its record to its journal entry.
const JOURNAL_MARGIN_MS: i64 = 60 * 1000;
/// The most rows of each kind that one checkpoint removes because their time is over.
const FORGET_MAX: usize = 4096;

/// Before when records can be folded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cutoffs {
    /// Of records that no client can ask for again.
    pub(super) own: Minute,
    /// Of records that a client named.
    pub(super) client: Minute,
}

impl Cutoffs {
    /// The cutoffs for a journal that is kept from `log_from` on.
    fn of(log_from: Millis) -> Self {
        Self {
            own: Minute::of(log_from.plus(-JOURNAL_MARGIN_MS)),
            // The journal's beginning has passed, so this is older than the id window.
            client: Minute::of(log_from.plus(-ID_WINDOW_MS.max(JOURNAL_MARGIN_MS))),
        }
    }

    /// Whether the counts alone can stand for the record from now on.
    pub(super) fn folds(self, id: RecordId, record: &Record) -> bool {
        let before = if id.is_own() { self.own } else { self.client };
        !record.stays() && record.minute < before
    }
}

/// What a checkpoint will do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) cutoffs: Cutoffs,
    /// Days before this one are closed.
    pub(super) open_from: Day,
}

impl Plan {
    /// The plan for a journal that is kept from `log_from` on.
    pub(super) fn new(log_from: Millis, zone: &Zone) -> Self {
        Self {
            cutoffs: Cutoffs::of(log_from),
            open_from: zone.day(log_from.plus(-DAY_OPEN_MS)),
        }
    }

    /// The plan of a checkpoint that comes between two: it folds nothing and closes no day.
    pub(super) fn between(zone: &Zone) -> Self {
        Self::new(Millis(0), zone)
    }
}

/// What changed in one shard.
pub(super) struct Batch {
    /// The round that the snapshot ended.
    pub(super) round: Round,
    pub(super) records: Frozen,
    pub(super) apps: Vec<(AppId, Vec<u8>)>,
    /// Days that are closed now, and months, by their numbers.
    pub(super) past_days: Vec<((i32, u64), Vec<u8>)>,
    pub(super) past_months: Vec<((i32, u64), Vec<u8>)>,
    /// Chunks of users, by (day, app, number).
    pub(super) chunks: Vec<((i32, u64, u32), Vec<u8>)>,
    /// Objects that came or went.
    pub(super) objects: Arc<Layer>,
    /// Users who came when their day was closed.
    pub(super) too_late: Vec<(AppId, Day, u64)>,
    /// Apps whose tombstones are forgotten.
    pub(super) without_tombs: Vec<AppId>,
}

impl Batch {
    /// A batch to put apps and users into.
    pub(super) fn new(round: Round, records: Frozen) -> Self {
        Self {
            round,
            records,
            apps: Vec::new(),
            past_days: Vec::new(),
            past_months: Vec::new(),
            chunks: Vec::new(),
            objects: Arc::default(),
            too_late: Vec::new(),
            without_tombs: Vec::new(),
        }
    }

    /// Writes it, in the order of the keys, so that neighbours share their page. Answers whether
    /// there was anything to write.
    fn write(
        &mut self,
        shard: Shard,
        cutoffs: Cutoffs,
        txn: &WriteTransaction,
    ) -> Result<bool, redb::Error> {
        let has_notes = !self.too_late.is_empty();
        if has_notes {
            notes::write(txn, &self.too_late)?;
        }
        let (gone, records) = self.records.rows(cutoffs);
        let objects = self.objects.rows();
        let nothing = self.apps.is_empty() && self.chunks.is_empty() && objects.is_empty();
        if nothing && gone.is_empty() && records.is_empty() {
            return Ok(has_notes);
        }
        self.write_objects(&objects, txn)?;
        let mut table = txn.open_table(RECORDS)?;
        for row in gone {
            table.remove(row)?;
        }
        for (row, value) in records {
            table.insert(row, value.as_slice())?;
        }
        let mut table = txn.open_table(APPS)?;
        self.apps.sort_unstable_by_key(|(app, _)| *app);
        for (app, value) in self.apps.drain(..) {
            table.insert((shard.number(), app.get()), value.as_slice())?;
        }
        let mut table = txn.open_table(USERS)?;
        self.chunks.sort_unstable_by_key(|(key, _)| *key);
        for (key, value) in self.chunks.drain(..) {
            table.insert(key, value.as_slice())?;
        }
        for (past, rows) in [
            (PAST_DAYS, &mut self.past_days),
            (PAST_MONTHS, &mut self.past_months),
        ] {
            let mut table = txn.open_table(past)?;
            rows.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in rows.drain(..) {
                table.insert(key, value.as_slice())?;
            }
        }
        Ok(true)
    }

    /// A row for each object that came or went, and none for tombstones that are forgotten.
    fn write_objects(
        &mut self,
        rows: &[(Name, Place)],
        txn: &WriteTransaction,
    ) -> Result<(), redb::Error> {
        if rows.is_empty() && self.without_tombs.is_empty() {
            return Ok(());
        }
        let mut objects = txn.open_table(OBJECTS)?;
        let mut tombs = txn.open_table(TOMBS)?;
        for ((app, object), place) in rows {
            let row = (app.get(), object.0);
            match place {
                Place::Counted(kind) => objects.insert(row, *kind as u8)?,
                _ => objects.remove(row)?,
            };
            match place {
                Place::Tomb(number) => tombs.insert(row, *number)?,
                _ => tombs.remove(row)?,
            };
        }
        for app in self.without_tombs.drain(..) {
            // Each was written once, and goes once: no batch has more of this than those before it had.
            tombs.retain_in((app.get(), 0)..=(app.get(), u128::MAX), |_, _| false)?;
        }
        Ok(())
    }
}

/// What a checkpoint has written.
#[derive(Default)]
pub(super) struct Written {
    /// Each shard's snapshot, emptied but for its records' names.
    pub(super) batches: Vec<(Shard, Batch)>,
    /// Records that were folded, by their shard's number.
    pub(super) folded: Vec<(u16, RecordId, Minute)>,
}

/// Writes what `snapshot` gives of each shard, folds old records, drops the users of closed days, and
/// does what `also` does. That answers whether there was anything to write.
pub(super) fn write(
    file: &LedgerFile,
    plan: Plan,
    mut snapshot: impl FnMut(Shard) -> Result<Batch, StoreFault>,
    also: impl FnOnce(&WriteTransaction) -> Result<bool, redb::Error>,
) -> Result<Written, StoreFault> {
    let mut written = Written::default();
    let mut stopped = Ok(());
    file.write(|txn| {
        let mut changed = false;
        for shard in Shard::all() {
            match snapshot(shard) {
                Ok(mut batch) => {
                    changed |= batch.write(shard, plan.cutoffs, txn)?;
                    written.batches.push((shard, batch));
                }
                Err(fault) => {
                    stopped = Err(fault);
                    return Ok(false);
                }
            }
        }
        changed |= fold(txn, plan.cutoffs, &mut written.folded)?;
        changed |= close_days(txn, plan.open_from)?;
        changed |= forget(txn, plan.open_from.month().number(), file.retention)?;
        changed |= also(txn)?;
        Ok(changed)
    })?;
    stopped.map(|()| written)
}

/// Removes the records that the counts alone can stand for from now on.
fn fold(
    txn: &WriteTransaction,
    cutoffs: Cutoffs,
    folded: &mut Vec<(u16, RecordId, Minute)>,
) -> Result<bool, redb::Error> {
    let mut records = txn.open_table(RECORDS)?;
    let before = folded.len();
    for (own, until) in [(0, cutoffs.client), (1, cutoffs.own)] {
        records.retain_in((own, 0, 0, 0)..(own, until.0, 0, 0), |row, value| {
            let (_, minute, shard, id) = row;
            if format::stays(value) {
                return true;
            }
            folded.push((shard, RecordId::from_number(id), Minute(minute)));
            false
        })?;
    }
    Ok(folded.len() > before)
}

/// Drops the users of days before `open_from`; their number is in the history.
fn close_days(txn: &WriteTransaction, open_from: Day) -> Result<bool, redb::Error> {
    let number = open_from.number();
    let mut meta = txn.open_table(META)?;
    let stored = meta.get(OPEN_FROM)?.map(|bytes| bytes.value().to_vec());
    let stored = stored.and_then(|bytes| bytes.try_into().ok().map(i32::from_le_bytes));
    if stored.is_some_and(|stored| stored >= number) {
        return Ok(false);
    }
    meta.insert(OPEN_FROM, number.to_le_bytes().as_slice())?;
    txn.open_table(USERS)?
        .retain_in(..(number, 0, 0), |_, _| false)?;
    Ok(true)
}

/// Removes days and months whose time is over in the month of that number, some with each checkpoint. A month that
/// was corrected keeps its days: its peaks are found from them.
fn forget(txn: &WriteTransaction, month: i32, kept: Retention) -> Result<bool, redb::Error> {
    let kept_from = |months: i32| Month::from_number(month - months + 1);
    let days = kept_from(kept.days()).map(|first| first.first_day().number());
    let months = kept_from(kept.months()).map(Month::number);
    let oldest = kept_from(kept.months()).map(|first| first.first_day().number());
    let corrected = notes::corrected_months(txn)?;
    let stays = |(number, app): (i32, u64)| {
        let month = Day::from_number(number).map(|day| (day.month().number(), app));
        let is_corrected = month.is_some_and(|month| corrected.contains(&month));
        is_corrected && oldest.is_none_or(|oldest| number >= oldest)
    };
    let mut removed = false;
    for (past, until, are_days) in [
        (PAST_DAYS, days, true),
        (PAST_MONTHS, months, false),
        (BILLS, months, false),
        (NOTES, months, false),
    ] {
        let Some(until) = until else { continue };
        let mut table = txn.open_table(past)?;
        let mut old = Vec::new();
        for row in table.range(..(until, 0))? {
            let key = row?.0.value();
            if !(are_days && stays(key)) {
                old.push(key);
            }
            if old.len() >= FORGET_MAX {
                break;
            }
        }
        removed |= !old.is_empty();
        for key in old {
            table.remove(key)?;
        }
    }
    Ok(removed)
}
