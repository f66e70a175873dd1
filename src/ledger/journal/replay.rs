//! A start: the log of the last run is read and laid over the checkpoint.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::folder::Folder;
use super::frames::FRAMES_BYTES_MAX;
use super::log::APPEND_BYTES_MAX;
use super::record::{Framed, Record};
use super::segment::{self, HEADER_BYTES, Header};
use super::{Fault, LoginKey, OwedRelease, OwedTake, Saved, Snapshot, TakeState};
use crate::quota::AppId;
use crate::store::{Cell, Escrow, Totals};

/// How far an unfinished append can reach. Its first head is written last, so it shows as an end of
/// the log with something behind; whatever lies further on means that the log is damaged.
const UNFINISHED_BYTES_MAX: usize = APPEND_BYTES_MAX;
/// The most bytes of an append of several frames. Behind these, a frame that can be read means that
/// what stands before it was written, and lost.
const SEVERAL_BYTES_MAX: usize = FRAMES_BYTES_MAX;

/// What the last run left.
pub struct Left {
    /// What is owed, the log's word on it included; the cells are those that the log speaks of.
    pub state: Snapshot,
    /// The number of the segment to go on with.
    pub next: u64,
    /// What is superfluous once the state was saved.
    pub old: Vec<PathBuf>,
}

/// Reads what the last run left; changes nothing.
pub fn replay(folder: &Folder, checkpoint: &Checkpoint, incarnation: u64) -> Result<Left, Fault> {
    let database = folder.path().join(super::DATABASE);
    let begins = checkpoint
        .log_begins()
        .map_err(|why| Fault::Damaged(database.clone(), why))?;
    let mut state = checkpoint
        .owed()
        .map_err(|why| Fault::Damaged(database.clone(), why))?;
    let segments = folder.segments()?;
    if !segments.is_empty() {
        tracing::debug!(
            segments = segments.len(),
            "reading what the last run left in the journal"
        );
    }
    let old = segments.iter().map(|(_, path)| path.clone()).collect();
    let (next, records) = read_log(folder, segments, begins, incarnation)?;
    let mut cells = Cells::new(checkpoint);
    for record in &records {
        if let Record::Acked(app, cell, totals) = record {
            cells
                .acked(*app, *cell, *totals)
                .map_err(|e| Fault::damaged(&database, e))?;
        }
    }
    for record in records {
        match record {
            Record::Totals(app, cell, totals) => {
                cells
                    .totals(app, cell, totals)
                    .map_err(|e| Fault::damaged(&database, e))?;
            }
            Record::Escrow(app, cell, escrow) => {
                cells
                    .escrow(app, cell, &escrow)
                    .map_err(|e| Fault::damaged(&database, e))?;
            }
            other => owe(&mut state, other),
        }
    }
    for owed in state.takes.values_mut() {
        // Asking again would charge for nobody: a take of unknown outcome is withdrawn.
        if owed.state == TakeState::Open {
            owed.state = TakeState::Abort;
        }
    }
    state.cells = cells.changed;
    Ok(Left { state, next, old })
}

/// Reads all segments from `begins` on, of which none may be missing. Older ones are in the
/// checkpoint; a process that was killed before it removed them left them. Answers the number of the
/// segment to go on with, and the records.
fn read_log(
    folder: &Folder,
    mut segments: Vec<(u64, PathBuf)>,
    begins: Option<u64>,
    incarnation: u64,
) -> Result<(u64, Vec<Record>), Fault> {
    segments.retain(|(number, _)| begins.is_none_or(|begins| *number >= begins));
    let mut next = begins
        .or(segments.first().map(|(number, _)| *number))
        .unwrap_or(1);
    let mut records = Vec::new();
    let missing = |number| {
        let path = segment::path_of(folder.path(), number);
        Fault::Damaged(path, "is missing, or was emptied".into())
    };
    let last = segments.last().map(|(number, _)| *number);
    if begins.is_some_and(|begins| last.is_none_or(|last| last < begins)) {
        return Err(missing(next));
    }
    for (number, path) in segments {
        if number != next {
            return Err(missing(next));
        }
        let begun = read_segment(folder, &path, number, incarnation, &mut records)?;
        if begun {
            next += 1;
        } else if begins == Some(number) || last != Some(number) {
            // Only the reserve, which is the last, may not have been begun.
            return Err(missing(number));
        }
    }
    Ok((next, records))
}

/// The cells that the log speaks of, laid over the checkpoint's.
struct Cells<'a> {
    checkpoint: &'a Checkpoint,
    changed: HashMap<(AppId, Cell), Saved>,
}

impl<'a> Cells<'a> {
    fn new(checkpoint: &'a Checkpoint) -> Self {
        Self {
            checkpoint,
            changed: HashMap::new(),
        }
    }

    fn cell(&mut self, app: AppId, cell: Cell) -> Result<&mut Saved, redb::Error> {
        if !self.changed.contains_key(&(app, cell)) {
            for (cell, saved) in self.checkpoint.cells_of(app)? {
                self.changed.entry((app, cell)).or_insert(saved);
            }
        }
        Ok(self.changed.entry((app, cell)).or_default())
    }

