//! The log that is being written: one segment in use, one in reserve, the finished ones until a
//! checkpoint holds what they say.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering, compiler_fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::folder::Folder;
use super::frames::{FRAMES_BYTES_MAX, Frames};
use super::record::FRAME_BYTES;
use super::segment::{HEADER_BYTES, Segment};
use crate::clock::Millis;

/// The most finished segments that wait for a checkpoint: half a GiB. Beyond it nothing is taken on.
pub const SEALED_MAX: usize = 16;

/// The most bytes of one append: the users of one call, the largest record.
pub const APPEND_BYTES_MAX: usize = 16 * 1024 + 64;

/// The log takes no more: the disk is full, or checkpoints fail. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal is full; see the log for what stops its checkpoint or its disk")]
pub struct LogFull;

/// The log of one process run. Appending is a copy into mapped memory under a lock held for it alone.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    segment_bytes: usize,
    incarnation: u64,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    active: Segment,
    at: usize,
    /// Of the append that is being made.
    frames: Frames,
    made: Millis,
    spare: Option<Segment>,
    sealed: Vec<PathBuf>,
    next: u64,
}

/// Segments that a checkpoint is about to make superfluous.
#[derive(Debug)]
pub struct Sealed {
    paths: Vec<PathBuf>,
    /// The segment that holds everything newer.
    pub log_begins: u64,
    /// When that segment was begun.
    pub log_from: Millis,
}

