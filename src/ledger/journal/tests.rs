//! The journal as a restart sees it: what was appended comes back, what is damaged is said so.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use proptest::prelude::*;

use super::record::TOTALS_BYTES;
use super::segment::{HEADER_BYTES, SEGMENT_BYTES, path_of};
use super::*;
use crate::quota::{Amount, Charge, Limits, ObjectNumber, RequestId, Resource};
use crate::store::{Escrow, Fingerprint, Intent, RecordKey};

const NOW: Millis = Millis(1_760_000_000_000);

fn app(id: u64) -> AppId {
    AppId::new(id).unwrap()
}

fn day(number: i32) -> Day {
    Day::from_number(number).unwrap()
}

fn totals(consumed: u64, released: u64) -> Totals {
    Totals { consumed, released }
}

fn take(attempt: u64) -> Take {
    Take {
        app: app(7),
        key: RecordKey::Client(RequestId::parse("an id").unwrap()),
        fingerprint: Fingerprint(5),
        attempt: Attempt(attempt),
        charge: Charge::new(Resource::AvRoom, Amount::ONE, &Limits::UNLIMITED),
        day: day(20_000),
        intent: Intent::Count,
        note: None,
    }
}

fn open(folder: &tempfile::TempDir) -> (Journal, Snapshot, Vec<AppId>) {
    let opened = Journal::open(Folder::lock(folder.path()).unwrap(), NOW);
    let (journal, left, unsettled) = opened.unwrap();
    let apps = unsettled.iter().map(|unsettled| unsettled.app);
    (journal, left, apps.collect())
}

fn fault_of(folder: &tempfile::TempDir) -> String {
    let opened = Folder::lock(folder.path()).and_then(|folder| Journal::open(folder, NOW));
    opened.unwrap_err().to_string()
}

fn append(journal: &Journal, records: &[Record]) {
    for record in records {
        journal.append(&record.frame(), NOW).unwrap();
    }
}

fn only_segment(folder: &tempfile::TempDir) -> PathBuf {
    (1..100)
        .map(|number| path_of(folder.path(), number))
        .find(|path| path.exists())
        .unwrap()
}

#[test]
fn a_member_keeps_its_incarnation_and_counts_its_boots() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder).0.identity();
    let second = open(&folder).0.identity();
    assert_eq!(
        (second.incarnation, second.boot),
        (first.incarnation, first.boot + 1)
    );
    let other = tempfile::tempdir().unwrap();
    assert_ne!(open(&other).0.identity().incarnation, first.incarnation);
}

#[test]
fn totals_come_back_as_the_largest_that_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    let cell = Cell::Live(Resource::Group);
    append(
        &journal,
        &[
            Record::Totals(app(7), cell, totals(5, 0)),
            Record::Totals(app(7), cell, totals(4, 0)),
            Record::Totals(app(7), cell, totals(5, 2)),
        ],
    );
    drop(journal);
    let (journal, _, unsettled) = open(&folder);
    assert_eq!(unsettled, [app(7)]);
    let saved = Saved {
        totals: totals(5, 2),
        acked: Totals::default(),
        high: 5,
        account: None,
    };
    assert_eq!(journal.cells_of(app(7)).unwrap(), [(cell, saved)]);
}

#[test]
fn a_high_that_the_ledger_acknowledged_is_not_reported_again() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    let cell = Cell::Live(Resource::Group);
    append(
        &journal,
        &[
            Record::Totals(app(7), cell, totals(9, 0)),
            Record::Totals(app(7), cell, totals(9, 6)),
            Record::Totals(app(7), cell, totals(10, 6)),
            Record::Acked(app(7), cell, totals(9, 6)),
        ],
    );
    drop(journal);
    let (journal, ..) = open(&folder);
    let saved = Saved {
        totals: totals(10, 6),
        acked: totals(9, 6),
        high: 4,
        account: None,
    };
    assert_eq!(journal.cells_of(app(7)).unwrap(), [(cell, saved)]);
}

