//! What the log says: one record for each thing that must outlive the process.
//!
//! A frame is `length u16 · kind u8 · 0 u8 · crc32 u32 · payload`, all little-endian. Totals are
//! absolute, never differences: replaying a record twice, or after a newer one, does no harm.

use bytes::{Buf, BufMut};

use super::super::ids::{Effect, Known, Once};
use crate::clock::{Day, Millis};
use crate::quota::{
    Amount, AppId, COUNTERS, Charge, Counter, Limit, ObjectNumber, Part, RESOURCES, RequestId,
    Resource,
};
use crate::store::{Attempt, Cell, Escrow, Fingerprint, GiveBack, Intent, RecordKey, Take, Totals};

/// Bytes of a frame before its payload.
pub const FRAME_BYTES: usize = 8;
/// Bytes of a whole frame of totals: the record of the hot path.
pub const TOTALS_BYTES: usize = FRAME_BYTES + 29;
/// Bytes of a whole frame of an account.
pub const ESCROW_BYTES: usize = FRAME_BYTES + 61;
/// Bytes of a whole frame of an answered take.
pub const ANSWERED_BYTES: usize = FRAME_BYTES + 17;
/// Bytes of a whole frame of a request that is remembered.
pub const ONCE_BYTES: usize = FRAME_BYTES + 36;
/// Bytes of a whole frame of a number.
pub const NUMBER_BYTES: usize = FRAME_BYTES + 8;

/// In the place of the counter that refused: none did.
const ALLOWED: u8 = u8::MAX;

/// One thing to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A cell's sums after a creation or release from memory.
    Totals(AppId, Cell, Totals),
    /// The ledger has acknowledged these sums of a cell.
    Acked(AppId, Cell, Totals),
    /// A take is about to be sent, at that time.
    Attempt(Millis, Box<Take>),
    /// A take's answer is about to go out: ALLOW, or DENY because of a counter. With the generation in
    /// which this member's own sums contain it from now on, where they do.
    Answered(Attempt, Option<Counter>, Option<u64>),
    /// The ledger has this answer, and contains it in sums that are not this member's.
    Kept(Attempt),
    /// A take of unknown outcome is given up and must be withdrawn.
    Abort(Attempt),
    /// A release was accepted. It is about to be sent for the first time, or (`None`) waits for a
    /// ledger that is away; either way it will be sent until the ledger has it.
    Release(u64, Option<Millis>, GiveBack),
    /// A release that waited is about to be sent for the first time.
    ReleaseSent(u64, Millis),
    /// The ledger has the release of this number. A ledger in this process may forget it with the
    /// process: a restart states again that so many were given back. `None` for a shared one.
    ReleaseDone(u64, Option<u32>),
    /// This member's own sums contain what the release of this number gave back.
    Gave(u64),
    /// A cell's account, absolute.
    Escrow(AppId, Cell, Escrow),
    /// Users who logged in, before the ledger is asked.
    Logins(AppId, Day, Vec<u128>),
    /// What became of a request under a client's id.
    Once(Known),
}

/// Writes the frame's head over its first bytes.
pub fn seal(frame: &mut [u8], kind: u8) {
    // The largest payload is a call's 1,000 users of 16 bytes, far below 2^16.
    let length = u16::try_from(frame.len() - FRAME_BYTES).unwrap_or(u16::MAX);
    frame[..2].copy_from_slice(&length.to_le_bytes());
    frame[2] = kind;
    let mut sum = crc32fast::Hasher::new();
    sum.update(&frame[..4]);
    sum.update(&frame[FRAME_BYTES..]);
    frame[4..8].copy_from_slice(&sum.finalize().to_le_bytes());
}

/// For the fuzzer: reads a record of a kind (the first byte) and a payload, sealed as if it had been written
/// here. What can be read must be the same when it is written and read again.
///
/// # Panics
/// If it is not.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) {
    let _ = Record::read(bytes);
    let Some((kind, payload)) = bytes.split_first() else {
        return;
    };
    let mut frame = vec![0; FRAME_BYTES];
    frame.extend_from_slice(&payload[..payload.len().min(usize::from(u16::MAX))]);
    seal(&mut frame, *kind);
    if let Framed::Record(record, rest) = Record::read(&frame) {
        assert!(rest.is_empty());
        let again = record.frame();
        assert_eq!(Record::read(&again), Framed::Record(record, &[]));
    }
}

