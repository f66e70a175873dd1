//! How many connections gateways may have.

use super::finding::Findings;
use super::scalar;
use super::value::Section;

/// The most that can be allowed.
const MOST: u64 = 65_536;
const KEYS: [&str; 2] = ["max", "per_address"];

/// How many connections the gateways' listeners take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// At a time, in all.
    pub max: usize,
    /// At a time, from one address off loopback.
    pub per_address: usize,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: 1024,
            per_address: 256,
        }
    }
}

/// The section; what it leaves out is as by default.
pub(super) fn read(file: Option<Section<'_>>, findings: &mut Findings) -> Connections {
    let mut connections = Connections::default();
    let value = file.as_ref().and_then(|file| file.given("connections"));
    let Some(section) = value.and_then(|value| value.section(findings, &KEYS)) else {
        return connections;
    };
    for (key, of) in [
        ("max", &mut connections.max),
        ("per_address", &mut connections.per_address),
    ] {
        let Some(value) = section.given(key) else {
            continue;
        };
        let read = value.read_plain(findings, "a whole number", |text| {
            scalar::whole(text, 1, MOST)
        });
        // It is bounded far below what fits.
        *of = read
            .and_then(|read| usize::try_from(read).ok())
            .unwrap_or(*of);
    }
    connections
}
