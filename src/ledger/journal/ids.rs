//! Requests that are remembered, in the checkpoint: one row for those of each save, gone when the last
//! of them is too old.

use redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::super::ids::Known;
use super::Journal;
use super::checkpoint::Checkpoint;
use super::record::{get_once, put_once};
use crate::clock::Millis;
use crate::quota::IdPolicy;

/// By the number of the save: when the last of them came, and all of them.
pub(super) const IDS: TableDefinition<u64, (i64, &[u8])> = TableDefinition::new("ids");
/// The most in a row: 36 bytes each.
const ROW_MAX: usize = 65_536;

/// Adds those of a save; forgets what is older than any window.
pub(super) fn save(write: &WriteTransaction, ids: &[Known]) -> Result<(), redb::Error> {
    let mut table = write.open_table(IDS)?;
    let Some(newest) = ids.iter().map(|known| known.at).max() else {
        return Ok(());
    };
    let is_over = |at: i64| u128::from(newest.since(Millis(at))) > IdPolicy::WINDOW_MAX.as_millis();
    // The oldest lie in front; what is behind them need not be read.
    while let Some((number, _)) = oldest(&table)?.filter(|(_, at)| is_over(*at)) {
        table.remove(number)?;
    }
    let next = table.last()?.map_or(0, |(number, _)| number.value() + 1);
    for (number, some) in (next..).zip(ids.chunks(ROW_MAX)) {
        let mut row = Vec::new();
        for known in some {
            put_once(&mut row, known);
        }
        table.insert(number, (newest.0, row.as_slice()))?;
    }
    Ok(())
}

/// The number of the oldest row, and when the last of it came.
fn oldest(
    table: &impl ReadableTable<u64, (i64, &'static [u8])>,
) -> Result<Option<(u64, i64)>, redb::Error> {
    let first = table.first()?;
    Ok(first.map(|(number, row)| (number.value(), row.value().0)))
}

impl Checkpoint {
    /// All requests that were saved, in their order.
    ///
    /// # Errors
    /// What is wrong, in words.
    fn ids(&self) -> Result<Vec<Known>, String> {
        let read = || -> Result<Option<Vec<Known>>, redb::Error> {
            let mut ids = Vec::new();
            for row in self.db.begin_read()?.open_table(IDS)?.iter()? {
                let (_, row) = row?;
                let (_, mut row) = row.value();
                while !row.is_empty() {
                    let Some(known) = get_once(&mut row) else {
                        return Ok(None);
                    };
                    ids.push(known);
                }
            }
            Ok(Some(ids))
        };
        let ids = read().map_err(|error| error.to_string())?;
        ids.ok_or_else(|| "holds a damaged request id".into())
    }
}

impl Journal {
    /// The requests that the checkpoint remembers, in their order.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn ids(&self) -> Result<Vec<Known>, String> {
        self.checkpoint.ids()
    }
}