/// What stands at the start of some bytes of the log.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A record, and the bytes after it.
    Record(Record, &'a [u8]),
    /// Nothing: the log ends here.
    End,
    /// Something that is no whole record: a torn end, or damage.
    Broken,
}

impl Record {
    /// The whole frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = vec![0; FRAME_BYTES];
        let kind = self.put(&mut frame);
        seal(&mut frame, kind);
        frame
    }

    /// The app of whose cells it speaks, if it does.
    pub fn of_cell(&self) -> Option<AppId> {
        match self {
            Self::Totals(app, ..) | Self::Acked(app, ..) | Self::Escrow(app, ..) => Some(*app),
            _ => None,
        }
    }

    /// Reads the record that `bytes` start with.
    pub fn read(bytes: &[u8]) -> Framed<'_> {
        let Some(head) = bytes.first_chunk::<FRAME_BYTES>() else {
            return if bytes.iter().all(|byte| *byte == 0) {
                Framed::End
            } else {
                Framed::Broken
            };
        };
        if *head == [0; FRAME_BYTES] {
            return Framed::End;
        }
        let length = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let Some(mut payload) = bytes.get(FRAME_BYTES..FRAME_BYTES + length) else {
            return Framed::Broken;
        };
        let mut sum = crc32fast::Hasher::new();
        sum.update(&head[..4]);
        sum.update(payload);
        if sum.finalize().to_le_bytes() != head[4..8] {
            return Framed::Broken;
        }
        match Self::get(head[2], &mut payload) {
            Some(record) if payload.is_empty() => {
                Framed::Record(record, &bytes[FRAME_BYTES + length..])
            }
            _ => Framed::Broken,
        }
    }

    fn put(&self, to: &mut Vec<u8>) -> u8 {
        match self {
            Self::Totals(app, cell, totals) => {
                put_totals(to, *app, *cell, *totals);
                1
            }
            Self::Acked(app, cell, totals) => {
                put_totals(to, *app, *cell, *totals);
                2
            }
            Self::Attempt(at, take) => {
                to.put_i64_le(at.0);
                put_take(to, take);
                3
            }
            Self::Answered(attempt, refused, contained) => {
                put_answered(to, *attempt, *refused, *contained);
                4
            }
            Self::Kept(attempt) => {
                to.put_u64_le(attempt.0);
                11
            }
            Self::Abort(attempt) => {
                to.put_u64_le(attempt.0);
                5
            }
            Self::Release(number, sent, give_back) => {
                to.put_u64_le(*number);
                to.put_i64_le(sent.map_or(0, |sent| sent.0));
                put_give_back(to, give_back);
                6
            }
            Self::ReleaseSent(number, at) => {
                to.put_u64_le(*number);
                to.put_i64_le(at.0);
                9
            }
            Self::ReleaseDone(number, restate) => {
                to.put_u64_le(*number);
                to.put_u32_le(restate.unwrap_or(NOTHING));
                7
            }
            Self::Gave(number) => {
                to.put_u64_le(*number);
                12
            }
            Self::Once(known) => {
                put_once(to, known);
                13
            }
            Self::Escrow(app, cell, escrow) => {
                put_escrow(to, *app, *cell, escrow);
                10
            }
            Self::Logins(app, day, users) => {
                to.put_u64_le(app.get());
                to.put_i32_le(day.number());
                for user in users {
                    to.put_u128_le(*user);
                }
                8
            }
        }
    }

    fn get(kind: u8, from: &mut &[u8]) -> Option<Self> {
        Some(match kind {
            1 => {
                let (app, cell, totals) = get_totals(from)?;
                Self::Totals(app, cell, totals)
            }
            2 => {
                let (app, cell, totals) = get_totals(from)?;
                Self::Acked(app, cell, totals)
            }
            3 => {
                let at = Millis(from.try_get_i64_le().ok()?);
                Self::Attempt(at, Box::new(get_take(from)?))
            }
            4 => {
                let attempt = Attempt(u64_of(from)?);
                let refused = match from.try_get_u8().ok()? {
                    ALLOWED => None,
                    counter => Some(counter_of(counter)?),
                };
                Self::Answered(attempt, refused, generation_of(u64_of(from)?))
            }
            5 => Self::Abort(Attempt(u64_of(from)?)),
            6 => Self::Release(
                u64_of(from)?,
                sent_of(from.try_get_i64_le().ok()?),
                get_give_back(from)?,
            ),
            9 => Self::ReleaseSent(u64_of(from)?, Millis(from.try_get_i64_le().ok()?)),
            7 => Self::ReleaseDone(u64_of(from)?, some_of(from.try_get_u32_le().ok()?)),
            10 => {
                let (app, cell) = get_cell(from)?;
                Self::Escrow(app, cell, get_escrow(from)?)
            }
            11 => Self::Kept(Attempt(u64_of(from)?)),
            12 => Self::Gave(u64_of(from)?),
            13 => Self::Once(get_once(from)?),
            8 => {
                let (app, day) = (AppId::new(u64_of(from)?)?, day_of(from)?);
                let mut users = Vec::with_capacity(from.len() / 16);
                while !from.is_empty() {
                    users.push(from.try_get_u128_le().ok()?);
                }
                Self::Logins(app, day, users)
            }
            _ => return None,
        })
    }
}