impl Log {
    /// Begins a log in `folder` with segment `number`, behind finished segments of an earlier run.
    ///
    /// # Errors
    /// The file system's own.
    pub fn begin(
        folder: &Folder,
        incarnation: u64,
        number: u64,
        now: Millis,
        finished: Vec<PathBuf>,
    ) -> io::Result<Self> {
        let (path, bytes) = (folder.path(), folder.segment_bytes());
        let mut active = Segment::make(path, number, bytes)?;
        active.begin(incarnation, now);
        let writer = Writer {
            active,
            at: HEADER_BYTES,
            frames: Frames::default(),
            made: now,
            spare: Some(Segment::make(path, number + 1, bytes)?),
            sealed: finished,
            next: number + 2,
        };
        Ok(Self {
            folder: path.into(),
            segment_bytes: bytes,
            incarnation,
            writer: Mutex::new(writer),
        })
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// [`LogFull`].
    pub fn append(&self, frame: &[u8], now: Millis) -> Result<(), LogFull> {
        debug_assert!(frame.len() <= APPEND_BYTES_MAX);
        let mut writer = self.writer();
        writer.make_room(self, frame.len(), now)?;
        let Writer { active, at, .. } = &mut *writer;
        write(active, at, frame);
        Ok(())
    }

    /// Appends the frames that `change` builds, all or none; it runs when it is sure that there is room
    /// for them, and before a seal can come behind them.
    ///
    /// # Errors
    /// [`LogFull`], `change` did not run then; or what it refuses with, and nothing is written.
    pub fn append_with<T, E: From<LogFull>>(
        &self,
        now: Millis,
        change: impl FnOnce(&mut Frames) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = self.writer();
        writer.make_room(self, FRAMES_BYTES_MAX, now)?;
        let Writer {
            active, at, frames, ..
        } = &mut *writer;
        frames.clear();
        let done = change(frames)?;
        write(active, at, frames.bytes());
        Ok(done)
    }

    /// Runs `look` while nothing can be appended.
    pub fn between_appends<T>(&self, look: impl FnOnce() -> T) -> T {
        let _writer = self.writer();
        look()
    }

    /// Whether the file at `path` is the segment in use or the one in reserve.
    pub fn has(&self, path: &Path) -> bool {
        let writer = self.writer();
        let spare = writer.spare.as_ref().map(Segment::path);
        writer.active.path() == path || spare == Some(path)
    }

    /// Whether there is a segment to go on with when the one in use is full.
    pub fn has_reserve(&self) -> bool {
        self.writer().spare.is_some()
    }

    /// Makes the reserve segment if there is none, outside the lock that appending needs.
    ///
    /// # Errors
    /// The file system's own; or that [`SEALED_MAX`] segments wait for a checkpoint.
    pub fn reserve(&self) -> io::Result<()> {
        let number = {
            let writer = self.writer();
            if writer.spare.is_some() {
                return Ok(());
            }
            if writer.sealed.len() >= SEALED_MAX {
                return Err(io::Error::other(format!(
                    "{SEALED_MAX} log segments wait for a checkpoint"
                )));
            }
            writer.next
        };
        let spare = Segment::make(&self.folder, number, self.segment_bytes)?;
        let mut writer = self.writer();
        // Only now: a number that is left out would look like a segment that is missing.
        writer.next = number + 1;
        writer.spare = Some(spare);
        Ok(())
    }

    /// Whether a finished segment waits for a checkpoint.
    pub fn has_sealed(&self) -> bool {
        !self.writer().sealed.is_empty()
    }

    /// How many finished segments wait for a checkpoint.
    pub fn sealed(&self) -> usize {
        self.writer().sealed.len()
    }

    /// How many bytes wait for a checkpoint, and how many may.
    pub fn bytes(&self) -> (u64, u64) {
        let writer = self.writer();
        let segment = self.segment_bytes as u64;
        let held = writer.sealed.len() as u64 * segment + writer.at as u64;
        (held, (SEALED_MAX as u64 + 1) * segment)
    }

    /// Whether there is anything that a checkpoint could take over.
    pub fn has_records(&self) -> bool {
        let writer = self.writer();
        writer.at > HEADER_BYTES || !writer.sealed.is_empty()
    }

    /// Finishes the segment in use, so that a checkpoint taken from now on covers all up to here.
    /// Where finished ones wait already, because a checkpoint failed, those are enough: trying again
    /// must not use up the reserve. `None` while there is no reserve to go on with.
    pub fn seal(&self, now: Millis) -> Option<Sealed> {
        let mut writer = self.writer();
        if writer.sealed.is_empty() && writer.at > HEADER_BYTES {
            writer.turn(self.incarnation, now).ok()?;
        }
        Some(Sealed {
            paths: writer.sealed.clone(),
            log_begins: writer.active.number(),
            log_from: writer.made,
        })
    }

    /// Removes segments whose content a checkpoint holds.
    ///
    /// # Errors
    /// The file system's own; what was not removed is tried again with the next checkpoint.
    pub fn discard(&self, sealed: &Sealed) -> io::Result<()> {
        for path in &sealed.paths {
            std::fs::remove_file(path)?;
            self.writer().sealed.retain(|kept| kept != path);
        }
        Ok(())
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // Nothing panics between the steps of a change, so a poisoned writer is still whole.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn make_room(&mut self, log: &Log, bytes: usize, now: Millis) -> Result<(), LogFull> {
        if self.at + bytes > log.segment_bytes {
            self.turn(log.incarnation, now)?;
        }
        self.active.reach(self.at, bytes).map_err(|error| {
            tracing::error!(%error, "no room to write the journal");
            LogFull
        })
    }

    fn turn(&mut self, incarnation: u64, now: Millis) -> Result<(), LogFull> {
        let mut next = self.spare.take().ok_or(LogFull)?;
        next.begin(incarnation, now);
        let done = std::mem::replace(&mut self.active, next);
        self.sealed.push(done.path().into());
        self.at = HEADER_BYTES;
        self.made = now;
        Ok(())
    }
}

/// Writes frames. The first head is written last, so that a process killed in between leaves an end
/// of the log where they would begin.
fn write(active: &mut Segment, at: &mut usize, frames: &[u8]) {
    let to = active.bytes(*at, frames.len());
    let Some((head, rest)) = frames.split_first_chunk::<FRAME_BYTES>() else {
        return; // Nothing to append: every frame has a head.
    };
    to[FRAME_BYTES..].copy_from_slice(rest);
    compiler_fence(Ordering::SeqCst);
    to[..FRAME_BYTES].copy_from_slice(head);
    *at += frames.len();
}

impl Drop for Log {
    /// An unused reserve is no part of the log.
    fn drop(&mut self) {
        if let Some(spare) = &self.writer().spare {
            // The next start removes it where this fails.
            drop(std::fs::remove_file(spare.path()));
        }
    }
}
