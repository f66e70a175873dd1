//! What this sidecar knows and owes, kept so that the death of its process forgets nothing.
//!
//! A record goes to the log before the answer it stands for goes out. The log is memory that the
//! kernel owns, so it survives `kill -9`; it does not survive the loss of power. From time to time a
//! [`checkpoint`] takes over what the log says, and the log is cut. A start replays the log into the
//! checkpoint and begins a new one.

mod checkpoint;
mod fellows;
mod folder;
mod frames;
mod ids;
mod left;
mod log;
mod parting;
mod record;
mod register;
mod replay;
mod roll;
mod segment;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use checkpoint::Checkpoint;
pub use fellows::Whose;
pub use folder::Folder;
pub use frames::Frames;
use left::LeftApps;
pub use left::Unsettled;
use log::Log;
pub use log::{LogFull, SEALED_MAX, Sealed};
pub use parting::{Parting, Predecessor};
pub use record::Record;
#[cfg(any(test, fuzzing))]
pub use record::fuzz;
pub use record::{cell_code, cell_of as cell_of_code};
pub use roll::Standing;

use super::escrow::SavedAccount;
use super::ids::Known;
use crate::chance;
use crate::clock::{Day, Millis};
use crate::quota::{AppId, COUNTERS, Counter};
use crate::store::{Attempt, Cell, GiveBack, Installation, Take, Totals};

/// The most segments that a start leaves to the first checkpoint.
const LEFT_SEGMENTS_MAX: usize = SEALED_MAX / 2;

/// The file of the checkpoint.
const DATABASE: &str = "member.redb";

/// Who this member is, and which ledger it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Drawn when the journal was made.
    pub incarnation: u64,
    /// How often the journal was opened, this time included.
    pub boot: u32,
    /// The ledger that it first met.
    pub installation: Option<Installation>,
}

/// A cell's sums: what they are, what the ledger acknowledged, the highest net since then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Saved {
    /// The sums.
    pub totals: Totals,
    /// The sums that the ledger acknowledged.
    pub acked: Totals,
    /// The highest net since the acknowledged report.
    pub high: i64,
    /// The account of a cell that a limit guards.
    pub account: Option<Box<SavedAccount>>,
}

impl Saved {
    /// Whether the ledger has yet to hear of something here.
    pub fn is_owed(&self) -> bool {
        let account = self.account.as_deref();
        self.totals != self.acked || account.is_some_and(SavedAccount::is_owed)
    }

    /// Whether more was created, since the ledger last heard of it, than was spent of what it lent. What
    /// was lent is charged until the ledger hears that it was spent, and so is what it recorded.
    pub fn is_beyond(&self) -> bool {
        let created = self.totals.consumed.saturating_sub(self.acked.consumed);
        let account = self.account.as_deref();
        let spent = account.map_or(0, SavedAccount::untold);
        created > spent
    }
}

/// How far a take has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeState {
    /// Sent, or about to be: nobody knows its outcome.
    Open,
    /// Its answer went out, and the ledger is to be told.
    Answered {
        /// The counter that stood in the way; `None`: the answer was ALLOW.
        refused: Option<Counter>,
        /// The generation in which this member's own sums contain it; `None`: they do not.
        contained: Option<u64>,
    },
    /// Given up; the ledger is to withdraw it.
    Abort,
}

impl TakeState {
    /// The generation in which own sums contain it.
    pub fn contained(self) -> Option<u64> {
        match self {
            Self::Answered { contained, .. } => contained,
            Self::Open | Self::Abort => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Abort => 1,
            Self::Answered { refused: None, .. } => 2,
            Self::Answered {
                refused: Some(counter),
                ..
            } => 3 + counter as u8,
        }
    }
}

/// A take that the ledger must still hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedTake {
    /// The take as it was sent.
    pub take: Take,
    /// When it was.
    pub at: Millis,
    /// How far it has come.
    pub state: TakeState,
}

impl OwedTake {
    fn state_of(code: u8, contained: Option<u64>) -> Option<TakeState> {
        Some(match code {
            0 => TakeState::Open,
            1 => TakeState::Abort,
            2 => TakeState::Answered {
                refused: None,
                contained,
            },
            _ => {
                let counter = code.checked_sub(3).map(usize::from)?;
                TakeState::Answered {
                    refused: Some(*COUNTERS.get(counter)?),
                    contained,
                }
            }
        })
    }
}

