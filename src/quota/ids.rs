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
fn check(text: &str, max: usize) -> Result<(), IdFault> {
    if text.is_empty() {
        return Err(IdFault::Empty);
    }
    if text.len() > max {
        return Err(IdFault::TooLong {
            bytes: text.len(),
            max,
        });
    }
    match text.bytes().position(|byte| !(0x20..=0x7e).contains(&byte)) {
        Some(at) => Err(IdFault::Unprintable {
            byte: text.as_bytes()[at],
            at,
        }),
        None => Ok(()),
    }
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
