//! What operators do: freeze and recount an app, retire members, read what was done.

use std::collections::HashMap;

use redis::Value;

use super::answer::unexpected;
use super::leave::News;
use super::meta::{id_text, read_id};
use super::script::Step;
use super::{RedisStore, audit};
use crate::clock::{Millis, Month};
use crate::quota::{AppId, Resource};
use crate::store::{
    Amendment, AuditEntry, Entered, FREEZE_MS, FREEZES_MAX, Freeze, IMPORT_MS, Imports, MemberInfo,
    Operator, Recount, Recounted, Registration, Reply, Retired, Shard, Standing, StoreFault,
};

/// The members' key: what is written for each incarnation, by letter.
type Rows = HashMap<u64, HashMap<char, String>>;

/// The letter of a member's first row, which has none.
const ROW: char = ' ';

/// What a shard says of a freeze.
struct Frozen {
    /// 0: the app is not frozen.
    token: u64,
    ends: u64,
    count: i64,
    /// Whether it began by this call.
    began: bool,
}

impl RedisStore {
    async fn members_by_letter(&self) -> Result<Rows, StoreFault> {
        let link = self.linked()?;
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(self.keys.members());
        let value = link.wire.ask(cmd).await?;
        let fields: Vec<(String, String)> =
            redis::from_redis_value(value).map_err(|_| unexpected())?;
        let mut rows = Rows::new();
        for (field, value) in fields {
            let (letter, incarnation) = match field.split_once(':') {
                Some((letter, incarnation)) => (letter.chars().next().unwrap_or(ROW), incarnation),
                None => (ROW, field.as_str()),
            };
            let incarnation = read_id(incarnation)?;
            rows.entry(incarnation).or_default().insert(letter, value);
        }
        Ok(rows)
    }

