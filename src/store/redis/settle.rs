//! Settling: one call for many apps of a shard.

use std::fmt;

use super::record::is_remembered;
use super::script::Step;
use super::{Link, RedisStore, keys};
use crate::clock::Day;
use crate::quota::{AppId, Counter, Limit};
use crate::store::{
    Abort, Ack, Answered, AppReport, Cell, CellReport, REPORT_APPS_MAX, REPORT_RECORDS_MAX, Report,
    Settled, Shard, StoreFault, View,
};

/// The most records that one step carries beside the cells: so many take about 2 ms, for which nobody
/// else is served.
const STEP_RECORDS_MAX: usize = 256;

/// What one step settles.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    apps: &'a [AppReport],
    answered: &'a [Answered],
    aborts: &'a [Abort],
}

/// The report in steps, each short. Every part may be repeated, so that a failure between two of them
/// is a failure of the whole.
fn parts(report: &Report) -> Vec<Part<'_>> {
    let (apps, answered, aborts) = (&report.apps, &report.answered, &report.aborts);
    if answered.len() + aborts.len() <= STEP_RECORDS_MAX {
        return vec![Part {
            apps,
            answered,
            aborts,
        }];
    }
    vec![
        Part {
            apps,
            answered: &[],
            aborts: &[],
        },
        Part {
            apps: &[],
            answered,
            aborts: &[],
        },
        Part {
            apps: &[],
            answered: &[],
            aborts,
        },
    ]
}

/// What a part says of one app.
#[derive(Debug)]
struct Block<'a> {
    app: AppId,
    cells: Vec<&'a CellReport>,
    answered: Vec<&'a Answered>,
    aborts: Vec<&'a Abort>,
}

/// A part by app, and which of them each reported app is.
fn blocks<'a>(part: &Part<'a>) -> (Vec<Block<'a>>, Vec<usize>) {
    let mut blocks: Vec<Block<'a>> = Vec::with_capacity(part.apps.len());
    let mut place = rustc_hash::FxHashMap::default();
    let mut at = |blocks: &mut Vec<Block<'a>>, app| {
        *place.entry(app).or_insert_with(|| {
            blocks.push(Block {
                app,
                cells: Vec::new(),
                answered: Vec::new(),
                aborts: Vec::new(),
            });
            blocks.len() - 1
        })
    };
    let mut shown = Vec::with_capacity(part.apps.len());
    for app in part.apps {
        let block = at(&mut blocks, app.app);
        blocks[block].cells.extend(&app.cells);
        shown.push(block);
    }
    for answered in part.answered {
        let block = at(&mut blocks, answered.take.app);
        blocks[block].answered.push(answered);
    }
    for abort in part.aborts {
        let block = at(&mut blocks, abort.app);
        blocks[block].aborts.push(abort);
    }
    (blocks, shown)
}

impl RedisStore {
    pub(super) async fn settle_once(
        &self,
        shard: Shard,
        report: &Report,
        day: Day,
    ) -> Result<Settled, StoreFault> {
        debug_assert!(report.apps.len() <= REPORT_APPS_MAX);
        debug_assert!(report.answered.len() <= REPORT_RECORDS_MAX);
        debug_assert!(report.aborts.len() <= REPORT_RECORDS_MAX);
        let link = self.linked()?;
        let mut views = Vec::new();
        for part in parts(report) {
            views.extend(self.settle_part(&link, shard, &part, day).await?);
        }
        let acks = vec![Ack::Counted; report.answered.len()];
        Ok(Settled { views, acks })
    }

    /// Settles one part; a view for each app of `part.apps`.
    async fn settle_part(
        &self,
        link: &Link,
        shard: Shard,
        part: &Part<'_>,
        day: Day,
    ) -> Result<Vec<View>, StoreFault> {
        let (blocks, shown) = blocks(part);
        let mut step = self.step(link, shard);
        step.key(&self.keys.fold_queue(shard));
        step.arg(&link.incarnation)
            .arg(day.number())
            .arg(self.ends_s(day))
            .arg(blocks.len());
        for block in &blocks {
            debug_assert_eq!(Shard::of(block.app), shard);
            self.add_block(&mut step, block, day)?;
        }
        let mut answer = self.run(link, shard, &self.scripts.settle, step).await?;
        let views = blocks
            .iter()
            .map(|_| answer.view())
            .collect::<Result<Vec<_>, _>>()?;
        Ok(shown.into_iter().map(|block| views[block]).collect())
    }

    fn add_block(&self, step: &mut Step, block: &Block, day: Day) -> Result<(), StoreFault> {
        step.key(&self.keys.app(block.app))
            .key(&self.keys.records(block.app))
            .key(&self.keys.gain(block.app, day))
            .key(&self.keys.month(block.app, day.month()));
        step.arg(block.cells.len());
        for cell in &block.cells {
            self.add_cell(step, block.app, cell)?;
        }
        step.arg(block.answered.len());
        for answered in &block.answered {
            step.arg(keys::field(&answered.take.key))
                .arg(format_args!("{:x}", answered.take.fingerprint.0))
                .arg(RefusedBy(answered.refused))
                .arg(u8::from(is_remembered(&answered.take.key)));
        }
        step.arg(block.aborts.len());
        for abort in &block.aborts {
            step.arg(keys::field(&abort.key)).arg(abort.attempt.0);
        }
        Ok(())
    }

    fn add_cell(&self, step: &mut Step, app: AppId, cell: &CellReport) -> Result<(), StoreFault> {
        let (consumed, released) = (cell.totals.consumed, cell.totals.released);
        if consumed.max(released) > Limit::MAX {
            // Rounded, it would no longer be this member's total.
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
            }
            Cell::Gained(day) => {
                step.key(&self.keys.gain(app, day));
                step.arg('g')
                    .arg(self.ends_s(day))
                    .arg(consumed)
                    .arg(released);
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

/// A counter's digit, or `-`.
struct RefusedBy(Option<Counter>);

impl fmt::Display for RefusedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(counter) => counter.index().fmt(f),
            None => f.write_str("-"),
        }
    }
}
