//! Leaving, and what leads to it: folding a member's sums, by itself or by whoever retires it.

use super::answer::Answer;
use super::beat::replicas_have_it;
use super::meta::id_text;
use super::script::Step;
use super::{Link, RedisStore, fault};
use crate::clock::Day;
use crate::quota::AppId;
use crate::store::{REPORT_APPS_MAX, Retired, Shard, StoreFault};

/// The most apps that one step folds: so many take Redis less than 2 ms.
const STEP_APPS_MAX: usize = 16;
/// How long recalls are told.
const RECALL_MS: u64 = 3_000;
/// Days whose gains may be there still: from so many days ago to tomorrow.
const DAYS_BACK: i32 = 4;

/// Whose sums are folded, and what becomes of what it was lent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folded<'a> {
    pub(super) incarnation: &'a str,
    pub(super) lent_is_used: bool,
}

/// Why bases have news.
#[derive(Debug, Clone, Copy)]
pub(super) enum News<'a> {
    /// This member has left.
    Left,
    /// Another was retired.
    Retired(&'a str),
    /// The count of an app was set, under a freeze. Repeated, it is told if it was not.
    Recounted {
        app: AppId,
        token: u64,
        repeated: bool,
    },
}

impl RedisStore {
    pub(super) async fn fold_mine(&self, shard: Shard, apps: &[AppId]) -> Result<(), StoreFault> {
        debug_assert!(apps.len() <= REPORT_APPS_MAX);
        let link = self.linked()?;
        let mine = Folded {
            incarnation: &link.incarnation,
            lent_is_used: false,
        };
        for some in apps.chunks(STEP_APPS_MAX) {
            self.fold_part(&link, shard, some, mine).await?;
        }
        Ok(())
    }

    /// Folds one who goes out of some apps; from then on the shard takes nothing of it any more.
    pub(super) async fn fold_part(
        &self,
        link: &Link,
        shard: Shard,
        apps: &[AppId],
        who: Folded<'_>,
    ) -> Result<Retired, StoreFault> {
        let mut step = self.step(link, shard)?;
        for &app in apps {
            debug_assert_eq!(Shard::of(app), shard);
            step.key(&self.keys.app(app));
        }
        step.arg(who.incarnation).arg(u8::from(who.lent_is_used));
        let today = self.zone.day(self.clock.now());
        step.arg(today.number()).arg(today.month().number());
        let today = today.number();
        for day in (today - DAYS_BACK..=today + 1).filter_map(Day::from_number) {
            step.arg(day.number());
        }
        let (_, mut answer) = self.run(link, shard, &self.scripts.fold, step).await?;
        Ok(Retired {
            apps: answer.count()?,
            outstanding: answer.count()?,
        })
    }

    pub(super) async fn leave_once(&self) -> Result<u64, StoreFault> {
        let link = self.linked()?;
        self.tell_news(&link, News::Left).await
    }

    /// Says that bases have changed, and why; the number of that news, when the replicas have it.
    pub(super) async fn tell_news(&self, link: &Link, news: News<'_>) -> Result<u64, StoreFault> {
        let (who, retired) = match news {
            News::Left => (link.incarnation.as_str(), false),
            News::Retired(incarnation) => (incarnation, true),
            News::Recounted { .. } => ("", false),
        };
        let mut step = Step::default();
        step.key(&self.keys.meta())
            .key(&self.keys.members())
            .key(&self.keys.notices());
        step.arg(&link.installation)
            .arg(self.heard.latest().epoch)
            .arg(who)
            .arg(u8::from(retired));
        if let News::Recounted {
            app,
            token,
            repeated,
        } = news
        {
            step.arg(app).arg(token).arg(u8::from(repeated));
        }
        let value = link.wire.run(&self.scripts.leave, &step).await?;
        let mut answer = Answer::new(value)?;
        let status = answer.signed()?;
        if status != 0 {
            return Err(fault::unchanged(status));
        }
        let number = answer.count()?;
        if !replicas_have_it(&link.wire, &self.keys.meta()).await {
            return Err(fault::unconfirmed());
        }
        Ok(number)
    }

    /// Has a recovery that is open wait no more for one who is to be retired.
    ///
    /// # Errors
    /// [`StoreFault::Frozen`]: one is open, and nothing can be booked before it has ended.
    pub(super) async fn give_up(&self, link: &Link, incarnation: u64) -> Result<(), StoreFault> {
        let mut step = Step::default();
        step.key(&self.keys.meta()).key(&self.keys.members());
        step.arg(&link.installation)
            .arg(self.heard.latest().epoch)
            .arg(id_text(incarnation));
        let value = link.wire.run(&self.scripts.give_up, &step).await?;
        match Answer::new(value)?.signed()? {
            0 => Ok(()),
            4 => Err(fault::given_up()),
            status => Err(fault::unchanged(status)),
        }
    }

    pub(super) async fn recall_once(&self, app: AppId) -> Result<(), StoreFault> {
        let link = self.linked()?;
        let mut step = Step::default();
        step.key(&self.keys.recalls()).arg(app).arg(RECALL_MS);
        link.wire.run(&self.scripts.recall, &step).await.map(drop)
    }

    /// Folds all that one who is retired counted, shard by shard.
    pub(super) async fn fold_all(
        &self,
        link: &Link,
        incarnation: u64,
    ) -> Result<Retired, StoreFault> {
        let incarnation = id_text(incarnation);
        let who = Folded {
            incarnation: &incarnation,
            lent_is_used: true,
        };
        let mut sum = Retired::default();
        for shard in Shard::all() {
            let apps = self.apps_of(link, shard).await?;
            // An empty one marks the member gone in a shard that has nothing of it.
            self.fold_part(link, shard, &[], who).await?;
            for some in apps.chunks(STEP_APPS_MAX) {
                let part = self.fold_part(link, shard, some, who).await?;
                sum.apps += part.apps;
                sum.outstanding += part.outstanding;
            }
        }
        Ok(sum)
    }
}