    async fn freeze_once(
        &self,
        app: AppId,
        resource: Resource,
        lasts_ms: u64,
        token: u64,
    ) -> Result<Frozen, StoreFault> {
        let link = self.linked()?;
        let shard = Shard::of(app);
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.app(app));
        step.arg(resource.counter().index())
            .arg(lasts_ms)
            .arg(token);
        let (_, mut answer) = self.run(&link, shard, &self.scripts.freeze, step).await?;
        Ok(Frozen {
            token: answer.count()?,
            ends: answer.count()?,
            count: answer.signed()?,
            began: answer.flag()?,
        })
    }

    async fn freeze_and_tell(&self, app: AppId, resource: Resource) -> Result<Freeze, StoreFault> {
        let frozen = self.freeze_once(app, resource, FREEZE_MS, 0).await?;
        let (fault, thaws) = match self.tell(app, &frozen).await {
            Ok(true) => {
                return Ok(Freeze {
                    token: frozen.token,
                    count: frozen.count,
                });
            }
            Ok(false) => (too_many(), true),
            Err(fault) => (fault, frozen.began),
        };
        // Of a freeze that nobody was told of nobody has the token.
        if thaws && let Err(why) = self.unfreeze_once(app, frozen.token).await {
            tracing::warn!(%app, %why, "a freeze could not be ended; it ends by itself in 10 minutes at most");
        }
        Err(fault)
    }

    /// Gives all members notice of a freeze. Answers whether there was room for it.
    async fn tell(&self, app: AppId, frozen: &Frozen) -> Result<bool, StoreFault> {
        let mut step = Step::default();
        step.key(&self.keys.notices());
        step.arg(app)
            .arg(frozen.token)
            .arg(frozen.ends)
            .arg(FREEZES_MAX);
        let told = self.linked()?.wire.run(&self.scripts.notice, &step).await?;
        Ok(told == Value::Int(1))
    }

    async fn untell(&self, app: AppId) -> Result<(), StoreFault> {
        let mut cmd = redis::cmd("HDEL");
        cmd.arg(self.keys.notices()).arg(app.get());
        self.linked()?.wire.ask(cmd).await.map(drop)
    }

    async fn unfreeze_once(&self, app: AppId, token: u64) -> Result<(), StoreFault> {
        let left = self.freeze_once(app, Resource::Account, 0, token).await?;
        if left.token == 0 {
            self.untell(app).await?;
        }
        Ok(())
    }

    async fn awaited_now(&self, app: AppId, token: u64) -> Result<Vec<u64>, StoreFault> {
        let rows = self.members_by_letter().await?;
        let mut present: Vec<u64> = rows
            .iter()
            .filter(|(_, row)| row.contains_key(&'k'))
            .map(|(&incarnation, _)| incarnation)
            .collect();
        present.sort_unstable();
        if present.is_empty() {
            return Ok(present);
        }
        let mut cmd = redis::cmd("HMGET");
        cmd.arg(self.keys.app(app));
        for &incarnation in &present {
            cmd.arg(format!("q:{}", id_text(incarnation)));
        }
        let value = self.linked()?.wire.ask(cmd).await?;
        let acknowledged: Vec<Option<u64>> =
            redis::from_redis_value(value).map_err(|_| unexpected())?;
        let both = present.into_iter().zip(acknowledged);
        Ok(both
            .filter(|(_, acknowledged)| *acknowledged != Some(token))
            .map(|(incarnation, _)| incarnation)
            .collect())
    }

    async fn recount_once(&self, recount: &Recount) -> Result<Recounted, StoreFault> {
        let link = self.linked()?;
        let shard = Shard::of(recount.app);
        // Who joins after this, and counts something before the commit, counts it on top.
        let awaited = self.awaited_now(recount.app, recount.token).await?;
        let today = self.zone.day(self.clock.now());
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.app(recount.app))
            .key(&self.keys.month(recount.app, today.month()));
        step.arg(recount.resource.counter().index())
            .arg(recount.resource)
            .arg(recount.to)
            .arg(recount.token)
            .arg(today.number())
            .arg(audit::word(&recount.who))
            .arg(audit::word(&recount.why));
        for incarnation in awaited {
            step.arg(id_text(incarnation));
        }
        let (_, mut answer) = self.run(&link, shard, &self.scripts.recount, step).await?;
        let done = answer.flag()?;
        let from = answer.signed()?;
        let generation = answer.count()?;
        let held = answer.count()?;
        // Whoever asks again may do so because nobody was told that there is a new base.
        let news = News::Recounted {
            app: recount.app,
            token: recount.token,
            repeated: !done,
        };
        self.tell_news(&link, news).await?;
        if !done {
            return Ok(Recounted::NotFrozen);
        }
        Ok(Recounted::Done {
            from,
            generation,
            held,
        })
    }

    async fn all_members(&self) -> Result<Vec<MemberInfo>, StoreFault> {
        let now = self.clock.now();
        let mut members = Vec::new();
        for (incarnation, row) in self.members_by_letter().await? {
            let Some(words) = row.get(&ROW) else { continue };
            let mut words = words.splitn(4, ' ');
            let (boot, _nonce, seen) = (words.next(), words.next(), words.next());
            let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
            let (Some(boot), Some(seen)) = (number(boot), number(seen)) else {
                return Err(unexpected());
            };
            let standing = if row.contains_key(&'g') {
                Standing::Gone
            } else if now.since(Millis(seen)) < self.pace.lease_ttl {
                Standing::Present
            } else {
                Standing::Silent
            };
            members.push(MemberInfo {
                incarnation,
                name: words.next().unwrap_or("").into(),
                boot: u32::try_from(boot).unwrap_or(u32::MAX),
                seen: Millis(seen),
                standing,
            });
        }
        members.sort_by(|a, b| (&a.name, a.incarnation).cmp(&(&b.name, b.incarnation)));
        Ok(members)
    }

    async fn retire_once(
        &self,
        incarnation: u64,
        who: &str,
        why: &str,
    ) -> Result<Retired, StoreFault> {
        let link = self.linked()?;
        let rows = self.members_by_letter().await?;
        let Some(row) = rows.get(&incarnation) else {
            return Err(StoreFault::Unusable(format!(
                "the ledger knows no member {incarnation:016x}"
            )));
        };
        let name = row.get(&ROW).and_then(|row| row.splitn(4, ' ').nth(3));
        self.give_up(&link, incarnation).await?;
        let retired = self.fold_all(&link, incarnation).await?;
        let first = Shard::all().next().ok_or_else(unexpected)?;
        let mut step = self.step(&link, first)?;
        step.arg(audit::word(who))
            .arg(audit::word(name.unwrap_or("")))
            .arg(retired.outstanding)
            .arg(audit::word(why));
        self.run(&link, first, &self.scripts.retired, step).await?;
        self.tell_news(&link, News::Retired(&id_text(incarnation)))
            .await?;
        Ok(retired)
    }
}

