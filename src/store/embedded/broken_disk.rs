//! A disk that fails for a while: calls go on, and nothing is lost when it is well again.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::StorageBackend;

use super::EmbeddedStore;
use super::file::{CACHE_BYTES, LedgerFile};
use super::ledger::Ledger;
use crate::clock::{Day, Millis, Zone};
use crate::database;
use crate::quota::{Amount, AppId, Charge, Limits, RequestId, Resource};
use crate::store::{
    Abort, Answered, Attempt, Fingerprint, Login, Member, RecordKey, Report, Shard, Store,
    StoreFault, Take, Taken,
};

/// A file in memory that can be made to fail. It outlives the database that is opened over it.
#[derive(Debug, Default, Clone)]
pub(super) struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    pub(super) full: Arc<AtomicBool>,
}

impl Disk {
    fn write_to(&self, with: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        with(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        let bytes = self.bytes.lock().unwrap();
        let found = bytes.get(from..from + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write_to(|bytes| bytes.resize(usize::try_from(len).unwrap(), 0))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.write_to(|_| ())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        self.write_to(|bytes| bytes[from..from + data.len()].copy_from_slice(data))
    }
}

pub(super) fn open(disk: &Disk) -> EmbeddedStore {
    let disk = disk.clone();
    let opener = move || Ok(database::builder(CACHE_BYTES).create_with_backend(disk.clone())?);
    let file = LedgerFile::open_with(Path::new("ledger.redb"), Box::new(opener)).unwrap();
    EmbeddedStore::of(Ledger::over(file, Zone::parse("+08:00").unwrap()).unwrap())
}

pub(super) fn app() -> AppId {
    AppId::new(1).unwrap()
}

pub(super) fn take(id: &str, attempt: u64) -> Take {
    Take {
        app: app(),
        key: RecordKey::Client(RequestId::parse(id).unwrap()),
        fingerprint: Fingerprint(1),
        attempt: Attempt(attempt),
        charge: Charge::new(Resource::Account, Amount::ONE, &Limits::UNLIMITED),
        day: day(),
        intent: crate::store::Intent::Count,
        note: None,
    }
}

pub(super) const NOW: Millis = Millis(20_000 * 86_400_000);

pub(super) fn day() -> Day {
    Day::from_number(20_000).unwrap()
}

pub(super) async fn hello(store: &EmbeddedStore) {
    let member = Member {
        name: "one".into(),
        incarnation: 1,
        boot: 1,
        leaves: false,
    };
    store.hello(&member, None, NOW).await.unwrap();
}

async fn replayed(store: &EmbeddedStore, id: &str, attempt: u64) -> bool {
    let take = take(id, attempt);
    match store.take(&take, NOW).await.unwrap() {
        Taken::Allowed { replayed, .. } => replayed,
        other => panic!("{other:?}"),
    }
}

async fn is_new(store: &EmbeddedStore, user: u128) -> bool {
    let login = Login {
        app: app(),
        day: day(),
        user,
    };
    let shard = Shard::of(app());
    let recorded = store.record_active(shard, &[login], NOW).await;
    recorded.unwrap()[0].newly
}

#[tokio::test]
async fn nothing_is_lost_when_the_disk_is_full_for_a_while() {
    let disk = Disk::default();
    let store = open(&disk);
    hello(&store).await;
    for (id, user) in [("before", 1), ("freed", 2)] {
        assert!(!replayed(&store, id, 1 + u64::from(id == "freed")).await);
        assert!(is_new(&store, user).await);
    }
    store.checkpoint(NOW).await.unwrap();

    disk.full.store(true, Ordering::Relaxed);
    assert!(!replayed(&store, "during", 3).await);
    let report = Report {
        answered: vec![Answered {
            take: take("during", 3),
            refused: None,
            contained: None,
        }],
        aborts: vec![Abort {
            app: app(),
            key: take("freed", 2).key,
            attempt: Attempt(2),
            note: None,
        }],
        ..Report::default()
    };
    let shard = Shard::of(app());
    store.settle(shard, &report, day(), NOW).await.unwrap();
    for n in 0..3 {
        assert!(is_new(&store, 10 + n).await);
        let written = store.checkpoint(NOW).await;
        assert!(matches!(written, Err(StoreFault::Away(_))), "{written:?}");
        // What the failed checkpoints had is still known.
        assert!(replayed(&store, "during", 4).await);
        assert!(!is_new(&store, 10 + n).await);
    }

    disk.full.store(false, Ordering::Relaxed);
    assert!(!replayed(&store, "after", 5).await);
    store.checkpoint(NOW).await.unwrap();
    drop(store);

    let store = open(&disk);
    hello(&store).await;
    let usage = store.usage(app(), day(), NOW).await.unwrap();
    assert_eq!((usage.view.net[0], usage.daily_active), (3, 5));
    for (id, known) in [
        ("before", true),
        ("during", true),
        ("after", true),
        ("freed", false),
    ] {
        assert_eq!(replayed(&store, id, 6).await, known, "{id}");
    }
    for user in [1, 2, 10, 11, 12] {
        assert!(!is_new(&store, user).await);
    }
}
