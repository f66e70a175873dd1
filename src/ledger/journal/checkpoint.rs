//! The journal's checkpoint: a small database that holds what the log said up to some point, so that
//! the log can be cut. It answers who the member is, and what an app's sums were.

use std::collections::BTreeMap;
use std::path::Path;

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use super::super::escrow::SavedAccount;
use super::fellows::AppCells;
use super::left::{AppsCells, Unsettled};
use super::parting::{PARTED_CELLS, PARTED_ESCROWS};
use super::record::{
    cell_code, cell_of, generation_of, get_give_back, get_take, put_give_back, put_take, sent_of,
};
use super::{
    Fault, Identity, LoginKey, OwedRelease, OwedTake, Saved, Snapshot, ids, register, roll,
};
use crate::clock::{Day, Millis};
use crate::database;
use crate::quota::AppId;
use crate::store::{Attempt, Cell, Escrow, Installation, Totals};

const FORMAT: u8 = 3;
const CACHE_BYTES: usize = 4 * 1024 * 1024;

pub(super) const IDENTITY: TableDefinition<&str, &[u8]> = TableDefinition::new("identity");
/// The row of [`IDENTITY`] that says who the member is.
pub(super) const MEMBER: &str = "member";
/// The row of [`IDENTITY`] with the number of the log's first segment, little-endian.
pub(super) const LOG_BEGINS: &str = "log_begins";
/// consumed, released, acknowledged consumed, acknowledged released, high
pub(super) type CellRow = (u64, u64, u64, u64, i64);
pub(super) const CELLS: TableDefinition<(u64, u8, i32), CellRow> = TableDefinition::new("cells");
/// generation, offset, taken, given, granted, done; then what was acknowledged of generation, taken,
/// given and done. Only of cells that a limit guards.
pub(super) type EscrowRow = (u64, i64, u64, u64, u64, u64, u64, u64, u64, u64);
pub(super) const ESCROWS: TableDefinition<(u64, u8, i32), EscrowRow> =
    TableDefinition::new("escrows");
/// The state (0 open, 1 to abort, 2 allowed, from 3 on denied by that counter), when it was
/// sent, the generation in which own sums contain it (the largest number: none), and the take.
pub(super) const TAKES: TableDefinition<u64, (u8, i64, u64, &[u8])> = TableDefinition::new("takes");
/// When it was first sent (0: never), whether own sums contain it, and the release.
pub(super) const RELEASES: TableDefinition<u64, (i64, bool, &[u8])> =
    TableDefinition::new("releases");
const LOGINS: TableDefinition<(u64, i32, u128), ()> = TableDefinition::new("logins");

/// The open database.
#[derive(Debug)]
pub struct Checkpoint {
    pub(super) db: Database,
}

