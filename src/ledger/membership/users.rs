//! Users are told again to a ledger that may have forgotten them: whoever logs in a second time on a day is
//! known here and would never be told.

use super::restate::{all, by_shard};
use crate::clock::Day;
use crate::ledger::Ledger;
use crate::store::{LOGINS_MAX, Login, Shard, StoreFault};

/// So many days before today may still take events: two full days after their end, and one for clocks
/// that differ.
const OPEN_DAYS: i32 = 3;

/// Tells the ledger all users of open days whom it once acknowledged, as far as they are remembered.
///
/// # Errors
/// [`StoreFault`]: to be begun anew; a user told twice is counted once.
pub async fn tell_again(ledger: &Ledger) -> Result<(), StoreFault> {
    let today = ledger.zone.day(ledger.now());
    let from = Day::from_number(today.number() - OPEN_DAYS).unwrap_or(today);
    for some in ledger.logins.known_in_parts() {
        let open = some.into_iter().filter(|login| login.day >= from);
        let told = by_shard(open.map(|login| (login.app, login)), LOGINS_MAX);
        let calls = told.into_iter();
        let calls = calls.map(|(shard, logins)| tell(ledger, shard, logins));
        all(calls.collect()).await?;
    }
    Ok(())
}

async fn tell(ledger: &Ledger, shard: Shard, logins: Vec<Login>) -> Result<(), StoreFault> {
    let told = ledger.store.record_active(shard, &logins, ledger.now());
    ledger.note_active(&logins, &told.await?);
    Ok(())
}
