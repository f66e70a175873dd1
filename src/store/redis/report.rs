//! What a call says of apps, in the words of `report.lua`: sums, answered takes, withdrawals, releases.

use std::fmt;

use super::record::{Until, groups_follow, intent_of, is_remembered, note_field, stated};
use super::script::Step;
use super::{RedisStore, keys};
use crate::clock::Day;
use crate::quota::{AppId, Counter, Limit, PlanName};
use crate::store::{
    Abort, Answered, AppReport, Cell, CellReport, Escrow, Gave, GaveBack, Known, Report, Shard,
    StoreFault, Wish,
};

/// What the apps' first word says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Which freeze is acknowledged.
    Report,
    /// Whether the app's sums are stated.
    Statement,
}

/// How much one step says of apps, by their [`weight`]: so much takes Redis less than 2 ms, for which nobody else is
/// served.
pub(super) const STEP_WEIGHT_MAX: usize = 96;

/// How long a step takes of what it says of an app, in about 15 µs.
pub(super) fn weight(app: &AppReport) -> usize {
    let cells = app.cells.iter();
    1 + cells
        .map(|cell| if cell.wish.is_some() { 2 } else { 1 })
        .sum::<usize>()
}

/// The same apps in parts, of each of which a step can speak. An app that is too heavy is a part of its own.
pub(super) fn short_parts<'a, T>(
    apps: impl IntoIterator<Item = T>,
    of: impl Fn(&T) -> &'a AppReport,
) -> Vec<Vec<T>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for app in apps {
        let heavy = weight(of(&app));
        match parts.last_mut() {
            Some(part) if heavy <= room => part.push(app),
            _ => {
                room = STEP_WEIGHT_MAX;
                parts.push(vec![app]);
            }
        }
        room = room.saturating_sub(heavy);
    }
    parts
}

/// What one step says.
#[derive(Debug, Clone, Default)]
pub(super) struct Part<'a> {
    pub(super) apps: Vec<&'a AppReport>,
    pub(super) answered: &'a [Answered],
    pub(super) aborts: &'a [Abort],
    pub(super) gave: &'a [Gave],
    /// In a statement only.
    pub(super) kept: &'a [Known],
    /// In a statement only.
    pub(super) released: &'a [GaveBack],
}

/// What a part says of one app.
#[derive(Debug)]
pub(super) struct Block<'a> {
    app: AppId,
    acks_freeze: Option<u64>,
    plan: Option<&'a PlanName>,
    /// Whether its sums are stated, and not only records.
    has_sums: bool,
    cells: Vec<&'a CellReport>,
    /// Each with its place in the part.
    answered: Vec<(usize, &'a Answered)>,
    kept: Vec<&'a Known>,
    aborts: Vec<&'a Abort>,
    gave: Vec<&'a Gave>,
    released: Vec<&'a GaveBack>,
}

/// A part by app.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    pub(super) all: Vec<Block<'a>>,
    /// Which block each app of the part is.
    pub(super) shown: Vec<usize>,
    /// The places of the answered takes, in the order in which the blocks say them.
    pub(super) answered: Vec<usize>,
}

impl<'a> Blocks<'a> {
    pub(super) fn of(part: &Part<'a>) -> Self {
        let mut all: Vec<Block<'a>> = Vec::with_capacity(part.apps.len());
        let mut place = rustc_hash::FxHashMap::default();
        let mut at = |all: &mut Vec<Block<'a>>, app| {
            *place.entry(app).or_insert_with(|| {
                all.push(Block::new(app));
                all.len() - 1
            })
        };
        let mut shown = Vec::with_capacity(part.apps.len());
        for &app in &part.apps {
            let block = at(&mut all, app.app);
            all[block].cells.extend(&app.cells);
            all[block].has_sums = true;
            all[block].acks_freeze = app.acks_freeze.or(all[block].acks_freeze);
            all[block].plan = app.plan.as_ref().or(all[block].plan);
            shown.push(block);
        }
        for (number, answered) in part.answered.iter().enumerate() {
            let block = at(&mut all, answered.take.app);
            all[block].answered.push((number, answered));
        }
        for kept in part.kept {
            let block = at(&mut all, kept.answered.take.app);
            all[block].kept.push(kept);
        }
        for abort in part.aborts {
            let block = at(&mut all, abort.app);
            all[block].aborts.push(abort);
        }
        for gave in part.gave {
            let block = at(&mut all, gave.app);
            all[block].gave.push(gave);
        }
        for released in part.released {
            let block = at(&mut all, released.give_back.app);
            all[block].released.push(released);
        }
        let said = all.iter().flat_map(|block| &block.answered);
        let answered = said.map(|&(number, _)| number).collect();
        Self {
            all,
            shown,
            answered,
        }
    }
}

