//! The ledger's tasks while it runs, and how it parts.

use tokio::sync::watch as signal;

use super::opening::Queues;
use super::outlook::State;
use super::owed::OwedCopy;
use super::{Ledger, holds, logins, meeting, membership, outage, register, save, settle, watch};
use crate::store::Shard;

impl Ledger {
    /// Settles, carries logins and saves until `stop` turns true. What was on its way to the ledger is
    /// then broken off, since a ledger that hangs must not hold up the end: it stays owed. A checkpoint
    /// is finished, so this must not be dropped before.
    pub async fn keep(&self, queues: &mut Queues, stop: &signal::Receiver<bool>) {
        tokio::join!(
            until(stop.clone(), self.beats()),
            until(stop.clone(), meeting::keep(self)),
            until(stop.clone(), outage::keep(self)),
            until(stop.clone(), watch::keep(self)),
            until(stop.clone(), holds::keep(self)),
            until(stop.clone(), register::keep(self)),
            until(stop.clone(), watch::hurry(self)),
            until(stop.clone(), watch::recall(self, &mut queues.recalls)),
            until(stop.clone(), logins::keep(self, &mut queues.asked)),
            save::keep(self, stop.clone()),
        );
    }

    /// The task by which a shared ledger knows this member. One in this process needs none.
    async fn beats(&self) {
        if self.store.is_local() {
            std::future::pending::<()>().await;
        } else {
            membership::keep(self).await;
        }
    }

    /// Tells the ledger all that is known here, and leaves a shared one in good order, if it can be
    /// reached. What it does not hear stays in the journal for the next start. May be broken off at any
    /// time, which a start finds out.
    pub async fn part(&self) {
        if self.store.is_local() {
            self.settle_rest().await;
            return;
        }
        match membership::leave(self).await {
            Ok(()) => tracing::info!("left: the next start is a new member"),
            Err(why) => {
                tracing::warn!(%why, "this sidecar stays a member; its journal waits for the next start");
                self.settle_rest().await;
            }
        }
    }

    /// Tells the ledger all that is known here, if it can be reached. What it does not hear stays in
    /// the journal for the next start.
    pub async fn settle_rest(&self) {
        if self.outlook.state() == State::Up
            && let Err(fault) = settle::settle(self, settle::Scope::All).await
        {
            tracing::warn!(%fault, "some counts wait in the journal for the next start");
        }
    }

    /// Whether the ledger has yet to hear of anything.
    pub(super) fn owes(&self) -> bool {
        let OwedCopy { takes, releases } = self.owed.copy();
        let waits = |shard| {
            self.apps.unsettled(shard) + self.apps.unsettled_soon(shard) > 0
                || !self.logins.waiting(shard).is_empty()
        };
        !takes.is_empty()
            || self.apps.unmet() > 0
            || !releases.is_empty()
            || Shard::all().any(waits)
            || self.apps.all().iter().any(|entry| entry.is_owed())
    }

    /// Saves the journal; the last thing to do.
    pub async fn close(&self) {
        if let Err(why) = save::save(self).await {
            tracing::warn!(%why, "the last checkpoint failed; the next start replays the journal");
        }
    }
}

/// Runs `task` until `stop` turns true.
async fn until(mut stop: signal::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = stopped(&mut stop) => {}
        () = task => {}
    }
}

/// Ends when `stop` turns true, or when nobody is left who could turn it.
pub(super) async fn stopped(stop: &mut signal::Receiver<bool>) {
    // What it answers holds the channel's lock; nobody may wait with it.
    drop(stop.wait_for(|stop| *stop).await);
}
