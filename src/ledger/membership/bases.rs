//! Bases: what no present member's sums contain. Each member has them all in its journal, so that a ledger
//! that forgot one can be told.

use std::time::Duration;

use futures_util::StreamExt;

use crate::chance;
use crate::ledger::Ledger;
use crate::store::{Bases, Shard, StoreFault};

/// The most bases that wait to be written together, unless one shard alone has more that are new.
const BATCH_MAX: usize = 4_096;

/// About how many members ask for new bases at once. One is enough for whoever leaves to go.
const AT_ONCE: usize = 8;
/// How much later the others ask, for each member that there is: a roll-out makes news all the time, and
/// each member asks all shards.
const SPREAD: Duration = Duration::from_millis(100);

/// How long a member waits before it asks for new bases, with so many `present`.
pub(super) fn turn(present: usize) -> Duration {
    if present <= AT_ONCE || chance::within(0..present) < AT_ONCE {
        return Duration::ZERO;
    }
    let spread = SPREAD * u32::try_from(present).unwrap_or(u32::MAX);
    spread.mul_f64(chance::within(0.0..1.0))
}

/// Has all bases of the ledger in the journal, as it is in recovery `epoch`.
///
/// # Errors
/// [`StoreFault`]; what came until then is kept.
pub async fn pull(ledger: &Ledger, epoch: u64) -> Result<(), StoreFault> {
    let upto = ledger.journal.bases_upto(epoch).map_err(unread)?;
    let calls = Shard::all().zip(upto).map(|(shard, since)| async move {
        let bases = ledger.store.bases(shard, since).await?;
        Ok::<_, StoreFault>(
            (bases.upto != since || !bases.changed.is_empty()).then_some((shard, bases)),
        )
    });
    let mut calls =
        futures_util::stream::iter(calls).buffer_unordered(ledger.membership.together());
    let mut batch = Vec::new();
    let mut size = 0;
    while let Some(learnt) = calls.next().await {
        let Some((shard, bases)) = learnt? else {
            continue;
        };
        size += bases.changed.len();
        batch.push((shard, bases));
        if size >= BATCH_MAX {
            keep(ledger, epoch, std::mem::take(&mut batch)).await?;
            size = 0;
        }
    }
    keep(ledger, epoch, batch).await
}

async fn keep(ledger: &Ledger, epoch: u64, batch: Vec<(Shard, Bases)>) -> Result<(), StoreFault> {
    if batch.is_empty() {
        return Ok(());
    }
    let journal = ledger.journal.clone();
    let kept = ledger
        .saving
        .run(move || journal.keep_bases(epoch, &batch))
        .await;
    kept.map_err(|why| StoreFault::Away(format!("bases cannot be kept: {why}")))
}

/// The journal cannot be read: nothing can be told, as if the ledger were away.
pub(super) fn unread(why: impl std::fmt::Display) -> StoreFault {
    StoreFault::Away(format!("the journal cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_of_many_members_ask_at_once_and_the_others_one_after_the_other() {
        let _seeded = chance::seed(1);
        assert!((0..100).all(|_| turn(AT_ONCE) == Duration::ZERO));
        let turns: Vec<Duration> = (0..300).map(|_| turn(300)).collect();
        let at_once = turns.iter().filter(|turn| turn.is_zero()).count();
        assert!((2..=20).contains(&at_once), "{at_once}");
        let in_the_first_second = turns.iter().filter(|turn| turn.as_secs() < 1).count();
        assert!(in_the_first_second < 40, "{in_the_first_second}");
        assert!(turns.iter().all(|turn| turn.as_secs() <= 30));
    }
}
