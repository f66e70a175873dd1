//! The forms of single values: numbers, durations, sizes, money, dates. Each takes the text and
//! answers the value, or what must be written instead.

use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::words::{did_you_mean, shown};
use crate::quota::{Currency, Limit};

/// The highest price: ten digits leave room to multiply by any number of blocks without overflow.
const PRICE_MAX: u64 = 1_000_000_000;

/// A value, or what must be written instead.
pub(crate) type Read<T> = Result<T, String>;

/// Decimal digits without sign, point or leading zero (which elsewhere means octal).
fn is_whole(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
}

/// A whole number of `min` to `max`.
pub(super) fn whole(text: &str, min: u64, max: u64) -> Read<u64> {
    if !is_whole(text) {
        return Err(format!("must be a whole number, not {}", shown(text)));
    }
    match text.parse() {
        Ok(number) if number < min => Err(format!("must be at least {min}, not {}", shown(text))),
        Ok(number) if number <= max => Ok(number),
        // All digits and no u64: it is above every bound.
        _ => Err(format!("must be at most {max}, not {}", shown(text))),
    }
}

/// A whole number, or `unlimited`.
pub(super) fn limit(text: &str) -> Read<Limit> {
    if text == "unlimited" {
        return Ok(Limit::Unlimited);
    }
    if !is_whole(text) {
        let meant = did_you_mean(text, ["unlimited"]);
        return Err(format!(
            "must be a whole number or \"unlimited\", not {}{meant}",
            shown(text)
        ));
    }
    match text.parse() {
        Ok(number) if number <= Limit::MAX => Ok(Limit::AtMost(number)),
        _ => Err(format!(
            "must be at most {}, or \"unlimited\", not {}",
            Limit::MAX,
            shown(text)
        )),
    }
}

/// `true` or `false`.
pub(super) fn truth(text: &str) -> Read<bool> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err(format!("must be true or false, not {}", shown(text))),
    }
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Read<T> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let meant = did_you_mean(text, words.iter().map(|(word, _)| *word));
    let mut all = String::new();
    for (at, (word, _)) in words.iter().enumerate() {
        let joint = match words.len() - at {
            _ if at == 0 => "",
            1 => " or ",
            _ => ", ",
        };
        all.push_str(joint);
        all.push_str(word);
    }
    Err(format!("must be {all}, not {}{meant}", shown(text)))
}

/// Splits `10m` into 10 and what the unit stands for.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, times) = units.iter().find(|(name, _)| *name == unit)?;
    if !is_whole(number) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(*times)
}

/// A number with a unit (`500ms`, `30s`, `10m`, `1h`), of `min` to `max`.
pub(crate) fn duration(text: &str, min: Duration, max: Duration) -> Read<Duration> {
    const UNITS: [(&str, u64); 5] = [
        ("us", 1),
        ("ms", 1_000),
        ("s", 1_000_000),
        ("m", 60_000_000),
        ("h", 3_600_000_000),
    ];
    let duration = with_unit(text, &UNITS)
        .map(Duration::from_micros)
        .ok_or_else(|| {
            format!(
                "must be a duration with its unit, such as 500ms, 30s, 10m or 1h, not {}",
                shown(text)
            )
        })?;
    if (min..=max).contains(&duration) {
        return Ok(duration);
    }
    Err(format!(
        "must be from {min:?} to {max:?}, not {}",
        shown(text)
    ))
}

/// A number with a unit (`64MiB`) in bytes, of `min` to `max` bytes.
pub(super) fn size(text: &str, min: u64, max: u64) -> Read<u64> {
    const UNITS: [(&str, u64); 4] = [
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    let bytes = with_unit(text, &UNITS).ok_or_else(|| {
        format!(
            "must be a size with its unit, such as 512KiB, 64MiB or 1GiB, not {}",
            shown(text)
        )
    })?;
    if (min..=max).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!(
        "must be from {}MiB to {}MiB, not {}",
        min >> 20,
        max >> 20,
        shown(text)
    ))
}

/// An amount of money, read from its digits and never by way of a float.
pub(super) fn money(text: &str, currency: Currency) -> Read<Decimal> {
    let wrong = |why: String| {
        format!(
            "must be a decimal string such as \"149.99\"{why}, not {}",
            shown(text)
        )
    };
    let (units, places) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if text.starts_with('-') {
        return Err(wrong(" and not negative".into()));
    }
    if !digits(units) || !digits(places) {
        return Err(wrong(String::new()));
    }
    let has_places = text.contains('.') && places.len() > currency.scale() as usize;
    if has_places {
        return Err(wrong(format!(
            " with at most {} decimal places, as {currency} has",
            currency.scale()
        )));
    }
    Decimal::from_str(text)
        .ok()
        .filter(|amount| *amount <= Decimal::from(PRICE_MAX))
        .ok_or_else(|| wrong(format!(" of at most {PRICE_MAX}")))
}

/// A day as `YYYY-MM-DD`.
pub(super) fn date(text: &str) -> Read<Date> {
    let form = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    form.then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| format!("must be a day such as 2020-01-01, not {}", shown(text)))
}
