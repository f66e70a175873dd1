//! Correcting a day that is sealed: what an operator says of it counts instead of what was counted. A bill that was
//! written stays as it is; what it would come to now is said, for whoever writes the credit or debit note.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::{Fault, Invoices, Report, Seen, written};
use crate::clock::{Day, Month};
use crate::quota::AppId;
use crate::store::{Amendment, Change, Operator};

/// What an operator says of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectOrder {
    /// The app.
    pub app: AppId,
    /// The day.
    pub day: Day,
    /// Its active users; `None`: they stay as they are.
    pub daily_active: Option<u64>,
    /// Its highest net group count, what it began with included; `None`: it stays as it is.
    pub groups: Option<u64>,
    /// Who acts.
    pub who: Box<str>,
    /// Why.
    pub why: Box<str>,
}

/// What a correction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corrected {
    /// The day's active users.
    pub daily_active: Option<Change>,
    /// The day's highest net group count.
    pub groups: Option<Change>,
    /// The month's bill: the one that was written, if one was.
    pub report: Report,
    /// The bill's total before.
    pub total_before: Decimal,
    /// By how much what is due changes: by that of the bill that was written, or that stood before.
    pub difference: Decimal,
}

impl Invoices {
    /// Corrects a sealed day.
    ///
    /// # Errors
    /// [`Fault`]: nothing is corrected, unless the ledger gave no answer; then asking again does no harm.
    pub async fn correct(
        &self,
        operator: &Arc<dyn Operator>,
        order: &CorrectOrder,
    ) -> Result<Corrected, Fault> {
        let (app, day, month) = (order.app, order.day, order.day.month());
        let seen = self.look(app, month, self.kept().days(), None).await?;
        if !self.is_sealed(day, seen.now) {
            return Err(Fault::DayOpen(day));
        }
        let total_before = self.stands(app, month, &seen)?.bill.total;
        let known = seen.history.day(day);
        let change = |from, to: Option<u64>| to.map(|to| Change { from, to });
        let amendment = Amendment {
            app,
            day,
            daily_active: change(known.daily_active, order.daily_active),
            groups: change(known.groups, order.groups),
            revision: seen.history.revision,
            who: order.who.clone(),
            why: order.why.clone(),
        };
        if !self.ask(operator.amend(&amendment), None).await? {
            return Err(Fault::Corrected(app, month));
        }
        let seen = self.look(app, month, self.kept().days(), None).await?;
        let counted = self.report(app, month, &seen)?;
        Ok(Corrected {
            daily_active: amendment.daily_active,
            groups: amendment.groups,
            report: self.stands(app, month, &seen)?,
            total_before,
            difference: counted.bill.total - total_before,
        })
    }

    /// The bill that stands: the written one, with what is to be said of corrections that came after it, or the one
    /// that the counts of now make.
    pub(super) fn stands(&self, app: AppId, month: Month, seen: &Seen) -> Result<Report, Fault> {
        let Some(text) = &seen.history.bill else {
            return self.report(app, month, seen);
        };
        let mut stands = written::read(app, text).ok_or(Fault::Unreadable(app))?;
        if seen.history.revision > stands.revision {
            let now = self.report(app, month, seen)?;
            stands.notes.push(difference(&stands, &now));
        }
        Ok(stands)
    }
}

fn difference(stands: &Report, now: &Report) -> String {
    let (total, currency) = (now.bill.total, now.bill.currency);
    let by = total - stands.bill.total;
    let what = if by.is_zero() {
        "comes to the same total".to_owned()
    } else {
        let more = if by.is_sign_positive() {
            "more"
        } else {
            "less"
        };
        format!("would come to {total} {currency}, {} {more}", by.abs())
    };
    format!("days were corrected after this bill was written: by their counts it {what}")
}
