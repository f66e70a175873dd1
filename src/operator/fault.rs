//! Why an operation was not done, in words that say what to do.

use super::OPERATIONS_MAX;
use crate::invoice;
use crate::quota::AppId;

/// Why an operation was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody knows the app: a slip, more likely than a count of nothing.
    #[error("app {0} is not in the settings of the server that was asked")]
    UnknownApp(AppId),
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
