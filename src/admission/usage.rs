//! Reading an app's counts: the ledger's, and what this sidecar has not settled yet.

use super::{Admission, Fault, Patience, ResourceUsage, UsageReport, shown};
use crate::ledger::State;
use crate::quota::{AppId, Counter, RESOURCES};

impl Admission {
    /// Reads an app's counts; counts nothing.
    ///
    /// # Errors
    /// [`Fault::UnknownApp`].
    pub async fn usage(&self, app: AppId, patience: Patience) -> Result<UsageReport, Fault> {
        let entry = self.entry(app)?.ok_or(Fault::UnknownApp(app))?;
        let now = self.ledger.now();
        let day = self.ledger.zone().day(now);
        let mut told = None;
        if self.ledger.state() == State::Up {
            told = self
                .ask(
                    self.ledger.store().usage(app, day, now),
                    self.budget(patience),
                )
                .await
                .ok();
        }
        if let Some(usage) = &told {
            entry.learn(&usage.view, day);
        }
        let usage = told.unwrap_or_default();
        let unsettled = self
            .ledger
            .active_unsettled(&entry, day, usage.my_increment);
        let daily_active = if told.is_some() {
            usage.daily_active.saturating_add(unsettled)
        } else {
            self.ledger.active(&entry, day)
        };
        let resources = RESOURCES.map(|resource| ResourceUsage {
            resource,
            used: shown(entry.net(resource)),
            held: usage.view.reserved[resource.counter().index()],
            limit: entry.rules().limits.of(resource.counter()),
        });
        let groups = shown(self.ledger.net(&entry, Counter::Groups, now));
        let groups_gained_today = self.ledger.net(&entry, Counter::GroupsGained, now);
        entry.rest();
        Ok(UsageReport {
            app,
            plan: entry.rules().plan.name.clone(),
            resources,
            daily_active,
            month_peak_daily_active: usage.month_peak_daily_active.max(daily_active),
            month_peak_groups: usage.month_peak_groups.max(groups),
            as_of: now,
            degraded: told.is_none(),
            groups_gained_today,
            groups_gained_limit: entry.rules().limits.groups_gained_daily,
        })
    }
}