impl Checkpoint {
    /// Opens the database, or makes it. Every page is checked, so that damage is found here and not
    /// in the middle of a call.
    ///
    /// # Errors
    /// [`Fault::Damaged`] if it is not one that this version wrote.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let db = database::open(path, CACHE_BYTES).map_err(|error| Fault::damaged(path, error))?;
        let this = Self { db };
        this.prepare()
            .map_err(|error| Fault::damaged(path, error))?;
        Ok(this)
    }

    /// A durable write. With two phases the commit that the file points to is whole at any moment:
    /// damage is found, and never mended by going back to an older commit without a word.
    pub(super) fn begin_write(&self) -> Result<WriteTransaction, redb::Error> {
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        write.set_two_phase_commit(true);
        Ok(write)
    }

    /// Makes all tables, so that reading never meets a missing one.
    fn prepare(&self) -> Result<(), redb::Error> {
        let write = self.begin_write()?;
        write.open_table(IDENTITY)?;
        write.open_table(CELLS)?;
        write.open_table(ESCROWS)?;
        write.open_table(TAKES)?;
        write.open_table(RELEASES)?;
        write.open_table(LOGINS)?;
        write.open_table(PARTED_CELLS)?;
        write.open_table(PARTED_ESCROWS)?;
        write.open_table(ids::IDS)?;
        roll::prepare(&write)?;
        register::prepare(&write)?;
        write.commit()?;
        Ok(())
    }

    /// Who the member is; `None` in a new journal.
    ///
    /// # Errors
    /// What is wrong with the row, in words.
    pub fn identity(&self) -> Result<Option<Identity>, String> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.db.begin_read()?.open_table(IDENTITY)?;
            Ok(table.get(MEMBER)?.map(|row| row.value().to_vec()))
        };
        match read().map_err(|error| error.to_string())? {
            None => Ok(None),
            Some(row) => decode_identity(&row).map(Some),
        }
    }

    /// The first segment of the log that goes with this checkpoint; `None` before the first save.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn log_begins(&self) -> Result<Option<u64>, String> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.db.begin_read()?.open_table(IDENTITY)?;
            Ok(table.get(LOG_BEGINS)?.map(|row| row.value().to_vec()))
        };
        let Some(row) = read().map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        match row.try_into() {
            Ok(number) => Ok(Some(u64::from_le_bytes(number))),
            Err(_) => Err("holds a damaged number of its log".into()),
        }
    }

    /// Writes who the member is, durably.
    ///
    /// # Errors
    /// The database's own.
    pub fn set_identity(&self, identity: &Identity) -> Result<(), redb::Error> {
        let write = self.begin_write()?;
        write
            .open_table(IDENTITY)?
            .insert(MEMBER, encode_identity(identity).as_slice())?;
        write.commit()?;
        Ok(())
    }

    /// An app's cells as the last snapshot had them.
    ///
    /// # Errors
    /// The database's own.
    pub fn cells_of(&self, app: AppId) -> Result<Vec<(Cell, Saved)>, redb::Error> {
        let mut cells = self.cells_of_all(std::iter::once(app))?;
        Ok(cells.pop().map(|(_, cells)| cells).unwrap_or_default())
    }

    /// The cells of some apps. In the order of their numbers each page is read once.
    ///
    /// # Errors
    /// The database's own.
    pub fn cells_of_all(
        &self,
        apps: impl Iterator<Item = AppId>,
    ) -> Result<Vec<AppCells>, redb::Error> {
        let read = self.db.begin_read()?;
        let (cells, escrows) = (read.open_table(CELLS)?, read.open_table(ESCROWS)?);
        apps.map(|app| Ok((app, Self::read_cells(&cells, &escrows, app)?)))
            .collect()
    }

    fn read_cells(
        table: &impl ReadableTable<(u64, u8, i32), CellRow>,
        escrows: &impl ReadableTable<(u64, u8, i32), EscrowRow>,
        app: AppId,
    ) -> Result<Vec<(Cell, Saved)>, redb::Error> {
        let rows = table.range((app.get(), 0, i32::MIN)..=(app.get(), u8::MAX, i32::MAX))?;
        let mut cells = Vec::new();
        for row in rows {
            let (key, row) = row?;
            let (_, tag, day) = key.value();
            if let Some(cell) = cell_of(tag, day) {
                let escrow = escrows.get(key.value())?;
                let account = escrow.map(|row| Box::new(account_of(row.value())));
                let saved = saved_of(row.value());
                cells.push((cell, Saved { account, ..saved }));
            }
        }
        Ok(cells)
    }

    /// Whether any app has sums here.
    ///
    /// # Errors
    /// The database's own.
    pub fn has_cells(&self) -> Result<bool, redb::Error> {
        let table = self.db.begin_read()?.open_table(CELLS)?;
        Ok(table.first()?.is_some())
    }

    /// Apps of which some sum was not acknowledged when it was saved; those of `left` as they are there.
    ///
    /// # Errors
    /// The database's own.
    pub fn unsettled(&self, left: &AppsCells) -> Result<Vec<Unsettled>, redb::Error> {
        let read = self.db.begin_read()?;
        let escrows = read.open_table(ESCROWS)?;
        let mut escrows = escrows.iter()?;
        let mut escrow = escrows.next().transpose()?;
        let mut unsettled: Vec<_> = left
            .iter()
            .filter_map(|(app, cells)| Unsettled::of(*app, cells))
            .collect();
        let (mut of, mut cells) = (None, Vec::new());
        for row in read.open_table(CELLS)?.iter()? {
            let (key, row) = row?;
            let (key, mut saved) = (key.value(), saved_of(row.value()));
            // Both tables have the same order, and no account is without its cell.
            if let Some((account, row)) = &escrow
                && account.value() == key
            {
                saved.account = Some(Box::new(account_of(row.value())));
                escrow = escrows.next().transpose()?;
            }
            let (Some(app), Some(cell)) = (AppId::new(key.0), cell_of(key.1, key.2)) else {
                continue;
            };
            if of.is_some_and(|of| of != app) {
                unsettled.extend(of.and_then(|of| Unsettled::of(of, &cells)));
                cells.clear();
            }
            of = Some(app).filter(|app| !left.contains_key(app));
            if of.is_some() && saved.is_owed() {
                cells.push((cell, saved));
            }
        }
        unsettled.extend(of.and_then(|of| Unsettled::of(of, &cells)));
        Ok(unsettled)
    }

    /// What was owed when the last snapshot was taken.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn owed(&self) -> Result<Snapshot, String> {
        let read = || -> Result<Option<Snapshot>, redb::Error> {
            let read = self.db.begin_read()?;
            let mut owed = Snapshot::default();
            for row in read.open_table(TAKES)?.iter()? {
                let (attempt, row) = row?;
                let (state, at, contained, mut take) = row.value();
                let state = OwedTake::state_of(state, generation_of(contained));
                let (Some(state), Some(take)) = (state, get_take(&mut take)) else {
                    return Ok(None);
                };
                let at = Millis(at);
                let attempt = Attempt(attempt.value());
                owed.takes.insert(attempt, OwedTake { take, at, state });
            }
            for row in read.open_table(RELEASES)?.iter()? {
                let (number, row) = row?;
                let (at, gave, mut give_back) = row.value();
                let Some(give_back) = get_give_back(&mut give_back) else {
                    return Ok(None);
                };
                owed.releases.insert(
                    number.value(),
                    OwedRelease {
                        sent: sent_of(at),
                        give_back,
                        gave,
                    },
                );
            }
            for row in read.open_table(LOGINS)?.iter()? {
                let (app, day, user) = row?.0.value();
                let (Some(app), Some(day)) = (AppId::new(app), Day::from_number(day)) else {
                    return Ok(None);
                };
                owed.logins.insert(LoginKey { app, day, user });
            }
            Ok(Some(owed))
        };
        read()
            .map_err(|error| error.to_string())?
            .ok_or_else(|| "holds a row that makes no sense".into())
    }

    /// Writes a snapshot, durably: `left` and then changed cells are laid over, what is owed replaces what
    /// was, cells of days before `drop_before` go. What is newer lies in the log from segment `log_begins`
    /// on.
    ///
    /// # Errors
    /// The database's own; nothing is changed then.
    pub fn save(
        &self,
        left: &AppsCells,
        snapshot: &Snapshot,
        drop_before: Option<Day>,
        log_begins: u64,
    ) -> Result<(), redb::Error> {
        let write = self.begin_write()?;
        {
            write
                .open_table(IDENTITY)?
                .insert(LOG_BEGINS, log_begins.to_le_bytes().as_slice())?;
            let mut cells = write.open_table(CELLS)?;
            let mut escrows = write.open_table(ESCROWS)?;
            for (key, (cell, saved)) in in_order(left, snapshot) {
                let over = drop_before.is_some_and(|before| cell.day().is_some_and(|d| d < before));
                if over && !saved.is_owed() {
                    cells.remove(key)?;
                    escrows.remove(key)?;
                } else {
                    cells.insert(key, row_of(saved))?;
                    if let Some(account) = &saved.account {
                        escrows.insert(key, escrow_row_of(account))?;
                    }
                }
            }
            write.delete_table(TAKES)?;
            let mut takes = write.open_table(TAKES)?;
            for (attempt, owed) in &snapshot.takes {
                let mut bytes = Vec::new();
                put_take(&mut bytes, &owed.take);
                let (state, contained) = (owed.state.code(), owed.state.contained());
                let contained = contained.unwrap_or(u64::MAX);
                takes.insert(attempt.0, (state, owed.at.0, contained, bytes.as_slice()))?;
            }
            write.delete_table(RELEASES)?;
            let mut releases = write.open_table(RELEASES)?;
            for (number, owed) in &snapshot.releases {
                let mut bytes = Vec::new();
                put_give_back(&mut bytes, &owed.give_back);
                releases.insert(
                    *number,
                    (
                        owed.sent.map_or(0, |sent| sent.0),
                        owed.gave,
                        bytes.as_slice(),
                    ),
                )?;
            }
            write.delete_table(LOGINS)?;
            let mut logins = write.open_table(LOGINS)?;
            for login in &snapshot.logins {
                logins.insert((login.app.get(), login.day.number(), login.user), ())?;
            }
            ids::save(&write, &snapshot.ids)?;
        }
        write.commit()?;
        Ok(())
    }
}

