//! What is kept of the past: an app's months, its bills; and which apps there are.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use futures_util::stream::FuturesUnordered;

use super::answer::{Answer, unexpected};
use super::beat::replicas_have_it;
use super::{RedisStore, audit, fault};
use crate::billing::Peak;
use crate::clock::{Day, Millis, Month};
use crate::quota::{AppId, PlanName};
use crate::store::amended::{Counted, Notes};
use crate::store::past::{self, KeptDay};
use crate::store::{Amendment, Change, Correction, MonthHistory, Shard, StoreFault};

/// How many shards are asked at a time for their apps.
const TOGETHER_MAX: usize = 16;

impl RedisStore {
    pub(super) async fn read_history(
        &self,
        app: AppId,
        month: Month,
        today: Day,
    ) -> Result<MonthHistory, StoreFault> {
        let link = self.linked_to_stay()?;
        if !past::keeps_month(self.retention, month, today) {
            return Ok(MonthHistory::default());
        }
        let shard = Shard::of(app);
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.app(app))
            .key(&self.keys.month(app, month))
            .key(&self.keys.bill(app, month));
        let (_, mut answer) = self.run(&link, shard, &self.scripts.history, step).await?;
        let (carried_in, now) = (answer.count()?, answer.count()?);
        let plans = read_plans(&answer.text()?)?;
        let bill = answer.text()?;
        let kept = Kept::read(&mut answer)?;
        let (told_again, ended) = (kept.told_again(month)?, kept.ended);
        let mut told = kept.counted(carried_in).told(kept.notes);
        if month == today.month() {
            told.groups_at_end = now;
        } else if let Some(ended) = ended {
            told.groups_at_end = ended;
        }
        if !past::keeps_days(self.retention, month, today) {
            told.days.clear();
        }
        Ok(MonthHistory {
            plans: past::plans_of(&plans, month),
            told_again,
            bill: (!bill.is_empty()).then(|| bill.into()),
            ..told
        })
    }

    pub(super) async fn amend_once(&self, by: &Amendment) -> Result<bool, StoreFault> {
        let link = self.linked_to_stay()?;
        let shard = Shard::of(by.app);
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.month(by.app, by.day.month()));
        step.arg(by.app).arg(by.day.number()).arg(by.day);
        for change in [by.daily_active, by.groups] {
            match change {
                Some(Change { from, to }) => step.arg(to).arg(from),
                None => step.arg('-').arg('-'),
            };
        }
        step.arg(by.revision)
            .arg(audit::word(&by.who))
            .arg(audit::word(&by.why));
        let (_, mut answer) = self.run(&link, shard, &self.scripts.amend, step).await?;
        let done = answer.flag()?;
        if done && !replicas_have_it(&link.wire, &self.keys.header(shard)).await {
            return Err(fault::unconfirmed());
        }
        Ok(done)
    }

    pub(super) async fn write_bill_once(
        &self,
        app: AppId,
        month: Month,
        bill: &str,
        who: &str,
    ) -> Result<(Box<str>, bool), StoreFault> {
        past::check_bill(bill)?;
        let link = self.linked_to_stay()?;
        let shard = Shard::of(app);
        let end = Month::from_number(month.number() + self.retention.months());
        let ends = self.zone.start_of(end.unwrap_or(month).first_day());
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.bill(app, month));
        step.arg(app)
            .arg(month)
            .arg(ends.0 / 1000)
            .arg(bill)
            .arg(audit::word(who));
        let (_, mut answer) = self.run(&link, shard, &self.scripts.bill, step).await?;
        let (written, is_this) = (answer.text()?, answer.flag()?);
        // Whoever asks again because of this is told the bill that stands.
        if !replicas_have_it(&link.wire, &self.keys.header(shard)).await {
            return Err(fault::unconfirmed());
        }
        Ok((written.into(), is_this))
    }

    pub(super) async fn all_apps(&self) -> Result<Vec<AppId>, StoreFault> {
        let link = self.linked_to_stay()?;
        let mut apps = Vec::new();
        let mut shards = Shard::all();
        let mut asked: FuturesUnordered<_> = shards
            .by_ref()
            .take(TOGETHER_MAX)
            .map(|shard| self.apps_of(&link, shard))
            .collect();
        while let Some(some) = asked.try_next().await? {
            apps.extend(some);
            asked.extend(shards.next().map(|shard| self.apps_of(&link, shard)));
        }
        apps.sort_unstable();
        Ok(apps)
    }
}

