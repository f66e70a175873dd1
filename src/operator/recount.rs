//! A recount: freeze, wait until the truth can be counted, set the count.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::thaw::Thaw;
use super::{Fault, Operations, bounded};
use crate::clock::Millis;
use crate::quota::{AppId, Resource};
use crate::store::{FREEZE_MS, Freeze, LEASE_TTL_MS, Recount, Recounted};

/// How often it is looked at whether all members have told what they counted.
const POLL: Duration = Duration::from_millis(100);

/// Which count to set, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecountOrder {
    /// The app.
    pub app: AppId,
    /// Which of its counts.
    pub resource: Resource,
    /// What to do.
    pub order: Order,
    /// Who asks.
    pub who: Box<str>,
    /// Why, at most [`crate::store::AUDIT_TEXT_MAX`] bytes.
    pub why: Box<str>,
}

/// The part of a recount that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Freeze the app and say when the truth can be counted; it stays frozen.
    Freeze,
    /// Set the count to the truth as it was counted under a freeze.
    Commit {
        /// The truth.
        to: u64,
        /// The freeze.
        token: u64,
    },
    /// Freeze, wait and set the count, all in one.
    Set {
        /// What is true then.
        to: u64,
    },
    /// End a freeze and change nothing.
    Cancel {
        /// The freeze.
        token: u64,
    },
}

/// What a recount found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// The freeze.
    pub token: u64,
    /// The net count before.
    pub from: i64,
    /// What it was set to, if it was.
    pub to: Option<u64>,
    /// Places that are held beside it.
    pub held: u64,
    /// Whether every member had told what it counted; if not, its lease is over.
    pub all_told: bool,
    /// Until when the app stays frozen, if it does.
    pub frozen_until: Option<Millis>,
}

impl Operations {
    /// Sets a count to the truth, or does the part of that which is asked for. A freeze that this call
    /// began and does not hand out ends with it, however it ends.
    ///
    /// # Errors
    /// [`Fault`]; after [`Fault::Unsure`] alone the count may be set.
    pub async fn recount(&self, order: &RecountOrder) -> Result<Counted, Fault> {
        let _place = self.place()?;
        self.recount_in_place(order).await
    }

    /// The same, for one that has a place.
    pub(super) async fn recount_in_place(&self, order: &RecountOrder) -> Result<Counted, Fault> {
        let app = order.app;
        if !self.here.knows(app) {
            return Err(Fault::UnknownApp(app));
        }
        match order.order {
            Order::Freeze => {
                let until = self.clock.now().plus(FREEZE_MS.cast_signed());
                let (frozen, thaw, all_told) = self.freeze(order).await?;
                thaw.keep();
                Ok(Counted {
                    token: frozen.token,
                    from: frozen.count,
                    all_told,
                    frozen_until: Some(until),
                    ..Counted::default()
                })
            }
            Order::Set { to } => {
                let (frozen, thaw, all_told) = self.freeze(order).await?;
                let counted = self.commit(order, to, frozen.token, all_told).await?;
                thaw.keep();
                Ok(counted)
            }
            Order::Commit { to, token } => {
                let awaited = self.step(self.store.awaited(app, token)).await?;
                self.commit(order, to, token, awaited.is_empty()).await
            }
            Order::Cancel { token } => {
                self.step(self.store.unfreeze(app, token)).await?;
                self.here.learn(app).await;
                tracing::info!(%app, token, "a recount was called off");
                Ok(Counted {
                    token,
                    ..Counted::default()
                })
            }
        }
    }

    /// Freezes the app, and waits until all members have told what they counted, or until no lease
    /// from before the freeze can last. Answers whether all have.
    async fn freeze(&self, order: &RecountOrder) -> Result<(Freeze, Thaw, bool), Fault> {
        let (app, resource) = (order.app, order.resource);
        let mut frozen = self.step(self.store.freeze(app, resource)).await?;
        if matches!(order.order, Order::Set { .. }) && self.is_acknowledged(app, &frozen).await? {
            // It stood already, left by somebody who was killed perhaps. What was created since members
            // acknowledged it would count on top of the truth of now.
            self.step(self.store.unfreeze(app, frozen.token)).await?;
            frozen = self.step(self.store.freeze(app, resource)).await?;
        }
        let since = Instant::now();
        let thaw = Thaw::of(self.store.clone(), app, frozen.token);
        tracing::info!(%app, token = frozen.token, by = %order.who, "frozen for a recount");
        self.here.tell(app).await;
        loop {
            let all_told = self.is_acknowledged(app, &frozen).await?;
            if all_told || since.elapsed() >= Duration::from_millis(LEASE_TTL_MS) {
                // The count that the truth is compared with is the one that is counted now.
                let frozen = self.again(order, frozen.token).await?;
                return Ok((frozen, thaw, all_told));
            }
            sleep(POLL).await;
        }
    }

    /// Whether all members have told what they counted until the freeze.
    async fn is_acknowledged(&self, app: AppId, frozen: &Freeze) -> Result<bool, Fault> {
        let awaited = self.step(self.store.awaited(app, frozen.token)).await?;
        Ok(awaited.is_empty())
    }

    /// What is counted at the end of the wait.
    async fn again(&self, order: &RecountOrder, token: u64) -> Result<Freeze, Fault> {
        let app = order.app;
        let frozen = self.step(self.store.freeze(app, order.resource)).await?;
        if frozen.token == token {
            return Ok(frozen);
        }
        // Somebody ended the freeze meanwhile, and this last call began another.
        drop(Thaw::of(self.store.clone(), app, frozen.token));
        Err(Fault::NotFrozen { app, token })
    }

    async fn commit(
        &self,
        order: &RecountOrder,
        to: u64,
        token: u64,
        all_told: bool,
    ) -> Result<Counted, Fault> {
        let (app, resource) = (order.app, order.resource);
        let recount = Recount {
            app,
            resource,
            to,
            token,
            who: self.signed(&order.who),
            why: order.why.clone(),
        };
        let done = bounded(self.store.recount(&recount)).await;
        match done.map_err(|fault| Fault::Unsure(fault.to_string()))? {
            Recounted::NotFrozen => Err(Fault::NotFrozen { app, token }),
            Recounted::Done { from, held, .. } => {
                self.here.learn(app).await;
                tracing::info!(%app, %resource, from, to, held, by = %recount.who, "recounted");
                Ok(Counted {
                    token,
                    from,
                    to: Some(to),
                    held,
                    all_told,
                    frozen_until: None,
                })
            }
        }
    }
}
