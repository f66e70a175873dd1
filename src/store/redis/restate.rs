//! What members tell a shard that forgot, and what they keep of its bases.

use super::answer::unexpected;
use super::report::{Blocks, Kind, Part, short_parts};
use super::{Link, RedisStore};
use crate::clock::Day;
use crate::quota::{AppId, COUNTERS};
use crate::store::{
    Base, Bases, REPORT_APPS_MAX, REPORT_RECORDS_MAX, STATEMENT_BASES_MAX, Shard, Statement,
    StoreFault,
};

/// The most members that one step states to be gone: what the shard has of each is looked for.
const STEP_GONE_MAX: usize = 256;
/// The most records, and the most bases, that one step states: so many take Redis less than 2 ms, for which nobody else is
/// served.
const STEP_RECORDS_MAX: usize = 96;

/// What one step states.
#[derive(Debug, Clone, Default)]
struct Stated<'a> {
    bases: &'a [Base],
    part: Part<'a>,
}

impl<'a> Stated<'a> {
    fn of(part: Part<'a>) -> Self {
        Self {
            part,
            ..Self::default()
        }
    }
}

/// The statement in steps, each short: the bases, the records, and at last the sums, by which an app is known to be stated
/// whole. At least one, by which the shard's header is told, if nothing else is and `told_already` is not so.
fn steps(statement: &Statement, told_already: bool) -> Vec<Stated<'_>> {
    let mut steps = Vec::new();
    for bases in statement.bases.chunks(STEP_RECORDS_MAX) {
        steps.push(Stated {
            bases,
            ..Stated::default()
        });
    }
    for kept in statement.kept.chunks(STEP_RECORDS_MAX) {
        steps.push(Stated::of(Part {
            kept,
            ..Part::default()
        }));
    }
    for aborts in statement.aborts.chunks(STEP_RECORDS_MAX) {
        steps.push(Stated::of(Part {
            aborts,
            ..Part::default()
        }));
    }
    for answered in statement.answered.chunks(STEP_RECORDS_MAX) {
        steps.push(Stated::of(Part {
            answered,
            ..Part::default()
        }));
    }
    for released in statement.released.chunks(STEP_RECORDS_MAX) {
        steps.push(Stated::of(Part {
            released,
            ..Part::default()
        }));
    }
    for apps in short_parts(&statement.apps, |app| *app) {
        steps.push(Stated::of(Part {
            apps,
            ..Part::default()
        }));
    }
    if steps.is_empty() && !told_already {
        steps.push(Stated::default());
    }
    steps
}

impl RedisStore {
    pub(super) async fn restate_all(
        &self,
        shard: Shard,
        statement: &Statement,
        day: Day,
    ) -> Result<(), StoreFault> {
        debug_assert!(statement.apps.len() <= REPORT_APPS_MAX);
        debug_assert!(statement.bases.len() <= STATEMENT_BASES_MAX);
        debug_assert!(statement.answered.len() <= REPORT_RECORDS_MAX);
        debug_assert!(statement.kept.len() <= REPORT_RECORDS_MAX);
        debug_assert!(statement.released.len() <= REPORT_RECORDS_MAX);
        debug_assert!(statement.aborts.len() <= REPORT_RECORDS_MAX);
        let link = self.linked()?;
        let gone: Vec<u64> = statement.gone.iter().copied().collect();
        for gone in gone.chunks(STEP_GONE_MAX) {
            self.restate_gone(&link, shard, gone, day).await?;
        }
        for stated in steps(statement, !gone.is_empty()) {
            let none = (&[][..], 0);
            self.restate_part(&link, shard, none, &stated, day).await?;
        }
        Ok(())
    }

    /// Says who is gone, in as many steps as that takes: what each of them had is taken out of all apps, and a step goes only
    /// so far.
    async fn restate_gone(
        &self,
        link: &Link,
        shard: Shard,
        mut gone: &[u64],
        day: Day,
    ) -> Result<(), StoreFault> {
        let (mut after, nothing) = (0, Stated::default());
        while !gone.is_empty() {
            let step = self.restate_part(link, shard, (gone, after), &nothing, day);
            let (done, next) = step.await?;
            if done == 0 && next == after {
                return Err(unexpected());
            }
            gone = gone.get(done..).ok_or_else(unexpected)?;
            after = next;
        }
        Ok(())
    }

    /// One step. Of those who are gone, how many are done, and up to which app the next one is.
    async fn restate_part(
        &self,
        link: &Link,
        shard: Shard,
        (gone, after): (&[u64], u64),
        stated: &Stated<'_>,
        day: Day,
    ) -> Result<(usize, u64), StoreFault> {
        let mut step = self.step(link, shard)?;
        step.key(&self.keys.fold_queue(shard));
        step.arg(day.number())
            .arg(self.ends_s(day))
            .arg(self.seen.most(shard))
            .arg(link.full);
        step.arg(after).arg(gone.len());
        for incarnation in gone {
            step.arg(format_args!("{incarnation:016x}"));
        }
        step.arg(stated.bases.len());
        for base in stated.bases {
            debug_assert_eq!(Shard::of(base.app), shard);
            step.arg(base.app)
                .arg(base.counter.index())
                .arg(base.generation)
                .arg(base.version)
                .arg(base.amount);
        }
        let blocks = Blocks::of(&stated.part);
        self.add_blocks(&mut step, shard, &blocks, day, Kind::Statement)?;
        let (_, mut answer) = self.run(link, shard, &self.scripts.restate, step).await?;
        let done = usize::try_from(answer.small()?).map_err(|_| unexpected())?;
        Ok((done, answer.stored()?))
    }

    pub(super) async fn read_bases(&self, shard: Shard, since: u64) -> Result<Bases, StoreFault> {
        let link = self.linked()?;
        let mut step = self.step(&link, shard)?;
        step.arg(since).arg(0);
        let (_, mut answer) = self.run(&link, shard, &self.scripts.bases, step).await?;
        let upto = answer.count()?;
        let mut changed = Vec::new();
        while !answer.is_empty() {
            let app = answer.app()?;
            let counter = usize::try_from(answer.small()?).map_err(|_| unexpected())?;
            changed.push(Base {
                app,
                counter: *COUNTERS.get(counter).ok_or_else(unexpected)?,
                generation: answer.count()?,
                version: answer.count()?,
                amount: answer.signed()?,
            });
        }
        Ok(Bases { upto, changed })
    }

    /// All apps of which the shard knows anything.
    pub(super) async fn apps_of(
        &self,
        link: &Link,
        shard: Shard,
    ) -> Result<Vec<AppId>, StoreFault> {
        let mut step = self.step(link, shard)?;
        step.arg(0).arg(1);
        let (_, mut answer) = self.run(link, shard, &self.scripts.bases, step).await?;
        answer.count()?;
        let mut apps = Vec::new();
        while !answer.is_empty() {
            apps.push(answer.app()?);
        }
        Ok(apps)
    }
}
