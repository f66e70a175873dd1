//! Counting from memory: every part of a charge moves, and the journal has it before the answer.

use std::sync::Arc;

use super::Ledger;
use super::apps::Entry;
use super::journal::{LogFull, TOTALS_BYTES, totals_frame};
use crate::clock::{Day, Millis};
use crate::quota::{AppId, Charge, Counter, Part, RESOURCES, Resource};
use crate::store::{Cell, Totals};

/// Which way a count moves. Sums only grow: going down is a sum of its own.
#[derive(Debug, Clone, Copy)]
enum Way {
    Up,
    Down,
}

impl Ledger {
    /// Counts a creation. Answers the count of the charge's first part, the creation included.
    ///
    /// # Errors
    /// [`LogFull`]; the counts are as before then.
    pub fn consume(
        &self,
        entry: &Arc<Entry>,
        charge: &Charge,
        now: Millis,
    ) -> Result<i64, LogFull> {
        let day = self.zone.day(now);
        let mut frames = Frames::new(entry.app);
        move_parts(entry, charge.parts(), charge, day, Way::Up, &mut frames);
        self.keep_frames(entry, charge, day, Way::Down, &frames)?;
        Ok(self.net(entry, charge.parts()[0].counter, now))
    }

    /// Gives back what the charge took, if the known count of its first part covers it; `Ok(None)` if
    /// it does not, and the ledger must be asked.
    ///
    /// # Errors
    /// [`LogFull`]; the counts are as before then.
    pub fn release(
        &self,
        entry: &Arc<Entry>,
        charge: &Charge,
        now: Millis,
    ) -> Result<Option<i64>, LogFull> {
        let day = self.zone.day(now);
        let mut frames = Frames::new(entry.app);
        let (own, others) = (charge.parts()[0].counter, &charge.parts()[1..]);
        let Some(resource) = live_of(own) else {
            return Ok(None);
        };
        let amount = u64::from(charge.amount().get());
        let Some(totals) = entry.live(resource).release_within_net(amount) else {
            return Ok(None);
        };
        frames.push(Cell::Live(resource), totals);
        move_parts(entry, others, charge, day, Way::Down, &mut frames);
        self.keep_frames(entry, charge, day, Way::Up, &frames)?;
        Ok(Some(self.net(entry, own, now)))
    }

    /// The net count of `counter` as far as this sidecar knows it; the gain is the day's of `now`.
    pub fn net(&self, entry: &Entry, counter: Counter, now: Millis) -> i64 {
        match live_of(counter) {
            Some(resource) => entry.live(resource).net(),
            None => entry.days().of(self.zone.day(now)).gained.net(),
        }
    }

    /// Journals what was counted. If that fails, the charge is moved `back`: the net is as before.
    fn keep_frames(
        &self,
        entry: &Arc<Entry>,
        charge: &Charge,
        day: Day,
        back: Way,
        frames: &Frames,
    ) -> Result<(), LogFull> {
        let mark = || self.apps.to_save(entry);
        let kept = self
            .journal
            .append_marked(frames.bytes(), self.clock.now(), mark);
        if kept.is_err() {
            move_parts(
                entry,
                charge.parts(),
                charge,
                day,
                back,
                &mut Frames::new(entry.app),
            );
        }
        self.apps.to_settle(entry);
        kept
    }
}

fn move_parts(
    entry: &Entry,
    parts: &[Part],
    charge: &Charge,
    day: Day,
    way: Way,
    frames: &mut Frames,
) {
    let amount = u64::from(charge.amount().get());
    for part in parts {
        match (live_of(part.counter), way) {
            (Some(resource), Way::Up) => {
                frames.push(Cell::Live(resource), entry.live(resource).consume(amount));
            }
            (Some(resource), Way::Down) => {
                frames.push(Cell::Live(resource), entry.live(resource).release(amount));
            }
            (None, _) => {
                let mut days = entry.days();
                let totals = &mut days.of(day).gained.totals;
                let sum = match way {
                    Way::Up => &mut totals.consumed,
                    Way::Down => &mut totals.released,
                };
                *sum = sum.saturating_add(amount);
                frames.push(Cell::Gained(day), *totals);
            }
        }
    }
}

/// The live count that a counter is; `None` for the gain, which belongs to a day.
fn live_of(counter: Counter) -> Option<Resource> {
    RESOURCES
        .into_iter()
        .find(|resource| resource.counter() == counter)
}

/// Up to three frames of totals, without an allocation.
struct Frames {
    app: AppId,
    bytes: [u8; 3 * TOTALS_BYTES],
    len: usize,
}

impl Frames {
    fn new(app: AppId) -> Self {
        Self {
            app,
            bytes: [0; 3 * TOTALS_BYTES],
            len: 0,
        }
    }

    fn push(&mut self, cell: Cell, totals: Totals) {
        let frame = totals_frame(self.app, cell, totals);
        self.bytes[self.len..self.len + frame.len()].copy_from_slice(&frame);
        self.len += frame.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