/// What is written, in the order of the keys, so that neighbours share their page.
fn in_order<'a>(
    left: &'a AppsCells,
    snapshot: &'a Snapshot,
) -> BTreeMap<(u64, u8, i32), (Cell, &'a Saved)> {
    let row = |app: &AppId, cell: &Cell, saved: &'a Saved| {
        let (tag, day) = cell_code(*cell);
        ((app.get(), tag, day), (*cell, saved))
    };
    let left = left
        .iter()
        .flat_map(|(app, cells)| cells.iter().map(move |(cell, saved)| (app, cell, saved)));
    let new = snapshot
        .cells
        .iter()
        .map(|((app, cell), saved)| (app, cell, saved));
    // Of two for one key the later one stays: what this run knows is newer.
    left.chain(new)
        .map(|(app, cell, saved)| row(app, cell, saved))
        .collect()
}

fn row_of(saved: &Saved) -> CellRow {
    let Saved {
        totals,
        acked,
        high,
        account: _,
    } = saved;
    (
        totals.consumed,
        totals.released,
        acked.consumed,
        acked.released,
        *high,
    )
}

pub(super) fn saved_of(
    (consumed, released, acked_consumed, acked_released, high): CellRow,
) -> Saved {
    Saved {
        totals: Totals { consumed, released },
        acked: Totals {
            consumed: acked_consumed,
            released: acked_released,
        },
        high,
        account: None,
    }
}

