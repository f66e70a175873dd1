//! Meeting the ledger: connect, learn who it is, make it where there is none, state what was seen.

use std::sync::Arc;

use redis::Value;

use super::answer::Answer;
use super::keys::FORMAT;
use super::link::Wire;
use super::meta::{Found, HEADLESS, Meta, YOUNGER, id_text, key_text};
use super::script::Step;
use super::seen::Point;
use super::survey::{Survey, survey};
use super::{Create, Link, RedisStore};
use crate::chance;
use crate::store::{Installation, Member, SHARDS, Shard, StoreFault};

impl RedisStore {
    pub(super) async fn greet(
        &self,
        member: &Member,
        remembered: Option<Installation>,
    ) -> Result<Installation, StoreFault> {
        // Held across awaits on purpose: this is the queue of those who would connect.
        let _turn = self.greeting.lock().await;
        let (wire, survey, fresh) = self.reach().await?;
        let meta = self.meet(&wire, &survey, member, remembered).await?;
        let installation = meta.accept(self.zone.name(), self.keys.prefix())?;
        let frozen = meta.frozen(remembered);
        if meta.found == Found::Creating {
            if frozen.is_some() {
                // Or else a newcomer would finish it, and take what is missing for new.
                self.mark_lost(&wire, &meta.id, YOUNGER).await?;
            } else {
                self.create(&wire, &survey, &meta.id).await?;
            }
        }
        // Where hard limits are frozen, totals may still go on, for whom the ledger knows. A process
        // on a copy goes by another's name: its totals would hide the other's, and it withdraws
        // attempts by the other's numbers.
        if meta.found == Found::Copied {
            self.set_link(None);
        } else if frozen.is_none() || remembered.is_some() {
            let link = link(&wire, &survey, remembered.unwrap_or(installation), member);
            let new_run = meta.run != survey.run;
            if fresh || new_run {
                self.state_all(&link, new_run).await?;
            }
            self.set_link(Some(link));
        }
        frozen.map_or(Ok(installation), Err)
    }

    /// The connection, looked over; a new one if there is none that works. Says whether it is new.
    async fn reach(&self) -> Result<(Wire, Survey, bool), StoreFault> {
        // One that broke, or leads to a server that is the master no more, is left for what the name
        // resolves to now.
        if let Some(link) = self.link()
            && let Ok(survey) = survey(&link.wire).await
        {
            return Ok((link.wire.clone(), survey, false));
        }
        let wire = self.dialer.connect(&self.scripts).await?;
        let survey = survey(&wire).await?;
        Ok((wire, survey, true))
    }

    /// Runs the hello script.
    async fn meet(
        &self,
        wire: &Wire,
        survey: &Survey,
        member: &Member,
        remembered: Option<Installation>,
    ) -> Result<Meta, StoreFault> {
        let mut step = Step::default();
        step.key(&self.keys.meta()).key(&self.keys.members());
        match remembered {
            Some(known) => step.arg(id_text(known.id)).arg(key_text(known.user_key)),
            None => step.arg("").arg(""),
        };
        if remembered.is_none() && self.create == Create::Auto {
            step.arg(id_text(chance::draw()))
                .arg(key_text(chance::draw()));
        } else {
            step.arg("").arg("");
        }
        step.arg(self.zone.name())
            .arg(SHARDS)
            .arg(FORMAT)
            .arg(id_text(member.incarnation))
            .arg(member.boot)
            .arg(&member.name)
            .arg(&survey.run)
            .arg(id_text(self.nonce));
        let asked = self.clock.own();
        let value = wire.run(&self.scripts.hello, &step).await?;
        let meta = Meta::read(value)?;
        self.correct(meta.time, asked, self.clock.own());
        Ok(meta)
    }

    /// Makes all shard headers, or finishes what another member began.
    async fn create(&self, wire: &Wire, survey: &Survey, id: &str) -> Result<(), StoreFault> {
        let steps: Vec<Step> = Shard::all()
            .map(|shard| {
                let mut step = Step::default();
                step.key(&self.keys.header(shard)).arg(id).arg(&survey.run);
                step
            })
            .collect();
        let made = wire.run_all(&self.scripts.open, &steps).await?;
        if made.contains(&Value::Int(0)) {
            self.mark_lost(wire, id, HEADLESS).await?;
            return Err(StoreFault::Frozen(format!(
                "the ledger has forgotten itself: {HEADLESS}; restore it, or choose another store.key_prefix"
            )));
        }
        let mut step = Step::default();
        step.key(&self.keys.meta()).arg(id).arg("creating");
        step.arg("state").arg("ready");
        wire.run(&self.scripts.mark, &step).await?;
        tracing::info!(
            installation = id,
            prefix = self.keys.prefix(),
            "made a new ledger"
        );
        Ok(())
    }

    /// Takes a ledger that is being made for one that has forgotten.
    async fn mark_lost(&self, wire: &Wire, id: &str, why: &str) -> Result<(), StoreFault> {
        let mut step = Step::default();
        step.key(&self.keys.meta()).arg(id).arg("creating");
        step.arg("state").arg("lost").arg("lost").arg(why);
        wire.run(&self.scripts.mark, &step).await.map(drop)
    }

    /// States what was seen to each shard that was met; to all of them, if the run is new to the
    /// ledger, so that none has to wait for it later.
    async fn state_all(&self, link: &Link, new_run: bool) -> Result<(), StoreFault> {
        let shards: Vec<Shard> = Shard::all()
            .filter(|&shard| new_run || self.seen.of(shard) != Point::default())
            .collect();
        let steps: Vec<Step> = shards.iter().map(|&shard| self.step(link, shard)).collect();
        let answers = link.wire.run_all(&self.scripts.state, &steps).await?;
        let mut worst = None;
        let mut bad = 0;
        for (&shard, value) in shards.iter().zip(answers) {
            let lost = match self.judge(shard, Answer::new(value)?) {
                Ok((_, mut answer)) => answer.text()?,
                Err(fault) => fault.to_string(),
            };
            if !lost.is_empty() {
                bad += 1;
                worst.get_or_insert(lost);
            }
        }
        if let Some(lost) = worst {
            tracing::error!(
                shards = bad,
                first = lost,
                "the ledger has lost writes: hard limits of these shards wait"
            );
        }
        if new_run {
            let mut step = Step::default();
            step.key(&self.keys.meta())
                .arg(&link.installation)
                .arg("ready");
            step.arg("run").arg(&link.run);
            link.wire.run(&self.scripts.mark, &step).await?;
        }
        Ok(())
    }
}

fn link(wire: &Wire, survey: &Survey, installation: Installation, member: &Member) -> Arc<Link> {
    Arc::new(Link {
        wire: wire.clone(),
        run: survey.run.clone(),
        fill: survey.fill,
        installation: id_text(installation.id),
        incarnation: id_text(member.incarnation),
    })
}
