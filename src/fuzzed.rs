//! Whatever bytes come from outside, by the readers that meet them first: what a fuzzer calls, and what a
//! test calls with all that the fuzzer has found.

use std::sync::Arc;

use crate::billing::{self, Editions, MonthUsage, Peak};
use crate::clock::Month;
use crate::config::{Environment, Flags, Host, Settings, of_text};

/// Requests of every call, decoded and read.
pub fn requests(bytes: &[u8]) {
    crate::grpc::fuzz(bytes);
}

/// Descriptors of Envoy's requests, decoded and read.
pub fn descriptors(bytes: &[u8]) {
    crate::grpc::fuzz_descriptors(bytes);
}

/// A settings file.
pub fn settings(bytes: &[u8]) {
    let _ = read(bytes);
}

/// Records of the journal.
pub fn journal(bytes: &[u8]) {
    crate::ledger::fuzz_journal(bytes);
}

/// What Redis answers.
pub fn redis(bytes: &[u8]) {
    crate::store::redis::fuzz(bytes);
}

/// Prices and what a month comes to by them: the first 16 bytes are its peaks, the rest is a settings file.
///
/// # Panics
/// If a bill's lines are not its total.
pub fn prices(bytes: &[u8]) {
    let Some((peaks, text)) = bytes.split_first_chunk::<16>() else {
        return;
    };
    let (Some(settings), Some(month)) = (read(text), Month::parse("2026-11")) else {
        return;
    };
    let number = u128::from_le_bytes(*peaks);
    let peak = |shift: u32| Peak {
        // The counts of the ledger are below 2^53.
        count: u64::try_from((number >> shift) & ((1 << 53) - 1)).unwrap_or_default(),
        day: None,
    };
    let usage = MonthUsage {
        month,
        daily_active: peak(0),
        groups: peak(64),
        groups_at_end: peak(64).count / 2,
        as_of: month.last_day(),
    };
    for plan in settings.plans.values() {
        let editions = Editions::always(plan.clone());
        // A sum that is too large to be written is a fault, and no panic.
        if let Ok(bill) = billing::bill(&usage, &editions, settings.currency, false) {
            let lines = bill.lines.iter().map(|line| line.amount);
            assert_eq!(lines.sum::<rust_decimal::Decimal>(), bill.total);
        }
    }
}

fn read(bytes: &[u8]) -> Option<Settings> {
    let text = std::str::from_utf8(bytes).ok()?;
    let host = Host {
        name: Some("host".into()),
        cores: std::num::NonZeroUsize::MIN,
        data_home: Some("/data".into()),
    };
    let name: Arc<str> = "f.yaml".into();
    let (flags, environment) = (Flags::default(), Environment::default());
    match of_text(&name, text, &flags, &environment, &host) {
        Ok(settings) => Some(settings),
        Err(faults) => {
            assert!(!faults.to_string().is_empty());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    type Target = fn(&[u8]);

    /// What the fuzzer once found, and where it begins: none of it may panic.
    #[test]
    fn the_corpus_is_read_without_a_panic() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let targets: [(&str, Target); 6] = [
            ("requests", super::requests),
            ("descriptors", super::descriptors),
            ("settings", super::settings),
            ("journal", super::journal),
            ("redis", super::redis),
            ("prices", super::prices),
        ];
        for (name, target) in targets {
            let mut number = 0;
            for file in fs::read_dir(corpus.join(name)).unwrap() {
                target(&fs::read(file.unwrap().path()).unwrap());
                number += 1;
            }
            assert!(number > 0, "{name} has a corpus");
        }
    }
}
