//! The database file: its tables, what is read from it, and how its faults are told.

use std::io::ErrorKind::{InvalidData, UnexpectedEof};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    WriteTransaction,
};

use super::app::App;
use super::format::{self, Identity};
use super::objects::{KINDS, Name, Place};
use super::record::{Minute, Record, RecordId};
use crate::clock::{Day, Millis};
use crate::database;
use crate::quota::{AppId, Retention};
use crate::store::{Shard, StoreFault};

/// Memory for pages of the file. Small: the system's page cache stands behind it, and what is busy
/// lives in the shards.
pub(super) const CACHE_BYTES: usize = 8 << 20;
/// Users in one chunk of a day's set: 16 bytes each, so that a chunk fills about one page.
pub(super) const CHUNK_USERS: usize = 256;

/// What the ledger knows of itself, by name.
pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// The row of [`META`] that says who the ledger is.
const IDENTITY: &str = "identity";
/// The row of [`META`] with the first day that is still open.
pub(super) const OPEN_FROM: &str = "open_from";
/// Apps by shard and id: a shard is written in the order of its keys.
pub(super) const APPS: TableDefinition<(u16, u64), &[u8]> = TableDefinition::new("apps");
/// A table of the past, by day or month and app: what is to be removed lies side by side.
pub(super) type Past<'a> = TableDefinition<'a, (i32, u64), &'static [u8]>;
/// Closed days: active users and groups.
pub(super) const PAST_DAYS: Past<'_> = TableDefinition::new("past_days");
/// Past months: their peaks.
pub(super) const PAST_MONTHS: Past<'_> = TableDefinition::new("past_months");
/// Bills of months.
pub(super) const BILLS: Past<'_> = TableDefinition::new("bills");
/// What lies beside the counts of months: corrections, users who came too late.
pub(super) const NOTES: Past<'_> = TableDefinition::new("notes");
/// Records by (own, minute, shard, id): what is to be folded lies side by side.
pub(super) const RECORDS: TableDefinition<RecordRow, &[u8]> = TableDefinition::new("records");
/// Users of open days by (day, app, number of the chunk).
pub(super) const USERS: TableDefinition<(i32, u64, u32), &[u8]> = TableDefinition::new("users");
/// Objects that are counted, by app and number: the place of their kind in [`KINDS`].
pub(super) const OBJECTS: TableDefinition<(u64, u128), u8> = TableDefinition::new("objects");
/// Objects of which a release took one that nobody had named, by app and number: see [`Place::Tomb`].
pub(super) const TOMBS: TableDefinition<(u64, u128), u32> = TableDefinition::new("tombs");
/// The apps that operators registered, by id; a file of an older version has no such table.
pub(super) const REGISTER: TableDefinition<u64, &str> = TableDefinition::new("register");
/// What operators did, by number.
pub(super) const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");

/// A key of [`RECORDS`].
pub(super) type RecordRow = (u8, u32, u16, u128);

/// The key under which a record of `id` lies, if it last changed in `minute`.
pub(super) fn record_row(shard: Shard, id: RecordId, minute: Minute) -> RecordRow {
    (id.is_own().into(), minute.0, shard.number(), id.number())
}

/// Opens the database, again after a fault of the disk.
type Opener = Box<dyn Fn() -> Result<Database, redb::Error> + Send + Sync>;

/// The open database file.
pub(super) struct LedgerFile {
    path: PathBuf,
    opener: Opener,
    /// Empty from a fault of the disk on, until the file could be opened again.
    db: RwLock<Option<Database>>,
    /// For how long the past is kept.
    pub(super) retention: Retention,
}

impl LedgerFile {
    /// Opens the file, or makes an empty one, which is no ledger before it has an identity.
    ///
    /// Every page is checked, so that a damaged file is found here and not in the middle of a call.
    pub(super) fn open(path: &Path) -> Result<Self, StoreFault> {
        let file = path.to_owned();
        Self::open_with(path, Box::new(move || database::open(&file, CACHE_BYTES)))
    }

    pub(super) fn open_with(path: &Path, opener: Opener) -> Result<Self, StoreFault> {
        let db = opener().map_err(|error| unusable(path, &error))?;
        Ok(Self {
            path: path.into(),
            opener,
            db: RwLock::new(Some(db)),
            retention: Retention::default(),
        })
    }

