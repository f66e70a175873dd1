//! Database files, opened so that damage is found at the start and not in the middle of a call.
//!
//! redb checks every page that it can reach. After a kill it takes the file's length for granted, so
//! that a file which lost its end is mended without a word as long as nothing lies there. Such a file
//! was cut by somebody, and is refused: its own head says how long it was.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use redb::{Builder, Database, StorageError};

/// Bytes of the head that say how long the file is (redb's design page, "Database header").
const HEAD_BYTES: usize = 32;
/// What a database begins with.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

/// How every database is opened, with a cache of `cache_bytes`.
pub fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(cache_bytes)
        .set_check_integrity_on_open(true);
    builder
}

/// Opens the database at `path` with a cache of `cache_bytes`, or makes an empty one.
///
/// # Errors
/// The database's own, [`StorageError::Corrupted`] also where the file is shorter than it was.
pub fn open(path: &Path, cache_bytes: usize) -> Result<Database, redb::Error> {
    match shorter_than_it_was(path) {
        Ok(None) => Ok(builder(cache_bytes).create(path)?),
        Ok(Some((is, was))) => {
            let why = format!("{is} bytes long, and was {was}");
            Err(StorageError::Corrupted(why).into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(builder(cache_bytes).create(path)?)
        }
        Err(error) => Err(StorageError::Io(error).into()),
    }
}

/// How long the file is and how long it was, if that is more. A database grows its file before its
/// head says so, and shrinks it after.
fn shorter_than_it_was(path: &Path) -> io::Result<Option<(u64, u64)>> {
    let mut file = File::open(path)?;
    let is = file.metadata()?.len();
    let mut head = [0; HEAD_BYTES];
    match file.read_exact(&mut head) {
        Ok(()) => {}
        // Too short to say anything: what it is, is redb's to judge.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(length_in(&head)
        .filter(|was| is < *was)
        .map(|was| (is, was)))
}

/// The length that a head speaks of; `None`: it is not one of a database.
fn length_in(head: &[u8; HEAD_BYTES]) -> Option<u64> {
    let number = |at: usize| -> Option<u64> {
        let bytes = head.get(at..at + 4)?.try_into().ok()?;
        Some(u64::from(u32::from_le_bytes(bytes)))
    };
    if head[..MAGIC.len()] != MAGIC {
        return None;
    }
    let (page, region_head, region_pages) = (number(12)?, number(16)?, number(20)?);
    let (full, trailing) = (number(24)?, number(28)?);
    // One page of head; then regions, each with a head of its own; the last one may be partial.
    let last = if trailing == 0 {
        0
    } else {
        region_head + trailing
    };
    (region_head + region_pages)
        .checked_mul(full)?
        .checked_add(last + 1)?
        .checked_mul(page)
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase as _, TableDefinition};

    use super::*;

    const NUMBERS: TableDefinition<u64, &[u8]> = TableDefinition::new("numbers");

    /// A database of several sizes, as a kill leaves it: it was never closed.
    fn killed(rows: u64) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("there is room");
        let (open_at, path) = (folder.path().join("open"), folder.path().join("killed"));
        let db = open(&open_at, 1 << 20).expect("it is made");
        let write = db.begin_write().expect("it writes");
        for row in 0..rows {
            let mut table = write.open_table(NUMBERS).expect("it is ours");
            table
                .insert(row, [7; 1000].as_slice())
                .expect("there is room");
        }
        write.commit().expect("there is room");
        std::fs::copy(&open_at, &path).expect("there is room");
        (folder, path)
    }

    #[test]
    fn the_length_is_the_heads() {
        for rows in [0, 1, 100, 10_000] {
            let (_folder, path) = killed(rows);
            let bytes = std::fs::read(&path).expect("it is there");
            let head = bytes[..HEAD_BYTES].try_into().expect("as long");
            assert_eq!(length_in(head), Some(bytes.len() as u64), "{rows} rows");
        }
    }

    #[test]
    fn a_file_that_lost_its_end_is_refused_whatever_was_there() {
        let (_folder, path) = killed(10);
        let file = File::options()
            .write(true)
            .open(&path)
            .expect("it is there");
        let whole = file.metadata().expect("it is there").len();
        for less in [1, 4096, whole / 2] {
            file.set_len(whole - less).expect("it is ours");
            let error = open(&path, 1 << 20).expect_err("it was cut");
            assert!(error.to_string().contains("and was"), "{error}");
        }
    }

    #[test]
    fn a_file_that_only_grew_is_opened() {
        let (_folder, path) = killed(10);
        let db = open(&path, 1 << 20).expect("it is whole");
        let read = db.begin_read().expect("it reads");
        let table = read.open_table(NUMBERS).expect("it is there");
        assert!(table.get(9).expect("it reads").is_some());
    }
}
