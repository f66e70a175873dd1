//! The flags of the verbs that read a sidecar's pages.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::target::Target;
use crate::cli::top::EVERY;
use crate::config::duration;

/// Where the pages are.
#[derive(Debug, Args)]
pub(in crate::cli) struct Pages {
    /// The sidecar's --http-listen: http://host:port or unix:/path
    #[arg(
        long,
        value_name = "URL",
        env = "IMQUOTA_HTTP_ENDPOINT",
        default_value = crate::cli::target::HTTP_DEFAULT,
        value_parser = Target::parse_http
    )]
    pub(in crate::cli) endpoint: Target,
}

/// The flags of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    #[command(flatten)]
    pub(in crate::cli) pages: Pages,
    /// How often it is shown anew on a terminal
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = every)]
    pub(in crate::cli) every: Duration,
    /// Show it once, as where the output is no terminal
    #[arg(long)]
    pub(in crate::cli) once: bool,
    /// Print the status as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// The flags of `support`.
#[derive(Debug, Args)]
pub struct SupportArgs {
    #[command(flatten)]
    pub(in crate::cli) pages: Pages,
    /// The settings file, which is shown as it is understood, without passwords
    #[arg(long, value_name = "FILE", env = "IMQUOTA_CONFIG")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// The log, of which the end is shown
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) log: Option<PathBuf>,
    /// The file to write; standard output by default
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) out: Option<PathBuf>,
}

fn every(text: &str) -> Result<Duration, String> {
    duration(text, EVERY.0, EVERY.1)
}
