//! One file of the log, mapped into memory: what is written here survives the death of the process,
//! since the kernel owns the pages. It does not survive the loss of power.
//!
//! The only unsafe code of the house: the two calls that map a file.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapMut, MmapOptions};
use rustix::fs::FallocateFlags;

use crate::clock::Millis;

/// Bytes of a segment, unless its folder says otherwise. Bounds what a restart replays, together with the age of a checkpoint.
pub const SEGMENT_BYTES: usize = 32 * 1024 * 1024;
/// Bytes before the first record: magic, incarnation, number, time of making, checksum.
pub const HEADER_BYTES: usize = 64;

/// What a segment is called until it has its size.
const UNNAMED: &str = "log.new";
const MAGIC: &[u8; 8] = b"IMQLOG02";
const SUMMED_BYTES: usize = 32;

/// How much of a segment is mapped at a time: what was written is the kernel's to keep, and need not
/// count as memory of this process.
const WINDOW_BYTES: usize = 1024 * 1024;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The member whose journal it belongs to.
    pub incarnation: u64,
    /// Its place in the log; grows by one.
    pub number: u64,
    /// When it was made.
    pub made: Millis,
}

impl Header {
    fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.incarnation.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.made.0.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..SUMMED_BYTES]);
        bytes[SUMMED_BYTES..SUMMED_BYTES + 4].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the header of a segment's bytes. `Ok(None)`: it was made and never begun.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn decode(bytes: &[u8], segment_bytes: usize) -> Result<Option<Self>, String> {
        if bytes.len() != segment_bytes {
            let len = bytes.len();
            return Err(format!("has {len} bytes instead of {segment_bytes}"));
        }
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        if head.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if &head[..8] != MAGIC {
            return Err("is not a log of this version".into());
        }
        let word = |at: usize| -> [u8; 8] {
            let mut word = [0; 8];
            word.copy_from_slice(&head[at..at + 8]);
            word
        };
        let sum = crc32fast::hash(&head[..SUMMED_BYTES]).to_le_bytes();
        if head[SUMMED_BYTES..SUMMED_BYTES + 4] != sum {
            return Err("has a damaged header".into());
        }
        Ok(Some(Self {
            incarnation: u64::from_le_bytes(word(8)),
            number: u64::from_le_bytes(word(16)),
            made: Millis(i64::from_le_bytes(word(24))),
        }))
    }
}

/// A segment that is being written.
#[derive(Debug)]
pub struct Segment {
    file: File,
    bytes: usize,
    window: MmapMut,
    /// Where the window begins.
    from: usize,
    number: u64,
    path: PathBuf,
}

impl Segment {
    /// Makes segment `number` in `folder`, its bytes reserved on the disk, so that writing to it
    /// later cannot run out of space. It has its name only once it has its size: a segment of
    /// another size is a damaged one. One that was never begun is replaced.
    ///
    /// # Errors
    /// The file system's own: no space, no right.
    pub fn make(folder: &Path, number: u64, bytes: usize) -> io::Result<Self> {
        let unnamed = folder.join(UNNAMED);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&unnamed)?;
        reserve(&file, bytes).inspect_err(|_| drop(std::fs::remove_file(&unnamed)))?;
        let path = path_of(folder, number);
        std::fs::rename(&unnamed, &path)?;
        let window = window_of(&file, 0, bytes)?;
        Ok(Self {
            file,
            bytes,
            window,
            from: 0,
            number,
            path,
        })
    }

    /// Writes the header: from now on the segment belongs to the log.
    pub fn begin(&mut self, incarnation: u64, made: Millis) {
        let header = Header {
            incarnation,
            number: self.number,
            made,
        };
        // Nothing was written yet, so the window is where it was made.
        self.window[..HEADER_BYTES].copy_from_slice(&header.encode());
    }

    /// Makes sure that `len` bytes from `at` on can be written. Called with an `at` that only grows.
    ///
    /// # Errors
    /// The system's own: no memory to map.
    pub fn reach(&mut self, at: usize, len: usize) -> io::Result<()> {
        if at + len > self.from + self.window.len() {
            self.window = window_of(&self.file, at, self.bytes)?;
            self.from = at;
        }
        Ok(())
    }

    /// The `len` bytes from `at` on, which were reached before.
    pub fn bytes(&mut self, at: usize, len: usize) -> &mut [u8] {
        let at = at - self.from;
        &mut self.window[at..at + len]
    }

    /// Its place in the log.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Maps the window that begins at `from`, of a segment of so many bytes.
fn window_of(file: &File, from: usize, bytes: usize) -> io::Result<MmapMut> {
    let mut window = MmapOptions::new();
    window
        .offset(from as u64)
        .len(WINDOW_BYTES.min(bytes - from));
    // SAFETY: the folder's lock keeps every other process of ours out, and this process never
    // truncates a file that it has mapped: segments are only removed once their map is gone.
    unsafe { window.map_mut(file) }
}

/// A finished segment's bytes.
///
/// # Errors
/// The file system's own.
pub fn read(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: as in `window_of`; nobody writes to a segment that is being replayed.
    unsafe { Mmap::map(&file) }
}

/// The path of segment `number`.
pub fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("log-{number:010}.imq"))
}

/// The number that a file's name carries, if it is a segment's.
pub fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("log-")?
        .strip_suffix(".imq")?
        .parse()
        .ok()
}

fn reserve(file: &File, bytes: usize) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes as u64) {
        // Some file systems cannot reserve; writing the zeros does the same, slowly.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(file, bytes),
        other => other.map_err(io::Error::from),
    }
}

fn write_zeros(mut file: &File, bytes: usize) -> io::Result<()> {
    let zeros = vec![0; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(zeros.len());
        file.write_all(&zeros[..now])?;
        left -= now;
    }
    Ok(())
}