fn u64_of(from: &mut &[u8]) -> Option<u64> {
    from.try_get_u64_le().ok()
}

fn day_of(from: &mut &[u8]) -> Option<Day> {
    Day::from_number(from.try_get_i32_le().ok()?)
}

/// When a release was first sent, from how that is written; 0: never.
pub fn sent_of(written: i64) -> Option<Millis> {
    (written != 0).then_some(Millis(written))
}

/// A cell as a tag and a day (0 for cells of no day).
pub fn cell_code(cell: Cell) -> (u8, i32) {
    match cell {
        Cell::Live(resource) => (resource as u8, 0),
        Cell::Gained(day) => (3, day.number()),
        Cell::Increment(day) => (4, day.number()),
    }
}

/// The cell of a tag and a day.
pub fn cell_of(tag: u8, day: i32) -> Option<Cell> {
    Some(match tag {
        0..=2 => Cell::Live(resource_of(tag)?),
        3 => Cell::Gained(Day::from_number(day)?),
        4 => Cell::Increment(Day::from_number(day)?),
        _ => return None,
    })
}

fn counter_of(tag: u8) -> Option<Counter> {
    COUNTERS.get(usize::from(tag)).copied()
}

fn resource_of(tag: u8) -> Option<Resource> {
    RESOURCES.get(usize::from(tag)).copied()
}

/// A generation from how it is written; the largest number: none.
pub fn generation_of(written: u64) -> Option<u64> {
    (written != u64::MAX).then_some(written)
}

/// Writes an answer.
pub fn put_answered(
    to: &mut impl BufMut,
    attempt: Attempt,
    refused: Option<Counter>,
    contained: Option<u64>,
) {
    to.put_u64_le(attempt.0);
    to.put_u8(refused.map_or(ALLOWED, |counter| counter as u8));
    to.put_u64_le(contained.unwrap_or(u64::MAX));
}

/// Writes a request that is remembered.
pub fn put_once(to: &mut impl BufMut, known: &Known) {
    to.put_u128_le(known.once.key);
    to.put_u64_le(known.once.print.0);
    to.put_i64_le(known.at.0);
    to.put_u32_le(known.effect.code());
}

/// Reads a request that is remembered.
pub fn get_once(from: &mut &[u8]) -> Option<Known> {
    let key = from.try_get_u128_le().ok()?;
    let once = Once::read(key, Fingerprint(u64_of(from)?));
    Some(Known {
        once,
        at: Millis(from.try_get_i64_le().ok()?),
        effect: Effect::of(from.try_get_u32_le().ok()?),
    })
}

fn put_cell(to: &mut impl BufMut, app: AppId, cell: Cell) {
    let (tag, day) = cell_code(cell);
    to.put_u64_le(app.get());
    to.put_u8(tag);
    to.put_i32_le(day);
}

