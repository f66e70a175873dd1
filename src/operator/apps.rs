//! Apps: registered in the ledger, shown, changed, deleted.

use super::{Fault, Operations, Order, RecountOrder, bounded};
use crate::ledger::Generation;
use crate::quota::{AppId, AppSpec, Line, RESOURCES, Registered};
use crate::store::{Entered, Registration};

/// The most apps of one page.
pub const APPS_PAGE_MAX: usize = 1_000;

/// An app, and where it is said which rules it lives under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Managed {
    /// The settings file of this sidecar says so.
    ByFile(AppId, AppSpec),
    /// An operator registered it, or deleted it.
    ByLedger(Registered),
}

impl Managed {
    /// Which app it is.
    #[must_use]
    pub fn app(&self) -> AppId {
        match self {
            Self::ByFile(app, _) => *app,
            Self::ByLedger(registered) => registered.app,
        }
    }

    fn is_deleted(&self) -> bool {
        matches!(self, Self::ByLedger(registered) if registered.deleted)
    }
}

impl Operations {
    /// An app as it is now.
    ///
    /// # Errors
    /// [`Fault::Busy`], [`Fault::Away`], [`Fault::UnknownApp`].
    pub async fn app(&self, app: AppId) -> Result<Managed, Fault> {
        let _place = self.place()?;
        self.look().await?;
        self.here.managed(app).ok_or(Fault::UnknownApp(app))
    }

    /// Apps whose ids are above `after`, at most `most`, by their ids; and where the next page begins.
    ///
    /// # Errors
    /// [`Fault::Busy`], [`Fault::Away`].
    pub async fn apps(
        &self,
        (after, most): (Option<AppId>, usize),
        deleted: bool,
    ) -> Result<(Vec<Managed>, Option<AppId>), Fault> {
        let _place = self.place()?;
        self.look().await?;
        let mut all = self.here.all_managed();
        all.retain(|one| {
            after.is_none_or(|after| one.app() > after) && (deleted || !one.is_deleted())
        });
        all.sort_by_key(Managed::app);
        let more = all.len() > most;
        all.truncate(most);
        let next = all.last().filter(|_| more).map(Managed::app);
        Ok((all, next))
    }

    /// What this sidecar goes by beside its apps, and since when.
    #[must_use]
    pub fn settings(&self) -> (Vec<Line>, Generation) {
        self.here.settings()
    }

    /// Registers an app, changes it or deletes it. One that was deleted begins anew with counts of 0.
    ///
    /// # Errors
    /// [`Fault`]; after [`Fault::Unsure`] alone it may be done.
    pub async fn enter(&self, change: &Registration) -> Result<Registered, Fault> {
        let _place = self.place()?;
        let app = change.app;
        if let Some(spec) = &change.spec {
            self.here
                .has_plan(&spec.plan)
                .map_err(|hint| Fault::UnknownPlan {
                    plan: spec.plan.clone(),
                    hint,
                })?;
        }
        self.look().await?;
        let known = match self.here.managed(app) {
            Some(Managed::ByFile(..)) => return Err(Fault::ManagedByFile(app)),
            Some(Managed::ByLedger(known)) => Some(known),
            None => None,
        };
        if let (Some(known), Some(_)) = (&known, &change.spec)
            && known.deleted
        {
            if change
                .seen
                .is_some_and(|seen| seen != 0 && seen != known.version)
            {
                return Err(changed(change, Some(known.clone())));
            }
            self.begin_anew(change).await?;
        }
        let change = Registration {
            who: self.signed(&change.who),
            ..change.clone()
        };
        let entered = bounded(self.store.enter(&change)).await;
        match entered.map_err(|fault| Fault::Unsure(fault.to_string()))? {
            Entered::Absent => Err(Fault::UnknownApp(app)),
            Entered::Changed(there) => Err(changed(&change, there)),
            Entered::Done(registered) => {
                tracing::info!(%app, version = registered.version, deleted = registered.deleted, by = %change.who, "registered");
                self.here.registered(registered.clone()).await;
                Ok(registered)
            }
        }
    }

    /// Sets all counts of an app that was deleted to 0, in a new life: what members still tell of the old one is not
    /// of it.
    async fn begin_anew(&self, change: &Registration) -> Result<(), Fault> {
        self.step(self.store.forget_names(change.app)).await?;
        for resource in RESOURCES {
            let order = RecountOrder {
                app: change.app,
                resource,
                order: Order::Set { to: 0 },
                who: change.who.clone(),
                why: "the app was deleted, and is registered anew".into(),
            };
            self.recount_in_place(&order).await?;
        }
        Ok(())
    }

    /// Knows what the ledger knows.
    async fn look(&self) -> Result<(), Fault> {
        self.step(self.here.read_register()).await
    }
}

/// Says what is there, and what of it the change would have undone.
fn changed(change: &Registration, there: Option<Registered>) -> Fault {
    let app = change.app;
    let Some(there) = there else {
        return Fault::Changed {
            app,
            version: 0,
            what: "it is not registered any more".into(),
        };
    };
    let what = match &change.spec {
        _ if there.deleted => "it was deleted".into(),
        None => "it was changed".into(),
        Some(spec) => match there.spec.changes_to(spec) {
            nothing if nothing.is_empty() => "it says what you said".into(),
            differs => format!("yours would make: {differs}"),
        },
    };
    Fault::Changed {
        app,
        version: there.version,
        what: format!("by {}: {what}", there.by),
    }
}
