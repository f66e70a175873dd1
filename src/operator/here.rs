//! What the sidecar that is asked does itself for a recount.

use futures_util::future::BoxFuture;

use crate::ledger::Ledger;
use crate::quota::AppId;

/// This sidecar's own part in a recount.
pub trait Here: Send + Sync + 'static {
    /// Whether the settings know the app.
    fn knows(&self, app: AppId) -> bool;

    /// The app was frozen: tells the ledger what was counted and is not told yet, if nothing else sees
    /// to that. What fails is told later, like everything else.
    fn tell(&self, app: AppId) -> BoxFuture<'_, ()>;

    /// The freeze is over, and the count set perhaps: takes the ledger's word for it.
    fn learn(&self, app: AppId) -> BoxFuture<'_, ()>;
}

impl Here for Ledger {
    fn knows(&self, app: AppId) -> bool {
        // One that cannot be taken on for want of room is known well enough.
        !matches!(self.entry(app), Ok(None))
    }

    fn tell(&self, app: AppId) -> BoxFuture<'_, ()> {
        let entry = self.met_entry(app).map(|entry| entry.clone());
        Box::pin(async move {
            // Members of a shared ledger hear of the freeze by their beat, this one too.
            if let Some(entry) = entry.filter(|_| self.store().is_local())
                && let Err(fault) = self.settle_app(&entry).await
            {
                tracing::warn!(%app, %fault, "what was counted last could not be settled before the recount");
            }
        })
    }

    fn learn(&self, app: AppId) -> BoxFuture<'_, ()> {
        let today = self.zone().day(self.now());
        let entry = self.met_entry(app).map(|entry| entry.clone());
        Box::pin(async move {
            let Some(entry) = entry else { return };
            if let Some(view) = self.store().glance(app, today) {
                entry.learn(&view, today);
            } else if let Err(fault) = self.settle_app(&entry).await {
                // It is told with the next round.
                tracing::debug!(%app, %fault, "the recount was not heard at once");
            }
        })
    }
}
