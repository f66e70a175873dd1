//! How a member's journal ends: it is marked as *leaving* before the ledger folds the first of its sums,
//! and as *left* when the leave is complete.
//!
//! A start that finds either mark begins a new member in the same folder, for the same installation. What
//! a leaving one has yet to do stays here as a *predecessor*: some of its sums are folded already, so
//! nothing may be added to them, and the rest must neither be lost nor told twice.
//!
//! The change is one transaction of the database. What it makes superfluous, the log of the old member,
//! is removed after it and before a new log begins.

use bytes::{Buf, BufMut};
use redb::{ReadableDatabase, TableDefinition};

use super::checkpoint::{
    CELLS, CellRow, Checkpoint, ESCROWS, EscrowRow, IDENTITY, RELEASES, TAKES,
};
use super::roll::{self, Standing};
use super::{Fault, Folder, Identity, checkpoint, replay};
use crate::chance;

/// The row of [`IDENTITY`] that says that the member parts: 1 leaving, 2 left.
const PARTING: &str = "parting";
/// The row of [`IDENTITY`] with the member that has yet to leave: incarnation, boot, standing.
const PREDECESSOR: &str = "predecessor";
/// The row of [`IDENTITY`] that says that no segment of the log counts any more.
const LOG_IS_VOID: &str = "log_is_void";

/// The sums of the predecessor.
pub(super) const PARTED_CELLS: TableDefinition<(u64, u8, i32), CellRow> =
    TableDefinition::new("parted_cells");
/// The predecessor's accounts of cells that a limit guarded.
pub(super) const PARTED_ESCROWS: TableDefinition<(u64, u8, i32), EscrowRow> =
    TableDefinition::new("parted_escrows");

/// How far a member has parted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// All is told and returned; the ledger may have begun to fold its sums.
    Leaving,
    /// The ledger needs it no more.
    Left,
}

/// The member that had this journal before, and has yet to leave. All that it counted was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predecessor {
    /// Its incarnation.
    pub incarnation: u64,
    /// How often its journal was opened, by its successor too.
    pub boot: u32,
    /// How it stands with the ledger.
    pub standing: Standing,
}

impl Predecessor {
    fn encode(&self) -> Vec<u8> {
        let mut row = Vec::new();
        row.put_u64_le(self.incarnation);
        row.put_u32_le(self.boot);
        self.standing.put(&mut row);
        row
    }

    fn decode(mut row: &[u8]) -> Option<Self> {
        Some(Self {
            incarnation: row.try_get_u64_le().ok()?,
            boot: row.try_get_u32_le().ok()?,
            standing: Standing::get(row)?,
        })
    }
}

/// Begins a new member, if the last one parted.
///
/// # Errors
/// [`Fault`]; the next start goes on where this one was broken off.
pub(super) fn succeed(folder: &Folder, checkpoint: &Checkpoint) -> Result<(), Fault> {
    let database = folder.path().join(super::DATABASE);
    let words = |why| Fault::Damaged(database.clone(), why);
    let damaged = |error: redb::Error| Fault::damaged(&database, error);
    if let (Some(parting), Some(known)) = (
        checkpoint.parting().map_err(words)?,
        checkpoint.identity().map_err(words)?,
    ) {
        let left = replay::replay(folder, checkpoint, known.incarnation)?;
        // First laid over the checkpoint, with its log still there: doing that twice does no harm.
        let begins = checkpoint.log_begins().map_err(words)?;
        let begins = begins.unwrap_or(left.next);
        checkpoint
            .save(&left.apps, &left.state, None, begins)
            .map_err(damaged)?;
        let predecessor = match parting {
            Parting::Left => None,
            Parting::Leaving => Some(Predecessor {
                incarnation: known.incarnation,
                boot: known.boot,
                standing: checkpoint.standing().map_err(words)?,
            }),
        };
        checkpoint
            .part_from(&known, predecessor.as_ref())
            .map_err(damaged)?;
    }
    if checkpoint.log_is_void().map_err(damaged)? {
        for (_, path) in folder.segments()? {
            std::fs::remove_file(&path).map_err(|error| Fault::Io(path.clone(), error))?;
        }
        checkpoint.clear(LOG_IS_VOID).map_err(damaged)?;
    }
    if let Some(mut predecessor) = checkpoint.predecessor().map_err(words)? {
        // Each process that speaks for it is a boot of its own, or the ledger would take it for a copy.
        predecessor.boot = predecessor.boot.saturating_add(1);
        checkpoint.keep_predecessor(&predecessor).map_err(damaged)?;
    }
    Ok(())
}

