//! The bill of one app and month: what the ledger keeps of it, by the plans and prices of the settings.

mod correct;
mod editions;
mod fault;
mod report;
mod run;
mod written;

pub use correct::{CorrectOrder, Corrected};
pub use fault::Fault;
pub use report::{DayReport, Report};
pub use run::{PAGE_MAX, Page, Run};
pub use written::ITEMS;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::time::timeout;

use crate::billing::{self, MonthUsage};
use crate::clock::{self, Day, Millis, Month};
use crate::ledger::Ledger;
use crate::quota::{AppId, AppRules, Currency, Plan, PlanName, Retention};
use crate::store::{MonthHistory, Reply, SEALED_AFTER_MS};
use editions::editions;

/// What bills are made by, beside the ledger.
#[derive(Debug, Clone)]
pub struct Prices {
    /// The plans by name.
    pub plans: BTreeMap<PlanName, Arc<Plan>>,
    /// What prices are in.
    pub currency: Currency,
    /// The longest that the ledger is waited for.
    pub wait: Duration,
}

/// Makes bills.
pub struct Invoices {
    ledger: Arc<Ledger>,
    prices: ArcSwap<Prices>,
}

/// A month, as seen from now.
struct Seen {
    rules: Option<Arc<AppRules>>,
    history: MonthHistory,
    today: Day,
    now: Millis,
}

impl Invoices {
    /// Makes bills of what `ledger` counts.
    pub fn new(ledger: Arc<Ledger>, prices: Prices) -> Self {
        let prices = ArcSwap::from_pointee(prices);
        Self { ledger, prices }
    }

    /// From now on goes by these plans and their prices. What is written stays as it is.
    pub fn go_by(&self, plans: BTreeMap<PlanName, Arc<Plan>>) {
        let Prices { currency, wait, .. } = **self.prices.load();
        self.prices.store(Arc::new(Prices {
            plans,
            currency,
            wait,
        }));
    }

    /// The bill of a month: of one that is over, or how the running one stands.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn bill(
        &self,
        app: AppId,
        month: Month,
        until: Option<Instant>,
    ) -> Result<Report, Fault> {
        let seen = self.look(app, month, self.kept().months(), until).await?;
        self.stands(app, month, &seen)
    }

    /// The active users of each day of a month, up to today.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn days(
        &self,
        app: AppId,
        month: Month,
        until: Option<Instant>,
    ) -> Result<Vec<DayReport>, Fault> {
        let seen = self.look(app, month, self.kept().days(), until).await?;
        let last = month.last_day().min(seen.today);
        let mut days = Vec::new();
        let mut day = month.first_day();
        while day <= last {
            let known = seen.history.days.iter().find(|of| of.day == day);
            days.push(DayReport {
                day,
                daily_active: known.map_or(0, |of| of.daily_active),
                is_final: self.is_sealed(day, seen.now),
            });
            day = day.next();
        }
        Ok(days)
    }

    /// Whether nothing that happens can change the day any more.
    #[must_use]
    pub fn is_sealed(&self, day: Day, now: Millis) -> bool {
        let end = self.ledger.zone().start_of(day.next());
        now >= end.plus(SEALED_AFTER_MS) && self.ledger.clock_error_ms() <= clock::ERROR_MAX_MS
    }

    /// For how long the ledger keeps the past.
    fn kept(&self) -> Retention {
        self.ledger.store().retention()
    }

    async fn look(
        &self,
        app: AppId,
        month: Month,
        kept: i32,
        until: Option<Instant>,
    ) -> Result<Seen, Fault> {
        let rules = self.ledger.rules_of(app);
        let now = self.ledger.now();
        let today = self.ledger.zone().day(now);
        let age = today.month().number() - month.number();
        if age < 0 {
            return Err(Fault::Ahead(month));
        }
        if age >= kept {
            return Err(Fault::TooOld(month));
        }
        if rules.is_some()
            && let Ok(Some(entry)) = self.ledger.entry(app)
            && (age == 0 || entry.is_owed())
        {
            // What this sidecar counted and has not told is a part of how the month stands.
            let told: Reply<'_, ()> = Box::pin(self.ledger.settle_app(&entry));
            self.ask(told, until).await?;
        }
        let store = self.ledger.store();
        let history = self.ask(store.month(app, month, today, now), until).await?;
        if rules.is_none() && history.plans.is_empty() {
            return Err(Fault::UnknownApp(app));
        }
        Ok(Seen {
            rules,
            history,
            today,
            now,
        })
    }

    /// Waits for the store, but not beyond the call's time.
    async fn ask<T>(&self, reply: Reply<'_, T>, until: Option<Instant>) -> Result<T, Fault> {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let most = self.prices.load().wait;
        let wait = left.map_or(most, |left| left.min(most));
        match timeout(wait, reply).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) => {
                self.ledger.doubt(&fault);
                Err(Fault::Away(fault.to_string()))
            }
            Err(_) => Err(Fault::Away(format!("no answer within {wait:?}"))),
        }
    }

    fn report(&self, app: AppId, month: Month, seen: &Seen) -> Result<Report, Fault> {
        let Seen {
            rules,
            history,
            today,
            now,
        } = seen;
        let prices = self.prices.load_full();
        let editions = editions(&prices.plans, rules.as_deref(), history, month, *today)
            .ok_or(Fault::UnknownApp(app))?;
        let usage = MonthUsage {
            month,
            daily_active: history.daily_active,
            groups: history.groups,
            groups_at_end: history.groups_at_end,
            as_of: month.last_day().min(*today),
        };
        let currency = prices.currency;
        let activated = rules.as_ref().and_then(|rules| rules.activated);
        // Before it was activated it owes no plan fee, either.
        let first = month.first_day().date();
        let waived = activated.is_some_and(|day| day.first_of_month() >= first);
        let bill = billing::bill(&usage, &editions.plans, currency, waived)?;
        let runs = today.month() == month;
        let forecast = runs.then(|| {
            let rules = (&editions.plans, currency, waived);
            billing::forecast(&usage, history.carried_in, *today, rules)
        });
        // What may become too large to be written is no reason to say nothing of how it stands.
        let forecast = forecast.and_then(Result::ok);
        Ok(Report {
            app,
            notes: report::notes(
                history,
                &editions,
                month,
                (self.ledger.zone(), self.ledger.clock_error_ms()),
            ),
            is_final: self.is_sealed(month.last_day(), *now),
            written: false,
            revision: history.revision,
            bill,
            forecast,
        })
    }
}
