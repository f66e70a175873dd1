//! Medians with their range, in whole numbers.

use std::fmt;

/// Several runs of one thing.
#[derive(Debug, Default, Clone)]
pub(crate) struct Runs(Vec<u64>);

impl Runs {
    pub(crate) fn add(&mut self, value: u64) {
        self.0.push(value);
        self.0.sort_unstable();
    }

    /// The middle one; of an even number, the lower.
    pub(crate) fn median(&self) -> u64 {
        let middle = self.0.len().saturating_sub(1) / 2;
        self.0.get(middle).copied().unwrap_or(0)
    }

    fn min(&self) -> u64 {
        self.0.first().copied().unwrap_or(0)
    }

    fn max(&self) -> u64 {
        self.0.last().copied().unwrap_or(0)
    }
}

/// Whole numbers, with thousands set apart.
impl fmt::Display for Runs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, min, max] = [self.median(), self.min(), self.max()].map(grouped);
        write!(out, "{median} ({min} to {max})")
    }
}

/// Runs of a ratio in thousandths.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ratios(Runs);

impl Ratios {
    /// Adds `part / whole`.
    pub(crate) fn add(&mut self, part: u64, whole: u64) {
        self.0.add(thousandths(part, whole));
    }
}

impl fmt::Display for Ratios {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, min, max] = [self.0.median(), self.0.min(), self.0.max()].map(decimal);
        write!(out, "{median} ({min} to {max})")
    }
}

/// `part / whole` in thousandths, rounded down.
pub(crate) fn thousandths(part: u64, whole: u64) -> u64 {
    let ratio = u128::from(part) * 1_000 / u128::from(whole.max(1));
    ratio.try_into().unwrap_or(u64::MAX)
}

/// Thousandths as a number with two digits behind the point.
pub(crate) fn decimal(thousandths: u64) -> String {
    format!("{}.{:02}", thousandths / 1_000, thousandths % 1_000 / 10)
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
