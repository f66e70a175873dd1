//! What is done to processes, by a seed: each is healed before the next of its kind is hurt.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::Signal;

use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::stores::beside;
use crate::tally::Progress;
use crate::wait::until;

/// How many answers may come while something is hurt, and between two faults.
pub const WHILE_HURT: std::ops::Range<u64> = 5..100;
const BETWEEN: std::ops::Range<u64> = 20..500;
/// How many answers of the ledger come before Redis is hurt again.
pub const JUDGED: std::ops::Range<u64> = 20..600;
/// A start that is killed lives at most so long.
const SHORT_LIFE_MS: u64 = 60;
/// Longer than any lease lasts.
const LONG_HANG: Duration = Duration::from_secs(6);
/// As a machine that is moved to another host, or whose disk hangs; where a run has the time for it.
const LONGEST_HANG: Duration = Duration::from_mins(1);

/// When the faults end, and what they are chosen by.
pub struct Schedule<'a> {
    until: Instant,
    progress: &'a Progress,
    pub rng: SmallRng,
}

impl<'a> Schedule<'a> {
    pub fn new(seed: u64, stream: u64, until: Instant, progress: &'a Progress) -> Self {
        let rng = SmallRng::seed_from_u64(seed ^ stream << 32);
        Self {
            until,
            progress,
            rng,
        }
    }

    pub fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    pub async fn after(&mut self, answers: std::ops::Range<u64>) {
        let answers = self.rng.random_range(answers);
        self.progress.after(answers).await;
    }
}

/// Hurts one of `sidecars` after the other; all run when it is over.
pub async fn hurt_sidecars(sidecars: &mut [Sidecar], mut schedule: Schedule<'_>) -> Faults {
    let mut done = Faults::default();
    while schedule.goes_on() {
        let which = schedule.rng.random_range(0..sidecars.len());
        let sidecar = &mut sidecars[which];
        match schedule.rng.random_range(0..10) {
            0..5 => {
                sidecar.kill().await;
                schedule.after(WHILE_HURT).await;
                if schedule.rng.random_ratio(1, 3) {
                    let newborn = sidecar.launch();
                    let life = schedule.rng.random_range(0..SHORT_LIFE_MS);
                    tokio::time::sleep(Duration::from_millis(life)).await;
                    newborn.signal(Signal::KILL);
                    newborn.ended().await;
                }
                sidecar.start_again().await;
                done.kills += 1;
            }
            5..7 => {
                sidecar.stop().await;
                schedule.after(WHILE_HURT).await;
                sidecar.start_again().await;
                done.stops += 1;
            }
            _ => {
                hang(sidecar, &mut schedule).await;
                done.hangs += 1;
            }
        }
        schedule.after(BETWEEN).await;
    }
    done
}

/// Hangs one sidecar again and again, and never ends it; it runs when it is over.
pub async fn hang_one(sidecar: &Sidecar, mut schedule: Schedule<'_>) -> Faults {
    let mut done = Faults::default();
    while schedule.goes_on() {
        schedule.after(BETWEEN).await;
        hang(sidecar, &mut schedule).await;
        done.hangs += 1;
    }
    done
}

/// Has it stand still for some answers of the others, and now and then for longer than its lease lasts.
async fn hang(sidecar: &Sidecar, schedule: &mut Schedule<'_>) {
    sidecar.process().signal(Signal::STOP);
    schedule.after(WHILE_HURT).await;
    if schedule.rng.random_ratio(1, 3) {
        let mut hangs = [LONGEST_HANG, LONG_HANG].into_iter();
        if let Some(time) = hangs.find(|time| Instant::now() + 10 * *time < schedule.until) {
            tokio::time::sleep(time).await;
        }
    }
    sidecar.process().signal(Signal::CONT);
}

/// Hurts Redis again and again, ending it from `mortal` on and then once at least; it runs when it
/// is over. `judged` counts what the ledger answered of hard limits. One that `forgets` is flushed, too.
pub async fn hurt_redis(
    mut redis: RedisServer,
    mortal: Instant,
    (judged, forgets): (&Progress, bool),
    mut schedule: Schedule<'_>,
) -> (RedisServer, Faults) {
    let mut done = Faults::default();
    while schedule.goes_on() || done.kills + done.stops + done.flushes == 0 {
        // Hard limits go on each time, before Redis is hurt again.
        judged.after(schedule.rng.random_range(JUDGED)).await;
        let first = if Instant::now() < mortal { 3 } else { 0 };
        let last = if forgets && first == 0 { 8 } else { 6 };
        match schedule.rng.random_range(first..last) {
            0..2 => {
                redis = beside(redis, RedisServer::kill).await;
                schedule.after(WHILE_HURT).await;
                redis = beside(redis, RedisServer::start_again).await;
                done.kills += 1;
            }
            2 => {
                redis = beside(redis, RedisServer::stop).await;
                schedule.after(WHILE_HURT).await;
                redis = beside(redis, RedisServer::start_again).await;
                done.stops += 1;
            }
            3 => {
                redis = beside(redis, |redis| {
                    redis.command::<u64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
                    redis.command::<()>(&["SCRIPT", "FLUSH"]);
                })
                .await;
                done.cuts += 1;
            }
            6.. => {
                redis.flush_all();
                done.flushes += 1;
            }
            _ => {
                redis.suspend();
                schedule.after(WHILE_HURT).await;
                redis.resume();
                done.hangs += 1;
            }
        }
    }
    (redis, done)
}

/// Sees from outside when hard limits are judged again after a fault: by what a sidecar says that is not hurt itself, and
/// then by what the gateways are answered.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    pub witness: &'a Sidecar,
    /// What the ledger answered of hard limits.
    pub judged: &'a Progress,
}

impl Watch<'_> {
    /// How often the ledger had come back by now.
    pub fn returns(&self) -> usize {
        let log = self.witness.process().stderr();
        log.matches("the ledger answers").count()
    }

    /// Waits until it has come back more often than that, and hard limits are judged.
    pub async fn judges_again(&self, before: usize) {
        until("the ledger answers again", async || match self.returns() {
            returns if returns > before => Ok(()),
            _ => Err(self.witness.process().stderr()),
        })
        .await;
        self.judged.after(1).await;
    }
}

/// How much was done.
#[derive(Debug, Default, Clone, Copy)]
pub struct Faults {
    pub kills: u64,
    pub stops: u64,
    pub hangs: u64,
    pub cuts: u64,
    pub flushes: u64,
}