impl Block<'_> {
    fn new(app: AppId) -> Self {
        Self {
            app,
            acks_freeze: None,
            plan: None,
            has_sums: false,
            cells: Vec::new(),
            answered: Vec::new(),
            kept: Vec::new(),
            aborts: Vec::new(),
            gave: Vec::new(),
            released: Vec::new(),
        }
    }
}

impl RedisStore {
    /// How many bytes say what a report tells: composed as if it were sent, so that a benchmark can count what that
    /// takes.
    ///
    /// # Errors
    /// [`StoreFault`], where a settling would have it.
    pub fn composed(&self, report: &Report, day: Day) -> Result<usize, StoreFault> {
        let blocks = Blocks::of(&Part {
            apps: report.apps.iter().collect(),
            answered: &report.answered,
            aborts: &report.aborts,
            gave: &report.gave,
            ..Part::default()
        });
        let mut step = Step::default();
        for block in &blocks.all {
            self.add_block(&mut step, block, day, Kind::Report)?;
        }
        Ok(step.bytes())
    }

    /// Says all of a part: how many apps, then one after the other.
    pub(super) fn add_blocks(
        &self,
        step: &mut Step,
        shard: Shard,
        blocks: &Blocks<'_>,
        day: Day,
        kind: Kind,
    ) -> Result<(), StoreFault> {
        step.arg(blocks.all.len());
        for block in &blocks.all {
            debug_assert_eq!(Shard::of(block.app), shard);
            self.add_block(step, block, day, kind)?;
        }
        Ok(())
    }

    fn add_block(
        &self,
        step: &mut Step,
        block: &Block<'_>,
        day: Day,
        kind: Kind,
    ) -> Result<(), StoreFault> {
        step.key(&self.keys.app(block.app))
            .key(&self.keys.records(block.app))
            .key(&self.keys.gain(block.app, day))
            .key(&self.keys.month(block.app, day.month()));
        match kind {
            Kind::Report => step.arg(Or(block.acks_freeze)),
            Kind::Statement => step.arg(Or(block.has_sums.then_some(1))),
        };
        step.arg(Or(block.plan)).arg(block.cells.len());
        for cell in &block.cells {
            self.add_cell(step, block.app, cell)?;
        }
        step.arg(block.answered.len() + block.kept.len());
        for kept in &block.kept {
            self.add_answered(step, &kept.answered, Some(Lives(&kept.lives)));
        }
        for (_, answered) in &block.answered {
            self.add_answered(step, answered, None);
        }
        step.arg(block.aborts.len());
        for abort in &block.aborts {
            step.arg(keys::field(&abort.key))
                .arg(abort.attempt.0)
                .arg(note_field(&abort.key, abort.note.as_ref()));
        }
        step.arg(block.gave.len());
        for gave in &block.gave {
            step.arg(keys::field(&gave.key));
        }
        if let Kind::Statement = kind {
            step.arg(block.released.len());
            for released in &block.released {
                add_released(step, released);
            }
        }
        Ok(())
    }