impl RedisStore {
    async fn note_import_once(&self, imports: &Imports) -> Result<(), StoreFault> {
        let link = self.linked_to_stay()?;
        let shard = Shard::of(imports.app);
        let mut step = self.step(&link, shard)?;
        step.arg(imports.app)
            .arg(imports.resource)
            .arg(imports.objects)
            .arg(audit::word(&imports.who))
            .arg(IMPORT_MS);
        self.run(&link, shard, &self.scripts.imported, step).await?;
        Ok(())
    }
}

fn too_many() -> StoreFault {
    StoreFault::Unusable(format!(
        "{FREEZES_MAX} apps are frozen for a recount, and sidecars are told of no more at a time: finish one \
         of those recounts or call it off (`imquota recount --cancel`), or wait 10 minutes at most until \
         they end by themselves"
    ))
}

impl Operator for RedisStore {
    fn freeze(&self, app: AppId, resource: Resource) -> Reply<'_, Freeze> {
        Box::pin(self.freeze_and_tell(app, resource))
    }

    fn awaited(&self, app: AppId, token: u64) -> Reply<'_, Vec<u64>> {
        Box::pin(self.awaited_now(app, token))
    }

    fn unfreeze(&self, app: AppId, token: u64) -> Reply<'_, ()> {
        Box::pin(self.unfreeze_once(app, token))
    }

    fn recount<'a>(&'a self, recount: &'a Recount) -> Reply<'a, Recounted> {
        Box::pin(self.recount_once(recount))
    }

    fn members(&self) -> Reply<'_, Vec<MemberInfo>> {
        Box::pin(self.all_members())
    }

    fn retire<'a>(&'a self, incarnation: u64, who: &'a str, why: &'a str) -> Reply<'a, Retired> {
        Box::pin(self.retire_once(incarnation, who, why))
    }

    fn apps(&self) -> Reply<'_, Vec<AppId>> {
        Box::pin(self.all_apps())
    }

    fn write_bill<'a>(
        &'a self,
        app: AppId,
        month: Month,
        bill: &'a str,
        who: &'a str,
    ) -> Reply<'a, (Box<str>, bool)> {
        Box::pin(self.write_bill_once(app, month, bill, who))
    }

    fn forget_names(&self, app: AppId) -> Reply<'_, ()> {
        Box::pin(self.forget_names_once(app))
    }

    fn enter<'a>(&'a self, change: &'a Registration) -> Reply<'a, Entered> {
        Box::pin(self.enter_once(change))
    }

    fn amend<'a>(&'a self, amendment: &'a Amendment) -> Reply<'a, bool> {
        Box::pin(self.amend_once(amendment))
    }

    fn note_import<'a>(&'a self, imports: &'a Imports) -> Reply<'a, ()> {
        Box::pin(self.note_import_once(imports))
    }

    fn audit(&self, app: Option<AppId>, most: usize) -> Reply<'_, Vec<AuditEntry>> {
        Box::pin(self.read_audit(app, most))
    }
}
