//! The journal's calls about the member's fellows, and about its own parting. All that write wait for the
//! disk.

use std::path::Path;

use redb::{ReadableDatabase, TableDefinition};

use super::checkpoint::{CELLS, CellRow, ESCROWS, EscrowRow, account_of, saved_of};
use super::parting::{PARTED_CELLS, PARTED_ESCROWS, Parting, Predecessor};
use super::record::cell_of;
use super::roll::Standing;
use super::{DATABASE, Fault, Journal, Saved};
use crate::quota::AppId;
use crate::store::{Base, Bases, Cell, Shard};

/// Whose sums are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This member's.
    Own,
    /// Those of the member that had this journal before and has yet to leave.
    Predecessor,
}

/// App, tag and day of a cell.
type CellKey = (u64, u8, i32);
/// An app with all its cells.
pub(super) type AppCells = (AppId, Vec<(Cell, Saved)>);

impl Journal {
    /// Where the journal is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The database holds what makes no sense, in words.
    pub fn unreadable(&self, why: String) -> Fault {
        Fault::Damaged(self.folder.path().join(DATABASE), why)
    }

    /// How this member stood with the ledger when that was last kept.
    ///
    /// # Errors
    /// What went wrong, in words for the log; so with all calls of this file.
    pub fn standing(&self) -> Result<Standing, String> {
        self.checkpoint.standing()
    }

    /// Keeps the standing, durably.
    ///
    /// # Errors
    /// See [`Journal::standing`].
    pub fn keep_standing(&self, standing: &Standing) -> Result<(), String> {
        words(self.checkpoint.keep_standing(standing))
    }

    /// Up to which version the bases of each shard were learnt in `epoch`.
    ///
    /// # Errors
    /// See [`Journal::standing`].
    pub fn bases_upto(&self, epoch: u64) -> Result<Vec<u64>, String> {
        words(self.checkpoint.bases_upto(epoch))
    }

    /// Keeps bases learnt in `epoch`, durably.
    ///
    /// # Errors
    /// See [`Journal::standing`].
    pub fn keep_bases(&self, epoch: u64, learnt: &[(Shard, Bases)]) -> Result<(), String> {
        words(self.checkpoint.keep_bases(epoch, learnt))
    }

    /// Up to `most` known bases of `shard` behind `after`.
    ///
    /// # Errors
    /// See [`Journal::standing`].
    pub fn bases_page(
        &self,
        shard: Shard,
        after: Option<&Base>,
        most: usize,
    ) -> Result<Vec<Base>, String> {
        words(self.checkpoint.bases_page(shard, after, most))
    }

    /// Marks how far this member has parted, durably.
    ///
    /// # Errors
    /// See [`Journal::standing`].
    pub fn part(&self, parting: Parting) -> Result<(), String> {
        words(self.checkpoint.part(parting))
    }

    /// The member that has yet to leave before this one says hello.
    ///
    /// # Errors
    /// See [`Journal::standing`].
    pub fn predecessor(&self) -> Result<Option<Predecessor>, String> {
        self.checkpoint.predecessor()
    }

    /// Keeps what is known of the predecessor, durably.
    ///
    /// # Errors
    /// See [`Journal::standing`].
    pub fn keep_predecessor(&self, predecessor: &Predecessor) -> Result<(), String> {
        words(self.checkpoint.keep_predecessor(predecessor))
    }

    /// The predecessor has left.
    ///
    /// # Errors
    /// See [`Journal::standing`].
    pub fn forget_predecessor(&self) -> Result<(), String> {
        words(self.checkpoint.forget_predecessor())
    }

    /// Up to `most` apps behind `after` with their cells, as the last run left them, or as the last
    /// snapshot had them, by number.
    ///
    /// # Errors
    /// See [`Journal::standing`].
    pub fn cells_page(
        &self,
        whose: Whose,
        after: Option<AppId>,
        most: usize,
    ) -> Result<Vec<AppCells>, String> {
        match whose {
            Whose::Own => {
                let page = self.page_of((CELLS, ESCROWS), after, most);
                Ok(self.left.lay_over(words(page)?, after, most))
            }
            Whose::Predecessor => words(self.page_of((PARTED_CELLS, PARTED_ESCROWS), after, most)),
        }
    }

    fn page_of(
        &self,
        (cells, escrows): (
            TableDefinition<CellKey, CellRow>,
            TableDefinition<CellKey, EscrowRow>,
        ),
        after: Option<AppId>,
        most: usize,
    ) -> Result<Vec<AppCells>, redb::Error> {
        let read = self.checkpoint.db.begin_read()?;
        let (table, escrows) = (read.open_table(cells)?, read.open_table(escrows)?);
        let Some(from) = after.map_or(Some(0), |app| app.get().checked_add(1)) else {
            return Ok(Vec::new());
        };
        let mut page: Vec<AppCells> = Vec::new();
        for row in table.range((from, 0, i32::MIN)..)? {
            let (key, row) = row?;
            let (app, tag, day) = key.value();
            let (Some(app), Some(cell)) = (AppId::new(app), cell_of(tag, day)) else {
                continue;
            };
            if page.last().is_none_or(|(last, _)| *last != app) {
                if page.len() >= most {
                    break;
                }
                page.push((app, Vec::new()));
            }
            let escrow = escrows.get(key.value())?;
            let account = escrow.map(|row| Box::new(account_of(row.value())));
            let saved = saved_of(row.value());
            if let Some((_, cells)) = page.last_mut() {
                cells.push((cell, Saved { account, ..saved }));
            }
        }
        Ok(page)
    }
}

fn words<T>(outcome: Result<T, redb::Error>) -> Result<T, String> {
    outcome.map_err(|error| error.to_string())
}
