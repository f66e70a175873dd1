//! Meeting the ledger: connect, learn who it is, make it where there is none.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use redis::Value;

use super::keys::FORMAT;
use super::link::Wire;
use super::meta::{Found, Meta, id_text, key_text};
use super::probe::look_over;
use super::script::Step;
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
        let (wire, survey) = self.reach().await?;
        let meta = self.meet(&wire, &survey, member, remembered).await?;
        let frozen = meta.frozen(remembered);
        let installation = if let (Some(_), Some(known)) = (&frozen, remembered) {
            known
        } else {
            let installation = meta.accept(self.keys.prefix())?;
            self.heed_zone(&wire, &meta.id, &meta.zone, meta.time)
                .await?;
            installation
        };
        // Of a server that is refused, the reason alone is said.
        self.told.tell(&survey);
        if meta.found == Found::Creating && frozen.is_none() {
            self.create(&wire, &meta.id).await?;
        }
        // Who remembers the ledger beats even where it has forgotten itself. A process on a copy goes by
        // another's name: its totals would hide the other's, and it withdraws attempts by the other's
        // numbers.
        if meta.found == Found::Copied {
            self.set_link(None);
        } else if frozen.is_none() || remembered.is_some() {
            let link = link(&wire, &survey, installation, member, &self.nonce);
            if frozen.is_none() && meta.run == survey.run {
                self.heard.note(meta.standing);
                link.meet();
            }
            self.set_link(Some(link));
        }
        frozen.map_or(Ok(installation), Err)
    }

    /// The connection, looked over; a new one if there is none that works.
    async fn reach(&self) -> Result<(Wire, Survey), StoreFault> {
        // One that broke, or leads to a server that is the master no more, is left for what the name
        // resolves to now.
        if let Some(link) = self.link()
            && let Ok(survey) = survey(&link.wire).await
        {
            return Ok((link.wire.clone(), survey));
        }
        let wire = self.dialer.reach().await?;
        let survey = if self.dialer.is_real() {
            look_over(&wire, &self.keys).await?
        } else {
            survey(&wire).await?
        };
        wire.learn(&self.scripts).await?;
        Ok((wire, survey))
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
            Some(known) => step.arg(id_text(known.id)),
            None => step.arg(""),
        };
        if remembered.is_none() && self.create == Create::Auto {
            step.arg(id_text(chance::draw()))
                .arg(key_text(chance::draw()));
        } else {
            step.arg("").arg("");
        }
        step.arg(self.zone.schedule())
            .arg(SHARDS)
            .arg(FORMAT)
            .arg(id_text(member.incarnation))
            .arg(member.boot)
            .arg(&member.name)
            .arg(&survey.run)
            .arg(&self.nonce)
            .arg(self.pace.lease_ttl);
        let asked = self.clock.own();
        let value = wire.run(&self.scripts.hello, &step).await?;
        let meta = Meta::read(value)?;
        self.correct(meta.time, asked, self.clock.own());
        Ok(meta)
    }

    /// Makes all shard headers, or finishes what another member began.
    async fn create(&self, wire: &Wire, id: &str) -> Result<(), StoreFault> {
        let steps: Vec<Step> = Shard::all()
            .map(|shard| {
                let mut step = Step::default();
                step.key(&self.keys.header(shard)).arg(id);
                step
            })
            .collect();
        let made = wire.run_all(&self.scripts.open, &steps).await?;
        let ready = !made.contains(&Value::Int(0));
        let mut step = Step::default();
        step.key(&self.keys.meta()).arg(id).arg(u8::from(ready));
        wire.run(&self.scripts.mark, &step).await?;
        if !ready {
            // Members that remember it make its meta key again.
            return Err(StoreFault::Frozen(
                "the ledger has forgotten itself: its meta key was gone, its shards were not; a sidecar that \
                 knows it brings it back, or choose another store.key_prefix"
                    .into(),
            ));
        }
        tracing::info!(
            installation = id,
            prefix = self.keys.prefix(),
            "made a new ledger"
        );
        Ok(())
    }
}

fn link(
    wire: &Wire,
    survey: &Survey,
    installation: Installation,
    member: &Member,
    nonce: &str,
) -> Arc<Link> {
    Arc::new(Link {
        wire: wire.clone(),
        run: Mutex::new(survey.run.clone()),
        full: survey.full,
        installation: id_text(installation.id),
        user_key: key_text(installation.user_key),
        incarnation: id_text(member.incarnation),
        process: format!("{} {nonce}", member.boot),
        name: member.name.clone(),
        leaves: member.leaves,
        met: AtomicBool::new(false),
        unconfirmed: AtomicBool::new(false),
    })
}
