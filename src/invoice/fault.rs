//! Why there is no bill.

use crate::billing::TooLarge;
use crate::clock::{Day, Month};
use crate::quota::AppId;

/// Why there is no bill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody knows the app: neither the settings nor the ledger.
    #[error("app {0} is not known; add it to the settings, or set unknown_app_plan")]
    UnknownApp(AppId),
    /// The ledger knows nothing of the app in that month.
    #[error(
        "month: the ledger knows nothing of app {0} in {1}: either it is newer, which `activated` in its settings says, \
         or the ledger has lost that time"
    )]
    NotKnownThen(AppId, Month),
    /// The month has not begun.
    #[error("month: {0} has not begun; ask for the running month or one before it")]
    Ahead(Month),
    /// The month is older than what is kept.
    #[error("month: {0} is older than what is kept")]
    TooOld(Month),
    /// An amount cannot be written.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The month's last day is not sealed yet, or this machine's clock is not the ledger's.
    #[error(
        "month: {0} is not over for good: bills are written 49 hours after its end, on a server whose clock is right"
    )]
    NotSealed(Month),
    /// The day counts by itself still.
    #[error(
        "day: {0} is not sealed yet, and counts what it is told; it can be corrected from 49 hours after its end on, \
         on a server whose clock is right"
    )]
    DayOpen(Day),
    /// Somebody else was faster.
    #[error(
        "month: {1} of app {0} was corrected by somebody else meanwhile; look at its bill, and ask again"
    )]
    Corrected(AppId, Month),
    /// The bill that is written cannot be read.
    #[error("the bill of app {0} that is written cannot be read by this program")]
    Unreadable(AppId),
    /// The ledger gave no answer.
    #[error("the ledger, which alone knows the month, gave no answer: {0}; ask again")]
    Away(String),
}
