//! Writing the bills of a month that is over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;

use super::{Fault, Invoices, Report, written};
use crate::clock::Month;
use crate::quota::AppId;
use crate::store::{BILL_BYTES_MAX, Operator};

/// The most apps of one page.
pub const PAGE_MAX: usize = 500;
/// How many bills are made at a time.
const TOGETHER_MAX: usize = 16;

/// What became of an app's bill.
#[derive(Debug)]
pub struct Run {
    /// The app.
    pub app: AppId,
    /// The bill that stands, and whether it was written just now; or why there is none.
    pub outcome: Result<(Report, bool), Fault>,
}

/// The bills of some apps, in the order of their ids.
#[derive(Debug)]
pub struct Page {
    /// The bills.
    pub runs: Vec<Run>,
    /// The last app, if there are more behind it.
    pub next: Option<AppId>,
}

impl Invoices {
    /// Writes the bills of a month, each once: those of at most `most` apps whose ids are above `after`. `who`
    /// is for the audit list.
    ///
    /// # Errors
    /// [`Fault`]: nothing is written before the month's last day is sealed.
    pub async fn run(
        &self,
        operator: &Arc<dyn Operator>,
        month: Month,
        (after, most): (Option<AppId>, usize),
        who: &str,
    ) -> Result<Page, Fault> {
        let now = self.ledger.now();
        if !self.is_sealed(month.last_day(), now) {
            return Err(Fault::NotSealed(month));
        }
        let mut apps: BTreeSet<AppId> = self.ledger.apps_of_settings().collect();
        apps.extend(self.ask(operator.apps(), None).await?);
        let mut left = apps
            .into_iter()
            .filter(|app| after.is_none_or(|after| *app > after));
        let page: Vec<_> = left.by_ref().take(most.min(PAGE_MAX)).collect();
        let next = left.next().and(page.last().copied());
        let runs = page.into_iter().map(|app| async move {
            let outcome = self.write(operator, app, month, who).await;
            Run { app, outcome }
        });
        let runs = futures_util::stream::iter(runs).buffered(TOGETHER_MAX);
        Ok(Page {
            runs: runs.collect().await,
            next,
        })
    }

    async fn write(
        &self,
        operator: &Arc<dyn Operator>,
        app: AppId,
        month: Month,
        who: &str,
    ) -> Result<(Report, bool), Fault> {
        let until: Option<Instant> = None;
        let report = self.bill(app, month, until).await?;
        if report.written {
            return Ok((report, false));
        }
        let text = written::write(&report);
        if text.len() > BILL_BYTES_MAX {
            return Err(Fault::Unreadable(app));
        }
        let write = operator.write_bill(app, month, &text, who);
        let (stands, is_new) = self.ask(write, until).await?;
        let stands = written::read(app, &stands).ok_or(Fault::Unreadable(app))?;
        Ok((stands, is_new))
    }
}
