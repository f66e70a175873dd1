//! What the sidecar that is asked does itself for a recount.

use futures_util::future::BoxFuture;

use super::Managed;
use crate::ledger::{Generation, Ledger};
use crate::quota::{AppId, AppSpec, Line, PlanName, Registered, outline};
use crate::store::Reply;

/// The most plans that are named to whoever asked for another.
const PLANS_TOLD_MAX: usize = 20;

/// This sidecar's own part in a recount.
pub trait Here: Send + Sync + 'static {
    /// Whether anybody knows the app, or knew it before it was deleted.
    fn knows(&self, app: AppId) -> bool;

    /// An app of the settings file or of the register, deleted or not.
    fn managed(&self, app: AppId) -> Option<Managed>;

    /// All of them, in no order.
    fn all_managed(&self) -> Vec<Managed>;

    /// Whether the settings have a plan.
    ///
    /// # Errors
    /// It has not: what may have been meant, as the end of a sentence.
    fn has_plan(&self, plan: &PlanName) -> Result<(), String>;

    /// What the settings say beside their apps, and since when they are in force.
    fn settings(&self) -> (Vec<Line>, Generation);

    /// Reads what is new in the register.
    fn read_register(&self) -> Reply<'_, ()>;

    /// The ledger has confirmed a registration: holds here from now on.
    fn registered(&self, registered: Registered) -> BoxFuture<'_, ()>;

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

    fn managed(&self, app: AppId) -> Option<Managed> {
        let file = self.rules().file();
        if let Some(rules) = file.apps.get(&app) {
            return Some(Managed::ByFile(app, AppSpec::of_rules(rules)));
        }
        let registered = self.rules().registered(app);
        registered.map(|of| Managed::ByLedger((*of).clone()))
    }

    fn all_managed(&self) -> Vec<Managed> {
        let file = self.rules().file();
        let of_file = file.apps.iter();
        let of_file = of_file.map(|(app, rules)| Managed::ByFile(*app, AppSpec::of_rules(rules)));
        let registered = self.rules().all_registered().into_iter();
        let registered = registered.filter(|of| !file.apps.contains_key(&of.app));
        let registered = registered.map(|of| Managed::ByLedger((*of).clone()));
        of_file.chain(registered).collect()
    }

    fn has_plan(&self, plan: &PlanName) -> Result<(), String> {
        let file = self.rules().file();
        if file.plans.contains_key(plan) {
            return Ok(());
        }
        let known: Vec<_> = file
            .plans
            .keys()
            .map(PlanName::as_str)
            .take(PLANS_TOLD_MAX)
            .collect();
        Err(format!("; there are {}", known.join(", ")))
    }

    fn settings(&self) -> (Vec<Line>, Generation) {
        let lines = outline(&self.rules().file(), &self.outlook().policy());
        (lines, self.rules().generations().now())
    }

    fn read_register(&self) -> Reply<'_, ()> {
        Box::pin(Self::read_register(self))
    }

    fn registered(&self, registered: Registered) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let app = registered.app;
            if let Err(fault) = Self::registered(self, registered).await {
                // It comes with the next look.
                tracing::warn!(%app, %fault, "a registration could not be kept here at once");
            }
        })
    }

    fn tell(&self, app: AppId) -> BoxFuture<'_, ()> {
        let entry = self.met_entry(app);
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
        let entry = self.met_entry(app);
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
