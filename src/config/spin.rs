//! How long a serving thread looks out for the next call before it sleeps.

use std::time::Duration;

use super::finding::Findings;
use super::scalar;
use super::value::Section;

/// The longest: who waits longer for calls has time to wake up.
const MOST: Duration = Duration::from_millis(1);

/// The time; zero unless the file says otherwise.
pub(super) fn read(file: Option<Section<'_>>, findings: &mut Findings) -> Duration {
    let value = file.as_ref().and_then(|file| file.given("spin"));
    let read = value.and_then(|value| {
        value.read(findings, "a duration such as 100us, or 0s", |text| {
            scalar::duration(text, Duration::ZERO, MOST)
        })
    });
    read.unwrap_or_default()
}
