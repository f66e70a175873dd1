//! Settling: one call for many apps of a shard.

use super::answer::unexpected;
use super::report::{Blocks, Kind, Part};
use super::{Link, RedisStore};
use crate::clock::Day;
use crate::store::{
    Ack, REPORT_APPS_MAX, REPORT_RECORDS_MAX, Report, Settled, Shard, StoreFault, View,
};

/// The most records that one step carries beside the cells: so many take about 2 ms, for which nobody
/// else is served.
const STEP_RECORDS_MAX: usize = 256;

/// The report in steps, each short. Every part may be repeated, so that a failure between two of them
/// is a failure of the whole. Releases leave `back` before sums contain them, and sums contain takes
/// before their charge goes: in between more is charged than there is, never less.
fn parts(report: &Report) -> Vec<Part<'_>> {
    let all = Part {
        apps: &report.apps,
        answered: &report.answered,
        aborts: &report.aborts,
        gave: &report.gave,
        ..Part::default()
    };
    let none = Part::default();
    if all.answered.len() + all.aborts.len() + all.gave.len() <= STEP_RECORDS_MAX {
        return vec![all];
    }
    let Part {
        apps,
        answered,
        aborts,
        gave,
        ..
    } = all;
    let mut parts = vec![
        Part { gave, ..none },
        Part { apps, ..none },
        Part { aborts, ..none },
        Part { answered, ..none },
    ];
    parts.retain(|part| {
        !(part.apps.is_empty()
            && part.answered.is_empty()
            && part.aborts.is_empty()
            && part.gave.is_empty())
    });
    parts
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
        debug_assert!(report.gave.len() <= REPORT_RECORDS_MAX);
        let link = self.linked_to_stay()?;
        let mut settled = Settled::default();
        for part in parts(report) {
            let (views, acks) = self.settle_part(&link, shard, &part, day).await?;
            settled.views.extend(views);
            settled.acks.extend(acks);
        }
        Ok(settled)
    }

    /// Settles one part: a view for each app of `part.apps`, an ack for each of `part.answered`.
    async fn settle_part(
        &self,
        link: &Link,
        shard: Shard,
        part: &Part<'_>,
        day: Day,
    ) -> Result<(Vec<View>, Vec<Ack>), StoreFault> {
        let blocks = Blocks::of(part);
        let mut step = self.step(link, shard)?;
        step.key(&self.keys.fold_queue(shard));
        step.arg(day.number()).arg(self.ends_s(day));
        self.add_blocks(&mut step, shard, &blocks, day, Kind::Report)?;
        let (seq, mut answer) = self.run(link, shard, &self.scripts.settle, step).await?;
        let told = answer.text()?;
        if told.len() != blocks.answered.len() {
            return Err(unexpected());
        }
        let mut acks = vec![Ack::Again; told.len()];
        for (&place, digit) in blocks.answered.iter().zip(told.bytes()) {
            acks[place] = match digit {
                b'0' => Ack::Counted,
                b'1' => Ack::Yours,
                b'2' => Ack::Again,
                _ => return Err(unexpected()),
            };
        }
        let views = blocks.all.iter().map(|_| answer.view(seq));
        let views = views.collect::<Result<Vec<_>, _>>()?;
        Ok((
            blocks.shown.iter().map(|&block| views[block]).collect(),
            acks,
        ))
    }
}
