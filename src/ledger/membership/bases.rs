//! Bases: what no present member's sums contain. Each member has them all in its journal, so that a ledger
//! that forgot one can be told.

use futures_util::StreamExt;

use super::TOGETHER_MAX;
use crate::ledger::Ledger;
use crate::store::{Bases, Shard, StoreFault};

/// The most bases that wait to be written together, unless one shard alone has more that are new.
const BATCH_MAX: usize = 4_096;

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
    let mut calls = futures_util::stream::iter(calls).buffer_unordered(TOGETHER_MAX);
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
