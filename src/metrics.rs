//! What a scrape is told: figures of this sidecar, read from the ledger when they are asked for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::ledger::{Ledger, State};
use crate::tls::ServerTls;

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All figures. Its clones share them.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Registry>);

impl Metrics {
    /// The figures of `ledger`'s sidecar, and of the certificates of its listeners, by their keys.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, certificates: Vec<(&'static str, ServerTls)>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(OfCertificates(certificates)));
        registry.register_collector(Box::new(OfLedger(ledger)));
        Self(Arc::new(registry))
    }

    /// All of them, in the text format of OpenMetrics 1.0.
    ///
    /// # Errors
    /// None is known: the text is written to memory.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

/// Listeners' keys and their certificates.
#[derive(Debug)]
struct OfCertificates(Vec<(&'static str, ServerTls)>);

impl Collector for OfCertificates {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "imquota_tls_certificate_not_after_seconds",
            "When the certificate that a listener shows ends, in seconds since 1970",
            None,
            MetricType::Gauge,
        )?;
        for (listener, tls) in &self.0 {
            let labels = [("listener", *listener)];
            ConstGauge::new(tls.not_after()).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

struct OfLedger(Arc<Ledger>);

impl fmt::Debug for OfLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfLedger")
    }
}

impl Collector for OfLedger {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let up = ConstGauge::new(i64::from(self.0.state() == State::Up));
        let of_up = encoder.encode_descriptor(
            "imquota_ledger_up",
            "Whether the ledger answers",
            None,
            up.metric_type(),
        )?;
        up.encode(of_up)?;

        let error = Duration::from_millis(self.0.clock_error_ms());
        let error = ConstGauge::new(error.as_secs_f64());
        let of_error = encoder.encode_descriptor(
            "imquota_clock_error_seconds",
            "How far this machine's clock is from the ledger's, in either direction",
            None,
            error.metric_type(),
        )?;
        error.encode(of_error)?;

        let passed = ConstCounter::new(0u64);
        let mut of_passed = encoder.encode_descriptor(
            "imquota_marks_passed",
            "How often this sidecar saw a count pass a mark: percent of a hard limit, the free quantity, a further \
             block of what is billed; the log names the app",
            None,
            passed.metric_type(),
        )?;
        for mark in self.0.marks_passed() {
            let labels = [("of", mark.of), ("mark", mark.mark)];
            ConstCounter::new(mark.times).encode(of_passed.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