fn escrow_row_of(SavedAccount { sums, acked }: &SavedAccount) -> EscrowRow {
    (
        sums.generation,
        sums.offset,
        sums.taken,
        sums.given,
        sums.granted,
        sums.done,
        acked.generation,
        acked.taken,
        acked.given,
        acked.done,
    )
}

pub(super) fn account_of(row: EscrowRow) -> SavedAccount {
    let (generation, offset, taken, given, granted, done, ..) = row;
    let (.., acked_generation, acked_taken, acked_given, acked_done) = row;
    SavedAccount {
        sums: Escrow {
            generation,
            offset,
            taken,
            given,
            granted,
            done,
        },
        acked: Escrow {
            generation: acked_generation,
            taken: acked_taken,
            given: acked_given,
            done: acked_done,
            ..Escrow::default()
        },
    }
}

/// `format · incarnation · boot · has installation · installation id · user key`
pub(super) fn encode_identity(identity: &Identity) -> Vec<u8> {
    let mut row = vec![FORMAT];
    row.extend(identity.incarnation.to_le_bytes());
    row.extend(identity.boot.to_le_bytes());
    if let Some(installation) = &identity.installation {
        row.extend(installation.id.to_le_bytes());
        row.extend(installation.user_key);
    }
    row
}

fn decode_identity(row: &[u8]) -> Result<Identity, String> {
    use bytes::Buf;
    let mut from = row;
    let mut read = || -> Option<(u8, Identity)> {
        let format = from.try_get_u8().ok()?;
        let incarnation = from.try_get_u64_le().ok()?;
        let boot = from.try_get_u32_le().ok()?;
        let installation = match from.try_get_u64_le() {
            Ok(id) => Some(Installation {
                id,
                user_key: from.try_into().ok()?,
            }),
            Err(_) => None,
        };
        Some((
            format,
            Identity {
                incarnation,
                boot,
                installation,
            },
        ))
    };
    match read() {
        Some((FORMAT, identity)) => Ok(identity),
        Some((format, _)) => Err(format!(
            "is of version {format}; this program reads {FORMAT}"
        )),
        None => Err("holds a damaged identity".into()),
    }
}