/// What a month's hash says, as `month.lua` writes it.
#[derive(Debug, Default)]
struct Kept {
    groups: Option<Peak>,
    daily_active: Peak,
    days: BTreeMap<Day, KeptDay>,
    ended: Option<u64>,
    told_again: u64,
    notes: Notes,
}

impl Kept {
    fn read(answer: &mut Answer) -> Result<Self, StoreFault> {
        let mut kept = Self::default();
        let (mut groups_day, mut actives_day) = (None, None);
        while !answer.is_empty() {
            let (field, value) = (answer.text()?, answer.text()?);
            match field.as_str() {
                "g" => kept.groups.get_or_insert_default().count = number(&value)?,
                "gd" => groups_day = Some(day(&value)?),
                "a" => kept.daily_active.count = number(&value)?,
                "ad" => actives_day = Some(day(&value)?),
                "e" => kept.ended = Some(number(&value)?),
                "ta" => kept.told_again = number(&value)?,
                "cv" => kept.notes.revision = number(&value)?,
                "ep" | "ci" | "pm" => {}
                other => kept.read_day(other, &value)?,
            }
        }
        let notes = &mut kept.notes;
        notes.too_late.sort_unstable();
        notes.corrections.sort_unstable_by_key(|of| of.day);
        if let Some(groups) = &mut kept.groups {
            groups.day = groups_day;
        }
        kept.daily_active.day = actives_day;
        Ok(kept)
    }

    fn read_day(&mut self, field: &str, value: &str) -> Result<(), StoreFault> {
        let (kind, of) = field.split_at_checked(1).ok_or_else(unexpected)?;
        let of = day(of)?;
        let kept = || KeptDay::new(of);
        match kind {
            "d" => self.days.entry(of).or_insert_with(kept).daily_active = number(value)?,
            "p" => {
                let (highest, last) = value.split_once(' ').ok_or_else(unexpected)?;
                let groups = Some((number(highest)?, number(last)?));
                self.days.entry(of).or_insert_with(kept).groups = groups;
            }
            "l" => self.notes.too_late.push((of, number(value)?)),
            "c" => self.notes.corrections.push(correction(of, value)?),
            _ => return Err(unexpected()),
        }
        Ok(())
    }

    fn counted(&self, carried_in: u64) -> Counted {
        let carried = Peak {
            count: carried_in,
            day: None,
        };
        Counted {
            carried_in,
            groups: self.groups.unwrap_or(carried),
            daily_active: self.daily_active,
            days: self.days.values().copied().collect(),
        }
    }

    fn told_again(&self, month: Month) -> Result<Vec<Day>, StoreFault> {
        let first = month.first_day().number();
        let told = (0..31).filter(|bit| self.told_again & (1 << bit) != 0);
        let days = told.map(|bit| Day::from_number(first + bit).ok_or_else(unexpected));
        days.collect()
    }
}

/// What `amend.lua` writes.
fn correction(day: Day, value: &str) -> Result<Correction, StoreFault> {
    let mut words = value.splitn(4, ' ');
    let mut word = || words.next().ok_or_else(unexpected);
    let count = |word: &str| (word != "-").then(|| number(word)).transpose();
    Ok(Correction {
        day,
        daily_active: count(word()?)?,
        groups: count(word()?)?,
        at: Millis(word()?.parse().map_err(|_| unexpected())?),
        why: word()?.into(),
    })
}

fn read_plans(text: &str) -> Result<Vec<(Day, PlanName)>, StoreFault> {
    let changes = text.split(',').filter(|change| !change.is_empty());
    let read = |change: &str| {
        let (from, name) = change.split_once(' ')?;
        Some((day(from).ok()?, PlanName::parse(name)?))
    };
    changes
        .map(|change| read(change).ok_or_else(unexpected))
        .collect()
}

fn number(text: &str) -> Result<u64, StoreFault> {
    text.parse().map_err(|_| unexpected())
}

fn day(text: &str) -> Result<Day, StoreFault> {
    let number = text.parse().ok();
    number.and_then(Day::from_number).ok_or_else(unexpected)
}
