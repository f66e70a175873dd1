//! Names that clients choose: request ids and user ids.

use std::fmt;

/// The longest request id, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 64;
/// The longest user id, in bytes.
pub const USER_ID_BYTES_MAX: usize = 32;

/// Why a name is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdFault {
    /// It has no byte.
    #[error("must not be empty")]
    Empty,
    /// It has more bytes than allowed.
    #[error("has {bytes} bytes; at most {max} are allowed")]
    TooLong {
        /// The bytes it has.
        bytes: usize,
        /// The bytes it may have.
        max: usize,
    },
    /// It holds something other than printable ASCII (0x20 to 0x7e).
    #[error("holds byte 0x{byte:02x} at position {at}; only printable ASCII is allowed")]
    Unprintable {
        /// The first byte that is not allowed.
        byte: u8,
        /// Where it stands, from 0.
        at: usize,
    },
}

/// Checks a name's form: 1 to `max` bytes of printable ASCII.
pub(super) fn check(text: &str, max: usize) -> Result<(), IdFault> {
    if text.is_empty() {
        return Err(IdFault::Empty);
    }
    if text.len() > max {
        return Err(IdFault::TooLong {
            bytes: text.len(),
            max,
        });
    }
    let is_printable = |byte: &u8| (0x20..=0x7e).contains(byte);
    // Without a way out in between many bytes are looked at in one step.
    let all = text
        .bytes()
        .fold(true, |all, byte| all & is_printable(&byte));
    let faulty = if all {
        None
    } else {
        text.bytes().position(|byte| !is_printable(&byte))
    };
    faulty.map_or(Ok(()), |at| {
        let byte = text.as_bytes()[at];
        Err(IdFault::Unprintable { byte, at })
    })
}

/// The client's name for one creation or release, unique in its app: 1 to 64 bytes of printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Takes `text` as an id.
    ///
    /// # Errors
    /// [`IdFault`] if it is empty, longer than [`REQUEST_ID_BYTES_MAX`] or not printable ASCII.
    pub fn parse(text: &str) -> Result<Self, IdFault> {
        check(text, REQUEST_ID_BYTES_MAX).map(|()| Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a character is worth that is no digit; no digit has its highest bit.
const NO_DIGIT: u8 = u8::MAX;
/// The 32 digits of Crockford's alphabet, in which a ULID is written; letters may be small, too.
const CROCKFORD: [u8; 256] = worth(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ");
/// The digits of a UUID.
const HEXADECIMAL: [u8; 256] = worth(b"0123456789ABCDEF");
/// The characters of a ULID that say when it was made.
const ULID_TIME: usize = 10;
/// Where a UUID has its digits; the first two groups of them say when it was made.
const UUID_DIGITS: [(usize, usize); 5] = [(0, 8), (9, 13), (14, 18), (19, 23), (24, 36)];

/// What each character is worth as one of these digits.
const fn worth(digits: &[u8]) -> [u8; 256] {
    let mut worth = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < digits.len() {
        // At most 32 of them.
        #[allow(clippy::cast_possible_truncation)]
        let of = digit as u8;
        worth[digits[digit] as usize] = of;
        worth[digits[digit].to_ascii_lowercase() as usize] = of;
        digit += 1;
    }
    worth
}

/// What the digits say that come first, and all of them together, of which one is [`NO_DIGIT`] if it is none.
fn read(digits: &[u8], worth: &[u8; 256], bits: u32) -> (i64, u8) {
    digits.iter().fold((0, 0), |(number, all), byte| {
        let digit = worth[usize::from(*byte)];
        (number << bits | i64::from(digit), all | digit)
    })
}

/// The milliseconds of a ULID (ulid.org); `None` if it is none.
fn ulid_time(text: &[u8; 26]) -> Option<i64> {
    let (time, rest) = text.split_at(ULID_TIME);
    let ((time, one), (_, other)) = (read(time, &CROCKFORD, 5), read(rest, &CROCKFORD, 0));
    // 130 bits for 128: the first digit is 7 at most.
    let valid = one | other != NO_DIGIT && text[0] <= b'7';
    valid.then_some(time)
}

/// The milliseconds of a UUID of version 7 (RFC 9562); `None` if it is none.
fn uuid_time(text: &[u8; 36]) -> Option<i64> {
    let is_7 = text[14] == b'7' && b"89abAB".contains(&text[19]);
    if !is_7 || [8, 13, 18, 23].iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let [one, two, rest @ ..] =
        UUID_DIGITS.map(|(from, to)| read(&text[from..to], &HEXADECIMAL, 4));
    let all = rest
        .iter()
        .fold(one.1 | two.1, |all, (_, digits)| all | digits);
    (all != NO_DIGIT).then_some(one.0 << 16 | two.0)
}

impl RequestId {
    /// When it was made, in milliseconds since the Unix epoch, if it says so: a UUID of version 7 or a
    /// ULID. Every other form is undated.
    #[must_use]
    pub fn made_at(&self) -> Option<i64> {
        // Their lengths tell them apart from each other, and from most that are neither.
        let text = self.0.as_bytes();
        match text.len() {
            26 => ulid_time(text.first_chunk()?),
            36 => uuid_time(text.first_chunk()?),
            _ => None,
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user's name within an app: 1 to 32 bytes of printable ASCII. Borrowed: it is only ever hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserId<'a>(&'a str);

impl<'a> UserId<'a> {
    /// Takes `text` as an id.
    ///
    /// # Errors
    /// [`IdFault`] if it is empty, longer than [`USER_ID_BYTES_MAX`] or not printable ASCII.
    pub fn parse(text: &'a str) -> Result<Self, IdFault> {
        check(text, USER_ID_BYTES_MAX).map(|()| Self(text))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_at(text: &str) -> Option<i64> {
        RequestId::parse(text).expect("it is an id").made_at()
    }

    #[test]
    fn dated_ids_say_when_they_were_made() {
        // The examples of RFC 9562 (A.6) and of the ULID specification.
        assert_eq!(
            made_at("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"),
            Some(1_645_557_742_000)
        );
        assert_eq!(
            made_at("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            Some(1_469_922_850_259)
        );
        assert_eq!(
            made_at("01arz3ndektsv4rrffq69g5fav"),
            Some(1_469_922_850_259)
        );
    }

    #[test]
    fn every_other_form_is_undated() {
        for text in [
            "017F22E2-79B0-4CC3-98C4-DC0C0C07398F",
            "017F22E2-79B0-7CC3-C8C4-DC0C0C07398F",
            "017F22E279B07CC398C4DC0C0C07398F",
            "017F22E2-79B0-7CC3-98C4-DC0C0C07398G",
            "{17F22E2-79B0-7CC3-98C4-DC0C0C07398F",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU",
            "create-1",
        ] {
            assert_eq!(made_at(text), None, "{text}");
        }
    }
}
