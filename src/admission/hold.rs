//! Reservations: held until somebody says what they came to.

use super::{Admission, Cancel, Cancelled, Confirm, Confirmed, Fault, Patience};
use crate::quota::AppId;
use crate::store::Hold;

impl Admission {
    /// Makes a reservation a count.
    ///
    /// # Errors
    /// [`Fault`]: it is unknown, was cancelled, or could not be confirmed now.
    pub async fn confirm(&self, confirm: Confirm, _: Patience) -> Result<Confirmed, Fault> {
        drop(confirm);
        Err(Fault::NoHold)
    }

    /// Ends a reservation that came to nothing.
    ///
    /// # Errors
    /// [`Fault`]: it is unknown, was confirmed, or could not be cancelled now.
    pub async fn cancel(&self, cancel: Cancel, _: Patience) -> Result<Cancelled, Fault> {
        drop(cancel);
        Err(Fault::NoHold)
    }

    /// An app's reservations that are neither confirmed nor ended, those first whose time ends first.
    ///
    /// # Errors
    /// [`Fault::UnknownApp`], [`Fault::Away`].
    pub async fn holds(&self, app: AppId, _: usize, _: Patience) -> Result<Vec<Hold>, Fault> {
        Err(Fault::UnknownApp(app))
    }
}