    /// The same, keeping the past for another time than by default.
    pub(super) fn keeping(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// Opens the file again: after one fault of the disk the database refuses all work until then.
    pub(super) fn reopen(&self) -> Result<(), StoreFault> {
        let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
        // The old one holds the file's lock.
        *db = None;
        *db = Some((self.opener)().map_err(|error| self.fault(error))?);
        Ok(())
    }

    /// Whether the last attempt to open it succeeded.
    pub(super) fn is_open(&self) -> bool {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        db.is_some()
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads, in one consistent view of the file.
    pub(super) fn read<T>(
        &self,
        with: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreFault> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let read = || {
            with(
                &db.as_ref()
                    .ok_or(redb::Error::DatabaseClosed)?
                    .begin_read()?,
            )
        };
        read().map_err(|error| self.fault(error))
    }

    /// Writes, and makes it durable if `with` answers that there is something to keep.
    pub(super) fn write(
        &self,
        with: impl FnOnce(&WriteTransaction) -> Result<bool, redb::Error>,
    ) -> Result<(), StoreFault> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let write = || -> Result<(), redb::Error> {
            let mut txn = db
                .as_ref()
                .ok_or(redb::Error::DatabaseClosed)?
                .begin_write()?;
            // The slot that the file points to is then whole at any moment: damage is found, and
            // never mended by going back to an older commit without a word.
            txn.set_two_phase_commit(true);
            if with(&txn)? {
                txn.commit()?;
            } else {
                txn.abort()?;
            }
            Ok(())
        };
        write().map_err(|error| self.fault(error))
    }

    /// Who the ledger is; `None` if the file is new.
    pub(super) fn identity(&self) -> Result<Option<Identity>, StoreFault> {
        self.read(|txn| {
            let meta = match txn.open_table(META) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                meta => meta?,
            };
            match meta.get(IDENTITY)? {
                Some(bytes) => whole(format::read_identity(bytes.value()), "identity").map(Some),
                None => Ok(None),
            }
        })
    }

    /// Makes the file a ledger, with all its tables.
    pub(super) fn found(&self, identity: &Identity) -> Result<(), StoreFault> {
        self.write(|txn| {
            txn.open_table(META)?
                .insert(IDENTITY, format::write_identity(identity).as_slice())?;
            txn.open_table(APPS)?;
            txn.open_table(PAST_DAYS)?;
            txn.open_table(PAST_MONTHS)?;
            txn.open_table(BILLS)?;
            txn.open_table(NOTES)?;
            txn.open_table(RECORDS)?;
            txn.open_table(USERS)?;
            txn.open_table(OBJECTS)?;
            txn.open_table(TOMBS)?;
            txn.open_table(AUDIT)?;
            Ok(true)
        })
    }

    /// Says anew who the ledger is.
    pub(super) fn identify(&self, identity: &Identity) -> Result<(), StoreFault> {
        self.write(|txn| {
            txn.open_table(META)?
                .insert(IDENTITY, format::write_identity(identity).as_slice())?;
            Ok(true)
        })
    }

    /// The first day that is still open, as of the last checkpoint.
    pub(super) fn open_from(&self) -> Result<Option<Day>, StoreFault> {
        self.read(|txn| {
            let Some(bytes) = txn.open_table(META)?.get(OPEN_FROM)? else {
                return Ok(None);
            };
            let number = bytes.value().try_into().map(i32::from_le_bytes).ok();
            whole(number.and_then(Day::from_number), OPEN_FROM).map(Some)
        })
    }

    /// An app's counts.
    pub(super) fn app(&self, app: AppId) -> Result<Option<App>, StoreFault> {
        self.read(|txn| {
            let key = (Shard::of(app).number(), app.get());
            match txn.open_table(APPS)?.get(key)? {
                Some(bytes) => whole(format::read_app(bytes.value()), "app").map(Some),
                None => Ok(None),
            }
        })
    }

    /// All apps that the file has.
    pub(super) fn apps(&self) -> Result<Vec<AppId>, StoreFault> {
        self.read(|txn| {
            let rows = txn.open_table(APPS)?;
            let ids = rows.iter()?.map(|row| {
                let id = AppId::new(row?.0.value().1);
                whole(id, "an app's id")
            });
            ids.collect()
        })
    }

