//! How the sidecar stands just now.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::refusals::refused;
use super::{About, Inner, REFUSALS_MAX, SHOWN_MAX};
use crate::admission::{Refused, Totals};
use crate::clock::{Day, Millis};
use crate::ledger::{Active, Figures, Generation, Near, State};
use crate::metrics::{counter_name, resource_name};
use crate::quota::AppId;

/// How it stands.
#[derive(Debug)]
pub struct Status {
    pub(super) about: About,
    pub(super) now: Millis,
    pub(super) since: Millis,
    pub(super) today: Day,
    pub(super) settings: Generation,
    pub(super) figures: Figures,
    pub(super) checks: Totals,
    pub(super) nearest: Vec<Near>,
    pub(super) active: Vec<(Active, Option<Forecast>)>,
    pub(super) refusals: Vec<Refused>,
}

/// How an app's running month may end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// The bill's total, with its currency.
    pub total: String,
    /// What it assumes, in a sentence.
    pub assumes: String,
}

/// What the process says of itself to probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Calls are answered.
    pub serving: bool,
    /// The ledger was met.
    pub met: bool,
    /// The process is about to end.
    pub draining: bool,
}

impl Health {
    /// Whether clients should be sent here.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self.serving && self.met && !self.draining
    }

    /// What is asked for readiness, by name, whether it is so, and what it means if it is not.
    #[must_use]
    pub fn reasons(self) -> [(&'static str, bool, &'static str); 3] {
        [
            ("serving", self.serving, "the listeners are not served yet"),
            (
                "ledger_met",
                self.met,
                "the ledger has not been met since the start: it is away, or another sidecar has yet to \
                 know of this one",
            ),
            (
                "not_draining",
                !self.draining,
                "the process is about to end",
            ),
        ]
    }

    /// The same as JSON, with how it stands with the ledger.
    #[must_use]
    pub fn json(self, status: &Status) -> Value {
        let reasons = self.reasons().map(|(name, ok, why)| {
            let mut reason = json!({ "name": name, "ok": ok });
            if !ok {
                reason["why"] = why.into();
            }
            reason
        });
        json!({ "ready": self.is_ready(), "reasons": reasons, "ledger": status.ledger_json() })
    }
}

impl Inner {
    /// Gathers what is shown.
    pub(super) async fn gather(&self) -> Status {
        let figures = self.ledger.figures().await;
        let now = self.ledger.now();
        let today = self.ledger.zone().day(now);
        let most_active = self.ledger.most_active(SHOWN_MAX);
        let apps: Vec<AppId> = most_active.iter().map(|active| active.app).collect();
        let up = figures.state == State::Up;
        let forecasts = self.forecasts.of(&apps, today.month(), up).await;
        Status {
            about: self.about.clone(),
            now,
            since: self.since,
            today,
            settings: self.ledger.rules().generations().now(),
            checks: self.admission.tally().totals(),
            nearest: self.nearest(),
            active: most_active.into_iter().zip(forecasts).collect(),
            refusals: self.admission.tally().refusals(REFUSALS_MAX, |_| true),
            figures,
        }
    }
}

impl Inner {
    fn nearest(&self) -> Vec<Near> {
        let mut nearest = self.ledger.nearest(SHOWN_MAX);
        nearest.retain(|near| near.count > 0);
        nearest
    }
}

impl Status {
    /// All of it, as JSON.
    #[must_use]
    pub fn json(&self, health: Health) -> Value {
        let Figures {
            apps,
            unsettled_apps,
            unsettled_units,
            takes,
            releases,
            users,
            journal,
            ids,
            id_window,
            in_doubt,
            ..
        } = &self.figures;
        let checks = self.checks.checks.iter().filter(|one| one.count > 0);
        let checks: Vec<Value> = checks
            .map(|one| {
                json!({
                    "resource": resource_name(one.resource),
                    "decision": one.decision,
                    "reason": one.reason,
                    "source": one.source.name(),
                    "count": one.count,
                })
            })
            .collect();
        let nearest: Vec<Value> = self.nearest.iter().map(near).collect();
        let active: Vec<Value> = self.active.iter().map(active).collect();
        let refusals: Vec<Value> = self.refusals.iter().map(refused).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "member": &*self.about.member,
            "now": time(self.now),
            "since": time(self.since),
            "ready": health.is_ready(),
            "settings": {
                "generation": self.settings.number,
                "since": time(self.settings.since),
                "current": self.settings.is_current,
                "refused": self.settings.refused,
            },
            "ledger": self.ledger_json(),
            "waiting": {
                "apps": unsettled_apps,
                "units": unsettled_units,
                "takes": takes,
                "releases": releases,
                "users": users,
                "journal_bytes": journal.0,
                "journal_max_bytes": journal.1,
            },
            "apps": apps,
            "request_ids": { "count": ids.0, "max": ids.1, "window_seconds": id_window.as_secs() },
            "holds_in_doubt": in_doubt,
            "checks": checks,
            "nearest_to_limits": nearest,
            "today": { "day": self.today.to_string(), "most_active": active },
            "last_refusals": refusals,
        })
    }

    fn ledger_json(&self) -> Value {
        let figures = &self.figures;
        let lifted = figures.lifted.iter().filter(|(_, open, _)| *open);
        let lifted: Vec<_> = lifted.map(|(of, _, _)| counter_name(*of)).collect();
        json!({
            "store": self.about.store,
            "state": self.state(),
            "cause": figures.cause,
            "sync_age_ms": figures.sync_age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            "lease": figures.leased,
            "clock_error_ms": u64::try_from(figures.clock_error.as_millis()).unwrap_or(u64::MAX),
            "epoch": figures.epoch,
            "members": figures.members,
            "silent": figures.silent,
            "lifted": lifted,
        })
    }

    pub(super) fn state(&self) -> &'static str {
        match self.figures.state {
            State::Up => "up",
            State::Away => "away",
            State::Frozen => "frozen",
        }
    }
}

fn near(near: &Near) -> Value {
    json!({
        "app_id": near.app.get(),
        "of": counter_name(near.counter),
        "count": near.count,
        "limit": near.limit,
        "percent": percent(near),
    })
}

fn active((active, forecast): &(Active, Option<Forecast>)) -> Value {
    let forecast = forecast
        .as_ref()
        .map(|of| json!({ "total": of.total, "assumes": of.assumes }));
    json!({ "app_id": active.app.get(), "daily_active": active.users, "month_forecast": forecast })
}

/// Whole percent of a limit, rounded down: 100 means that it is reached.
pub(super) fn percent(near: &Near) -> u64 {
    near.millionths() / 10_000
}

/// A time as everybody reads it.
pub(super) fn time(at: Millis) -> String {
    let at = Timestamp::from_millisecond(at.0);
    at.map_or_else(|_| "unknown".into(), |at| at.to_string())
}
