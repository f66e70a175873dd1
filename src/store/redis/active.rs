//! Daily active users, and what an app's usage is.

use super::RedisStore;
use super::answer::unexpected;
use super::place::Place;
use crate::clock::Day;
use crate::quota::AppId;
use crate::store::{Active, LOGINS_MAX, Login, Shard, StoreFault, Usage};

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
        let mut step = self.step(&link, shard)?;
        step.arg(link.full).arg(order.chunk_by(same_day).count());
        for day_logins in order.chunk_by(same_day) {
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
            for &at in day_logins {
                let Place { bits, member } = Place::of(logins[at].user);
                step.arg(bits).arg(member);
            }
        }
        let (_, mut answer) = self.run(&link, shard, &self.scripts.active, step).await?;
        let newly = answer.text()?;
        if newly.len() != logins.len() {
            return Err(unexpected());
        }
        let mut actives = vec![
            Active {
                newly: false,
                too_late: false,
                daily_active: 0,
            };
            logins.len()
        ];
        for day_logins in order.chunk_by(same_day) {
            let daily_active = answer.count()?;
            for &at in day_logins {
                actives[at].daily_active = daily_active;
            }
        }
        for (&at, new) in order.iter().zip(newly.bytes()) {
            actives[at].newly = new == b'1';
            actives[at].too_late = new == b'2';
        }
        Ok(actives)
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
