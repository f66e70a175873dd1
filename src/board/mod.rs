//! How a sidecar stands, for people: as JSON, and as one page that is read and changes nothing.
//!
//! Whoever looks costs the checks nothing: what is shown is gathered at most once a second however many look,
//! and what is asked of the ledger for it (the month's forecast of a few apps) at most once a minute, for a
//! bounded time.

mod forecasts;
mod html;
mod page;
mod refusals;
mod status;

pub use page::{PAGE_MEDIA_TYPE, STYLE, page};
pub use refusals::{Query, refusals};
pub use status::{Health, Status};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::admission::Admission;
use crate::clock::Millis;
use crate::invoice::Invoices;
use crate::ledger::Ledger;
use forecasts::Forecasts;

/// For how long what was gathered is shown.
const FRESH: Duration = Duration::from_secs(1);
/// The most counts near their limits, and the most apps with their active users, that are shown.
pub const SHOWN_MAX: usize = 10;
/// The most refusals that are shown.
pub const REFUSALS_MAX: usize = 20;

/// What is known of the sidecar itself.
#[derive(Debug, Clone)]
pub struct About {
    /// Its name among its fellows.
    pub member: Arc<str>,
    /// Where its ledger is, as logs may show it.
    pub store: String,
}

/// Gathers what is shown. Its clones share what was gathered.
#[derive(Clone)]
pub struct Board(Arc<Inner>);

struct Inner {
    ledger: Arc<Ledger>,
    admission: Arc<Admission>,
    about: About,
    since: Millis,
    forecasts: Forecasts,
    gathered: Mutex<Option<(Instant, Arc<Status>)>>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Board")
    }
}

impl Board {
    /// What is shown of a sidecar that has just started.
    #[must_use]
    pub fn new(
        ledger: Arc<Ledger>,
        admission: Arc<Admission>,
        invoices: Arc<Invoices>,
        about: About,
    ) -> Self {
        Self(Arc::new(Inner {
            since: ledger.now(),
            ledger,
            admission,
            about,
            forecasts: Forecasts::new(invoices),
            gathered: Mutex::default(),
        }))
    }

    /// How it stands: as of now, or of a second ago at most. Many who ask at a time are told the same.
    pub async fn status(&self) -> Arc<Status> {
        let mut gathered = self.0.gathered.lock().await;
        if let Some((at, status)) = &*gathered
            && at.elapsed() < FRESH
        {
            return status.clone();
        }
        let status = Arc::new(self.0.gather().await);
        *gathered = Some((Instant::now(), status.clone()));
        status
    }

    /// What decides, and remembers what it refused.
    pub(crate) fn admission(&self) -> &Admission {
        &self.0.admission
    }
}
