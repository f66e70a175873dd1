//! What the operator sees of the process: its log.

use std::io::stderr;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// What is logged if nobody says.
const FILTER_DEFAULT: &str = "info";

/// Begins the log, on standard error, and tells the settings' notices in it. `filter` is in the form
/// of `RUST_LOG`; what it holds that is no filter is left out.
///
/// A log that was begun before stays as it is.
pub fn begin(settings: &Settings, filter: Option<&str>) {
    let filter = EnvFilter::builder().parse_lossy(filter.unwrap_or(FILTER_DEFAULT));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    // Only a second log in one process fails to begin.
    let _ = match settings.log_format {
        LogFormat::Text => log.with_ansi(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    for notice in &settings.notices {
        tracing::warn!("{notice}");
    }
}
