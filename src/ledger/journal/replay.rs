//! A start: the log of the last run is read and laid over the checkpoint.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::checkpoint::Checkpoint;
use super::folder::Folder;
use super::frames::FRAMES_BYTES_MAX;
use super::left::AppsCells;
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
    /// What is owed, the log's word on it included; without any cells.
    pub state: Snapshot,
    /// The apps whose cells the log speaks of, with all their cells.
    pub apps: AppsCells,
    /// Whether the log says anything.
    pub has_records: bool,
    /// The number of the segment to go on with.
    pub next: u64,
    /// The segments that say it.
    pub begun: Vec<PathBuf>,
    /// Segments that say nothing, or what the checkpoint has.
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
    let all: Vec<_> = segments.iter().map(|(_, path)| path.clone()).collect();
    let (log, records) = read_log(folder, segments, begins, incarnation)?;
    let mut old = all;
    old.retain(|path| !log.begun.contains(path));
    let has_records = !records.is_empty();
    let cells = Cells::of(&records, checkpoint);
    let mut cells = cells.map_err(|error| Fault::damaged(&database, error))?;
    for record in &records {
        if let Record::Acked(app, cell, totals) = record {
            cells.acked(*app, *cell, *totals);
        }
    }
    for record in records {
        match record {
            Record::Totals(app, cell, totals) => cells.totals(app, cell, totals),
            Record::Escrow(app, cell, escrow) => cells.escrow(app, cell, &escrow),
            other => owe(&mut state, other),
        }
    }
    for owed in state.takes.values_mut() {
        // Asking again would charge for nobody: a take of unknown outcome is withdrawn.
        if owed.state == TakeState::Open {
            owed.state = TakeState::Abort;
        }
    }
    Ok(Left {
        state,
        apps: cells.0.into_iter().collect(),
        has_records,
        next: log.next,
        begun: log.begun,
        old,
    })
}

/// The log as it was found.
struct Found {
    /// The segments that were begun.
    begun: Vec<PathBuf>,
    /// The number of the segment to go on with.
    next: u64,
}

/// Reads all segments from `begins` on, of which none may be missing. Older ones are in the
/// checkpoint; a process that was killed before it removed them left them.
fn read_log(
    folder: &Folder,
    mut segments: Vec<(u64, PathBuf)>,
    begins: Option<u64>,
    incarnation: u64,
) -> Result<(Found, Vec<Record>), Fault> {
    segments.retain(|(number, _)| begins.is_none_or(|begins| *number >= begins));
    let mut next = begins
        .or(segments.first().map(|(number, _)| *number))
        .unwrap_or(1);
    let (mut begun, mut records) = (Vec::new(), Vec::new());
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
        let is_begun = read_segment(folder, &path, number, incarnation, &mut records)?;
        if is_begun {
            begun.push(path);
            next += 1;
        } else if begins == Some(number) || last != Some(number) {
            // Only the reserve, which is the last, may not have been begun.
            return Err(missing(number));
        }
    }
    Ok((Found { begun, next }, records))
}

/// The apps whose cells the log speaks of, laid over the checkpoint's.
struct Cells(FxHashMap<AppId, Vec<(Cell, Saved)>>);

impl Cells {
    /// As the checkpoint has them.
    fn of(records: &[Record], checkpoint: &Checkpoint) -> Result<Self, redb::Error> {
        let apps: BTreeSet<_> = records.iter().filter_map(Record::of_cell).collect();
        let cells = checkpoint.cells_of_all(apps.into_iter())?;
        Ok(Self(cells.into_iter().collect()))
    }

    fn cell(&mut self, app: AppId, cell: Cell) -> &mut Saved {
        let cells = self.0.entry(app).or_default();
        let at = cells.iter().position(|(of, _)| *of == cell);
        let at = at.unwrap_or_else(|| {
            cells.push((cell, Saved::default()));
            cells.len() - 1
        });
        &mut cells[at].1
    }

    fn acked(&mut self, app: AppId, cell: Cell, totals: Totals) {
        let saved = self.cell(app, cell);
        if totals.consumed + totals.released >= saved.acked.consumed + saved.acked.released {
            saved.acked = totals;
            saved.high = totals.net();
        }
    }

    fn totals(&mut self, app: AppId, cell: Cell, totals: Totals) {
        let saved = self.cell(app, cell);
        saved.totals.consumed = saved.totals.consumed.max(totals.consumed);
        saved.totals.released = saved.totals.released.max(totals.released);
        // Sums only grow, so a larger sum of sums is a later moment.
        if totals.consumed + totals.released > saved.acked.consumed + saved.acked.released {
            saved.high = saved.high.max(totals.net());
        }
    }

    fn escrow(&mut self, app: AppId, cell: Cell, said: &Escrow) {
        let saved = self.cell(app, cell);
        let sums = &mut saved.account.get_or_insert_default().sums;
        if said.generation >= sums.generation {
            (sums.generation, sums.offset) = (said.generation, said.offset);
        }
        sums.taken = sums.taken.max(said.taken);
        sums.given = sums.given.max(said.given);
        sums.granted = sums.granted.max(said.granted);
        sums.done = sums.done.max(said.done);
    }
}

fn owe(state: &mut Snapshot, record: Record) {
    match record {
        Record::Totals(..) | Record::Acked(..) | Record::Escrow(..) => {}
        Record::Once(known) => state.ids.push(known),
        Record::Attempt(at, take) => {
            let (attempt, open) = (take.attempt, TakeState::Open);
            state.takes.insert(
                attempt,
                OwedTake {
                    take: *take,
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
