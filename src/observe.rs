//! What the program says of itself: log lines, and which of them, which may change for a while.

use std::future::pending;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::LogFormat;

/// What is logged where nobody chose.
const DEFAULT_FILTER: &str = "info";

/// Which lines are written. Its clones are one.
#[derive(Debug, Clone)]
pub struct LogFilter {
    handle: reload::Handle<EnvFilter, Registry>,
    /// What the process began with.
    first: Arc<str>,
    /// When that holds again; `None`: it holds.
    until: watch::Sender<Option<Instant>>,
}

/// Why other lines cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FilterFault {
    /// It has not the form of a filter.
    #[error("must have the form of RUST_LOG, such as \"info,imquota::ledger=debug\": {0}")]
    Form(#[from] ParseError),
    /// The log of this process is not the program's own.
    #[error(transparent)]
    Gone(#[from] reload::Error),
}

/// Sends log lines to standard error. `filter` has `RUST_LOG`'s form: `info,imquota::ledger=debug`.
///
/// # Errors
/// [`ParseError`] if the filter has another form.
pub fn log_to_stderr(format: LogFormat, filter: Option<&str>) -> Result<LogFilter, ParseError> {
    let first = filter.unwrap_or(DEFAULT_FILTER);
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(first)?);
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        // A log that nobody can read any more must not end the process that writes it.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    // Only the program calls this, and once; a second call would change nothing.
    let _ = match format {
        LogFormat::Text => registry.with(lines.with_target(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    Ok(LogFilter {
        handle,
        first: first.into(),
        until: watch::Sender::new(None),
    })
}

impl LogFilter {
    /// Writes what `filter` says, and after `lasts` again what the process began with, if [`LogFilter::follow`] runs.
    ///
    /// # Errors
    /// [`FilterFault`]; what was written before still is.
    pub fn set(&self, filter: &str, lasts: Duration) -> Result<(), FilterFault> {
        self.handle.reload(EnvFilter::try_new(filter)?)?;
        self.until.send_replace(Some(Instant::now() + lasts));
        Ok(())
    }

    /// Writes again what the process began with, which is answered.
    ///
    /// # Errors
    /// [`FilterFault`].
    pub fn reset(&self) -> Result<&str, FilterFault> {
        self.handle.reload(EnvFilter::try_new(&*self.first)?)?;
        self.until.send_replace(None);
        Ok(&self.first)
    }

    /// Ends what was set when its time is over, for ever.
    pub async fn follow(self) {
        let mut changed = self.until.subscribe();
        loop {
            let until = *changed.borrow_and_update();
            let over = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = over => match self.reset() {
                    Ok(filter) => tracing::info!(filter, "the log's filter is again what it was"),
                    Err(problem) => {
                        tracing::error!(%problem, "the log's filter stays");
                        self.until.send_replace(None);
                    }
                },
                // Its sender is this one's own.
                _ = changed.changed() => {}
            }
        }
    }
}
