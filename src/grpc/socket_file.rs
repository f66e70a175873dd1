//! The file of a Unix socket: replaced when stale, left alone when live or no socket, removed at the
//! end if it is still ours.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use socket2::{Domain, SockAddr, Socket, Type};

/// How often a folder is asked for its lock before it is given up: others hold it for a few system
/// calls only.
const LOCK_TRIES: u32 = 50;
/// Between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why a socket's file cannot be ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketFault {
    #[error("another process is listening on it; stop that one or choose another path")]
    Live,
    #[error("exists and is not a socket, so it is left alone; remove it or choose another path")]
    NotASocket,
    #[error("cannot listen: {0}")]
    Io(#[from] io::Error),
}

/// A socket's file as this process made it. Removed on drop, unless another has replaced it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// Listens on `path`, in the place of a socket that nobody listens on any more.
    pub(super) fn listen(path: &Path) -> Result<(UnixListener, Self), SocketFault> {
        // Without it, two that start at once could both find the socket stale, and the slower one
        // would remove the faster one's.
        let _lock = lock_folder(path)?;
        clear(path)?;
        let listener = UnixListener::bind(path)?;
        let made = fs::symlink_metadata(path)?;
        let file = Self {
            path: path.into(),
            device: made.dev(),
            inode: made.ino(),
        };
        Ok((listener, file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|now| (now.dev(), now.ino()) == (self.device, self.inode));
        if ours && let Err(problem) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %problem, "the socket's file stays behind");
        }
    }
}

/// The lock of the folder that `path` lies in; it ends when the handle is closed.
fn lock_folder(path: &Path) -> io::Result<File> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let handle = File::open(folder)?;
    for _ in 0..LOCK_TRIES {
        match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => thread::sleep(LOCK_PAUSE),
            // A file system without locks leaves the race, which is better than no service.
            Ok(()) | Err(_) => return Ok(handle),
        }
    }
    let problem = "another process keeps the socket's folder locked";
    Err(io::Error::new(ErrorKind::WouldBlock, problem))
}

/// Makes `path` free, if what is there is a socket that nobody listens on.
fn clear(path: &Path) -> Result<(), SocketFault> {
    match fs::symlink_metadata(path) {
        Err(problem) if problem.kind() == ErrorKind::NotFound => return Ok(()),
        Err(problem) => return Err(problem.into()),
        Ok(found) if !found.file_type().is_socket() => return Err(SocketFault::NotASocket),
        Ok(_) => {}
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A listener that hangs has a full queue: it is asked without waiting, and is alive.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => Err(SocketFault::Live),
        Err(problem) => match problem.kind() {
            ErrorKind::ConnectionRefused => Ok(fs::remove_file(path)?),
            ErrorKind::NotFound => Ok(()),
            ErrorKind::WouldBlock => Err(SocketFault::Live),
            _ => Err(problem.into()),
        },
    }
}
