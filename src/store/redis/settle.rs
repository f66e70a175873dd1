//! Settling: many apps of a shard, with the records that their sums contain.

use std::collections::BTreeSet;

use super::answer::unexpected;
use super::report::{Blocks, Kind, Part, STEP_WEIGHT_MAX, short_parts, weight};
use super::{Link, RedisStore};
use crate::clock::Day;
use crate::quota::AppId;
use crate::store::{
    Ack, REPORT_APPS_MAX, REPORT_RECORDS_MAX, Report, Settled, Shard, StoreFault, TooLate, View,
};

/// The places of a report's apps in the steps by which it is told. Records are in the first, and with them the apps whose
/// sums contain them; the others are told with these as far as there is room, and then by themselves.
fn steps(report: &Report) -> Vec<Vec<usize>> {
    let answered = report.answered.iter().map(|answered| answered.take.app);
    let aborts = report.aborts.iter().map(|abort| abort.app);
    let gave = report.gave.iter().map(|gave| gave.app);
    let of_records: BTreeSet<AppId> = answered.chain(aborts).chain(gave).collect();
    let of = |at: &usize| &report.apps[*at];
    let (mut first, others): (Vec<usize>, Vec<usize>) =
        (0..report.apps.len()).partition(|at| of_records.contains(&of(at).app));
    let records = report.answered.len() + report.aborts.len() + report.gave.len();
    let heavy = records + first.iter().map(|at| weight(of(at))).sum::<usize>();
    let mut room = STEP_WEIGHT_MAX.saturating_sub(heavy);
    let mut others = others.into_iter().peekable();
    while let Some(at) = others.next_if(|at| weight(of(at)) <= room) {
        room -= weight(of(&at));
        first.push(at);
    }
    let mut steps = short_parts(others, of);
    if records > 0 || !first.is_empty() || steps.is_empty() {
        steps.insert(0, first);
    }
    steps
}

impl RedisStore {
    pub(super) async fn settle_all(
        &self,
        shard: Shard,
        report: &Report,
        day: Day,
    ) -> Result<Settled, StoreFault> {
        debug_assert!(report.apps.len() <= REPORT_APPS_MAX);
        debug_assert!(
            report.answered.len() + report.aborts.len() + report.gave.len() <= REPORT_RECORDS_MAX
        );
        let link = self.linked_to_stay()?;
        let mut settled = Settled {
            views: vec![View::default(); report.apps.len()],
            ..Settled::default()
        };
        for (number, places) in steps(report).into_iter().enumerate() {
            let apps = places.iter().map(|at| &report.apps[*at]).collect();
            let part = if number == 0 {
                Part {
                    apps,
                    answered: &report.answered,
                    aborts: &report.aborts,
                    gave: &report.gave,
                    ..Part::default()
                }
            } else {
                Part {
                    apps,
                    ..Part::default()
                }
            };
            let of_part = self.settle_part(&link, shard, &part, day).await?;
            for (at, view) in places.into_iter().zip(of_part.views) {
                settled.views[at] = view;
            }
            settled.acks.extend(of_part.acks);
            settled.too_late.extend(of_part.too_late);
        }
        Ok(settled)
    }

    async fn settle_part(
        &self,
        link: &Link,
        shard: Shard,
        part: &Part<'_>,
        day: Day,
    ) -> Result<Settled, StoreFault> {
        let blocks = Blocks::of(part);
        let mut step = self.step(link, shard)?;
        step.key(&self.keys.fold_queue(shard));
        step.arg(day.number()).arg(self.ends_s(day)).arg(link.full);
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
                b'3' => Ack::Gone,
                _ => return Err(unexpected()),
            };
        }
        let too_late = read_too_late(&answer.text()?)?;
        let views = blocks.all.iter().map(|_| answer.view(seq));
        let views = views.collect::<Result<Vec<_>, _>>()?;
        let views = blocks.shown.iter().map(|&block| views[block]).collect();
        Ok(Settled {
            views,
            acks,
            too_late,
        })
    }
}

fn read_too_late(text: &str) -> Result<Vec<TooLate>, StoreFault> {
    let read = |one: &str| {
        let mut words = one.split(' ');
        Some(TooLate {
            app: AppId::new(words.next()?.parse().ok()?)?,
            day: Day::from_number(words.next()?.parse().ok()?)?,
            users: words.next()?.parse().ok()?,
        })
    };
    let all = text.split(',').filter(|one| !one.is_empty());
    all.map(|one| read(one).ok_or_else(unexpected)).collect()
}
