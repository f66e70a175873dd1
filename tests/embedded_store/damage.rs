//! Files that are no ledger, or not the right one: one clear line, and never a new ledger instead.

use std::fs;
use std::sync::Arc;

use imquota::clock::Zone;
use imquota::quota::Resource;
use imquota::store::{Installation, Store, StoreFault, Usage};

use super::{Folder, checkpoint};
use crate::store_suite::actives::user;
use crate::store_suite::{Seat, app, limits, member, now, run, today};

/// A folder with a ledger of some apps as a kill leaves it, and what it counts.
fn used() -> (Folder, Installation, Vec<Usage>) {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        for n in 1..=50 {
            for _ in 0..2 {
                let take = seat.wants(app(n), Some("r"), (Resource::AvRoom, 3), &limits());
                seat.gets(&take).await;
                seat.answered(&take, None).await;
                seat.logins(app(n), today(), &[user(n), user(n + 1)]).await;
                checkpoint(&seat).await;
            }
        }
        let usages = usages(&seat).await;
        let killed = Folder::new();
        fs::copy(folder.file(), killed.file()).unwrap();
        (killed, seat.installation, usages)
    })
}

async fn usages(seat: &Seat) -> Vec<Usage> {
    let mut usages = Vec::new();
    for n in 1..=50 {
        usages.push(seat.usage(app(n)).await);
    }
    usages
}

/// The one line that says why the file cannot be used.
fn complaint(folder: &Folder) -> String {
    match folder.open() {
        Err(StoreFault::Unusable(line)) => {
            assert!(!line.contains('\n'), "{line}");
            assert!(line.contains("ledger.redb"), "{line}");
            line
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[test]
fn a_changed_byte_is_found_or_changes_nothing() {
    let (folder, installation, expected) = used();
    let whole = fs::read(folder.file()).unwrap();
    let (mut found, mut harmless) = (0, 0);
    // All of the header's first bytes, and a sample of the rest.
    let places = (0..320).chain((320..whole.len()).step_by(whole.len() / 400 + 1));
    for at in places {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        fs::write(folder.file(), &damaged).unwrap();
        match folder.open() {
            Err(StoreFault::Unusable(line)) => {
                assert!(line.contains("damaged"), "{line}");
                found += 1;
            }
            Err(other) => panic!("{other:?}"),
            Ok(store) => {
                let store: Arc<dyn Store> = Arc::new(store);
                let counted =
                    run(async { usages(&Seat::with(store, 1, Some(installation)).await).await });
                assert!(counted == expected, "byte {at}");
                harmless += 1;
            }
        }
    }
    assert!(found > 20, "{found} found, {harmless} harmless");
}

#[test]
fn a_truncated_file_is_found() {
    let (folder, installation, _) = used();
    let whole = fs::read(folder.file()).unwrap();
    for len in [1, 100, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(folder.file(), &whole[..len]).unwrap();
        assert!(complaint(&folder).contains("damaged"));
    }
    // An empty file is a new one, but not for a member that remembers another.
    fs::write(folder.file(), []).unwrap();
    frozen(&folder, installation, "put the file back");
}

#[test]
fn what_was_never_a_ledger_is_refused() {
    let folder = Folder::new();
    fs::write(folder.file(), "all our groups\n".repeat(1000)).unwrap();
    assert!(complaint(&folder).contains("damaged, or no ledger"));
    fs::remove_file(folder.file()).unwrap();
    fs::create_dir(folder.file()).unwrap();
    assert!(complaint(&folder).contains("cannot be opened"));
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let folder = Folder::new();
    fs::remove_dir_all(folder.file().parent().unwrap()).unwrap();
    assert!(complaint(&folder).contains("cannot be opened"));
}

#[test]
fn a_second_process_is_told_that_there_is_a_first() {
    let folder = Folder::new();
    let first = folder.open().unwrap();
    assert!(complaint(&folder).contains("in use by another process"));
    drop(first);
    assert!(folder.open().is_ok());
}

#[test]
fn a_ledger_keeps_its_zone_until_a_month_is_over() {
    let (folder, installation, _) = used();
    let mut schedules = Vec::new();
    for name in ["+09:00", "+08:00", "+09:00"] {
        let zone = Zone::parse(name).unwrap();
        let store = folder.open_in(zone.clone()).unwrap();
        run(async {
            Seat::with(Arc::new(store), 1, Some(installation)).await;
        });
        schedules.push(zone.schedule());
    }
    assert!(schedules[0].starts_with("+08:00 2"), "{schedules:?}");
    assert!(schedules[0].ends_with(" +09:00"), "{schedules:?}");
    assert!(schedules.iter().all(|schedule| *schedule == schedules[0]));
}

#[test]
fn a_missing_file_is_never_replaced_by_an_empty_ledger() {
    let (folder, installation, _) = used();
    fs::remove_file(folder.file()).unwrap();
    for _ in 0..2 {
        frozen(&folder, installation, "put the file back");
    }
}

#[test]
fn the_ledger_of_another_journal_is_not_used() {
    let (folder, installation, _) = used();
    let (other, _, _) = used();
    fs::copy(other.file(), folder.file()).unwrap();
    frozen(&folder, installation, "belong together");
}

/// The member that remembers `installation` finds the ledger frozen, and can do nothing with it.
fn frozen(folder: &Folder, installation: Installation, line: &str) {
    run(async {
        let store = folder.open().unwrap();
        let shown = store.hello(&member(1), Some(installation), now()).await;
        let Err(StoreFault::Frozen(told)) = shown else {
            panic!("{shown:?}");
        };
        assert!(told.contains(line), "{told}");
        assert!(store.usage(app(1), today(), now()).await.is_err());
        assert!(store.checkpoint(now()).await.is_err() || !told.contains("missing"));
    });
}

#[test]
fn a_member_that_lost_its_journal_finds_the_ledger() {
    let (folder, installation, expected) = used();
    run(async {
        let seat = folder.sit(None).await;
        assert_eq!(seat.installation, installation);
        assert_eq!(usages(&seat).await, expected);
    });
}
