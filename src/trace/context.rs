//! W3C trace context: which trace a call belongs to.

use std::fmt;

use http::HeaderMap;

use crate::chance;

/// The header that names a call's trace.
const TRACEPARENT: &str = "traceparent";

/// A trace's id: not zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

/// A span's id: not zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SpanId(u64);

/// Who called, in which trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The caller's span; `None`: the trace begins here.
    pub parent: Option<SpanId>,
    /// Whether the caller records it.
    pub sampled: bool,
}

impl TraceId {
    /// Its bytes on the wire.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl SpanId {
    /// A new one.
    #[must_use]
    pub fn draw() -> Self {
        Self(chance::draw::<u64>().max(1))
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl Context {
    /// A trace that begins here, and is recorded.
    #[must_use]
    pub fn begin() -> Self {
        let (high, low) = (chance::draw::<u64>(), chance::draw::<u64>().max(1));
        Self {
            trace: TraceId(u128::from(high) << 64 | u128::from(low)),
            parent: None,
            sampled: true,
        }
    }

    /// Of a call with these headers; `None` if they name no trace.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(TRACEPARENT)?;
        Self::parse(text.to_str().ok()?)
    }

    /// From the text of a `traceparent` header; `None` if it has not the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace = hex(parts.next()?, 32)?;
        let parent = hex(parts.next()?, 16)?;
        let flags = hex(parts.next()?, 2)?;
        // A later version may have more parts, this one has not; and there is no version 255.
        let is_whole = version != 0 || parts.next().is_none();
        let parent = u64::try_from(parent).ok()?;
        let has_form = is_whole && version != 0xff && trace != 0 && parent != 0;
        has_form.then_some(Self {
            trace: TraceId(trace),
            parent: Some(SpanId(parent)),
            sampled: flags & 1 == 1,
        })
    }
}

/// So many hexadecimal digits, small letters alone.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_small = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let has_form = text.len() == digits && text.bytes().all(is_small);
    has_form.then(|| u128::from_str_radix(text, 16).ok())?
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_caller_is_read() {
        let context = Context::parse(&format!("00-{ID}-00f067aa0ba902b7-01")).expect("it is one");
        assert_eq!(context.trace.to_string(), ID);
        assert_eq!(
            context.parent.map(|of| of.to_string()).as_deref(),
            Some("00f067aa0ba902b7")
        );
        assert!(context.sampled);
        let not = Context::parse(&format!("00-{ID}-00f067aa0ba902b7-02")).expect("it is one");
        assert!(!not.sampled);
        // A later version may say more.
        assert!(Context::parse(&format!("01-{ID}-00f067aa0ba902b7-01-more")).is_some());
    }

    #[test]
    fn what_has_another_form_is_none() {
        let zero = "0".repeat(32);
        for text in [
            String::new(),
            "00".to_owned(),
            format!("ff-{ID}-00f067aa0ba902b7-01"),
            format!("00-{zero}-00f067aa0ba902b7-01"),
            format!("00-{ID}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", ID.to_uppercase()),
            format!("00-{ID}-00f067aa0ba902b7-01-more"),
            format!("00-{ID}-00f067aa0ba902b7"),
            format!("00-{}-00f067aa0ba902b7-01", &ID[1..]),
            format!("00-+{}-00f067aa0ba902b7-01", &ID[1..]),
        ] {
            assert_eq!(Context::parse(&text), None, "{text}");
        }
    }
}
