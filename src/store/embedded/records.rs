//! The records of one shard, in three layers: those touched since the last snapshot, those that a
//! checkpoint is writing, and the names of those that lie in the file alone.
//!
//! A snapshot only moves the first layer to the second: however many records there are, no call
//! waits until they are written.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::checkpoint::Cutoffs;
use super::file::{LedgerFile, RecordRow, record_row};
use super::format;
use super::record::{Minute, Record, RecordId, State};
use crate::store::{Shard, StoreFault};

/// The most records that one shard remembers, in memory and in the file.
const RECORDS_MAX: usize = 1 << 22;

/// A record in memory, and whether the file has it.
#[derive(Debug, Clone)]
pub(super) struct Resident {
    record: Record,
    changed: bool,
    /// The minute under which the file has it, or an older state of it.
    row: Option<Minute>,
}

impl Resident {
    /// The record, to read.
    pub(super) fn get(&self) -> &Record {
        &self.record
    }

    /// The record, to change.
    pub(super) fn change(&mut self) -> &mut Record {
        self.changed = true;
        &mut self.record
    }

    /// Where it will lie after the checkpoint.
    fn row_after(&self, id: RecordId, cutoffs: Cutoffs) -> Option<Minute> {
        if !self.changed {
            return self.row;
        }
        let stays = self.record.state != State::Freed && !cutoffs.folds(id, &self.record);
        stays.then_some(self.record.minute)
    }
}

/// Records of one layer, by name.
pub(super) type Layer = FxHashMap<RecordId, Resident>;

/// The records of one shard.
pub(super) struct Records {
    shard: Shard,
    live: Layer,
    frozen: Arc<Layer>,
    /// Where a record lies that is in no layer above. A new id is not here, which spares it a look
    /// into the file.
    stored: FxHashMap<RecordId, Minute>,
}

impl Records {
    pub(super) fn new(shard: Shard) -> Self {
        Self {
            shard,
            live: Layer::default(),
            frozen: Arc::default(),
            stored: FxHashMap::default(),
        }
    }

    /// Takes note of a record that the file has.
    pub(super) fn note_stored(&mut self, id: RecordId, minute: Minute) {
        self.stored.insert(id, minute);
    }

    /// The record of that name, unless it was never there, was withdrawn or is folded.
    pub(super) fn find(
        &mut self,
        file: &LedgerFile,
        id: RecordId,
    ) -> Result<Option<&mut Resident>, StoreFault> {
        if !self.live.contains_key(&id)
            && let Some(found) = self.look_below(file, id)?
        {
            self.live.insert(id, found);
        }
        let found = self.live.get_mut(&id);
        Ok(found.filter(|resident| resident.record.state != State::Freed))
    }

    /// As [`Records::find`], for who changes nothing and asks for many.
    pub(super) fn look(
        &self,
        file: &LedgerFile,
        id: RecordId,
    ) -> Result<Option<Record>, StoreFault> {
        let found = match self.live.get(&id) {
            Some(live) => Some(live.clone()),
            None => self.look_below(file, id)?,
        };
        let record = found.map(|resident| resident.record);
        Ok(record.filter(|record| record.state != State::Freed))
    }

    fn look_below(&self, file: &LedgerFile, id: RecordId) -> Result<Option<Resident>, StoreFault> {
        if let Some(frozen) = self.frozen.get(&id) {
            return Ok(Some(Resident {
                changed: false,
                ..frozen.clone()
            }));
        }
        let Some(minute) = self.stored.get(&id).copied() else {
            return Ok(None);
        };
        let found = file.record(self.shard, id, minute)?;
        Ok(found.map(|record| Resident {
            record,
            changed: false,
            row: Some(minute),
        }))
    }

    /// Makes sure that one more record can be written.
    pub(super) fn make_room(&self) -> Result<(), StoreFault> {
        if self.live.len() + self.frozen.len() + self.stored.len() < RECORDS_MAX {
            return Ok(());
        }
        Err(StoreFault::Away(format!(
            "ledger shard {} remembers {RECORDS_MAX} request ids, the most it can; the oldest go after 10 minutes",
            self.shard.number()
        )))
    }

    /// Writes a record of which [`Records::find`] found nothing.
    pub(super) fn write(&mut self, id: RecordId, record: Record) {
        let fresh = Resident {
            record: record.clone(),
            changed: true,
            row: None,
        };
        // One that was freed may still lie in the file.
        *self.live.entry(id).or_insert(fresh).change() = record;
    }

