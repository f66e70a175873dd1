//! The embedded ledger: the suite, and what only it promises.

use std::path::PathBuf;
use std::sync::Arc;

use imquota::clock::{Millis, Zone};
use imquota::quota::Retention;
use imquota::store::embedded::EmbeddedStore;
use imquota::store::{Installation, Operator, Store, StoreFault};
use redb::{
    Database, Key, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, Value,
};
use tempfile::TempDir;

use crate::store_suite::{LedgerUnderTest, Seat, now, zone};

mod bounds;
mod damage;
mod folding;
mod history;
mod holds;
mod memory;
mod objects;
mod recovery;
mod restart;

/// A ledger in a folder of its own.
pub struct Embedded {
    first: EmbeddedStore,
    _folder: Folder,
}

impl LedgerUnderTest for Embedded {
    const SHARED: bool = false;

    async fn keeping(kept: Retention) -> Self {
        let folder = Folder::new();
        Self {
            first: EmbeddedStore::keeping(&folder.file(), zone(), kept).unwrap(),
            _folder: folder,
        }
    }

    async fn both(&self) -> (Arc<dyn Store>, Arc<dyn Operator>) {
        let store = Arc::new(self.first.for_another_member());
        (Arc::clone(&store) as _, store)
    }
}

store_suite!(Embedded);

/// A data folder, whose ledger can be opened again and again.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn file(&self) -> PathBuf {
        self.0.path().join("ledger.redb")
    }

    pub fn open(&self) -> Result<EmbeddedStore, StoreFault> {
        self.open_in(zone())
    }

    pub fn open_in(&self, zone: Zone) -> Result<EmbeddedStore, StoreFault> {
        EmbeddedStore::open(&self.file(), zone)
    }

    /// Opens the ledger for member 1, and says hello.
    pub async fn sit(&self, remembered: Option<Installation>) -> Seat {
        let store: Arc<dyn Store> = Arc::new(self.open().unwrap());
        Seat::with(store, 1, remembered).await
    }
}

/// How many rows a table of the file has; nobody may have the file open.
pub fn rows<K: Key + 'static>(folder: &Folder, table: &str) -> u64 {
    rows_of::<K, &[u8]>(folder, table)
}

/// The same of a table whose values are no bytes.
pub fn rows_of<K: Key + 'static, V: Value + 'static>(folder: &Folder, table: &str) -> u64 {
    let db = Database::open(folder.file()).unwrap();
    let table: TableDefinition<K, V> = TableDefinition::new(table);
    let rows = db.begin_read().unwrap().open_table(table).unwrap().len();
    rows.unwrap()
}

/// The rows of a table of the past.
pub fn table(folder: &Folder, table: &str) -> Vec<((i32, u64), Vec<u8>)> {
    let db = Database::open(folder.file()).unwrap();
    let table: TableDefinition<(i32, u64), &[u8]> = TableDefinition::new(table);
    let table = db.begin_read().unwrap().open_table(table).unwrap();
    let rows = table.iter().unwrap().map(|row| {
        let (key, value) = row.unwrap();
        (key.value(), value.value().to_vec())
    });
    rows.collect()
}

/// So many minutes from now.
pub fn minutes(minutes: i64) -> Millis {
    now().plus(minutes * 60_000)
}

/// A checkpoint with a journal that begins now: nothing is folded yet.
pub async fn checkpoint(seat: &Seat) {
    seat.store.checkpoint(now()).await.unwrap();
}

/// The process ends, at once and without a checkpoint, and the next one begins.
pub async fn killed(folder: &Folder, seat: Seat) -> Seat {
    let remembered = Some(seat.installation);
    drop(seat);
    folder.sit(remembered).await
}