    /// A record that last changed in `minute`; `None` if it was folded.
    pub(super) fn record(
        &self,
        shard: Shard,
        id: RecordId,
        minute: Minute,
    ) -> Result<Option<Record>, StoreFault> {
        self.read(|txn| {
            let records = txn.open_table(RECORDS)?;
            match records.get(record_row(shard, id, minute))? {
                Some(bytes) => {
                    whole(format::read_record(bytes.value(), minute), "record").map(Some)
                }
                None => Ok(None),
            }
        })
    }

    /// Tells `each` record's shard, id and minute, the older before the newer; of an open reservation, its
    /// app and when its time is over.
    pub(super) fn each_record(
        &self,
        mut each: impl FnMut(u16, RecordId, Minute, Option<(AppId, Millis)>),
    ) -> Result<(), StoreFault> {
        self.read(|txn| {
            for row in txn.open_table(RECORDS)?.iter()? {
                let (row, value) = row?;
                let (_, minute, shard, id) = row.value();
                let (minute, value) = (Minute(minute), value.value());
                let mut open = None;
                if format::may_be_open(value) {
                    let record = whole(format::read_record(value, minute), "record")?;
                    let reservation = record.reservation.as_ref();
                    let until = reservation.filter(|_| record.is_open()).map(|of| of.until);
                    open = until.map(|until| (record.app, until));
                }
                each(shard, RecordId::from_number(id), minute, open);
            }
            Ok(())
        })
    }

    /// What is known of an object. Tombstones are looked for if there may be `tombs`.
    pub(super) fn object(&self, (app, object): Name, tombs: bool) -> Result<Place, StoreFault> {
        self.read(|txn| {
            let row = (app.get(), object.0);
            if let Some(kind) = txn.open_table(OBJECTS)?.get(row)? {
                let kind = KINDS.get(usize::from(kind.value())).copied();
                return whole(kind, "object").map(Place::Counted);
            }
            if tombs && let Some(number) = txn.open_table(TOMBS)?.get(row)? {
                return Ok(Place::Tomb(number.value()));
            }
            Ok(Place::Nowhere)
        })
    }

    /// Tells `each` chunk of a day's users, in order.
    pub(super) fn users(
        &self,
        app: AppId,
        day: Day,
        mut each: impl FnMut(&mut dyn Iterator<Item = u128>),
    ) -> Result<(), StoreFault> {
        self.read(|txn| {
            let (day, app) = (day.number(), app.get());
            let chunks = (day, app, 0)..=(day, app, u32::MAX);
            for chunk in txn.open_table(USERS)?.range(chunks)? {
                each(&mut whole(format::read_users(chunk?.1.value()), "users")?);
            }
            Ok(())
        })
    }

    fn fault(&self, error: impl Into<redb::Error>) -> StoreFault {
        match error.into() {
            error @ redb::Error::Corrupted(_) => unusable(&self.path, &error),
            error => StoreFault::Away(format!("{}: {error}", self.path.display())),
        }
    }
}

/// What could be read, or the word that the file is damaged.
pub(super) fn whole<T>(value: Option<T>, what: &str) -> Result<T, redb::Error> {
    value.ok_or_else(|| StorageError::Corrupted(format!("not a value of {what}")).into())
}

/// The one line that an operator reads when the file cannot be used.
fn unusable(path: &Path, error: &redb::Error) -> StoreFault {
    let path = path.display();
    StoreFault::Unusable(match error {
        redb::Error::DatabaseAlreadyOpen => {
            format!(
                "{path} is in use by another process; stop that one, or take another data folder"
            )
        }
        redb::Error::Io(error) if !matches!(error.kind(), InvalidData | UnexpectedEof) => {
            format!("{path} cannot be opened: {error}")
        }
        error => format!(
            "{path} is damaged, or no ledger of this program ({error}); put back a whole copy of the data folder"
        ),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::store::Installation;

    /// A ledger's file without any app, in a folder that goes with it.
    pub fn ledger_file() -> (LedgerFile, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = LedgerFile::open(&folder.path().join("ledger.redb")).unwrap();
        let installation = Installation {
            id: 1,
            user_key: [1; 16],
        };
        let identity = Identity {
            installation,
            zone: "+08:00".into(),
        };
        file.found(&identity).unwrap();
        assert_eq!(file.identity().unwrap(), Some(identity));
        (file, folder)
    }
}