#[test]
fn a_take_comes_back_as_far_as_it_had_come() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    append(
        &journal,
        &[
            Record::Attempt(NOW, Box::new(take(1))),
            Record::Attempt(NOW, Box::new(take(2))),
            Record::Attempt(NOW, Box::new(take(3))),
            Record::Attempt(NOW, Box::new(take(4))),
            Record::Answered(Attempt(2), None, None),
            Record::Answered(Attempt(3), Some(Counter::AvRooms), None),
            Record::Abort(Attempt(4)),
        ],
    );
    drop(journal);
    let (_, owed, _) = open(&folder);
    let states: BTreeMap<u64, TakeState> = owed
        .takes
        .iter()
        .map(|(attempt, owed)| (attempt.0, owed.state))
        .collect();
    let expected = [
        (1, TakeState::Abort),
        (
            2,
            TakeState::Answered {
                refused: None,
                contained: None,
            },
        ),
        (
            3,
            TakeState::Answered {
                refused: Some(Counter::AvRooms),
                contained: None,
            },
        ),
        (4, TakeState::Abort),
    ];
    assert_eq!(states, BTreeMap::from(expected));
    assert_eq!(owed.takes[&Attempt(2)].take, take(2));
}

#[test]
fn what_is_owed_survives_a_second_restart_without_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    let give_back = GiveBack {
        app: app(7),
        key: RecordKey::Own {
            incarnation: 3,
            attempt: Attempt(9),
        },
        fingerprint: Fingerprint(1),
        resource: Resource::Account,
        amount: Amount::from_wire(3).unwrap(),
        given: None,
        groups_follow: false,
        day: day(20_000),
        object: None,
        rooms_are_groups: true,
    };
    append(
        &journal,
        &[
            Record::Release(1, Some(NOW), give_back.clone()),
            Record::Release(2, None, give_back.clone()),
            Record::ReleaseSent(2, NOW),
            Record::ReleaseDone(1, None),
            Record::Release(3, Some(NOW), give_back.clone()),
            Record::ReleaseDone(3, Some(0)),
            Record::Logins(app(7), day(20_000), vec![1, u128::MAX]),
        ],
    );
    drop(journal);
    drop(open(&folder));
    let (_, owed, _) = open(&folder);
    assert_eq!(
        owed.releases,
        BTreeMap::from([None, Some(0)].map(|given| {
            let sent = Some(NOW);
            let give_back = GiveBack {
                given,
                ..give_back.clone()
            };
            let number = if given.is_some() { 3 } else { 2 };
            (
                number,
                OwedRelease {
                    sent,
                    give_back,
                    gave: false,
                },
            )
        }))
    );
    let login = |user| LoginKey {
        app: app(7),
        day: day(20_000),
        user,
    };
    assert_eq!(owed.logins, HashSet::from([login(1), login(u128::MAX)]));
}

#[test]
fn a_checkpoint_cuts_the_log_and_keeps_what_came_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    let cell = Cell::Live(Resource::Account);
    append(&journal, &[Record::Totals(app(1), cell, totals(1, 0))]);
    let sealed = journal.seal(NOW).unwrap();
    append(&journal, &[Record::Totals(app(2), cell, totals(2, 0))]);
    let saved = Saved {
        totals: totals(1, 0),
        acked: totals(1, 0),
        high: 1,
        account: None,
    };
    let cells = HashMap::from([((app(1), cell), saved.clone())]);
    journal
        .save(
            &sealed,
            &Snapshot {
                cells,
                ..Snapshot::default()
            },
            day(0),
        )
        .unwrap();
    assert!(!path_of(folder.path(), 1).exists());
    drop(journal);
    let (journal, _, unsettled) = open(&folder);
    assert_eq!(unsettled, [app(2)]);
    assert_eq!(journal.cells_of(app(1)).unwrap(), [(cell, saved)]);
}

#[test]
fn what_a_start_left_to_the_first_checkpoint_is_read_as_if_it_were_done() {
    let folder = tempfile::tempdir().unwrap();
    let cell = Cell::Live(Resource::Account);
    let count = |of: u64, consumed| Record::Totals(app(of), cell, totals(consumed, 0));
    let (journal, ..) = open(&folder);
    append(&journal, &[count(1, 1), count(2, 1)]);
    let sealed = journal.seal(NOW).unwrap();
    journal.save(&sealed, &Snapshot::default(), day(0)).unwrap();
    // Nothing of these two runs comes into a checkpoint but what the third one makes.
    append(&journal, &[count(2, 2), count(3, 1), count(5, 1)]);
    drop(journal);
    let (journal, ..) = open(&folder);
    append(&journal, &[count(3, 2), count(4, 1)]);
    drop(journal);
    let (journal, _, unsettled) = open(&folder);
    assert_eq!(unsettled, [2, 3, 4, 5].map(app));
    let pages = |journal: &Journal| {
        let (mut after, mut all) = (Some(app(1)), Vec::new());
        while after.is_some() {
            let page = journal.cells_page(Whose::Own, after, 2).unwrap();
            assert!(page.len() <= 2);
            after = page.last().map(|(app, _)| *app);
            all.extend(
                page.iter()
                    .map(|(app, cells)| (*app, cells[0].1.totals.consumed)),
            );
        }
        all
    };
    let expected = [(2, 2), (3, 2), (4, 1), (5, 1)].map(|(of, consumed)| (app(of), consumed));
    assert_eq!(pages(&journal), expected);
    assert!(journal.wants_checkpoint());
    let sealed = journal.seal(NOW).unwrap();
    journal.save(&sealed, &Snapshot::default(), day(0)).unwrap();
    assert_eq!(pages(&journal), expected);
    assert!(!journal.wants_checkpoint());
    drop(journal);
    let (journal, _, unsettled) = open(&folder);
    assert_eq!(unsettled, [2, 3, 4, 5].map(app));
    assert_eq!(journal.cells_of(app(3)).unwrap()[0].1.totals, totals(2, 0));
}

