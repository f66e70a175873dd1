//! Writing the bills of a month that is over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;

use super::{Fault, Invoices, Report, Seen, written};
use crate::clock::Month;
use crate::quota::AppId;
use crate::store::{BILL_BYTES_MAX, MemberInfo, Operator, Standing as Present};

/// The most apps of one page.
pub const PAGE_MAX: usize = 500;
/// The most sidecars that a bill names.
const SILENT_MAX: usize = 3;
/// How many bills are made at a time.
const TOGETHER_MAX: usize = 16;

/// What became of an app's bill. An app that has none is left out: it came later, or it went before and nothing
/// happened any more.
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
        let members = self.ask(operator.members(), None).await?;
        let silent = &self.silent(&members);
        let mut apps: BTreeSet<AppId> = self.ledger.apps_of_settings().into_iter().collect();
        apps.extend(self.ask(operator.apps(), None).await?);
        let mut left = apps
            .into_iter()
            .filter(|app| after.is_none_or(|after| *app > after));
        let page: Vec<_> = left.by_ref().take(most.min(PAGE_MAX)).collect();
        let next = left.next().and(page.last().copied());
        let runs = page.into_iter().map(|app| async move {
            let outcome = self.write(operator, app, month, (silent, who)).await;
            let outcome = outcome.transpose()?;
            Some(Run { app, outcome })
        });
        let runs = futures_util::stream::iter(runs).buffered(TOGETHER_MAX);
        let runs = runs.filter_map(std::future::ready);
        Ok(Page {
            runs: runs.collect().await,
            next,
        })
    }

    /// What is to be said of sidecars that may have counted what nobody else knows of.
    fn silent(&self, members: &[MemberInfo]) -> Vec<String> {
        let silent = |member: &&MemberInfo| member.standing == Present::Silent;
        let mut silent = members.iter().filter(silent);
        let said = |member: &MemberInfo| {
            let (name, since) = (&member.name, self.ledger.zone().day(member.seen));
            format!(
                "sidecar {name} is silent since {since}: what it counted and has not told is missing"
            )
        };
        let mut notes: Vec<_> = silent.by_ref().take(SILENT_MAX).map(said).collect();
        let others = silent.count();
        if others > 0 {
            notes.push(format!("so are {others} other sidecars"));
        }
        notes
    }

    async fn write(
        &self,
        operator: &Arc<dyn Operator>,
        app: AppId,
        month: Month,
        (silent, who): (&[String], &str),
    ) -> Result<Option<(Report, bool)>, Fault> {
        let until: Option<Instant> = None;
        let seen = match self.look(app, month, self.kept().months(), until).await {
            // One that the ledger came to know after that month, and that is gone.
            Err(Fault::UnknownApp(_)) => return Ok(None),
            seen => seen?,
        };
        if seen.history.bill.is_some() {
            return Ok(Some((self.stands(app, month, &seen)?, false)));
        }
        match seen.standing(month) {
            Standing::Billed => {}
            Standing::NotBilled => return Ok(None),
            Standing::Unknown => return Err(Fault::NotKnownThen(app, month)),
        }
        let mut report = self.report(app, month, &seen)?;
        report.notes.extend_from_slice(silent);
        let text = written::write(&report);
        if text.len() > BILL_BYTES_MAX {
            return Err(Fault::Unreadable(app));
        }
        let write = operator.write_bill(app, month, &text, who);
        let (stands, is_new) = self.ask(write, until).await?;
        let stands = written::read(app, &stands).ok_or(Fault::Unreadable(app))?;
        Ok(Some((stands, is_new)))
    }
}

/// Whether an app has a bill of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Billed,
    NotBilled,
    /// Nobody can say.
    Unknown,
}

impl Seen {
    fn standing(&self, month: Month) -> Standing {
        let Self { rules, history, .. } = self;
        let Some(rules) = rules else {
            // Of an app that is gone the month is billed in which it was last heard of.
            let had_users = history.daily_active.count > 0;
            let had_changes = history.plans.iter().any(|(from, _)| from.month() == month);
            return if had_users || had_changes || history.groups.day.is_some() {
                Standing::Billed
            } else {
                Standing::NotBilled
            };
        };
        let last = month.last_day().date();
        if rules.activated.is_some_and(|day| day > last) {
            Standing::NotBilled
        } else if history.plans.is_empty() {
            Standing::Unknown
        } else {
            Standing::Billed
        }
    }
}
