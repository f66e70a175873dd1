//! Which slot of a Cluster a key is in.

use redis::{Arg, Cmd};

/// How many slots there are.
pub(super) const SLOTS: u16 = 16_384;

/// The slot of the first key that a command names; `None`: it names none.
pub(super) fn of_command(cmd: &Cmd) -> Option<u16> {
    let word = |at: usize| match cmd.args_iter().nth(at) {
        Some(Arg::Simple(word)) => Some(word),
        _ => None,
    };
    let key = match word(0)? {
        b"EVALSHA" | b"EVAL" => word(3)?,
        b"SCRIPT" | b"INFO" | b"CONFIG" | b"WAIT" | b"CLUSTER" | b"PING" => return None,
        _ => word(1)?,
    };
    Some(of_key(key))
}

/// The slot of a key: of what stands between its first braces, if something does.
pub(super) fn of_key(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, as the specification of Redis Cluster has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(of_key(b"foo"), 12182);
        assert_eq!(of_key(b"{user1000}.following"), of_key(b"user1000"));
        assert_eq!(of_key(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(of_key(b"foo{{bar}}"), of_key(b"{bar"));
    }

    #[test]
    fn a_command_goes_by_its_first_key() {
        let mut script = redis::cmd("EVALSHA");
        script.arg("hash").arg(2).arg("{a}x").arg("{a}y");
        assert_eq!(of_command(&script), Some(of_key(b"a")));
        let mut hash = redis::cmd("HGETALL");
        hash.arg("{b}z");
        assert_eq!(of_command(&hash), Some(of_key(b"b")));
        assert_eq!(of_command(&redis::cmd("INFO")), None);
    }
}
