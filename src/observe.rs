//! What the program says of itself: log lines, and which of them.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::LogFormat;

/// What is logged where nobody chose.
const DEFAULT_FILTER: &str = "info";

/// Sends log lines to standard error. `filter` has `RUST_LOG`'s form: `info,imquota::ledger=debug`.
///
/// # Errors
/// [`ParseError`] if the filter has another form.
pub fn log_to_stderr(format: LogFormat, filter: Option<&str>) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(filter.unwrap_or(DEFAULT_FILTER))?;
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // A log that nobody can read any more must not end the process that writes it.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter);
    // Only the program calls this, and once; a second call would change nothing.
    let _ = match format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}
