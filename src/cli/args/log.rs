//! The flags of `log-filter`.

use std::time::Duration;

use clap::Args;

use super::AdminCommon;
use crate::config::duration;

/// The flags of `log-filter`.
#[derive(Debug, Args)]
pub struct LogFilterArgs {
    /// Which lines, as in RUST_LOG: info,imquota::ledger=debug. Left out: those that the server began with
    #[arg(value_name = "FILTER", default_value = "", hide_default_value = true)]
    pub(in crate::cli) filter: String,
    /// For how long; then it is what the server began with: 1s to 24h
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = lasts)]
    pub(in crate::cli) lasts: Duration,
    #[command(flatten)]
    pub(in crate::cli) common: AdminCommon,
}

fn lasts(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_secs(1), Duration::from_hours(24))
}
