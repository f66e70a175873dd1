//! The checks of a stream, one after the other, however its frames are cut.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::Stream as _;
use tonic::{Status, Streaming};

use super::codec::Asked;
use super::fault;
use super::inflow::Inflow;
use super::proto::CheckRequest;
use super::unary::{self, PREFIX_BYTES, joined, wanted};

/// Where the checks of a stream come from.
pub(super) enum Messages {
    /// Plain ones.
    Plain(Plain),
    /// Those that may be packed: the generated service reads them.
    Packed(Streaming<CheckRequest>),
}

/// A stream of plain messages.
pub(super) struct Plain {
    body: Inflow,
    /// What came last: whole messages, and the beginning of another.
    held: Bytes,
    /// How much of that was read.
    read: usize,
}

impl Messages {
    /// The messages of `body`, none of which is packed.
    pub(super) fn plain(body: Inflow) -> Self {
        let (held, read) = (Bytes::new(), 0);
        Self::Plain(Plain { body, held, read })
    }

    /// What `read` makes of the next check; `None` at the end.
    pub(super) fn poll_next<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&Asked<'_>) -> T,
    ) -> Poll<Result<Option<T>, Status>> {
        match self {
            Self::Plain(plain) => plain.poll_next(cx, read),
            Self::Packed(messages) => {
                let next = ready!(Pin::new(messages).poll_next(cx)).transpose()?;
                Poll::Ready(Ok(next.map(|request| read(&Asked::from(&request)))))
            }
        }
    }
}

impl Plain {
    fn poll_next<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&Asked<'_>) -> T,
    ) -> Poll<Result<Option<T>, Status>> {
        let length = loop {
            let rest = &self.held[self.read..];
            let wanted = wanted(rest)?;
            if rest.len() >= wanted {
                break wanted;
            }
            let Poll::Ready(next) = self.body.poll_data(cx) else {
                self.body.hold(rest.len())?;
                return Poll::Pending;
            };
            match next {
                Some(Ok(data)) => {
                    // What is held is bounded by one frame and one message.
                    self.body.make_room(data.len());
                    self.held.advance(std::mem::take(&mut self.read));
                    self.held = joined(std::mem::take(&mut self.held), data);
                }
                // The client went away; nobody hears of it.
                Some(Err(problem)) => {
                    return Poll::Ready(Err(Status::cancelled(problem.to_string())));
                }
                None if self.read == self.held.len() => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Err(fault::malformed("the message ends early"))),
            }
        };
        let message = &self.held[self.read + PREFIX_BYTES..self.read + length];
        self.read += length;
        if let Some(asked) = Asked::read(message) {
            return Poll::Ready(Ok(Some(read(&asked))));
        }
        let request = unary::decode::<CheckRequest>(message)?;
        Poll::Ready(Ok(Some(read(&Asked::from(&request)))))
    }
}
