//! The frames of one append of several records, without an allocation.

use super::super::ids::Known;
use super::record::{
    ANSWERED_BYTES, ESCROW_BYTES, FRAME_BYTES, NUMBER_BYTES, ONCE_BYTES, Record, TOTALS_BYTES,
    put_answered, put_escrow, put_once, put_totals, seal,
};
use crate::quota::{AppId, Counter};
use crate::store::{Attempt, Cell, Escrow, Totals};

/// The most bytes of one such append: the sums and accounts of a charge's three parts, with the answer
/// that they stand for and the request's id; or the accounts of all counters that a recount was heard of.
pub const FRAMES_BYTES_MAX: usize =
    3 * TOTALS_BYTES + 4 * ESCROW_BYTES + ANSWERED_BYTES + ONCE_BYTES;

/// Frames of one append.
#[derive(Debug)]
pub struct Frames {
    bytes: [u8; FRAMES_BYTES_MAX],
    len: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            bytes: [0; FRAMES_BYTES_MAX],
            len: 0,
        }
    }
}

impl Frames {
    /// Begins another append; that its bytes were zero costs more than to write them.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// A cell's sums.
    pub fn totals(&mut self, app: AppId, cell: Cell, totals: Totals) {
        self.frame::<TOTALS_BYTES>(1, |mut to| put_totals(&mut to, app, cell, totals));
    }

    /// A cell's account.
    pub fn escrow(&mut self, app: AppId, cell: Cell, escrow: &Escrow) {
        self.frame::<ESCROW_BYTES>(10, |mut to| put_escrow(&mut to, app, cell, escrow));
    }

    /// A take's answer that is about to go out.
    pub fn answered(&mut self, attempt: Attempt, refused: Option<Counter>, contained: Option<u64>) {
        self.frame::<ANSWERED_BYTES>(4, |mut to| {
            put_answered(&mut to, attempt, refused, contained);
        });
    }

    /// A take that the ledger has, and that is told no more.
    pub fn kept(&mut self, attempt: Attempt) {
        self.frame::<NUMBER_BYTES>(11, |to| to.copy_from_slice(&attempt.0.to_le_bytes()));
    }

    /// A release that this member's own sums contain from now on.
    pub fn gave(&mut self, number: u64) {
        self.frame::<NUMBER_BYTES>(12, |to| to.copy_from_slice(&number.to_le_bytes()));
    }

    /// A request that is remembered from now on.
    pub fn once(&mut self, known: &Known) {
        self.frame::<ONCE_BYTES>(13, |mut to| put_once(&mut to, known));
    }

    /// All frames, one behind the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn frame<const BYTES: usize>(&mut self, kind: u8, put: impl FnOnce(&mut [u8])) {
        let frame = &mut self.bytes[self.len..self.len + BYTES];
        put(&mut frame[FRAME_BYTES..]);
        seal(frame, kind);
        self.len += BYTES;
        debug_assert!(matches!(
            Record::read(&self.bytes[self.len - BYTES..self.len]),
            super::record::Framed::Record(..)
        ));
    }
}
