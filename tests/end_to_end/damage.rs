//! Damaged data files: found out, named, left as they are; never a silent new ledger, never a panic.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use imquota::grpc::proto::{RecordActiveRequest, Resource};

use crate::client::{ALLOW, verdict};
use crate::sidecar::Sidecar;
use crate::stores::Store;
use crate::wait::until;

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: trial }
  - { app_id: 2, plan: pro }
";
const ANY_PORT: [&str; 2] = ["--listen", "127.0.0.1:0"];
/// How the names of the log's segments begin.
const LOG: &str = "log-";
/// How many of each were counted before the damage.
const COUNTED: u64 = 20;

use Resource::{Account, AvRoom, Group};

/// How the last process of a data folder ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Stopped,
    Killed,
}

impl End {
    async fn of(self, sidecar: &mut Sidecar) {
        match self {
            Self::Stopped => drop(sidecar.stop().await),
            Self::Killed => drop(sidecar.kill().await),
        }
    }
}

/// A sidecar that has counted and ended.
async fn counted(store: &Store, end: End) -> Sidecar {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for number in 0..COUNTED {
        assert_eq!(verdict(&client.create(1, Account).await), ALLOW);
        for resource in [Account, Group, AvRoom] {
            assert_eq!(verdict(&client.create(2, resource).await), ALLOW);
        }
        client.record(2, [format!("user-{number}")]).await;
    }
    let many = RecordActiveRequest {
        app_id: 1,
        increment: COUNTED,
        ..Default::default()
    };
    client.try_record(many).await.expect("it is answered");
    end.of(&mut sidecar).await;
    sidecar
}

/// Whether the running sidecar knows all that was counted.
async fn knows_all(sidecar: &Sidecar) -> bool {
    let client = sidecar.client().await;
    let (one, two) = (client.usage(1).await, client.usage(2).await);
    let found = [
        one.resources[0].used,
        one.daily_active,
        two.resources[0].used,
        two.resources[2].used,
        two.daily_active,
    ];
    found == [COUNTED; 5] && two.resources[1].used == 2 * COUNTED
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Every file of a data folder but the empty lock.
fn files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).expect("it is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths
        .filter(|path| !path.ends_with("lock"))
        .map(|path| (path.clone(), fs::read(&path).expect("it is ours")))
        .collect()
}

fn put(files: &Files, folder: &Path) {
    for entry in fs::read_dir(folder).expect("it is there") {
        fs::remove_file(entry.expect("it can be read").path()).expect("it is ours");
    }
    for (path, bytes) in files {
        write(path, bytes);
    }
}

/// How many bytes there are before the last zeros; compared by pages first, since a log is mostly
/// room for more.
fn used(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let last = bytes
        .chunks(ZEROS.len())
        .rposition(|page| page != &ZEROS[..page.len()]);
    let pages = last.map_or(0, |last| (last + 1) * ZEROS.len());
    let pages = pages.min(bytes.len());
    bytes[..pages]
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}

/// Writes a file; the zeros at the end of a log, of which there are many, cost nothing.
fn write(path: &Path, bytes: &[u8]) {
    let file = fs::File::create(path).expect("the folder is ours");
    file.write_all_at(&bytes[..used(bytes)], 0)
        .expect("there is room");
    file.set_len(bytes.len() as u64).expect("there is room");
}

/// The file of this name, or the first whose name begins so.
fn named<'a>(files: &'a Files, name: &str) -> &'a PathBuf {
    let begins = |path: &&PathBuf| {
        path.file_name()
            .is_some_and(|n| n.to_str().is_some_and(|n| n.starts_with(name)))
    };
    files
        .keys()
        .find(begins)
        .unwrap_or_else(|| panic!("no {name} in {:?}", files.keys()))
}

/// How many bytes of its head a database keeps for itself: whether it is open, and its size.
const DATABASE_HEAD: usize = 64;

fn same(one: &[u8], other: &[u8], is_database: bool) -> bool {
    let own = if is_database { DATABASE_HEAD } else { 0 };
    one.len() == other.len() && one.get(own..) == other.get(own..)
}

/// Starts on damaged files say which one it is, each time, and leave it as it was. Files that are
/// whole may be touched: their databases are opened, too. Answers what was otherwise.
async fn is_refused(sidecar: &Sidecar, path: &Path) -> Result<(), String> {
    let before = files(&sidecar.data());
    let mut told = String::new();
    for _ in 0..2 {
        told = sidecar.attempt(&ANY_PORT).await?;
        if !told.contains(path.to_str().expect("it is text")) {
            return Err(format!("does not name it: {told}"));
        }
    }
    let after = files(&sidecar.data());
    let is_database = path
        .extension()
        .is_some_and(|extension| extension == "redb");
    match (before.get(path), after.get(path)) {
        (None, None) => Ok(()),
        (Some(before), Some(after)) if same(before, after, is_database) => Ok(()),
        // An empty database is made in its place, which is no ledger.
        (before, Some(_)) if path.ends_with("ledger.redb") && before.is_none_or(Vec::is_empty) => {
            Ok(())
        }
        _ => Err(format!("it was changed: {told}")),
    }
}

/// How many ways there are.
const DAMAGES: usize = 8;

