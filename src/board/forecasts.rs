//! What the running month may cost the apps that are shown. The ledger is asked for it, so seldom and not for
//! long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::SHOWN_MAX;
use super::status::Forecast;
use crate::clock::Month;
use crate::invoice::Invoices;
use crate::quota::AppId;

/// For how long a forecast is shown.
const FRESH: Duration = Duration::from_mins(1);
/// How long all forecasts together may take; those that are not there by then are shown the next time.
const TOGETHER_MAX: Duration = Duration::from_millis(300);

/// Forecasts that were made, at most a few times as many as are shown.
pub(super) struct Forecasts {
    invoices: Arc<Invoices>,
    made: Mutex<BTreeMap<AppId, Made>>,
}

/// A forecast, or that there is none: when it was made, and of which month.
type Made = (Instant, Month, Option<Forecast>);

impl Forecasts {
    pub(super) fn new(invoices: Arc<Invoices>) -> Self {
        Self {
            invoices,
            made: Mutex::default(),
        }
    }

    /// Those of `apps`, in their order. Where the ledger does not answer (`up`), as they were.
    pub(super) async fn of(&self, apps: &[AppId], month: Month, up: bool) -> Vec<Option<Forecast>> {
        let mut made = self.made.lock().await;
        let until = Instant::now() + TOGETHER_MAX;
        for app in apps {
            let known = made.get(app);
            let is_fresh = known.is_some_and(|(at, of, _)| at.elapsed() < FRESH && *of == month);
            if !is_fresh && up {
                let bill = self.invoices.bill(*app, month, Some(until.into_std()));
                match timeout_at(until, bill).await {
                    Ok(report) => {
                        let forecast = report.ok().and_then(|report| report.forecast);
                        let forecast = forecast.map(|forecast| {
                            let bill = &forecast.bill;
                            let places = bill.currency.scale() as usize;
                            let total = format!("{:.places$} {}", bill.total, bill.currency);
                            let assumes = forecast.assumes;
                            Forecast { total, assumes }
                        });
                        made.insert(*app, (Instant::now(), month, forecast));
                    }
                    Err(_) => break,
                }
            }
        }
        if made.len() > 4 * SHOWN_MAX {
            made.retain(|app, _| apps.contains(app));
        }
        let of_month = |app: &AppId| match made.get(app) {
            Some((_, of, forecast)) if *of == month => forecast.clone(),
            _ => None,
        };
        apps.iter().map(of_month).collect()
    }
}
