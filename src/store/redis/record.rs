//! The record path: takes and releases.

use std::fmt;

use super::answer::{Answer, unexpected};
use super::script::Step;
use super::{Link, RedisStore, keys};
use crate::quota::{COUNTERS, Counter, RequestId, Resource};
use crate::store::{
    Beside, GiveBack, GivenBack, Intent, RecordKey, Shard, StoreFault, Take, Taken, Undecided,
    Whose,
};

impl RedisStore {
    pub(super) async fn take_once(&self, take: &Take) -> Result<Taken, StoreFault> {
        let link = self.linked_to_stay()?;
        let (shard, mut step) = self.take_step(&link, take)?;
        let (script, is_plain) = match intent_of(take) {
            None => {
                step.arg(u8::from(is_remembered(&take.key)));
                add_charge(&mut step, take);
                (&self.scripts.take, true)
            }
            Some(letter @ ('n' | 'e' | 'r')) => {
                step.arg(u8::from(is_remembered(&take.key)))
                    .arg(letter)
                    .arg(Until(take.intent));
                add_charge(&mut step, take);
                (&self.scripts.take_object, false)
            }
            Some(letter) => {
                let own = take.charge.parts()[0].counter;
                step.arg(letter).arg(own.index());
                (&self.scripts.end_hold, false)
            }
        };
        let (seq, mut answer) = self.run(&link, shard, script, step).await?;
        read_taken(&mut answer, seq, is_plain)
    }

    /// A take's step as all scripts begin it.
    fn take_step(&self, link: &Link, take: &Take) -> Result<(Shard, Step), StoreFault> {
        let shard = Shard::of(take.app);
        let mut step = self.step(link, shard)?;
        step.key(&self.keys.app(take.app))
            .key(&self.keys.records(take.app))
            .key(&self.keys.gain(take.app, take.day))
            .key(&self.keys.fold_queue(shard));
        step.arg(take.attempt.0).arg(keys::field(&take.key));
        if intent_of(take).is_some() {
            step.arg(note_field(&take.key, take.note.as_ref()));
        }
        step.arg(format_args!("{:x}", take.fingerprint.0))
            .arg(take.day.number())
            .arg(self.ends_s(take.day));
        Ok((shard, step))
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
        let script = match back.object {
            None => &self.scripts.release,
            Some(object) => {
                step.arg(u8::from(back.rooms_are_groups))
                    .arg(keys::object_field(object))
                    .arg(link.full);
                &self.scripts.release_object
            }
        };
        let (seq, mut answer) = self.run(&link, shard, script, step).await?;
        let outcome = answer.signed()?;
        let replayed = answer.flag()?;
        let mine = answer.flag()?;
        let released = answer.small()?;
        let groups = answer.small()?;
        let resource = match back.object {
            None => back.resource,
            Some(_) => resource_of(counter(&mut answer)?)?,
        };
        let view = answer.view(seq)?;
        match outcome {
            0 => Ok(GivenBack::Released {
                released,
                resource,
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

/// A limit as the scripts read it: with the edition of the rules that say so, where it is known.
pub(super) fn stated(limit: u64, edition: u64) -> String {
    match edition {
        0 => limit.to_string(),
        edition => format!("{limit}@{edition}"),
    }
}

fn add_charge(step: &mut Step, take: &Take) {
    step.arg(take.charge.amount().get());
    for part in take.charge.parts() {
        step.arg(part.counter.index());
        match part.limit.get() {
            Some(limit) => step.arg(stated(limit, take.charge.edition())),
            None => step.arg('-'),
        };
    }
}

fn read_taken(answer: &mut Answer, seq: u64, is_plain: bool) -> Result<Taken, StoreFault> {
    let outcome = answer.signed()?;
    let replayed = answer.flag()?;
    let whose = match answer.small()? {
        0 => Whose::Another,
        1 => Whose::Asker,
        2 => Whose::Told,
        3 => Whose::Nobody,
        _ => return Err(unexpected()),
    };
    let counter = counter(answer)?;
    let recallable = answer.flag()?;
    let beside = if is_plain {
        Beside::default()
    } else {
        read_beside(answer)?
    };
    let view = answer.view(seq)?;
    match outcome {
        0 => Ok(Taken::Allowed {
            view,
            replayed,
            whose,
            beside,
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
        7 => Ok(Taken::NoHold),
        8 => Ok(Taken::Ended),
        9 => Ok(Taken::Undecided(Undecided::Confirming)),
        _ => Err(unexpected()),
    }
}

fn read_beside(answer: &mut Answer) -> Result<Beside, StoreFault> {
    let already_counted = answer.flag()?;
    let late = answer.flag()?;
    let exceeds = match answer.small()? {
        0 => None,
        more => Some(counter_at(more - 1)?),
    };
    Ok(Beside {
        already_counted,
        late,
        exceeds,
    })
}

fn counter(answer: &mut Answer) -> Result<Counter, StoreFault> {
    counter_at(answer.small()?)
}

fn counter_at(index: u32) -> Result<Counter, StoreFault> {
    let index = usize::try_from(index).map_err(|_| unexpected())?;
    COUNTERS.get(index).copied().ok_or_else(unexpected)
}

fn resource_of(counter: Counter) -> Result<Resource, StoreFault> {
    match counter {
        Counter::Accounts => Ok(Resource::Account),
        Counter::Groups => Ok(Resource::Group),
        Counter::AvRooms => Ok(Resource::AvRoom),
        Counter::GroupsGained => Err(unexpected()),
    }
}

/// Whether groups, and the day's gain, fall with a release.
pub(super) fn groups_follow(back: &GiveBack) -> bool {
    back.groups_follow && back.resource != Resource::Account
}

/// Whether a refusal is remembered: nobody asks again for an id that was made for one call.
pub(super) fn is_remembered(key: &RecordKey) -> bool {
    matches!(key, RecordKey::Client(_))
}

/// What a take does, in the scripts' letters; `None`: it counts, names no object, and so goes the short way.
pub(super) fn intent_of(take: &Take) -> Option<char> {
    match take.intent {
        Intent::Count if !matches!(take.key, RecordKey::Object(_)) && take.note.is_none() => None,
        Intent::Count => Some('n'),
        Intent::Exists => Some('e'),
        Intent::Reserve { .. } => Some('r'),
        Intent::Confirm { lapsed: false } => Some('c'),
        Intent::Confirm { lapsed: true } => Some('l'),
        Intent::Cancel => Some('z'),
        Intent::Lapse => Some('f'),
        Intent::Alone => Some('a'),
    }
}

/// The field of the client's id that is noted beside an object's record, or nothing.
pub(super) fn note_field<'a>(key: &RecordKey, note: Option<&'a RequestId>) -> &'a str {
    match (key, note) {
        (RecordKey::Object(_), Some(id)) => id.as_str(),
        _ => "",
    }
}

/// When a reservation expires, or nothing.
pub(super) struct Until(pub(super) Intent);

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Intent::Reserve { until } => until.0.max(0).fmt(f),
            _ => Ok(()),
        }
    }
}
