//! The beat: how this member shows that it lives, and learns how it stands with the ledger.

use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::Value;

use super::answer::{Answer, unexpected};
use super::keys::FORMAT;
use super::link::Wire;
use super::meta::read_id;
use super::script::Step;
use super::standing::{Stance, Standing};
use super::{Link, RedisStore, fault, roll};
use crate::clock::Millis;
use crate::store::{Beat, Beaten, SHARDS, Shard, StoreFault};

/// For how long replicas are waited for, at most: nobody else is served on the connection meanwhile.
const REPLICAS_MAX: Duration = Duration::from_millis(200);

/// What a beat was answered.
struct Told {
    time: Millis,
    standing: Standing,
    run: String,
    joined: bool,
    beaten: Beaten,
    /// The schedule of billing zones.
    zones: String,
    /// Members to be noted as silent, and silent ones whose calls are asked for in a recovery.
    silent: Vec<String>,
}

impl RedisStore {
    pub(super) async fn beat_once(&self, beat: &Beat) -> Result<Beaten, StoreFault> {
        let link = self.linked()?;
        let step = self.beat_step(&link, beat);
        let asked = self.clock.own();
        // Who has other masters before it than its fellows must not say what runs.
        let (meta, run) = (self.keys.meta(), link.run());
        link.wire.leads_to_masters(&meta, &run).await?;
        // The lease that a master gives which is one no longer is worth nothing.
        let (value, is_master) = tokio::join!(
            link.wire.run(&self.scripts.beat, &step),
            link.wire.leads_to_master()
        );
        is_master?;
        let value = value?;
        let Told {
            time,
            standing,
            run,
            joined,
            mut beaten,
            zones,
            silent,
        } = read(value)?;
        self.correct(time, asked, self.clock.own());
        self.heed_zone(&link.wire, &link.installation, &zones, time)
            .await?;
        self.heard.note(standing);
        self.heard.note_beat(standing.epoch);
        link.set_run(run);
        link.meet();
        if joined {
            link.unconfirmed.store(true, Ordering::Relaxed);
        }
        if beaten.leased && link.unconfirmed.load(Ordering::Relaxed) {
            beaten.leased = replicas_have_it(&link.wire, &self.keys.meta()).await;
            link.unconfirmed.store(!beaten.leased, Ordering::Relaxed);
        }
        if !silent.is_empty()
            && let Err(fault) = self.note_calls(&link, standing.epoch, &silent).await
        {
            // The next beat is asked for the same.
            tracing::debug!(%fault, "the calls of silent sidecars could not be counted");
        }
        Ok(beaten)
    }

    fn beat_step(&self, link: &Link, beat: &Beat) -> Step {
        // A process that was just started has heard nothing, and its journal may know better.
        let known = self.heard.latest().epoch.max(beat.epoch);
        let mut step = Step::default();
        step.key(&self.keys.meta())
            .key(&self.keys.members())
            .key(&self.keys.notices())
            .key(&self.keys.recalls());
        step.arg(link.run())
            .arg(&link.installation)
            .arg(&link.user_key)
            .arg(self.zone.schedule())
            .arg(SHARDS)
            .arg(FORMAT)
            .arg(&link.incarnation)
            .arg(&link.process)
            .arg(roll::line(&link.name))
            .arg(known.max(beat.restated))
            .arg(self.heard.beaten())
            .arg(self.heard.doubted())
            .arg(beat.restated)
            .arg(beat.roll_version)
            .arg(beat.news)
            .arg(u8::from(beat.leaving))
            .arg(u8::from(beat.fresh))
            .arg(self.pace.lease_ttl)
            .arg(self.pace.witness_wait)
            .arg(self.pace.patience)
            .arg(self.pace.silence);
        match &beat.roll {
            None => drop(step.arg('0')),
            Some(stated) => {
                step.arg('1');
                roll::state(&mut step, stated);
            }
        }
        step
    }