/// A release that the ledger may not have yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedRelease {
    /// When it was first sent; `None`: it was accepted while the ledger was away, and waits.
    pub sent: Option<Millis>,
    /// What to release.
    pub give_back: GiveBack,
    /// Whether this member's own sums contain what it gave back, and the ledger is to be told so.
    pub gave: bool,
}

/// A login that the ledger has not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginKey {
    /// The app.
    pub app: AppId,
    /// The event's day.
    pub day: Day,
    /// The user's hash.
    pub user: u128,
}

/// What a checkpoint writes, and what a start reads.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Cells that changed since the last one.
    pub cells: HashMap<(AppId, Cell), Saved>,
    /// All takes owed.
    pub takes: BTreeMap<Attempt, OwedTake>,
    /// All releases owed, by number.
    pub releases: BTreeMap<u64, OwedRelease>,
    /// All logins owed.
    pub logins: HashSet<LoginKey>,
    /// Requests that are remembered since the last one, in their order.
    pub ids: Vec<Known>,
}

/// Why a journal cannot be opened, or written.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Another process has it.
    #[error("the data folder {} is in use by another process; give each its own with --data-dir", .0.display())]
    Locked(PathBuf),
    /// The file system refuses.
    #[error("the data folder {} cannot be used: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// A file is not what this program wrote.
    #[error("{} {}; restore it, or move the data folder away and recount: nothing was changed", .0.display(), .1)]
    Damaged(PathBuf, String),
}

impl Fault {
    fn damaged(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::Damaged(path.into(), format!("is damaged ({why})"))
    }
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    identity: Mutex<Identity>,
    log: Log,
    checkpoint: Checkpoint,
    /// Whether the last run left any cell; if not, first touches need not read the checkpoint.
    had_cells: bool,
    left: LeftApps,
    folder: Folder,
}

impl Journal {
    /// Opens the journal in `folder`, replays what the last run left, and begins a new log. Answers
    /// what is still owed to the ledger; takes of unknown outcome come back as aborts.
    ///
    /// # Errors
    /// [`Fault`]; nothing is changed then.
    pub fn open(folder: Folder, now: Millis) -> Result<(Self, Snapshot, Vec<Unsettled>), Fault> {
        let database = folder.path().join(DATABASE);
        let has_log = !folder.segments()?.is_empty();
        let missing = || {
            Fault::Damaged(
                database.clone(),
                "is missing although its log is there".into(),
            )
        };
        // Looked at before the database is opened, which would make the file.
        if has_log && std::fs::metadata(&database).map_or(true, |file| file.len() == 0) {
            return Err(missing());
        }
        let checkpoint = Checkpoint::open(&database)?;
        parting::succeed(&folder, &checkpoint)?;
        let damaged = |error: redb::Error| Fault::damaged(&database, error);
        let known = checkpoint
            .identity()
            .map_err(|why| Fault::Damaged(database.clone(), why))?;
        if known.is_none() && has_log {
            return Err(missing());
        }
        let identity = Identity {
            incarnation: known.map_or_else(chance::draw, |known| known.incarnation),
            boot: known.map_or(0, |known| known.boot).saturating_add(1),
            installation: known.and_then(|known| known.installation),
        };
        let mut left = replay::replay(&folder, &checkpoint, identity.incarnation)?;
        // The boot number is durable before any attempt is numbered from it.
        checkpoint.set_identity(&identity).map_err(damaged)?;
        // The old segments wait for the first checkpoint, unless it is done at once: where there is
        // nothing to write, or where run after run left some and never came to it.
        let at_once = !left.has_records || left.begun.len() >= LEFT_SEGMENTS_MAX;
        let sealed = if at_once {
            Vec::new()
        } else {
            left.begun.clone()
        };
        // A log is begun before the checkpoint counts on it, and what the checkpoint has is removed
        // after: a process that is killed in between leaves one log that is whole.
        let log = Log::begin(&folder, identity.incarnation, left.next, now, sealed)
            .map_err(|error| Fault::Io(folder.path().into(), error))?;
        let mut superfluous = left.old;
        if at_once {
            let save = checkpoint.save(&left.apps, &left.state, None, left.next);
            save.map_err(damaged)?;
            left.state.ids.clear();
            superfluous.extend(left.begun);
        }
        for path in superfluous.iter().filter(|path| !log.has(path)) {
            std::fs::remove_file(path).map_err(|error| Fault::Io(path.clone(), error))?;
        }
        // What the log left is in the checkpoint after the first save, whatever was there at the start.
        let had_cells = !left.apps.is_empty() || checkpoint.has_cells().map_err(damaged)?;
        let unsettled = checkpoint.unsettled(&left.apps).map_err(damaged)?;
        let left_apps = if at_once { BTreeMap::new() } else { left.apps };
        let this = Self {
            identity: Mutex::new(identity),
            log,
            checkpoint,
            had_cells,
            left: LeftApps::new(left_apps),
            folder,
        };
        Ok((this, left.state, unsettled))
    }