#[test]
fn what_the_first_checkpoint_took_over_is_read_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let cell = Cell::Live(Resource::Account);
    let (journal, ..) = open(&folder);
    append(&journal, &[Record::Totals(app(1), cell, totals(1, 0))]);
    drop(journal);
    let (journal, ..) = open(&folder);
    let sealed = journal.seal(NOW).unwrap();
    journal.save(&sealed, &Snapshot::default(), day(0)).unwrap();
    assert_eq!(journal.cells_of(app(1)).unwrap()[0].1.totals, totals(1, 0));
}

#[test]
fn runs_that_never_come_to_a_checkpoint_leave_a_log_that_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let record = Record::Totals(app(1), Cell::Live(Resource::Account), totals(1, 0));
    for _ in 0..2 * SEALED_MAX {
        let locked = Folder::lock(folder.path()).unwrap().with_segments_of(0);
        let (journal, ..) = Journal::open(locked, NOW).unwrap();
        append(&journal, std::slice::from_ref(&record));
        assert!(journal.sealed() < SEALED_MAX);
    }
}

#[test]
fn what_was_lent_or_recorded_is_not_beyond_what_the_ledger_knows() {
    let cell = Cell::Live(Resource::Group);
    let account = |done, acked| SavedAccount {
        sums: Escrow {
            done,
            taken: 9,
            ..Escrow::default()
        },
        acked: Escrow {
            done: acked,
            ..Escrow::default()
        },
    };
    let beyond = |consumed, account: Option<SavedAccount>| {
        let saved = Saved {
            totals: totals(consumed, 0),
            account: account.map(Box::new),
            ..Saved::default()
        };
        Unsettled::of(app(1), &[(cell, saved)]).map(|unsettled| unsettled.beyond)
    };
    let groups = [false, true, false, false];
    assert_eq!(beyond(3, None), Some(groups));
    assert_eq!(beyond(3, Some(account(5, 2))), Some([false; 4]));
    assert_eq!(beyond(3, Some(account(5, 3))), Some(groups));
    assert_eq!(beyond(0, Some(account(5, 5))), Some([false; 4]));
    assert_eq!(beyond(0, None), None);
}

#[test]
fn a_second_process_is_told_that_the_folder_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(&folder);
    assert!(fault_of(&folder).contains("in use by another process"));
}

#[test]
fn an_append_that_was_cut_short_never_was() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    let record = Record::Totals(app(1), Cell::Live(Resource::Account), totals(1, 0));
    append(&journal, std::slice::from_ref(&record));
    drop(journal);
    // All but the head, which is written last.
    let frame = record.frame();
    let at = HEADER_BYTES + 2 * frame.len() - (frame.len() - record::FRAME_BYTES);
    write_at(&only_segment(&folder), at, &frame[record::FRAME_BYTES..]);
    let (journal, ..) = open(&folder);
    assert_eq!(journal.cells_of(app(1)).unwrap()[0].1.totals, totals(1, 0));
}

#[test]
fn damage_is_named_and_nothing_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    let record = Record::Totals(app(1), Cell::Live(Resource::Account), totals(1, 0));
    append(&journal, &[record.clone(), record.clone(), record]);
    drop(journal);
    let path = only_segment(&folder);
    write_at(&path, HEADER_BYTES + TOTALS_BYTES + 20, &[0xff]);
    let fault = fault_of(&folder);
    assert!(
        fault.contains(&format!(
            "no record can be read at byte {}",
            HEADER_BYTES + 37
        )),
        "{fault}"
    );
    assert!(path.exists());
}

