//! Which settings are in force.

use std::fmt;
use std::time::Duration;

use super::sheet::Sheet;
use crate::ledger::Generation;

pub(super) fn write(sheet: &mut Sheet<'_>, settings: &Generation) -> fmt::Result {
    let since = Duration::from_millis(u64::try_from(settings.since.0).unwrap_or(0));
    // Who reads a settings file more often than 2^32 times has other worries.
    let number = u32::try_from(settings.number).unwrap_or(u32::MAX);
    sheet.gauge(
        "imquota_settings_generation",
        "Which settings are in force: 1 until the settings file was read again and has changed something",
        number.into(),
    )?;
    sheet.gauge(
        "imquota_settings_since_seconds",
        "Since when these settings are in force, in seconds since 1970",
        since.as_secs_f64(),
    )?;
    sheet.gauge(
        "imquota_settings_current",
        "Whether the settings file as it was last read is in force; 0: it has a fault, which the log names",
        u8::from(settings.is_current).into(),
    )?;
    sheet.counter(
        "imquota_settings_refused",
        "How often a settings file with a fault was refused, and the last good settings stayed",
        settings.refused,
    )
}