    /// Who the member is.
    pub fn identity(&self) -> Identity {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers which ledger this journal belongs to, durably.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn belong_to(&self, installation: Installation) -> Result<(), Fault> {
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if identity.installation == Some(installation) {
            return Ok(());
        }
        let changed = Identity {
            installation: Some(installation),
            ..*identity
        };
        let path = || self.folder.path().join(DATABASE);
        self.checkpoint
            .set_identity(&changed)
            .map_err(|e| Fault::damaged(&path(), e))?;
        *identity = changed;
        Ok(())
    }

    /// Writes one record's frame.
    ///
    /// # Errors
    /// [`LogFull`].
    pub fn append(&self, frame: &[u8], now: Millis) -> Result<(), LogFull> {
        self.log.append(frame, now)
    }

    /// Lets `change` move sums and build their frames, and writes these, all or none. While it runs
    /// nothing else is appended: what the sums are then stands in the log in the order in which they
    /// grew, and no frame contains what another, not written yet, answers for. It runs only when there
    /// is room; where it refuses, it must have changed nothing, and nothing is written. An entry that it
    /// changes is put on the list of those to be saved by it, so that no checkpoint cuts the frames
    /// without having seen it.
    ///
    /// # Errors
    /// [`LogFull`], `change` did not run then; or what it refuses with.
    pub fn append_with<T, E: From<LogFull>>(
        &self,
        now: Millis,
        change: impl FnOnce(&mut Frames) -> Result<T, E>,
    ) -> Result<T, E> {
        self.log.append_with(now, change)
    }

    /// Looks at sums while nothing is appended, so that they are those of a moment between two appends.
    pub fn between_appends<T>(&self, look: impl FnOnce() -> T) -> T {
        self.log.between_appends(look)
    }

    /// An app's cells as the last run left them, or as the last snapshot had them.
    ///
    /// # Errors
    /// What went wrong, in words for the log.
    pub fn cells_of(&self, app: AppId) -> Result<Vec<(Cell, Saved)>, String> {
        if let Some(cells) = self.left.all().get(&app) {
            return Ok(cells.clone());
        }
        if !self.had_cells {
            return Ok(Vec::new());
        }
        self.checkpoint
            .cells_of(app)
            .map_err(|error| error.to_string())
    }

    /// Whether there is no segment in reserve.
    pub fn wants_reserve(&self) -> bool {
        !self.log.has_reserve()
    }

    /// Keeps a segment in reserve.
    ///
    /// # Errors
    /// The file system's own.
    pub fn reserve(&self) -> io::Result<()> {
        self.log.reserve()
    }

    /// Whether the log grew so far that a checkpoint is due.
    pub fn wants_checkpoint(&self) -> bool {
        self.log.has_sealed()
    }

    /// How many finished log segments wait for a checkpoint, of [`SEALED_MAX`].
    pub fn sealed(&self) -> usize {
        self.log.sealed()
    }

    /// How many bytes wait for a checkpoint, and how many may.
    pub fn bytes(&self) -> (u64, u64) {
        self.log.bytes()
    }

    /// Whether there is anything that a checkpoint could take over.
    pub fn has_records(&self) -> bool {
        self.log.has_records()
    }

    /// First step of a checkpoint: what is written from now on stays in the log.
    pub fn seal(&self, now: Millis) -> Option<Sealed> {
        self.log.seal(now)
    }

    /// Last step of a checkpoint: writes the snapshot and cuts the log. Blocks for the disk.
    ///
    /// # Errors
    /// What went wrong, in words for the log; the log is kept then.
    pub fn save(
        &self,
        sealed: &Sealed,
        snapshot: &Snapshot,
        drop_before: Day,
    ) -> Result<(), String> {
        self.checkpoint
            .save(
                &self.left.all(),
                snapshot,
                Some(drop_before),
                sealed.log_begins,
            )
            .map_err(|error| error.to_string())?;
        self.left.are_saved();
        self.log.discard(sealed).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