#[test]
fn a_log_of_another_member_or_version_or_without_its_database_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(open(&one));
    drop(open(&other));
    let path = only_segment(&one);
    std::fs::copy(&path, only_segment(&other)).unwrap();
    assert!(fault_of(&other).contains("belongs to another member"));
    write_at(&path, 7, b"9");
    assert!(fault_of(&one).contains("not a log of this version"));
    std::fs::remove_file(one.path().join("member.redb")).unwrap();
    assert!(fault_of(&one).contains("is missing although its log is there"));
}

#[test]
fn a_segment_that_is_missing_or_has_lost_its_bytes_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    let record = Record::Totals(app(1), Cell::Live(Resource::Account), totals(1, 0));
    let (first, second) = (path_of(folder.path(), 1), path_of(folder.path(), 2));
    append(&journal, std::slice::from_ref(&record));
    journal.seal(NOW).unwrap();
    journal.reserve().unwrap();
    append(&journal, &[record]);
    drop(journal);
    let all = [1, 2, 3].map(|number| path_of(folder.path(), number));
    // As a killed process leaves it: with the reserve.
    std::fs::write(&all[2], vec![0; SEGMENT_BYTES]).unwrap();
    let whole = all.each_ref().map(|path| std::fs::read(path).unwrap());
    for (path, bytes, word) in [
        (&first, None, "is missing"),
        (&second, None, "is missing"),
        (&first, Some(vec![0; SEGMENT_BYTES]), "was emptied"),
        (&second, Some(vec![0; SEGMENT_BYTES]), "was emptied"),
        (&first, Some(Vec::new()), "has 0 bytes"),
        (&second, Some(whole[1][..4096].to_vec()), "has 4096 bytes"),
        (&all[2], Some(Vec::new()), "has 0 bytes"),
    ] {
        match &bytes {
            None => std::fs::remove_file(path).unwrap(),
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
        }
        let fault = fault_of(&folder);
        let name = path.to_str().unwrap();
        assert!(fault.contains(name) && fault.contains(word), "{fault}");
        for (path, bytes) in all.iter().zip(&whole) {
            std::fs::write(path, bytes).unwrap();
        }
    }
    let (journal, ..) = open(&folder);
    assert_eq!(journal.cells_of(app(1)).unwrap()[0].1.totals, totals(1, 0));
}

#[test]
fn segments_that_the_checkpoint_has_are_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    append(&journal, &[Record::Attempt(NOW, Box::new(take(1)))]);
    let first = path_of(folder.path(), 1);
    let left = std::fs::read(&first).unwrap();
    let sealed = journal.seal(NOW).unwrap();
    journal.save(&sealed, &Snapshot::default(), day(0)).unwrap();
    drop(journal);
    // A process that is killed right after a checkpoint leaves what it was about to remove.
    std::fs::write(&first, left).unwrap();
    let (_, snapshot, _) = open(&folder);
    assert!(snapshot.takes.is_empty());
    assert!(!first.exists());
}

#[test]
fn a_full_journal_takes_nothing_until_it_has_a_reserve_again() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    let frame = Record::Logins(app(1), day(1), vec![1; 1_000]).frame();
    let fitting = (SEGMENT_BYTES - HEADER_BYTES) / frame.len();
    for _ in 0..2 * fitting {
        journal.append(&frame, NOW).unwrap();
    }
    assert!(journal.append(&frame, NOW).is_err());
    journal.reserve().unwrap();
    journal.append(&frame, NOW).unwrap();
}

#[test]
fn a_checkpoint_that_fails_uses_up_no_reserve() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    let cell = Cell::Live(Resource::Account);
    append(&journal, &[Record::Totals(app(1), cell, totals(1, 0))]);
    let first = journal.seal(NOW).unwrap();
    journal.reserve().unwrap();
    append(&journal, &[Record::Totals(app(1), cell, totals(2, 0))]);
    for _ in 0..100 {
        let again = journal.seal(NOW).unwrap();
        assert_eq!(again.log_from, first.log_from);
        assert!(!journal.wants_reserve());
    }
    let sealed = journal.seal(NOW).unwrap();
    journal.save(&sealed, &Snapshot::default(), day(0)).unwrap();
    assert!(!path_of(folder.path(), 1).exists());
    assert!(journal.has_records());
    drop(journal);
    let (journal, ..) = open(&folder);
    assert_eq!(journal.cells_of(app(1)).unwrap()[0].1.totals, totals(2, 0));
}

