//! Settling: one call for many apps of a shard.

use super::RedisStore;
use super::answer::unexpected;
use super::report::{Blocks, Kind, Part};
use crate::clock::Day;
use crate::quota::AppId;
use crate::store::{
    Ack, REPORT_APPS_MAX, REPORT_RECORDS_MAX, Report, Settled, Shard, StoreFault, TooLate,
};

impl RedisStore {
    pub(super) async fn settle_once(
        &self,
        shard: Shard,
        report: &Report,
        day: Day,
    ) -> Result<Settled, StoreFault> {
        debug_assert!(report.apps.len() <= REPORT_APPS_MAX);
        debug_assert!(
            report.answered.len() + report.aborts.len() + report.gave.len() <= REPORT_RECORDS_MAX
        );
        let link = &self.linked_to_stay()?;
        let blocks = Blocks::of(&Part {
            apps: &report.apps,
            answered: &report.answered,
            aborts: &report.aborts,
            gave: &report.gave,
            ..Part::default()
        });
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
