//! Why an operation was not done, in words that say what to do.

use super::OPERATIONS_MAX;
use crate::invoice;
use crate::quota::{AppId, PlanName};

/// Why an operation was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody knows the app: a slip, more likely than a count of nothing.
    #[error(
        "app {0} is neither in the settings of the server that was asked nor registered in the ledger"
    )]
    UnknownApp(AppId),
    /// The settings file says which rules it lives under.
    #[error(
        "app {0} is managed by the settings file of the server that was asked; change it there: the file is \
         read again by itself"
    )]
    ManagedByFile(AppId),
    /// It names a plan that is not there.
    #[error("no plan is called {plan}{hint}")]
    UnknownPlan {
        /// What was named.
        plan: PlanName,
        /// What may have been meant.
        hint: String,
    },
    /// Somebody else changed it.
    #[error(
        "app {app} was changed meanwhile {what}; it is at version {version} now: look at it and decide again"
    )]
    Changed {
        /// The app.
        app: AppId,
        /// What is there now; 0: nothing.
        version: u64,
        /// Who changed what.
        what: String,
    },
    /// The freeze is over.
    #[error(
        "app {app} is not frozen under token {token}: the freeze was ended, took too long, or was used \
         already; `imquota audit --app {app}` tells whether the recount was done, and a new dry run \
         gives a new token"
    )]
    NotFrozen {
        /// The app.
        app: AppId,
        /// What was given.
        token: u64,
    },
    /// No member is called so.
    #[error("no member is called {0:?}; `imquota members list` shows all")]
    UnknownMember(String),
    /// Several are called so.
    #[error(
        "several members are called {name:?}; name one by its incarnation: {}",
        incarnations.join(", ")
    )]
    Ambiguous {
        /// The name.
        name: String,
        /// Those that could be retired.
        incarnations: Vec<String>,
    },
    /// It gives signs of life.
    #[error(
        "member {0} is alive; stop it, and it leaves by itself. Only one whose data folder is lost is \
         retired"
    )]
    Alive(String),
    /// It is gone already.
    #[error("member {0} is gone already")]
    Gone(String),
    /// Too many operations.
    #[error("{OPERATIONS_MAX} operations are under way at this server; ask again in some seconds")]
    Busy,
    /// The ledger gave no answer, and nothing was changed.
    #[error("{0}; nothing was changed, ask again later")]
    Away(String),
    /// The ledger gave no answer, and what became of the change is not known.
    #[error(
        "{0}; whether it was done is not known: look at `imquota audit`, then ask again if need be"
    )]
    Unsure(String),
    /// Bills cannot be written.
    #[error(transparent)]
    Bills(invoice::Fault),
}