impl Checkpoint {
    /// How far the member has parted.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parting(&self) -> Result<Option<Parting>, String> {
        match self.row(PARTING).map_err(|error| error.to_string())? {
            None => Ok(None),
            Some(row) if row == [1] => Ok(Some(Parting::Leaving)),
            Some(row) if row == [2] => Ok(Some(Parting::Left)),
            Some(_) => Err("holds a damaged mark of leaving".into()),
        }
    }

    /// Marks how far the member has parted, durably.
    ///
    /// # Errors
    /// The database's own.
    pub fn part(&self, parting: Parting) -> Result<(), redb::Error> {
        let code = match parting {
            Parting::Leaving => 1,
            Parting::Left => 2,
        };
        self.put_row(PARTING, &[code])
    }

    /// The member that has yet to leave, if there is one.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn predecessor(&self) -> Result<Option<Predecessor>, String> {
        match self.row(PREDECESSOR).map_err(|error| error.to_string())? {
            None => Ok(None),
            Some(row) => Predecessor::decode(&row)
                .map(Some)
                .ok_or_else(|| "holds a damaged predecessor".into()),
        }
    }

    /// Writes what is known of the predecessor, durably.
    ///
    /// # Errors
    /// The database's own.
    pub fn keep_predecessor(&self, predecessor: &Predecessor) -> Result<(), redb::Error> {
        self.put_row(PREDECESSOR, &predecessor.encode())
    }

    /// The predecessor has left: all that was its own goes.
    ///
    /// # Errors
    /// The database's own.
    pub fn forget_predecessor(&self) -> Result<(), redb::Error> {
        let write = self.begin_write()?;
        write.open_table(IDENTITY)?.remove(PREDECESSOR)?;
        write.delete_table(PARTED_CELLS)?;
        write.open_table(PARTED_CELLS)?;
        write.delete_table(PARTED_ESCROWS)?;
        write.open_table(PARTED_ESCROWS)?;
        write.commit()?;
        Ok(())
    }

    /// One step: `known` is the member of this journal no more, a new one is. Logins that wait are no
    /// member's own and stay. Nothing else is owed by a member that parts.
    fn part_from(
        &self,
        known: &Identity,
        predecessor: Option<&Predecessor>,
    ) -> Result<(), redb::Error> {
        let write = self.begin_write()?;
        {
            let successor = Identity {
                incarnation: chance::draw(),
                boot: 0,
                installation: known.installation,
            };
            let mut identity = write.open_table(IDENTITY)?;
            identity.insert(
                checkpoint::MEMBER,
                checkpoint::encode_identity(&successor).as_slice(),
            )?;
            identity.remove(checkpoint::LOG_BEGINS)?;
            identity.remove(PARTING)?;
            identity.insert(LOG_IS_VOID, [1].as_slice())?;
            if let Some(predecessor) = predecessor {
                identity.insert(PREDECESSOR, predecessor.encode().as_slice())?;
            }
        }
        write.delete_table(PARTED_CELLS)?;
        write.delete_table(PARTED_ESCROWS)?;
        if predecessor.is_some() {
            write.rename_table(CELLS, PARTED_CELLS)?;
            write.rename_table(ESCROWS, PARTED_ESCROWS)?;
        } else {
            write.delete_table(CELLS)?;
            write.open_table(PARTED_CELLS)?;
            write.delete_table(ESCROWS)?;
            write.open_table(PARTED_ESCROWS)?;
        }
        write.open_table(CELLS)?;
        write.open_table(ESCROWS)?;
        write.delete_table(TAKES)?;
        write.open_table(TAKES)?;
        write.delete_table(RELEASES)?;
        write.open_table(RELEASES)?;
        roll::forget_standing(&write)?;
        write.commit()?;
        Ok(())
    }

    fn log_is_void(&self) -> Result<bool, redb::Error> {
        Ok(self.row(LOG_IS_VOID)?.is_some())
    }

    fn row(&self, name: &str) -> Result<Option<Vec<u8>>, redb::Error> {
        let table = self.db.begin_read()?.open_table(IDENTITY)?;
        Ok(table.get(name)?.map(|row| row.value().to_vec()))
    }

    fn put_row(&self, name: &str, row: &[u8]) -> Result<(), redb::Error> {
        let write = self.begin_write()?;
        write.open_table(IDENTITY)?.insert(name, row)?;
        write.commit()?;
        Ok(())
    }

    fn clear(&self, name: &str) -> Result<(), redb::Error> {
        let write = self.begin_write()?;
        write.open_table(IDENTITY)?.remove(name)?;
        write.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Day, Millis};
    use crate::ledger::journal::{DATABASE, Journal, Record, Whose};
    use crate::quota::{AppId, Resource};
    use crate::store::{Cell, Installation, Totals};

    const NOW: Millis = Millis(1_760_000_000_000);
    const CELL: Cell = Cell::Live(Resource::Group);
    const INSTALLATION: Installation = Installation {
        id: 5,
        user_key: [6; 16],
    };

    fn app() -> AppId {
        AppId::new(7).unwrap()
    }

    fn open(folder: &tempfile::TempDir) -> Journal {
        let locked = Folder::lock(folder.path()).unwrap();
        Journal::open(locked, NOW).unwrap().0
    }

    /// A member that counted five groups, and parts. Answers its incarnation.
    fn parts(folder: &tempfile::TempDir, parting: Parting) -> u64 {
        let journal = open(folder);
        journal.belong_to(INSTALLATION).unwrap();
        let totals = Totals {
            consumed: 5,
            released: 0,
        };
        let login = Record::Logins(app(), Day::from_number(20_000).unwrap(), vec![9]);
        for record in [Record::Totals(app(), CELL, totals), login] {
            journal.append(&record.frame(), NOW).unwrap();
        }
        let standing = Standing {
            epoch: 3,
            restated: 3,
            knows: true,
            ..Standing::default()
        };
        journal.keep_standing(&standing).unwrap();
        journal.part(parting).unwrap();
        journal.identity().incarnation
    }

    fn groups(journal: &Journal, whose: Whose) -> Option<u64> {
        let page = journal.cells_page(whose, None, 10).unwrap();
        page.first().map(|(_, cells)| cells[0].1.totals.consumed)
    }

    #[test]
    fn a_start_after_a_leave_begins_a_new_member_of_the_same_installation() {
        let folder = tempfile::tempdir().unwrap();
        let old = parts(&folder, Parting::Left);
        let locked = Folder::lock(folder.path()).unwrap();
        let (journal, left, unsettled) = Journal::open(locked, NOW).unwrap();
        let identity = journal.identity();
        assert_ne!(identity.incarnation, old);
        assert_eq!(
            (identity.boot, identity.installation),
            (1, Some(INSTALLATION))
        );
        assert_eq!(journal.standing().unwrap(), Standing::default());
        assert_eq!(
            (groups(&journal, Whose::Own), unsettled),
            (None, Vec::new())
        );
        assert_eq!(left.logins.len(), 1, "who waits is no member's own");
        assert_eq!(journal.predecessor().unwrap(), None);
        drop(journal);
        let again = open(&folder).identity();
        assert_eq!((again.incarnation, again.boot), (identity.incarnation, 2));
    }

    #[test]
    fn what_a_leaving_member_has_yet_to_do_is_kept_apart() {
        let folder = tempfile::tempdir().unwrap();
        let old = parts(&folder, Parting::Leaving);
        for boot in 2..4 {
            let journal = open(&folder);
            assert_ne!(journal.identity().incarnation, old);
            let predecessor = journal.predecessor().unwrap().unwrap();
            assert_eq!((predecessor.incarnation, predecessor.boot), (old, boot));
            assert_eq!(predecessor.standing.restated, 3);
            assert_eq!(groups(&journal, Whose::Predecessor), Some(5));
            assert_eq!(groups(&journal, Whose::Own), None);
        }
        let journal = open(&folder);
        journal.forget_predecessor().unwrap();
        assert_eq!(groups(&journal, Whose::Predecessor), None);
        drop(journal);
        assert_eq!(open(&folder).predecessor().unwrap(), None);
    }

    #[test]
    fn a_kill_before_the_old_log_is_removed_brings_nothing_of_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let old = parts(&folder, Parting::Left);
        {
            let checkpoint = Checkpoint::open(&folder.path().join(DATABASE)).unwrap();
            let known = checkpoint.identity().unwrap().unwrap();
            checkpoint.part_from(&known, None).unwrap();
        }
        let journal = open(&folder);
        assert_ne!(journal.identity().incarnation, old);
        assert_eq!(groups(&journal, Whose::Own), None);
        drop(journal);
        assert_eq!(open(&folder).identity().boot, 2);
    }
}