fn get_cell(from: &mut &[u8]) -> Option<(AppId, Cell)> {
    let app = AppId::new(u64_of(from)?)?;
    let tag = from.try_get_u8().ok()?;
    Some((app, cell_of(tag, from.try_get_i32_le().ok()?)?))
}

/// Writes a cell's account.
pub fn put_escrow(to: &mut impl BufMut, app: AppId, cell: Cell, escrow: &Escrow) {
    put_cell(to, app, cell);
    to.put_u64_le(escrow.generation);
    to.put_i64_le(escrow.offset);
    to.put_u64_le(escrow.taken);
    to.put_u64_le(escrow.given);
    to.put_u64_le(escrow.granted);
    to.put_u64_le(escrow.done);
}

fn get_escrow(from: &mut &[u8]) -> Option<Escrow> {
    Some(Escrow {
        generation: u64_of(from)?,
        offset: from.try_get_i64_le().ok()?,
        taken: u64_of(from)?,
        given: u64_of(from)?,
        granted: u64_of(from)?,
        done: u64_of(from)?,
    })
}

/// Writes a cell's sums.
pub fn put_totals(to: &mut impl BufMut, app: AppId, cell: Cell, totals: Totals) {
    put_cell(to, app, cell);
    to.put_u64_le(totals.consumed);
    to.put_u64_le(totals.released);
}

fn get_totals(from: &mut &[u8]) -> Option<(AppId, Cell, Totals)> {
    let (app, cell) = get_cell(from)?;
    Some((
        app,
        cell,
        Totals {
            consumed: u64_of(from)?,
            released: u64_of(from)?,
        },
    ))
}

/// In the place of an id's length: the key is an object.
const OBJECT: u8 = u8::MAX;

fn put_id(to: &mut Vec<u8>, id: &RequestId) {
    // At most `REQUEST_ID_BYTES_MAX`.
    to.put_u8(u8::try_from(id.as_str().len()).unwrap_or(OBJECT - 1));
    to.put_slice(id.as_str().as_bytes());
}

fn get_id(length: usize, from: &mut &[u8]) -> Option<RequestId> {
    let (id, rest) = from.split_at_checked(length)?;
    *from = rest;
    RequestId::parse(std::str::from_utf8(id).ok()?).ok()
}

fn put_key(to: &mut Vec<u8>, key: &RecordKey) {
    match key {
        RecordKey::Client(id) => {
            // Never empty: 0 marks a key of our own.
            put_id(to, id);
        }
        RecordKey::Object(object) => {
            to.put_u8(OBJECT);
            to.put_u128_le(object.0);
        }
        RecordKey::Own {
            incarnation,
            attempt,
        } => {
            to.put_u8(0);
            to.put_u64_le(*incarnation);
            to.put_u64_le(attempt.0);
        }
    }
}

fn get_key(from: &mut &[u8]) -> Option<RecordKey> {
    match from.try_get_u8().ok()? {
        0 => {
            let incarnation = u64_of(from)?;
            Some(RecordKey::Own {
                incarnation,
                attempt: Attempt(u64_of(from)?),
            })
        }
        OBJECT => Some(RecordKey::Object(object_of(from)?)),
        length => get_id(length.into(), from).map(RecordKey::Client),
    }
}

fn object_of(from: &mut &[u8]) -> Option<ObjectNumber> {
    from.try_get_u128_le().ok().map(ObjectNumber)
}

/// Writes what a take does: a code, and a time where it has one.
fn put_intent(to: &mut Vec<u8>, intent: Intent) {
    let (code, until) = match intent {
        Intent::Count => (0, 0),
        Intent::Exists => (1, 0),
        Intent::Reserve { until } => (2, until.0),
        Intent::Confirm { lapsed: false } => (3, 0),
        Intent::Confirm { lapsed: true } => (4, 0),
        Intent::Cancel => (5, 0),
        Intent::Lapse => (6, 0),
        Intent::Alone => (7, 0),
    };
    to.put_u8(code);
    to.put_i64_le(until);
}

