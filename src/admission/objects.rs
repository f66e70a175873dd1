//! Objects that counts belong to.

use super::{Admission, Fault, Import, Imported, Patience};

impl Admission {
    /// Counts objects that exist under their names; those that are counted without a name get it.
    ///
    /// # Errors
    /// [`Fault`]: some may have been taken in; the same call again takes in the rest.
    pub async fn import(&self, import: Import, _: Patience) -> Result<Imported, Fault> {
        Err(Fault::UnknownApp(import.app))
    }
}