/// Ways to damage a file of which none can go unnoticed.
fn damages(bytes: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let noise = |len: usize| {
        (0..len)
            .map(|at| at.to_le_bytes()[0].wrapping_mul(197) ^ 0x5a)
            .collect::<Vec<_>>()
    };
    let mut head = bytes.to_vec();
    head[..64].copy_from_slice(&noise(64));
    vec![
        ("removed", None),
        ("emptied", Some(Vec::new())),
        ("cut to its first bytes", Some(bytes[..7].to_vec())),
        ("cut in half", Some(bytes[..bytes.len() / 2].to_vec())),
        ("cut by a byte", Some(bytes[..bytes.len() - 1].to_vec())),
        ("zeroed", Some(vec![0; bytes.len()])),
        ("overwritten", Some(noise(bytes.len()))),
        ("without its head", Some(head)),
    ]
}

async fn every_damage_is_refused(store: Store, end: End, name: &str) {
    let mut sidecar = counted(&store, end).await;
    let mut problems = Vec::new();
    for number in 0..DAMAGES {
        let whole = files(&sidecar.data());
        let path = named(&whole, name);
        let (what, bytes) = damages(&whole[path]).swap_remove(number);
        match bytes {
            Some(bytes) => write(path, &bytes),
            None => fs::remove_file(path).expect("it is ours"),
        }
        if let Err(problem) = is_refused(&sidecar, path).await {
            problems.push(format!("{name} {what}: {problem}"));
        }
        // With that one file put back, nothing is lost. A shared ledger would take a folder that is
        // older than its last start for a copy, so that the next damage is done to what this leaves.
        write(path, &whole[path]);
        sidecar.start_again().await;
        if !knows_all(&sidecar).await {
            problems.push(format!(
                "{name} {what}: counts are lost when it is put back"
            ));
        }
        if name == LOG {
            // A segment that the checkpoint has is of no use any more, and its damage no harm.
            let cut = async || if path.exists() { Err(path) } else { Ok(()) };
            until("the checkpoint has it", cut).await;
        }
        end.of(&mut sidecar).await;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn the_ledgers_file_after_an_end() {
    every_damage_is_refused(Store::Embedded, End::Stopped, "ledger.redb").await;
}

#[tokio::test]
async fn the_ledgers_file_after_a_kill() {
    every_damage_is_refused(Store::Embedded, End::Killed, "ledger.redb").await;
}

#[tokio::test]
async fn the_journals_file_after_an_end() {
    every_damage_is_refused(Store::redis(), End::Stopped, "member.redb").await;
}

#[tokio::test]
async fn the_journals_file_after_a_kill() {
    every_damage_is_refused(Store::Embedded, End::Killed, "member.redb").await;
}

#[tokio::test]
async fn the_journals_log_after_a_kill() {
    every_damage_is_refused(Store::Embedded, End::Killed, LOG).await;
}

/// How many places of a file are tried.
const FLIPS: usize = 28;
/// Between two of them; prime, so that they lie anywhere in a page.
const STRIDE: usize = 7919;

/// Flips one byte of a file, in many places. The program notices, or knows all that was counted.
async fn a_flipped_byte_is_noticed_or_means_nothing(end: End, name: &str) {
    let mut sidecar = counted(&Store::Embedded, end).await;
    let whole = files(&sidecar.data());
    let path = named(&whole, name).clone();
    let bytes = &whole[&path];
    let used = used(bytes);
    let mut problems = Vec::new();
    for step in 0..FLIPS {
        // The head is small, and says most.
        let at = if step % 4 == 0 {
            step
        } else {
            step * STRIDE % used
        };
        put(&whole, &sidecar.data());
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x40;
        write(&path, &flipped);
        let Err(ended) = sidecar.try_start().await else {
            if !knows_all(&sidecar).await {
                problems.push(format!("byte {at}: counts are lost without a word"));
            }
            sidecar.kill().await;
            continue;
        };
        let lines = ended.stderr.lines().count();
        if (ended.code(), lines) != (1, 1) || !ended.stderr.contains(name) {
            problems.push(format!("byte {at}: {}", ended.stderr));
        }
    }
    assert!(problems.is_empty(), "{name}:\n{}", problems.join("\n"));
}

#[tokio::test]
async fn a_flipped_byte_of_the_ledgers_file() {
    a_flipped_byte_is_noticed_or_means_nothing(End::Stopped, "ledger.redb").await;
}

#[tokio::test]
async fn a_flipped_byte_of_the_ledgers_file_after_a_kill() {
    a_flipped_byte_is_noticed_or_means_nothing(End::Killed, "ledger.redb").await;
}

#[tokio::test]
async fn a_flipped_byte_of_the_journals_file() {
    a_flipped_byte_is_noticed_or_means_nothing(End::Stopped, "member.redb").await;
}

#[tokio::test]
async fn a_flipped_byte_of_the_journals_file_after_a_kill() {
    a_flipped_byte_is_noticed_or_means_nothing(End::Killed, "member.redb").await;
}

#[tokio::test]
async fn a_flipped_byte_of_the_journals_log() {
    a_flipped_byte_is_noticed_or_means_nothing(End::Killed, "log-").await;
}