    /// Tells the meta key how many calls of some members all shards have.
    async fn note_calls(
        &self,
        link: &Link,
        epoch: u64,
        incarnations: &[String],
    ) -> Result<(), StoreFault> {
        let asked: Vec<redis::Cmd> = Shard::all()
            .map(|shard| {
                let mut cmd = redis::cmd("HMGET");
                cmd.arg(self.keys.header(shard));
                for incarnation in incarnations {
                    cmd.arg(format!("c:{incarnation}"));
                }
                cmd
            })
            .collect();
        let mut calls = vec![0_u64; incarnations.len()];
        for value in link.wire.ask_all(&asked).await? {
            let of_shard: Vec<Option<u64>> =
                redis::from_redis_value(value).map_err(|_| unexpected())?;
            for (sum, of_shard) in calls.iter_mut().zip(of_shard) {
                *sum = sum.saturating_add(of_shard.unwrap_or(0));
            }
        }
        let mut step = Step::default();
        step.key(&self.keys.meta()).key(&self.keys.members());
        step.arg(&link.installation)
            .arg(epoch)
            .arg(self.pace.silence);
        for (incarnation, calls) in incarnations.iter().zip(calls) {
            step.arg(incarnation).arg(calls);
        }
        link.wire.run(&self.scripts.noted, &step).await.map(drop)
    }
}

/// Whether all connected replicas of the server that has `key` have what this connection wrote so far.
pub(super) async fn replicas_have_it(wire: &Wire, key: &str) -> bool {
    let wire = wire.of(key);
    let mut ask = redis::cmd("INFO");
    ask.arg("replication");
    let Ok(Ok(info)) = wire.ask(ask).await.map(redis::from_redis_value::<String>) else {
        return false;
    };
    let replicas = info
        .lines()
        .find_map(|line| line.strip_prefix("connected_slaves:"))
        .and_then(|number| number.trim().parse::<u64>().ok())
        .unwrap_or(0);
    if replicas == 0 {
        return true;
    }
    let mut wait = redis::cmd("WAIT");
    wait.arg(replicas)
        .arg(u64::try_from(REPLICAS_MAX.as_millis()).unwrap_or(0));
    match wire.ask(wait).await {
        Ok(Value::Int(have)) => u64::try_from(have).is_ok_and(|have| have >= replicas),
        _ => false,
    }
}

fn read(value: Value) -> Result<Told, StoreFault> {
    let mut answer = Answer::new(value)?;
    let status = answer.signed()?;
    let time = Millis(answer.signed()?);
    if status != 0 {
        return Err(fault::unbeaten(status));
    }
    let epoch = answer.count()?;
    let open = answer.flag()?;
    let since = answer.count()?;
    let stance = if open {
        Stance::Open
    } else {
        Stance::Closed { since }
    };
    let run = answer.text()?;
    let leased = answer.flag()?;
    let gone = answer.flag()?;
    let joined = answer.flag()?;
    let news = answer.count()?;
    let news_elsewhere = answer.count()?;
    let version = answer.count()?;
    let text = answer.text()?;
    let roll = (!text.is_empty())
        .then(|| roll::read(&text, version, news))
        .transpose()?;
    let mut notices = Vec::new();
    for _ in 0..answer.small()? {
        notices.push((answer.app()?, answer.stored()?));
    }
    let mut recalls = Vec::new();
    for _ in 0..answer.small()? {
        recalls.push(answer.app()?);
    }
    let mut silent = Vec::new();
    for _list in 0..2 {
        for _ in 0..answer.small()? {
            let incarnation = answer.text()?;
            read_id(&incarnation)?;
            silent.push(incarnation);
        }
    }
    Ok(Told {
        time,
        standing: Standing { epoch, stance },
        run,
        joined,
        beaten: Beaten {
            epoch,
            recovery: stance.recovery(),
            leased,
            gone,
            roll,
            news,
            news_elsewhere,
            notices,
            recalls,
        },
        zones: answer.text()?,
        silent,
    })
}
