//! What members tell a shard that forgot, and what they keep of its bases.

use super::answer::unexpected;
use super::report::{Blocks, Kind, Part};
use super::{Link, RedisStore};
use crate::clock::Day;
use crate::quota::{AppId, COUNTERS};
use crate::store::{
    Base, Bases, REPORT_APPS_MAX, REPORT_RECORDS_MAX, STATEMENT_BASES_MAX, Shard, Statement,
    StoreFault,
};

/// The most members that one step states to be gone: what the shard has of each is looked for.
const STEP_GONE_MAX: usize = 256;

/// What one step states.
#[derive(Debug, Clone, Copy, Default)]
struct Stated<'a> {
    bases: &'a [Base],
    gone: &'a [u64],
    part: Part<'a>,
}

/// The statement in steps, each short: who is gone, the bases, the records, and at last the sums, by which an
/// app is known to be stated whole. At least one.
fn steps<'a>(statement: &'a Statement, gone: &'a [u64]) -> Vec<Stated<'a>> {
    let gone = gone.chunks(STEP_GONE_MAX).map(|gone| Stated {
        gone,
        ..Stated::default()
    });
    let mut steps: Vec<_> = gone.collect();
    let bases = Stated {
        bases: &statement.bases,
        ..Stated::default()
    };
    if !statement.bases.is_empty() {
        steps.push(bases);
    }
    if !statement.kept.is_empty() {
        steps.push(Stated {
            part: Part {
                kept: &statement.kept,
                ..Part::default()
            },
            ..Stated::default()
        });
    }
    if !statement.answered.is_empty() || !statement.aborts.is_empty() {
        steps.push(Stated {
            part: Part {
                answered: &statement.answered,
                aborts: &statement.aborts,
                ..Part::default()
            },
            ..Stated::default()
        });
    }
    if !statement.released.is_empty() {
        steps.push(Stated {
            part: Part {
                released: &statement.released,
                ..Part::default()
            },
            ..Stated::default()
        });
    }
    if !statement.apps.is_empty() {
        steps.push(Stated {
            part: Part {
                apps: &statement.apps,
                ..Part::default()
            },
            ..Stated::default()
        });
    }
    if steps.is_empty() {
        // The shard's header is told, if nothing else is.
        steps.push(bases);
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
        for stated in steps(statement, &gone) {
            self.restate_part(&link, shard, stated, day).await?;
        }
        Ok(())
    }

    async fn restate_part(
        &self,
        link: &Link,
        shard: Shard,
        stated: Stated<'_>,
        day: Day,
    ) -> Result<(), StoreFault> {
        let mut step = self.step(link, shard)?;
        step.key(&self.keys.fold_queue(shard));
        step.arg(day.number())
            .arg(self.ends_s(day))
            .arg(self.seen.most(shard))
            .arg(link.full);
        step.arg(stated.gone.len());
        for incarnation in stated.gone {
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
        self.run(link, shard, &self.scripts.restate, step)
            .await
            .map(drop)
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
