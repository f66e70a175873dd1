//! Which decisions are written to the log.

use super::finding::Findings;
use super::scalar;
use super::value::Section;

/// The most lines of refusals a second.
const LINES_MAX: u64 = 10_000;

/// How many decisions are written to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionRates {
    /// Refusals: at most so many a second; 0: none.
    pub refusals_a_second: u32,
    /// Of all decisions one in so many; 0: none.
    pub one_in: u32,
}

impl Default for DecisionRates {
    fn default() -> Self {
        Self {
            refusals_a_second: 10,
            one_in: 0,
        }
    }
}

/// The section; what it leaves out is as by default.
pub(super) fn read(file: Option<Section<'_>>, findings: &mut Findings) -> DecisionRates {
    let mut rates = DecisionRates::default();
    let value = file.as_ref().and_then(|file| file.given("log_decisions"));
    let known = ["refusals_a_second", "one_in"];
    let Some(section) = value.and_then(|value| value.section(findings, &known)) else {
        return rates;
    };
    for (key, max, of) in [
        (known[0], LINES_MAX, &mut rates.refusals_a_second),
        (known[1], u64::from(u32::MAX), &mut rates.one_in),
    ] {
        let Some(value) = section.given(key) else {
            continue;
        };
        let read = value.read_plain(findings, "a whole number", |text| {
            scalar::whole(text, 0, max)
        });
        // It is bounded by what fits.
        *of = read
            .and_then(|read| u32::try_from(read).ok())
            .unwrap_or(*of);
    }
    rates
}