    fn add_answered(&self, step: &mut Step, answered: &Answered, settled: Option<Lives<'_>>) {
        let take = &answered.take;
        step.arg(keys::field(&take.key))
            .arg(format_args!("{:x}", take.fingerprint.0))
            .arg(Or(answered.refused.map(Counter::index)))
            .arg(u8::from(is_remembered(&take.key)))
            .arg(take.attempt.0)
            .arg(Or(answered.contained))
            .arg(Or(settled))
            .arg(take.charge.amount().get())
            .arg(Digits(take))
            .arg(take.day.number())
            .arg(self.ends_s(take.day));
        match intent_of(take) {
            None => step.arg('-'),
            Some(letter) => step
                .arg(letter)
                .arg(Until(take.intent))
                .arg(note_field(&take.key, take.note.as_ref())),
        };
    }

    fn add_cell(&self, step: &mut Step, app: AppId, cell: &CellReport) -> Result<(), StoreFault> {
        let (consumed, released) = (cell.totals.consumed, cell.totals.released);
        if consumed.max(released) > Limit::MAX || cell.escrow.is_some_and(|escrow| is_huge(&escrow))
        {
            // Rounded, it would no longer be this member's sum.
            return Err(StoreFault::Unusable(format!(
                "a total of app {app} has reached 2^53, which the ledger cannot store"
            )));
        }
        match cell.cell {
            Cell::Live(resource) => {
                step.arg(resource.counter().index())
                    .arg(consumed)
                    .arg(released)
                    .arg(cell.high);
                add_account(step, cell);
            }
            Cell::Gained(day) => {
                step.key(&self.keys.gain(app, day));
                step.arg('g')
                    .arg(self.ends_s(day))
                    .arg(consumed)
                    .arg(released);
                add_account(step, cell);
            }
            Cell::Increment(day) => {
                step.key(&self.keys.users(app, day))
                    .key(&self.keys.month(app, day.month()));
                step.arg('i')
                    .arg(day.number())
                    .arg(self.ends_s(day))
                    .arg(self.sealed_ms(day))
                    .arg(consumed);
            }
        }
        Ok(())
    }
}

fn is_huge(escrow: &Escrow) -> bool {
    let sums = [escrow.taken, escrow.given, escrow.granted, escrow.done];
    let all = sums
        .into_iter()
        .chain([escrow.generation, escrow.offset.unsigned_abs()]);
    all.max().is_some_and(|largest| largest > Limit::MAX)
}

fn add_released(step: &mut Step, released: &GaveBack) {
    let back = &released.give_back;
    step.arg(keys::field(&back.key))
        .arg(format_args!("{:x}", back.fingerprint.0))
        .arg(back.day.number())
        .arg(back.resource.counter().index())
        .arg(u8::from(groups_follow(back)))
        .arg(released.released)
        .arg(released.groups)
        .arg(back.object.map_or_else(String::new, keys::object_field))
        .arg(u8::from(released.in_sums));
}

fn add_account(step: &mut Step, cell: &CellReport) {
    match cell.escrow {
        None => step.arg('-'),
        Some(escrow) => step
            .arg(escrow.generation)
            .arg(escrow.offset)
            .arg(escrow.taken)
            .arg(escrow.given)
            .arg(escrow.granted)
            .arg(escrow.done),
    };
    match cell.wish {
        None => step.arg('-'),
        Some(Wish {
            units,
            limit,
            edition,
        }) => step
            .arg(units.min(Limit::MAX))
            .arg(stated(limit.min(Limit::MAX), edition)),
    };
}

/// A value, or `-`.
struct Or<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Or<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// The generations of a take's live counters.
struct Lives<'a>(&'a [u64]);

impl fmt::Display for Lives<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, life) in self.0.iter().enumerate() {
            let between = if at == 0 { "" } else { " " };
            write!(f, "{between}{life}")?;
        }
        Ok(())
    }
}

/// A take's counters, a digit for each part.
struct Digits<'a>(&'a crate::store::Take);

impl fmt::Display for Digits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.charge.parts() {
            part.counter.index().fmt(f)?;
        }
        Ok(())
    }
}
