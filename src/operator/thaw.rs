//! A freeze that ends with whoever began it.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::bounded;
use crate::quota::AppId;
use crate::store::Operator;

/// Ends the freeze of an app when it is dropped: an operator who went away, or a step that failed,
/// must not leave an app refused for ten minutes.
pub(super) struct Thaw {
    store: Arc<dyn Operator>,
    app: AppId,
    token: u64,
    kept: bool,
}

impl Thaw {
    /// Ends the freeze of `app` under `token`.
    pub(super) fn of(store: Arc<dyn Operator>, app: AppId, token: u64) -> Self {
        Self {
            store,
            app,
            token,
            kept: false,
        }
    }

    /// Leaves the freeze, because it is over or because the operator was given its token.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Thaw {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // Without a runtime the process ends, and the freeze by itself in some minutes.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (store, app, token) = (self.store.clone(), self.app, self.token);
        runtime.spawn(async move {
            if let Err(fault) = bounded(store.unfreeze(app, token)).await {
                tracing::warn!(%app, %fault, "a freeze could not be ended; it ends by itself in 10 minutes at most");
            }
        });
    }
}