    /// Hands out all that was touched since the last snapshot.
    pub(super) fn snapshot(&mut self) -> Frozen {
        let mut frozen = std::mem::take(&mut self.live);
        // Not empty only if the last checkpoint failed: what it had goes with this one.
        for (id, older) in Arc::make_mut(&mut self.frozen).drain() {
            frozen
                .entry(id)
                .and_modify(|newer| newer.changed |= older.changed)
                .or_insert(older);
        }
        self.frozen = Arc::new(frozen);
        Frozen {
            shard: self.shard,
            layer: Arc::clone(&self.frozen),
        }
    }

    /// Takes note that the file has these records of the snapshot.
    pub(super) fn saved(&mut self, some: &[(RecordId, Option<Minute>)]) {
        for (id, row) in some {
            self.stored.remove(id);
            if let Some(touched) = self.live.get_mut(id) {
                touched.row = *row;
            } else if let Some(held) = self.frozen.get(id).filter(|r| r.record.is_awaited()) {
                // Its answer is about to be reported.
                let held = Resident {
                    record: held.record.clone(),
                    changed: false,
                    row: *row,
                };
                self.live.insert(*id, held);
            } else if let Some(row) = row {
                self.stored.insert(*id, *row);
            }
        }
    }

    /// Takes note that the whole snapshot is in the file, and lets go of it.
    pub(super) fn all_saved(&mut self) -> Arc<Layer> {
        self.stored.shrink_to(2 * self.stored.len());
        std::mem::take(&mut self.frozen)
    }

    /// Takes note that the file no longer has these records.
    pub(super) fn folded(&mut self, some: &[(u16, RecordId, Minute)]) {
        for (_, id, minute) in some {
            if self.stored.get(id) == Some(minute) {
                self.stored.remove(id);
            }
            if let Some(touched) = self.live.get_mut(id)
                && touched.row == Some(*minute)
            {
                touched.row = None;
            }
        }
    }
}

/// A snapshot of one shard's records, to be written.
pub(super) struct Frozen {
    shard: Shard,
    layer: Arc<Layer>,
}

impl Frozen {
    /// The rows that are to be removed, and those that are to be written, in order.
    pub(super) fn rows(&self, cutoffs: Cutoffs) -> (Vec<RecordRow>, Vec<(RecordRow, Vec<u8>)>) {
        let (mut gone, mut written) = (Vec::new(), Vec::new());
        for (id, resident) in self.layer.iter().filter(|(_, resident)| resident.changed) {
            let after = resident.row_after(*id, cutoffs);
            if let Some(row) = resident.row
                && after != Some(row)
            {
                gone.push(record_row(self.shard, *id, row));
            }
            if let Some(row) = after
                && let Some(value) = format::write_record(&resident.record)
            {
                written.push((record_row(self.shard, *id, row), value));
            }
        }
        written.sort_unstable_by_key(|(row, _)| *row);
        (gone, written)
    }

    /// Where each record lies once the rows are written.
    pub(super) fn places(
        &self,
        cutoffs: Cutoffs,
    ) -> impl Iterator<Item = (RecordId, Option<Minute>)> {
        let layer = self.layer.iter();
        layer.map(move |(id, resident)| (*id, resident.row_after(*id, cutoffs)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::app::Parts;
    use super::super::file::tests::ledger_file;
    use super::super::record::Fell;
    use super::*;
    use crate::clock::Day;
    use crate::quota::{AppId, Resource};
    use crate::store::Fingerprint;

    const LATE: Cutoffs = Cutoffs {
        own: Minute(1),
        client: Minute(1),
    };

    fn record(minute: u32) -> Record {
        Record {
            app: AppId::new(1).unwrap(),
            fingerprint: Fingerprint(1),
            day: Day::from_number(0).unwrap(),
            minute: Minute(minute),
            parts: Parts::NONE,
            state: State::Released(Fell::of(Resource::Account, 1, 0)),
            reservation: None,
        }
    }

    #[test]
    fn a_record_that_changes_while_it_is_written_leaves_no_older_row() {
        let (file, _folder) = ledger_file();
        let shard = Shard::of(AppId::new(1).unwrap());
        let mut records = Records::new(shard);
        let id = RecordId::from_number(5);
        records.write(id, record(7));
        let frozen = records.snapshot();
        assert_eq!(frozen.rows(LATE).1[0].0, record_row(shard, id, Minute(7)));
        let there = records.find(&file, id).unwrap().unwrap();
        there.change().minute = Minute(8);
        let places: Vec<_> = frozen.places(LATE).collect();
        records.saved(&places);
        records.all_saved();
        let (gone, written) = records.snapshot().rows(LATE);
        assert_eq!(gone, [record_row(shard, id, Minute(7))]);
        assert_eq!(written[0].0, record_row(shard, id, Minute(8)));
    }
}
