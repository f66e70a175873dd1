//! What a client sends with a call, and how much memory messages take that have come in part.
//!
//! Most come as a whole, and are gone before anything is counted. Of the others all connections together may hold so much,
//! and one of them no more than what is left for all: half of it alone, a third each of two that hold what they can. So a
//! client that sends many beginnings and no end leaves room for whoever sends few.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use tonic::Status;

use super::fault;

/// The most bytes of messages that have come in part, of all connections of a listener's.
const ALL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long the only message of a call may take to come as a whole.
pub(super) const WHOLE_MAX: Duration = Duration::from_secs(30);

/// How much of them there is. Its clones are of the same connection.
#[derive(Clone, Default)]
pub(super) struct Parts(Arc<Here>);

#[derive(Default)]
struct Here {
    all: Arc<AtomicUsize>,
    bytes: AtomicUsize,
}

impl Parts {
    /// Those of another connection.
    pub(super) fn of_another(&self) -> Self {
        Self(Arc::new(Here {
            all: Arc::clone(&self.0.all),
            bytes: AtomicUsize::new(0),
        }))
    }
}

/// The stream of a request.
pub(super) struct Inflow {
    stream: RecvStream,
    part: Part,
}

impl Inflow {
    /// What comes by `stream`, on a connection with `parts`.
    pub(super) fn new(stream: RecvStream, parts: Parts) -> Self {
        let part = Part {
            of: parts,
            bytes: 0,
        };
        Self { stream, part }
    }

    /// What comes next.
    pub(super) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, h2::Error>>> {
        self.stream.poll_data(cx)
    }

    /// What comes behind all.
    pub(super) fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<HeaderMap>, h2::Error>> {
        self.stream.poll_trailers(cx)
    }

    /// Whether nothing more comes.
    pub(super) fn is_end(&self) -> bool {
        self.stream.is_end_stream()
    }

    /// Lets the client send so much more.
    pub(super) fn make_room(&mut self, bytes: usize) {
        // It can only fail if there is nothing to come.
        let _ = self.stream.flow_control().release_capacity(bytes);
    }

    /// So much is held of a message that has not come as a whole; less than before is always granted.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Status> {
        self.part.set(bytes)
    }
}

/// What is held of one message.
struct Part {
    of: Parts,
    bytes: usize,
}

impl Part {
    fn set(&mut self, bytes: usize) -> Result<(), Status> {
        let Here { all, bytes: here } = &*self.of.0;
        if bytes <= self.bytes {
            let less = self.bytes - bytes;
            if less > 0 {
                here.fetch_sub(less, Ordering::Relaxed);
                all.fetch_sub(less, Ordering::Relaxed);
                self.bytes = bytes;
            }
            return Ok(());
        }
        let more = bytes - self.bytes;
        let here_then = here.fetch_add(more, Ordering::Relaxed) + more;
        let all_then = all.fetch_add(more, Ordering::Relaxed) + more;
        self.bytes = bytes;
        if here_then <= ALL_BYTES_MAX.saturating_sub(all_then) {
            return Ok(());
        }
        Err(fault::overloaded(
            "too much is held of messages that have not come as a whole; send each in one go"
                .into(),
        ))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Less is always granted.
        let _ = self.set(0);
    }
}

/// Where one message ends and the next begins, in bytes that come in any pieces: how much there is of one that is not whole.
#[derive(Default)]
pub(super) struct Framing {
    prefix: [u8; PREFIX_BYTES],
    /// Bytes of the message, its prefix included.
    held: usize,
}

const PREFIX_BYTES: usize = super::unary::PREFIX_BYTES;

impl Framing {
    /// So much is held of the last message, once `data` has come.
    pub(super) fn held(&mut self, mut data: &[u8]) -> usize {
        while !data.is_empty() {
            if self.held < PREFIX_BYTES {
                let taken = data.len().min(PREFIX_BYTES - self.held);
                self.prefix[self.held..self.held + taken].copy_from_slice(&data[..taken]);
                self.held += taken;
                data = &data[taken..];
            }
            if self.held < PREFIX_BYTES {
                break;
            }
            let [_, a, b, c, d] = self.prefix;
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            let left = length.saturating_sub(self.held - PREFIX_BYTES);
            let taken = data.len().min(left);
            self.held += taken;
            data = &data[taken..];
            if taken == left {
                self.held = 0;
            }
        }
        self.held
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn part(of: &Parts) -> Part {
        Part {
            of: of.clone(),
            bytes: 0,
        }
    }

    #[test]
    fn who_holds_much_leaves_as_much_for_others() {
        let (one, other) = {
            let parts = Parts::default();
            (parts.of_another(), parts.of_another())
        };
        let (mut held, mut more) = (part(&one), part(&one));
        held.set(ALL_BYTES_MAX / 2).unwrap();
        let refused = more.set(1).unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        more.set(0).unwrap();
        let mut others = part(&other);
        others.set(ALL_BYTES_MAX / 4).unwrap();
        assert!(others.set(ALL_BYTES_MAX / 4 + 1).is_err());
        drop((held, more, others));
        assert_eq!(one.0.all.load(Ordering::Relaxed), 0);
        assert_eq!(one.0.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_held_is_the_message_that_is_not_whole() {
        let bytes = [&[0, 0, 0, 0, 3, 7, 7, 7][..], &[0; 5], &[0, 0, 0, 1, 0, 9]].concat();
        for step in 1..=bytes.len() {
            let mut framing = Framing::default();
            let held = bytes.chunks(step).map(|piece| framing.held(piece));
            let held: Vec<_> = held.collect();
            assert_eq!(held.last(), Some(&6), "{step}");
            if step == 1 {
                let all = [1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6];
                assert_eq!(held, all);
            }
        }
    }
}
