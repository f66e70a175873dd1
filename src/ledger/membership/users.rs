//! Users are told again to a ledger that may have forgotten them: whoever logs in a second time on a day is
//! known here and would never be told.

use super::lock;
use super::restate::{all, by_shard};
use crate::ledger::Ledger;
use crate::ledger::known::KNOWN_PARTS;
use crate::store::{Login, SEALED_AFTER_MS, Shard, StoreFault};

/// The most users in one call: all members tell theirs at the same time, and none waits for long.
const TOLD_TOGETHER: usize = 100;

/// How far the users known here were told again: in which recovery, how many parts of the memory, and how many users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldAgain {
    epoch: u64,
    parts: usize,
    users: u64,
}

impl ToldAgain {
    /// A process that was just started knows no users, whatever the recovery.
    pub fn nothing_to_tell(epoch: u64) -> Self {
        Self {
            epoch,
            parts: KNOWN_PARTS,
            users: 0,
        }
    }

    /// What was told in a recovery, which may be a new one.
    fn in_recovery(self, epoch: u64) -> Self {
        if self.epoch == epoch {
            return self;
        }
        Self {
            epoch,
            parts: 0,
            users: 0,
        }
    }
}

/// Tells the ledger some of the users of open days whom it once acknowledged, as far as they are
/// remembered. Whether there are more. A part at a time, so that a recovery that closes meanwhile is not
/// kept waiting.
///
/// # Errors
/// [`StoreFault`]: that part is told again; a user told twice is counted once.
pub async fn tell_again(ledger: &Ledger, epoch: u64) -> Result<bool, StoreFault> {
    let mut told = lock(&ledger.membership.users).in_recovery(epoch);
    if told.parts >= KNOWN_PARTS {
        return Ok(false);
    }
    // Of a day that is sealed the ledger would take them for late.
    let from = ledger.zone.day(ledger.now().plus(-SEALED_AFTER_MS));
    let some = ledger.logins.known_part(told.parts).into_iter();
    let open: Vec<_> = some.filter(|login| login.day >= from).collect();
    let users = open.len() as u64;
    let open = open.into_iter();
    let calls = by_shard(open.map(|login| (login.app, login)), TOLD_TOGETHER).into_iter();
    let calls = calls.map(|(shard, logins)| tell(ledger, shard, logins));
    all(ledger, calls.collect()).await?;
    ledger.events.told_users_again(users);
    told.parts += 1;
    told.users += users;
    *lock(&ledger.membership.users) = told;
    let is_done = told.parts >= KNOWN_PARTS;
    if is_done {
        say(told.users, ledger.logins.forgotten(from));
    }
    Ok(!is_done)
}

fn say(users: u64, forgotten: u64) {
    if forgotten > 0 {
        tracing::warn!(
            users,
            forgotten,
            "the ledger was told again who was active; so many more were recorded here as are forgotten, and may be \
             missing unless they came again: the bills of these days say so"
        );
    } else if users > 0 {
        tracing::info!(users, "the ledger was told again who was active");
    }
}

async fn tell(ledger: &Ledger, shard: Shard, logins: Vec<Login>) -> Result<(), StoreFault> {
    let told = ledger.store.record_active(shard, &logins, ledger.now());
    ledger.note_active(&logins, &told.await?);
    Ok(())
}
