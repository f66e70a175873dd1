//! Which apps are told apart by those who watch over a sidecar.

use super::AppId;

/// The most counts nearest to their limits that have series of their own.
pub const TOP_SERIES_MAX: usize = 100;
/// The most apps that have series of their own because the settings name them.
pub const NAMED_SERIES_MAX: usize = 1_000;

/// Apps that have series of their own among the figures. By default none has: many sidecars times many apps
/// are more series than a Prometheus bears.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppSeries {
    /// So many counts that are nearest to their limits; at most [`TOP_SERIES_MAX`].
    pub top: usize,
    /// These apps; at most [`NAMED_SERIES_MAX`].
    pub named: Vec<AppId>,
}
