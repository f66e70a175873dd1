//! A look at Redis before a roll-out: what a start would say of it, without becoming a member.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use redis::FromRedisValue as _;

use super::keys::{FORMAT, Keys, meta_of};
use super::link::Wire;
use super::options::RedisOptions;
use super::rights;
use super::survey::{Survey, survey};
use super::way::Dialer;
use crate::store::StoreFault;

/// How many later layouts are looked for: a program knows none of them, and must not begin a second ledger beside
/// one.
const LATER: u32 = 8;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// Where it was found, without secrets.
    pub at: String,
    /// Why no sidecar could work with it.
    pub fault: Option<StoreFault>,
    /// What weakens the ledger there, a line each with what to change.
    pub weak: Vec<String>,
    /// Whether there is a ledger already.
    pub has_ledger: bool,
}

/// Looks; changes nothing, but that the server knows the scripts afterwards.
pub async fn probe(options: &RedisOptions) -> Probed {
    let mut probed = Probed {
        at: options.topology.to_string(),
        fault: None,
        weak: Vec::new(),
        has_ledger: false,
    };
    if let Err(fault) = look(options, &mut probed).await {
        probed.fault = Some(fault);
    }
    probed
}

async fn look(options: &RedisOptions, probed: &mut Probed) -> Result<(), StoreFault> {
    let keys = Keys::new(options.prefix()?);
    let dialer = Dialer::new(options)?;
    let wire = dialer.reach().await?;
    probed.weak = look_over(&wire, &keys).await?.weak;
    let mut cmd = redis::cmd("HMGET");
    cmd.arg(keys.meta()).arg("zone").arg("shards").arg("format");
    let found = wire.ask(cmd).await?;
    let found = Vec::<Option<String>>::from_redis_value(found);
    if let Ok([Some(zone), Some(_), Some(_)]) = found.as_deref() {
        probed.has_ledger = true;
        if zone != options.zone.name() {
            return Err(StoreFault::Unusable(format!(
                "the ledger counts days in {zone}, the settings say {}; billing.zone must be the same everywhere",
                options.zone.name()
            )));
        }
    }
    Ok(())
}

/// Whether a ledger can live at a server that was just connected to, and what weakens it there.
pub(super) async fn look_over(wire: &Wire, keys: &Keys) -> Result<Survey, StoreFault> {
    let surveyed = survey(wire).await;
    match &surveyed {
        // Whether a right is all that is missing is said below, with its name.
        Err(StoreFault::Away(words)) if words.contains("NOPERM") => {}
        Err(fault) => return Err(fault.clone()),
        Ok(_) => {}
    }
    rights::check(wire, keys).await?;
    no_other_layout(wire, keys).await?;
    surveyed
}

/// Fails where a ledger of another layout stands under the prefix: one made beside it would count anew.
async fn no_other_layout(wire: &Wire, keys: &Keys) -> Result<(), StoreFault> {
    let others: Vec<u32> = (1..=FORMAT + LATER)
        .filter(|other| *other != FORMAT)
        .collect();
    let asked: Vec<redis::Cmd> = others
        .iter()
        .map(|other| {
            let mut cmd = redis::cmd("HEXISTS");
            cmd.arg(meta_of(keys.prefix(), *other)).arg("inst");
            cmd
        })
        .collect();
    let answers = wire.ask_all(&asked).await?;
    for (other, answer) in others.into_iter().zip(answers) {
        if answer == redis::Value::Int(1) {
            return Err(StoreFault::Unusable(format!(
                "a ledger of format {other} stands under the prefix {:?}, and this program knows format {FORMAT}; \
                 run the version that made it, or choose another store.key_prefix",
                keys.prefix()
            )));
        }
    }
    Ok(())
}

/// What was said of the server already: it is looked over again and again.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<BTreeSet<String>>);

impl Told {
    /// Says what is new of what weakens the ledger.
    pub(super) fn tell(&self, survey: &Survey) {
        // A set of lines is whole even if a holder panicked.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in &survey.weak {
            if told.insert(line.clone()) {
                tracing::warn!("{line}");
            }
        }
        // What was mended, and is so again, is said again.
        told.retain(|line| survey.weak.contains(line));
    }
}
