//! How many connections gateways may have.

use super::{faults, read};
use crate::config::Connections;

#[test]
fn numbers_of_connections_have_defaults_and_bounds() {
    let of = |text| read(text).expect("no fault").connections;
    assert_eq!(of(""), Connections::default());
    let expected = Connections {
        max: 65_536,
        per_address: 1,
    };
    assert_eq!(of("connections: { max: 65536, per_address: 1 }"), expected);
    assert_eq!(
        faults("connections: { max: 65537, per_address: 0 }"),
        [
            "f.yaml:1: connections.max: must be at most 65536, not \"65537\"",
            "f.yaml:1: connections.per_address: must be at least 1, not \"0\"",
        ]
    );
}