fn get_intent(from: &mut &[u8]) -> Option<Intent> {
    let code = from.try_get_u8().ok()?;
    let until = Millis(from.try_get_i64_le().ok()?);
    Some(match code {
        0 => Intent::Count,
        1 => Intent::Exists,
        2 => Intent::Reserve { until },
        3 => Intent::Confirm { lapsed: false },
        4 => Intent::Confirm { lapsed: true },
        5 => Intent::Cancel,
        6 => Intent::Lapse,
        7 => Intent::Alone,
        _ => return None,
    })
}

/// Stands for a number that is not there; what is given back is at most 100.
const NOTHING: u32 = u32::MAX;

fn some_of(number: u32) -> Option<u32> {
    (number != NOTHING).then_some(number)
}

/// Writes a take, limits and all.
pub fn put_take(to: &mut Vec<u8>, take: &Take) {
    to.put_u64_le(take.app.get());
    put_key(to, &take.key);
    to.put_u64_le(take.fingerprint.0);
    to.put_u64_le(take.attempt.0);
    to.put_i32_le(take.day.number());
    put_intent(to, take.intent);
    match &take.note {
        Some(id) => put_id(to, id),
        None => to.put_u8(0),
    }
    to.put_u32_le(take.charge.amount().get());
    for part in take.charge.parts() {
        to.put_u8(part.counter as u8);
        to.put_u64_le(part.limit.get().unwrap_or(u64::MAX));
    }
}

/// Reads a take; it must be the last thing there.
pub fn get_take(from: &mut &[u8]) -> Option<Take> {
    let app = AppId::new(u64_of(from)?)?;
    let key = get_key(from)?;
    let fingerprint = Fingerprint(u64_of(from)?);
    let attempt = Attempt(u64_of(from)?);
    let day = day_of(from)?;
    let intent = get_intent(from)?;
    let note = match from.try_get_u8().ok()? {
        0 => None,
        length => Some(get_id(length.into(), from)?),
    };
    let amount = Amount::from_wire(from.try_get_u32_le().ok()?)?;
    let mut parts = Vec::with_capacity(3);
    while !from.is_empty() {
        let counter = counter_of(from.try_get_u8().ok()?)?;
        let limit = match u64_of(from)? {
            u64::MAX => Limit::Unlimited,
            limit => Limit::AtMost(limit),
        };
        parts.push(Part { counter, limit });
    }
    let charge = Charge::from_parts(amount, &parts)?;
    Some(Take {
        app,
        key,
        fingerprint,
        attempt,
        charge,
        day,
        intent,
        note,
    })
}

/// Writes a release.
pub fn put_give_back(to: &mut Vec<u8>, give_back: &GiveBack) {
    to.put_u64_le(give_back.app.get());
    put_key(to, &give_back.key);
    to.put_u64_le(give_back.fingerprint.0);
    to.put_u8(give_back.resource as u8);
    to.put_u32_le(give_back.amount.get());
    to.put_u32_le(give_back.given.unwrap_or(NOTHING));
    to.put_u8(u8::from(give_back.groups_follow) | u8::from(give_back.rooms_are_groups) << 1);
    to.put_u8(u8::from(give_back.object.is_some()));
    if let Some(object) = give_back.object {
        to.put_u128_le(object.0);
    }
    to.put_i32_le(give_back.day.number());
}

/// Reads a release.
pub fn get_give_back(from: &mut &[u8]) -> Option<GiveBack> {
    let app = AppId::new(u64_of(from)?)?;
    let key = get_key(from)?;
    let fingerprint = Fingerprint(u64_of(from)?);
    let resource = resource_of(from.try_get_u8().ok()?)?;
    let amount = Amount::from_wire(from.try_get_u32_le().ok()?)?;
    let given = some_of(from.try_get_u32_le().ok()?);
    let follow = from.try_get_u8().ok()?;
    let object = match from.try_get_u8().ok()? {
        0 => None,
        _ => Some(object_of(from)?),
    };
    Some(GiveBack {
        app,
        key,
        fingerprint,
        resource,
        amount,
        given,
        groups_follow: follow & 1 != 0,
        rooms_are_groups: follow & 2 != 0,
        object,
        day: day_of(from)?,
    })
}