    fn acked(&mut self, app: AppId, cell: Cell, totals: Totals) -> Result<(), redb::Error> {
        let saved = self.cell(app, cell)?;
        if totals.consumed + totals.released >= saved.acked.consumed + saved.acked.released {
            saved.acked = totals;
            saved.high = totals.net();
        }
        Ok(())
    }

    fn totals(&mut self, app: AppId, cell: Cell, totals: Totals) -> Result<(), redb::Error> {
        let saved = self.cell(app, cell)?;
        saved.totals.consumed = saved.totals.consumed.max(totals.consumed);
        saved.totals.released = saved.totals.released.max(totals.released);
        // Sums only grow, so a larger sum of sums is a later moment.
        if totals.consumed + totals.released > saved.acked.consumed + saved.acked.released {
            saved.high = saved.high.max(totals.net());
        }
        Ok(())
    }

    fn escrow(&mut self, app: AppId, cell: Cell, said: &Escrow) -> Result<(), redb::Error> {
        let saved = self.cell(app, cell)?;
        let sums = &mut saved.account.get_or_insert_default().sums;
        if said.generation >= sums.generation {
            (sums.generation, sums.offset) = (said.generation, said.offset);
        }
        sums.taken = sums.taken.max(said.taken);
        sums.given = sums.given.max(said.given);
        sums.granted = sums.granted.max(said.granted);
        sums.done = sums.done.max(said.done);
        Ok(())
    }
}

fn owe(state: &mut Snapshot, record: Record) {
    match record {
        Record::Totals(..) | Record::Acked(..) | Record::Escrow(..) => {}
        Record::Attempt(at, take) => {
            let (attempt, open) = (take.attempt, TakeState::Open);
            state.takes.insert(
                attempt,
                OwedTake {
                    take,
                    at,
                    state: open,
                },
            );
        }
        Record::Answered(attempt, refused, contained) => {
            if let Some(owed) = state.takes.get_mut(&attempt) {
                owed.state = TakeState::Answered { refused, contained };
            }
        }
        Record::Kept(attempt) => {
            state.takes.remove(&attempt);
        }
        Record::Abort(attempt) => {
            if let Some(owed) = state.takes.get_mut(&attempt) {
                owed.state = TakeState::Abort;
            }
        }
        Record::Release(number, sent, give_back) => {
            state.releases.insert(
                number,
                OwedRelease {
                    sent,
                    give_back,
                    gave: false,
                },
            );
        }
        Record::Gave(number) => {
            if let Some(owed) = state.releases.get_mut(&number) {
                owed.gave = true;
            }
        }
        Record::ReleaseSent(number, at) => {
            if let Some(owed) = state.releases.get_mut(&number) {
                owed.sent = Some(at);
            }
        }
        Record::ReleaseDone(number, None) => {
            state.releases.remove(&number);
        }
        Record::ReleaseDone(number, given) => {
            // What was given back then, and no more: the ledger is told creations first.
            if let Some(owed) = state.releases.get_mut(&number) {
                owed.give_back.given = given;
            }
        }
        Record::Logins(app, day, users) => {
            state
                .logins
                .extend(users.into_iter().map(|user| LoginKey { app, day, user }));
        }
    }
}

/// Whether what stands behind an end of the log can be an append that a kill cut short.
fn is_unfinished(rest: &[u8]) -> bool {
    let (near, beyond) = rest.split_at(rest.len().min(UNFINISHED_BYTES_MAX));
    let reads = |at: usize| matches!(Record::read(&near[at..]), Framed::Record(..));
    is_zero(beyond) && (is_zero(near) || !(SEVERAL_BYTES_MAX..near.len()).any(reads))
}

/// Whether all bytes are 0. Compared by pages: most of a log is room for more.
fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut pages = bytes.chunks(ZEROS.len());
    pages.all(|page| page == &ZEROS[..page.len()])
}

/// Reads one segment; `false` if it was made and never begun.
fn read_segment(
    folder: &Folder,
    path: &Path,
    number: u64,
    incarnation: u64,
    records: &mut Vec<Record>,
) -> Result<bool, Fault> {
    let bytes = segment::read(path).map_err(|error| Fault::Io(path.into(), error))?;
    let header = Header::decode(&bytes, folder.segment_bytes())
        .map_err(|why| Fault::Damaged(path.into(), why))?;
    let Some(header) = header else {
        return Ok(false);
    };
    if header.incarnation != incarnation {
        return Err(Fault::Damaged(
            path.into(),
            "belongs to another member".into(),
        ));
    }
    if header.number != number {
        return Err(Fault::Damaged(path.into(), "was renamed".into()));
    }
    let mut rest = &bytes[HEADER_BYTES..];
    let whole = loop {
        match Record::read(rest) {
            Framed::Record(record, after) => {
                records.push(record);
                rest = after;
            }
            Framed::End => {
                break is_unfinished(rest);
            }
            Framed::Broken => break false,
        }
    };
    if whole {
        return Ok(true);
    }
    let at = bytes.len() - rest.len();
    Err(Fault::damaged(
        path,
        format!("no record can be read at byte {at}"),
    ))
}
