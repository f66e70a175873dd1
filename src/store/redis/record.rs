//! The record path: takes and releases.

use super::answer::{Answer, unexpected};
use super::{RedisStore, keys};
use crate::quota::{COUNTERS, Counter, Resource};
use crate::store::{
    Beside, GiveBack, GivenBack, RecordKey, Shard, StoreFault, Take, Taken, Undecided,
};

impl RedisStore {
    pub(super) async fn take_once(&self, take: &Take) -> Result<Taken, StoreFault> {
        let link = self.linked_to_stay()?;
        let shard = Shard::of(take.app);
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.app(take.app))
            .key(&self.keys.records(take.app))
            .key(&self.keys.gain(take.app, take.day))
            .key(&self.keys.fold_queue(shard))
            .key(&self.keys.month(take.app, take.day.month()));
        step.arg(take.attempt.0)
            .arg(keys::field(&take.key))
            .arg(format_args!("{:x}", take.fingerprint.0))
            .arg(take.day.number())
            .arg(self.ends_s(take.day))
            .arg(u8::from(is_remembered(&take.key)))
            .arg(take.charge.amount().get());
        for part in take.charge.parts() {
            step.arg(part.counter.index());
            match part.limit.get() {
                Some(limit) => step.arg(limit),
                None => step.arg('-'),
            };
        }
        let (seq, mut answer) = self.run(&link, shard, &self.scripts.take, step).await?;
        let outcome = answer.signed()?;
        let replayed = answer.flag()?;
        let mine = answer.flag()?;
        let counter = counter(&mut answer)?;
        let recallable = answer.flag()?;
        let view = answer.view(seq)?;
        match outcome {
            0 => Ok(Taken::Allowed {
                view,
                replayed,
                mine,
                beside: Beside::default(),
            }),
            1 => Ok(Taken::Denied {
                counter,
                view,
                replayed,
                recallable,
            }),
            2 => Ok(Taken::OtherContent),
            3 => Ok(Taken::Withdrawn),
            4 => Ok(Taken::Undecided(Undecided::Frozen)),
            5 => Ok(Taken::Undecided(Undecided::Incomplete)),
            6 => Ok(Taken::Undecided(Undecided::Outlived)),
            _ => Err(unexpected()),
        }
    }

    pub(super) async fn release_once(&self, back: &GiveBack) -> Result<GivenBack, StoreFault> {
        let link = self.linked_to_stay()?;
        let shard = Shard::of(back.app);
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.app(back.app))
            .key(&self.keys.records(back.app))
            .key(&self.keys.gain(back.app, back.day))
            .key(&self.keys.fold_queue(shard))
            .key(&self.keys.month(back.app, back.day.month()));
        step.arg(keys::field(&back.key))
            .arg(format_args!("{:x}", back.fingerprint.0))
            .arg(back.day.number())
            .arg(self.ends_s(back.day))
            .arg(back.amount.get())
            .arg(back.resource.counter().index())
            .arg(u8::from(groups_follow(back)));
        let script = &self.scripts.release;
        let (seq, mut answer) = self.run(&link, shard, script, step).await?;
        let outcome = answer.signed()?;
        let replayed = answer.flag()?;
        let mine = answer.flag()?;
        let released = answer.small()?;
        let groups = answer.small()?;
        let view = answer.view(seq)?;
        match outcome {
            0 => Ok(GivenBack::Released {
                released,
                resource: back.resource,
                groups,
                view,
                replayed,
                mine,
            }),
            1 => Ok(GivenBack::OtherContent),
            2 => Ok(GivenBack::Undecided(Undecided::Frozen)),
            3 => Ok(GivenBack::Undecided(Undecided::Incomplete)),
            _ => Err(unexpected()),
        }
    }
}

fn counter(answer: &mut Answer) -> Result<Counter, StoreFault> {
    let index = usize::try_from(answer.small()?).map_err(|_| unexpected())?;
    COUNTERS.get(index).copied().ok_or_else(unexpected)
}

/// Whether groups, and the day's gain, fall with a release.
pub(super) fn groups_follow(back: &GiveBack) -> bool {
    back.groups_follow && back.resource != Resource::Account
}

/// Whether a refusal is remembered: nobody asks again for an id that was made for one call.
pub(super) fn is_remembered(key: &RecordKey) -> bool {
    matches!(key, RecordKey::Client(_))
}
