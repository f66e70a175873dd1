//! The process itself, under the names that every program's figures have.

use std::fmt;
use std::fs;
use std::time::Duration;

use super::sheet::Sheet;

/// What runs `since` so long after 1970.
pub(super) fn write(sheet: &mut Sheet<'_>, since: Duration) -> fmt::Result {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    sheet.gauges(
        "imquota_build_info",
        "1; what runs is in the label",
        [(vec![("version", version)], 1.0)],
    )?;
    sheet.gauge(
        "process_start_time_seconds",
        "When the process was ready to tell figures, in seconds since 1970",
        since.as_secs_f64(),
    )?;
    if let Some(bytes) = resident_bytes() {
        sheet.gauge("process_resident_memory_bytes", "Memory in use", bytes)?;
    }
    if let Some(files) = open_files() {
        sheet.gauge(
            "process_open_fds",
            "Files and connections that are open",
            files,
        )?;
    }
    Ok(())
}

/// When the certificates end that listeners show.
pub(super) fn write_certificates(
    sheet: &mut Sheet<'_>,
    ends: &[(&'static str, i64)],
) -> fmt::Result {
    #[allow(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 are far below 2^53"
    )]
    let seconds = |end: i64| end as f64;
    sheet.gauges(
        "imquota_tls_certificate_not_after_seconds",
        "When the certificate that a listener shows ends, in seconds since 1970",
        ends.iter()
            .map(|(listener, end)| (vec![("listener", (*listener).to_owned())], seconds(*end))),
    )
}

fn resident_bytes() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u32 = text.split(' ').nth(1)?.parse().ok()?;
    let page = u32::try_from(rustix::param::page_size()).ok()?;
    Some(f64::from(pages) * f64::from(page))
}

fn open_files() -> Option<f64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    u32::try_from(open).ok().map(f64::from)
}
