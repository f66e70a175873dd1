//! One request, one decision. Knows the ledger, and nothing of the wire.

mod verdict;

pub use verdict::{
    Active, Check, CheckMode, Fault, Outcome, Record, Refusal, Release, Released, ResourceUsage,
    Source, UsageReport, Verdict, Who,
};

use std::time::Instant;

use crate::quota::AppId;

/// How long a caller can wait: the end of its own deadline, where it gave one.
#[derive(Debug, Clone, Copy)]
pub struct Patience(pub Option<Instant>);

/// Decides, with the rules of the settings and the ledger behind it.
pub struct Admission {}

impl Admission {
    /// Decides one creation; if it is allowed, it is counted.
    ///
    /// # Errors
    /// [`Fault`]; nothing is counted then.
    pub async fn check(&self, _check: Check, _patience: Patience) -> Result<Verdict, Fault> {
        std::future::ready(()).await;
        Err(Fault::Away("not built".into()))
    }

    /// Gives back what was deleted.
    ///
    /// # Errors
    /// [`Fault`]; nothing is given back then.
    pub async fn release(&self, _release: Release, _patience: Patience) -> Result<Released, Fault> {
        std::future::ready(()).await;
        Err(Fault::Away("not built".into()))
    }

    /// Records users who logged in.
    ///
    /// # Errors
    /// [`Fault`]; nobody is recorded then.
    pub async fn record_active(
        &self,
        _record: Record<'_>,
        _patience: Patience,
    ) -> Result<Active, Fault> {
        std::future::ready(()).await;
        Err(Fault::Away("not built".into()))
    }

    /// Reads an app's counts; counts nothing.
    ///
    /// # Errors
    /// [`Fault::UnknownApp`].
    pub async fn usage(&self, app: AppId, _patience: Patience) -> Result<UsageReport, Fault> {
        std::future::ready(()).await;
        Err(Fault::UnknownApp(app))
    }
}
