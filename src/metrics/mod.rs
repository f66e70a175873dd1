//! What a scrape is told: figures of this sidecar, read when they are asked for. `docs/metrics.md` lists them.

mod apps;
mod checks;
mod ledger;
mod process;
mod settings;
mod sheet;
mod traces;
mod unserved;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;

use crate::admission::{Admission, Totals};
use crate::clock::Millis;
use crate::ledger::{Figures, Generation, Ledger};
use crate::quota::{AppSeries, Counter, Resource};
use crate::store::CallCounts;
use crate::tls::ServerTls;
use crate::trace::{SpanCounts, Spans};
use apps::AppFigures;
use sheet::Sheet;

pub use unserved::{GivenUp, Refusal, Unserved};

/// How the figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4, which everybody reads.
    Text,
    /// OpenMetrics 1.0, for who asks for it.
    OpenMetrics,
}

impl Format {
    /// What an Accept header asks for.
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        let asked = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if asked { Self::OpenMetrics } else { Self::Text }
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All figures. Its clones share what is behind them.
#[derive(Clone)]
pub struct Metrics(Arc<Sources>);

struct Sources {
    ledger: Arc<Ledger>,
    admission: Arc<Admission>,
    series: AppSeries,
    certificates: Vec<(&'static str, ServerTls)>,
    spans: Option<Spans>,
    unserved: Unserved,
    since: Millis,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// The figures of one moment.
#[derive(Debug)]
struct Reading {
    checks: Totals,
    ledger: Figures,
    nearest: Vec<(Counter, f64)>,
    calls: Option<CallCounts>,
    apps: AppFigures,
    certificates: Vec<(&'static str, i64)>,
    settings: Generation,
    spans: SpanCounts,
    unserved: Unserved,
    since: Millis,
}

impl Metrics {
    /// The figures of `ledger`'s sidecar, whose checks `admission` decides, and of the certificates of its
    /// listeners, by their keys, of what takes spans, if anybody does, and of what gateways did not get.
    #[must_use]
    pub fn new(
        ledger: Arc<Ledger>,
        admission: Arc<Admission>,
        series: AppSeries,
        certificates: Vec<(&'static str, ServerTls)>,
        spans: Option<Spans>,
        unserved: Unserved,
    ) -> Self {
        Self(Arc::new(Sources {
            since: ledger.now(),
            ledger,
            admission,
            series,
            certificates,
            spans,
            unserved,
        }))
    }

    /// All of them.
    ///
    /// # Errors
    /// None is known: the text is written to memory.
    pub async fn text(&self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.read().await));
        let mut text = String::new();
        match format {
            Format::Text => prometheus_text::encode(&mut text, &registry)?,
            Format::OpenMetrics => text::encode(&mut text, &registry)?,
        }
        Ok(text)
    }

    async fn read(&self) -> Reading {
        let Sources {
            ledger,
            admission,
            series,
            certificates,
            spans,
            unserved,
            since,
        } = &*self.0;
        let ends = |(listener, tls): &(&'static str, ServerTls)| (*listener, tls.not_after());
        Reading {
            checks: admission.tally().totals(),
            nearest: apps::nearest(ledger),
            calls: ledger.store().calls().map(crate::store::Calls::counts),
            apps: apps::read(ledger, series),
            ledger: ledger.figures().await,
            certificates: certificates.iter().map(ends).collect(),
            settings: ledger.rules().generations().now(),
            spans: spans.as_ref().map(Spans::counts).unwrap_or_default(),
            unserved: unserved.clone(),
            since: *since,
        }
    }
}

impl Collector for Reading {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        checks::write(&mut sheet, &self.checks)?;
        ledger::write(&mut sheet, &self.ledger)?;
        if let Some(calls) = &self.calls {
            ledger::write_calls(&mut sheet, calls)?;
        }
        apps::write(&mut sheet, &self.nearest, &self.apps)?;
        process::write_certificates(&mut sheet, &self.certificates)?;
        settings::write(&mut sheet, &self.settings)?;
        traces::write(&mut sheet, self.spans)?;
        unserved::write(&mut sheet, &self.unserved)?;
        let since = Duration::from_millis(self.since.since(Millis(0)));
        process::write(&mut sheet, since)
    }
}

/// What a counter is called in labels.
#[must_use]
pub fn counter_name(counter: Counter) -> &'static str {
    match counter {
        Counter::Accounts => "account",
        Counter::Groups => "group",
        Counter::AvRooms => "av_room",
        Counter::GroupsGained => "group_gain",
    }
}

/// What a resource is called in labels.
#[must_use]
pub fn resource_name(resource: Resource) -> &'static str {
    counter_name(resource.counter())
}
