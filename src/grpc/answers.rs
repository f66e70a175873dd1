//! The answers to a stream of checks as the body of its response: those that are ready leave together.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use tonic::Status;

use super::codec::put_answer;
use super::relay;
use super::stream::Checks;
use super::unary::add_frame;

/// Answers that are ready go out together, up to about so many bytes: those of a turn ([`super::turns::TURN`]).
const TOGETHER_BYTES: usize = 16 * 1024 - 256;

/// The body that the answers make. It ends with their status.
pub(super) struct Answers {
    checks: Checks,
    /// The status, once it is known and what was before it has gone.
    status: Option<Status>,
    told: bool,
}

impl Answers {
    /// The answers of `checks`.
    pub(super) fn new(checks: Checks) -> Self {
        let (status, told) = (None, false);
        Self {
            checks,
            status,
            told,
        }
    }
}

impl http_body::Body for Answers {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.told {
            return Poll::Ready(None);
        }
        this.checks.look(cx);
        let mut out = Vec::new();
        while this.status.is_none() && out.len() < TOGETHER_BYTES {
            match this.checks.poll_answer(cx) {
                Poll::Ready(Some(Ok(answer))) => {
                    if out.is_empty() {
                        // Most are fewer.
                        out.reserve_exact(TOGETHER_BYTES / 4);
                    }
                    add_frame(&mut out, |to| put_answer(&answer, to));
                }
                Poll::Ready(Some(Err(status))) => this.status = Some(status),
                Poll::Ready(None) => this.status = Some(Status::ok("")),
                Poll::Pending if out.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if !out.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(out.into()))));
        }
        this.told = true;
        let status = this.status.take().unwrap_or_else(|| Status::ok(""));
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))))
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        // What a status says is text of ours, which can be written; if not, the client hears no more.
        let internal = HeaderValue::from_static("13");
        trailers.insert(relay::GRPC_STATUS, internal);
    }
    trailers
}
