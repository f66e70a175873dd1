//! A sheet on which figures are written.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::NoLabelSet;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::histogram::Times;

/// Series with what tells them apart.
type Labels = Vec<(&'static str, String)>;

/// Wraps what figures are written to.
pub(super) struct Sheet<'a>(pub DescriptorEncoder<'a>);

impl Sheet<'_> {
    /// One series of a count that only grows. Its name is told without `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, [(Vec::new(), value)])
    }

    /// The same, of several series.
    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        self.family(name, help, series, ConstCounter::new)
    }

    /// One series of a number that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.gauges(name, help, [(Vec::new(), value)])
    }

    /// The same, of several series.
    pub(super) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        self.family(name, help, series, ConstGauge::new)
    }

    /// Times that were counted.
    pub(super) fn times(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, Times)>,
    ) -> fmt::Result {
        self.family(name, help, series, Seconds)
    }

    fn family<T, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, T)>,
        metric: impl Fn(T) -> M,
    ) -> fmt::Result {
        let mut series = series
            .into_iter()
            .map(|(labels, value)| (labels, metric(value)));
        let Some(first) = series.next() else {
            return Ok(()); // A name without a series says nothing.
        };
        let kind = first.1.metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        if first.0.is_empty() {
            return first.1.encode(family); // Alone: nothing would tell it from another.
        }
        for (labels, metric) in std::iter::once(first).chain(series) {
            metric.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Times in seconds, as Prometheus counts them.
struct Seconds(Times);

impl EncodeMetric for Seconds {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let in_seconds = |ns: u64| Duration::from_nanos(ns).as_secs_f64();
        let buckets: Vec<_> = self
            .0
            .buckets()
            .map(|(bound, count)| (bound.map_or(f64::MAX, in_seconds), count))
            .collect();
        let sum = self.0.sum().as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, self.0.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
