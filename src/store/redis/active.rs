//! Daily active users, and what an app's usage is.

use super::answer::unexpected;
use super::place::Place;
use super::{Link, RedisStore};
use crate::clock::Day;
use crate::quota::AppId;
use crate::store::{Active, LOGINS_MAX, Login, Shard, StoreFault, Usage};

/// The most days of apps in one step: each costs as much as some users.
const STEP_DAYS_MAX: usize = 32;

impl RedisStore {
    pub(super) async fn add_users(
        &self,
        shard: Shard,
        logins: &[Login],
    ) -> Result<Vec<Active>, StoreFault> {
        debug_assert!(logins.len() <= LOGINS_MAX);
        let link = self.linked_to_stay()?;
        // By app and day; a stable order keeps a user's first login the one that is new.
        let mut order: Vec<usize> = (0..logins.len()).collect();
        order.sort_by_key(|&at| (logins[at].app, logins[at].day));
        let same_day = |a: &usize, b: &usize| {
            (logins[*a].app, logins[*a].day) == (logins[*b].app, logins[*b].day)
        };
        let none = Active {
            newly: false,
            too_late: false,
            daily_active: 0,
        };
        let mut actives = vec![none; logins.len()];
        let mut rest = &order[..];
        while !rest.is_empty() {
            let days = rest.chunk_by(same_day).take(STEP_DAYS_MAX).collect();
            let done = self.add_days(&link, shard, (logins, days), &mut actives);
            rest = rest.get(done.await?..).unwrap_or_default();
        }
        for of_day in order.chunk_by(same_day) {
            // It may have taken several steps.
            let counts = of_day.iter().map(|&at| actives[at].daily_active);
            let last = counts.max().unwrap_or(0);
            for &at in of_day {
                actives[at].daily_active = last;
            }
        }
        Ok(actives)
    }

    /// One step, for the users of some days of apps: each day has the places of its logins. How many of them it took: it
    /// ends before it holds the server for long, but takes some.
    async fn add_days(
        &self,
        link: &Link,
        shard: Shard,
        (logins, days): (&[Login], Vec<&[usize]>),
        actives: &mut [Active],
    ) -> Result<usize, StoreFault> {
        let mut step = self.step(link, shard)?;
        step.arg(link.full).arg(days.len());
        for day_logins in &days {
            let Login { app, day, .. } = logins[day_logins[0]];
            debug_assert_eq!(Shard::of(app), shard);
            step.key(&self.keys.users(app, day))
                .key(&self.keys.month(app, day.month()))
                .key(&self.keys.month(app, day_before(day).month()))
                .key(&self.keys.app(app));
            step.arg(day.number())
                .arg(self.ends_s(day))
                .arg(self.sealed_ms(day))
                .arg(day_logins.len());
            for &at in *day_logins {
                let Place { bits, member } = Place::of(logins[at].user);
                step.arg(bits).arg(member);
            }
        }
        let (_, mut answer) = self.run(link, shard, &self.scripts.active, step).await?;
        let newly = answer.text()?;
        let told: usize = days.iter().map(|day_logins| day_logins.len()).sum();
        if newly.is_empty() || newly.len() > told {
            return Err(unexpected());
        }
        let mut left = newly.as_bytes();
        for day_logins in days {
            let (of_day, others) = left.split_at(day_logins.len().min(left.len()));
            if of_day.is_empty() {
                break;
            }
            left = others;
            let daily_active = answer.count()?;
            for (&at, new) in day_logins.iter().zip(of_day) {
                actives[at] = Active {
                    newly: *new == b'1',
                    too_late: *new == b'2',
                    daily_active,
                };
            }
        }
        Ok(newly.len())
    }

    pub(super) async fn read_usage(&self, app: AppId, day: Day) -> Result<Usage, StoreFault> {
        let link = self.linked_to_stay()?;
        let shard = Shard::of(app);
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.app(app))
            .key(&self.keys.gain(app, day))
            .key(&self.keys.month(app, day.month()))
            .key(&self.keys.users(app, day));
        step.arg(day.number());
        let (seq, mut answer) = self.run(&link, shard, &self.scripts.usage, step).await?;
        let mut usage = Usage {
            daily_active: answer.count()?,
            my_increment: answer.count()?,
            month_peak_daily_active: answer.count()?,
            month_peak_groups: answer.count()?,
            ..Usage::default()
        };
        let is_corrected = answer.flag()?;
        usage.view = answer.view(seq)?;
        if is_corrected {
            let month = self.read_history(app, day.month(), day).await?;
            usage.month_peak_daily_active = month.daily_active.count;
            usage.month_peak_groups = month.groups.count;
        }
        Ok(usage)
    }
}

fn day_before(day: Day) -> Day {
    Day::from_number(day.number() - 1).unwrap_or(day)
}