#[test]
fn a_hole_before_records_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, ..) = open(&folder);
    let record = Record::Totals(app(1), Cell::Live(Resource::Account), totals(1, 0));
    // More than one append can write.
    append(
        &journal,
        &vec![record; 2 * frames::FRAMES_BYTES_MAX / TOTALS_BYTES],
    );
    drop(journal);
    write_at(
        &only_segment(&folder),
        HEADER_BYTES,
        &[0; record::FRAME_BYTES],
    );
    assert!(fault_of(&folder).contains("no record can be read at byte 64"));
}

fn write_at(path: &PathBuf, at: usize, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(bytes).unwrap();
}

fn intents() -> impl Strategy<Value = Intent> {
    prop_oneof![
        Just(Intent::Count),
        Just(Intent::Exists),
        any::<i64>().prop_map(|at| Intent::Reserve { until: Millis(at) }),
        any::<bool>().prop_map(|lapsed| Intent::Confirm { lapsed }),
        Just(Intent::Cancel),
        Just(Intent::Lapse),
        Just(Intent::Alone),
    ]
}

proptest! {
    #[test]
    fn every_record_reads_back(
        id in "[ -~]{1,64}",
        own in any::<bool>(),
        numbers in any::<[u64; 4]>(),
        days in -100_000i32..100_000,
        amount in 1u32..=100,
        users in prop::collection::vec(any::<u128>(), 0..1_000),
        limit in prop::option::of(0..=crate::quota::Limit::MAX),
        intent in intents(),
        object in prop::option::of(any::<u128>().prop_map(ObjectNumber)),
    ) {
        let [a, b, c, d] = numbers;
        let limit = limit.map_or(crate::quota::Limit::Unlimited, crate::quota::Limit::AtMost);
        let limits = Limits { groups: limit, ..Limits::UNLIMITED };
        let amount = Amount::from_wire(amount).unwrap();
        let app = app(a.max(1));
        let key = if own {
            RecordKey::Own { incarnation: b, attempt: Attempt(c) }
        } else {
            RecordKey::Client(RequestId::parse(&id).unwrap())
        };
        let charge = Charge::new(Resource::AvRoom, amount, &limits);
        let (fingerprint, attempt, day) = (Fingerprint(d), Attempt(c), day(days));
        let request = RequestId::parse(&id).unwrap();
        let take = Take {
            app, fingerprint, attempt, charge, day, intent,
            key: object.map_or(key.clone(), RecordKey::Object),
            note: object.filter(|_| own).map(|_| request),
        };
        let give_back = GiveBack {
            app, key, fingerprint, resource: Resource::Group, amount, given: own.then_some(7),
            groups_follow: own, day,
            object, rooms_are_groups: !own,
        };
        let escrow = Escrow {
            generation: b, offset: i64::from(days), taken: c, given: d, granted: a, done: b,
        };
        for record in [
            Record::Totals(app, Cell::Gained(day), totals(b, c)),
            Record::Acked(app, Cell::Increment(day), totals(b, c)),
            Record::Attempt(NOW, Box::new(take)),
            Record::Answered(attempt, own.then_some(Counter::Groups), own.then_some(b / 2)),
            Record::Kept(attempt),
            Record::Gave(b),
            Record::Escrow(app, Cell::Gained(day), escrow),
            Record::Abort(attempt),
            Record::Release(b, own.then_some(NOW), give_back),
            Record::ReleaseSent(b, NOW),
            Record::ReleaseDone(b, own.then_some(amount.get())),
            Record::Logins(app, day, users),
        ] {
            let frame = record.frame();
            prop_assert_eq!(Record::read(&frame), record::Framed::Record(record, &[]));
            let mut broken = frame.clone();
            let at = usize::try_from(d % frame.len() as u64).unwrap();
            broken[at] ^= 1;
            prop_assert!(!matches!(Record::read(&broken), record::Framed::Record(..)));
        }
        let mut frames = Frames::default();
        frames.totals(app, Cell::Gained(day), totals(b, c));
        frames.escrow(app, Cell::Gained(day), &escrow);
        frames.answered(attempt, None, Some(b / 2));
        frames.gave(b);
        frames.kept(attempt);
        let records = [
            Record::Totals(app, Cell::Gained(day), totals(b, c)),
            Record::Escrow(app, Cell::Gained(day), escrow),
            Record::Answered(attempt, None, Some(b / 2)),
            Record::Gave(b),
            Record::Kept(attempt),
        ];
        let one_by_one: Vec<u8> = records.iter().flat_map(Record::frame).collect();
        prop_assert_eq!(frames.bytes(), one_by_one);
    }
}
