//! The data folder: made if its parent exists, and locked for one process.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::Fault;
use super::log::APPEND_BYTES_MAX;
use super::segment::{SEGMENT_BYTES, number_of};

/// Who may look into a folder that is made here: names of users and objects lie in it until they are settled.
const OWN: u32 = 0o700;

/// A locked data folder. The lock ends with the process, however it ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    segment_bytes: usize,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is missing, and locks it.
    ///
    /// # Errors
    /// [`Fault::Locked`], [`Fault::Io`].
    pub fn lock(path: &Path) -> Result<Self, Fault> {
        let io = |error| Fault::Io(path.into(), error);
        match DirBuilder::new().mode(OWN).create(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(io(error));
            }
            _ => {}
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.into(),
                segment_bytes: SEGMENT_BYTES,
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(Fault::Locked(path.into())),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// The same folder with log segments of another size, at least 64 KiB, so that a simulation can
    /// open many. A journal keeps its size for life: segments of another size are damaged ones.
    #[must_use]
    pub fn with_segments_of(mut self, bytes: usize) -> Self {
        self.segment_bytes = bytes.max(4 * APPEND_BYTES_MAX);
        self
    }

    /// Bytes of a log segment.
    pub fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log's segments, oldest first.
    ///
    /// # Errors
    /// [`Fault::Io`].
    pub fn segments(&self) -> Result<Vec<(u64, PathBuf)>, Fault> {
        let io = |error| Fault::Io(self.path.clone(), error);
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(io)? {
            let entry = entry.map_err(io)?;
            let number = entry.file_name().to_str().and_then(number_of);
            segments.extend(number.map(|number| (number, entry.path())));
        }
        segments.sort_unstable();
        Ok(segments)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_folder_that_is_made_is_its_users_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let folder = Folder::lock(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, OWN);
        drop(folder);
        // One that is there is somebody's choice, or a volume.
        Folder::lock(&path).unwrap();
    }
}
