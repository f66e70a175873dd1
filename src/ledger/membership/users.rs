//! Users are told again to a ledger that may have forgotten them: whoever logs in a second time on a day is
//! known here and would never be told.

use super::lock;
use super::restate::{all, by_shard};
use crate::clock::Day;
use crate::ledger::Ledger;
use crate::ledger::known::KNOWN_PARTS;
use crate::store::{LOGINS_MAX, Login, Shard, StoreFault};

/// So many days before today may still take events: two full days after their end, and one for clocks
/// that differ.
const OPEN_DAYS: i32 = 3;

/// How far the users known here were told again: in which recovery, and how many parts of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldAgain {
    epoch: u64,
    parts: usize,
}

impl ToldAgain {
    /// A process that was just started knows no users, whatever the recovery.
    pub fn nothing_to_tell(epoch: u64) -> Self {
        let parts = KNOWN_PARTS;
        Self { epoch, parts }
    }
}

/// Tells the ledger some of the users of open days whom it once acknowledged, as far as they are
/// remembered. Whether there are more. A part at a time, so that a recovery that closes meanwhile is not
/// kept waiting.
///
/// # Errors
/// [`StoreFault`]: that part is told again; a user told twice is counted once.
pub async fn tell_again(ledger: &Ledger, epoch: u64) -> Result<bool, StoreFault> {
    let told = *lock(&ledger.membership.users);
    let part = if told.epoch == epoch { told.parts } else { 0 };
    if part >= KNOWN_PARTS {
        return Ok(false);
    }
    let today = ledger.zone.day(ledger.now());
    let from = Day::from_number(today.number() - OPEN_DAYS).unwrap_or(today);
    let some = ledger.logins.known_part(part).into_iter();
    let open = some.filter(|login| login.day >= from);
    let calls = by_shard(open.map(|login| (login.app, login)), LOGINS_MAX).into_iter();
    let calls = calls.map(|(shard, logins)| tell(ledger, shard, logins));
    all(calls.collect()).await?;
    let parts = part + 1;
    *lock(&ledger.membership.users) = ToldAgain { epoch, parts };
    Ok(parts < KNOWN_PARTS)
}

async fn tell(ledger: &Ledger, shard: Shard, logins: Vec<Login>) -> Result<(), StoreFault> {
    let told = ledger.store.record_active(shard, &logins, ledger.now());
    ledger.note_active(&logins, &told.await?);
    Ok(())
}
