//! The way of numbers into a row of bytes and out of it.

use std::time::Duration;

use super::journal::{cell_code, cell_of_code};
use crate::clock::{Day, Millis};
use crate::store::{Cell, Escrow, Totals};

/// One way between books and a row. Whatever is kept names its parts once, for both ways.
pub trait Passage {
    /// A number.
    fn number(&mut self, number: &mut u64);

    /// A number of either sign.
    fn signed(&mut self, number: &mut i64) {
        let mut folded = ((*number << 1) ^ (*number >> 63)).cast_unsigned();
        self.number(&mut folded);
        *number = (folded >> 1).cast_signed() ^ -((folded & 1).cast_signed());
    }

    /// A number of 32 bits.
    fn short(&mut self, number: &mut u32) {
        let mut long = u64::from(*number);
        self.number(&mut long);
        // It was one of 32 bits when it was put in.
        *number = u32::try_from(long).unwrap_or(u32::MAX);
    }

    /// Whether something is there.
    fn flag(&mut self, flag: &mut bool) {
        let mut number = u64::from(*flag);
        self.number(&mut number);
        *flag = number != 0;
    }

    /// Something that may be there.
    fn maybe<T: Default>(&mut self, some: &mut Option<T>, each: impl FnOnce(&mut Self, &mut T)) {
        let mut there = some.is_some();
        self.flag(&mut there);
        if there {
            each(self, some.get_or_insert_default());
        }
    }

    /// A moment that may be there.
    fn moment(&mut self, at: &mut Option<Millis>) {
        let mut ms = at.map(|at| at.0);
        self.maybe(&mut ms, Self::signed);
        *at = ms.map(Millis);
    }

    /// A reading of the steady clock that may be there; a part of a millisecond is dropped.
    fn steady(&mut self, at: &mut Option<Duration>) {
        // A machine runs no 500 million years.
        let mut ms = at.map(|at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
        self.maybe(&mut ms, Self::number);
        *at = ms.map(Duration::from_millis);
    }

    /// Things of one kind, `blank` before they are taken out.
    fn list<T>(
        &mut self,
        things: &mut Vec<T>,
        blank: impl Fn() -> T,
        mut each: impl FnMut(&mut Self, &mut T),
    ) {
        let mut len = things.len() as u64;
        self.number(&mut len);
        // It was the length of a list in memory when it was put in.
        let len = usize::try_from(len).unwrap_or(0);
        things.reserve_exact(len.saturating_sub(things.len()));
        things.resize_with(len, blank);
        for thing in things {
            each(self, thing);
        }
    }

    /// A day.
    fn day(&mut self, day: &mut Day) {
        let mut number = i64::from(day.number());
        self.signed(&mut number);
        let number = i32::try_from(number).ok();
        *day = number.and_then(Day::from_number).unwrap_or(*day);
    }

    /// A cell's name.
    fn cell(&mut self, cell: &mut Cell) {
        let (tag, day) = cell_code(*cell);
        let (mut tag, mut day) = (u32::from(tag), i64::from(day));
        self.short(&mut tag);
        self.signed(&mut day);
        let read = u8::try_from(tag).ok().zip(i32::try_from(day).ok());
        *cell = read
            .and_then(|(tag, day)| cell_of_code(tag, day))
            .unwrap_or(*cell);
    }

    /// A cell's sums.
    fn totals(&mut self, totals: &mut Totals) {
        self.number(&mut totals.consumed);
        self.number(&mut totals.released);
    }

    /// An account's sums.
    fn escrow(&mut self, escrow: &mut Escrow) {
        self.number(&mut escrow.generation);
        self.signed(&mut escrow.offset);
        self.number(&mut escrow.taken);
        self.number(&mut escrow.given);
        self.number(&mut escrow.granted);
        self.number(&mut escrow.done);
    }
}

/// Most rows fit.
const ROW_BYTES: usize = 256;

/// Into a row: seven bits a byte, the lowest first; the top bit says that more follow.
#[derive(Debug)]
pub struct Pack(Vec<u8>);

impl Default for Pack {
    fn default() -> Self {
        Self(Vec::with_capacity(ROW_BYTES))
    }
}

impl Pack {
    /// The row, which takes no more than it needs.
    pub fn done(self) -> Box<[u8]> {
        self.0.as_slice().into()
    }
}

impl Passage for Pack {
    fn number(&mut self, number: &mut u64) {
        let mut rest = *number;
        while rest >= 0x80 {
            self.0.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.0.push(rest.to_le_bytes()[0]);
    }
}

/// Out of a row.
#[derive(Debug)]
pub struct Unpack<'a>(&'a [u8]);

impl<'a> Unpack<'a> {
    /// From its beginning.
    pub fn new(row: &'a [u8]) -> Self {
        Self(row)
    }

    /// Whether all was taken out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Passage for Unpack<'_> {
    fn number(&mut self, number: &mut u64) {
        *number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let Some((byte, rest)) = self.0.split_first() else {
                return; // Rows are made here alone, and end where books do.
            };
            self.0 = rest;
            *number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return;
            }
        }
    }
}
