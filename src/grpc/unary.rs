//! The framing of a plain unary call: one message in, one message and a status out.
//!
//! The generated service does the same for every kind of call, and for packed messages; its price is
//! several times that of a decision. So the calls of the hot path are framed here.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use prost::Message;
use tonic::Status;

use super::edge::MESSAGE_BYTES_MAX;
use super::fault;

/// Before a message: whether it is packed (one byte), and its length (four).
const PREFIX_BYTES: usize = 5;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_ENCODING: &str = "grpc-encoding";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const OK: HeaderValue = HeaderValue::from_static("0");

/// Whether a request with these headers is a gRPC call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let rest = kind.as_bytes().strip_prefix(GRPC.as_bytes());
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}

/// Whether its message may be packed, which is not undone here.
pub(super) fn may_be_packed(headers: &HeaderMap) -> bool {
    headers.contains_key(GRPC_ENCODING)
}

/// Reads a call's only message, up to the end of its stream.
pub(super) async fn read<M: Message + Default>(body: &mut Incoming) -> Result<M, Status> {
    let mut held = Bytes::new();
    loop {
        let wanted = wanted(&held)?;
        if held.len() > wanted {
            return Err(fault::malformed("more than one message was sent"));
        }
        let complete = held.len() == wanted;
        if complete && body.is_end_stream() {
            break;
        }
        match next(body).await? {
            Some(data) if held.is_empty() => held = data,
            Some(data) => {
                let mut both = held
                    .try_into_mut()
                    .unwrap_or_else(|held| BytesMut::from(&held[..]));
                both.extend_from_slice(&data);
                held = both.freeze();
            }
            None if complete => break,
            None => return Err(fault::malformed("the message ends early")),
        }
    }
    M::decode(held.slice(PREFIX_BYTES..)).map_err(|problem| fault::malformed(&problem.to_string()))
}

/// How many bytes a message has that begins with `held`, its prefix included.
fn wanted(held: &[u8]) -> Result<usize, Status> {
    let Some(&[packed, a, b, c, d]) = held.first_chunk::<PREFIX_BYTES>() else {
        // Its length is not known yet, but it has not ended.
        return Ok(PREFIX_BYTES);
    };
    if packed != 0 {
        return Err(fault::malformed(
            "the message is packed, but grpc-encoding does not say how",
        ));
    }
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if length > MESSAGE_BYTES_MAX {
        return Err(Status::out_of_range(format!(
            "the message has {length} bytes; at most {MESSAGE_BYTES_MAX} are read"
        )));
    }
    Ok(PREFIX_BYTES + length)
}

/// The next data of a body; trailers of a request say nothing that is known here.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Status> {
    match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
        // The client went away; nobody hears of it.
        Some(Err(problem)) => Err(Status::cancelled(problem.to_string())),
        None => Ok(None),
    }
}

/// The answer to a call, or its fault.
pub(super) fn respond(answer: Result<impl Message, Status>) -> Response<Body> {
    match answer {
        Ok(message) => {
            let mut response = Response::new(Body::Message(frame(&message)));
            response.headers_mut().insert(CONTENT_TYPE, GRPC);
            response
        }
        Err(status) => status.into_http(),
    }
}

/// The answer to a request that is no gRPC at all.
pub(super) fn refuse() -> Response<Body> {
    let mut response = Response::new(Body::End);
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = Vec::with_capacity(PREFIX_BYTES + length);
    frame.put_u8(0);
    // Answers are far smaller than the 4 GiB that fit the prefix.
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // Can only fail for want of room, and a vector grows.
    let _ = message.encode(&mut frame);
    frame.into()
}

/// The body of an answer.
#[derive(Default)]
pub(super) enum Body {
    /// A message, then the status OK.
    Message(Bytes),
    /// The status OK.
    Status,
    /// Nothing, or nothing more.
    #[default]
    End,
    /// What a generated service made.
    Other(tonic::body::Body),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match &mut *self {
            Self::Message(message) => {
                let message = std::mem::take(message);
                self.set(Self::Status);
                Poll::Ready(Some(Ok(Frame::data(message))))
            }
            Self::Status => {
                self.set(Self::End);
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(GRPC_STATUS, OK);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Self::End => Poll::Ready(None),
            Self::Other(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Message(_) | Self::Status => false,
            Self::End => true,
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Message(message) => SizeHint::with_exact(message.len() as u64),
            Self::Status | Self::End => SizeHint::with_exact(0),
            Self::Other(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_message_is_complete_at_its_length() {
        assert_eq!(wanted(&[]).ok(), Some(PREFIX_BYTES));
        assert_eq!(wanted(&[0, 0, 0, 1]).ok(), Some(PREFIX_BYTES));
        assert_eq!(wanted(&[0, 0, 0, 0, 0]).ok(), Some(PREFIX_BYTES));
        assert_eq!(wanted(&[0, 0, 0, 1, 2, 9]).ok(), Some(PREFIX_BYTES + 258));
        assert_eq!(
            wanted(&[0, 0, 4, 0, 0]).ok(),
            Some(PREFIX_BYTES + MESSAGE_BYTES_MAX)
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_its_prefix() {
        for (prefix, code) in [
            ([0, 0, 4, 0, 1], Code::OutOfRange),
            ([0, 255, 255, 255, 255], Code::OutOfRange),
            ([1, 0, 0, 0, 1], Code::InvalidArgument),
            ([2, 0, 0, 0, 1], Code::InvalidArgument),
        ] {
            let status = wanted(&prefix).expect_err("it cannot be read");
            assert_eq!(status.code(), code, "{prefix:?}");
        }
    }

    #[test]
    fn a_call_is_known_by_its_content_type() {
        for (kind, grpc) in [
            (Some("application/grpc"), true),
            (Some("application/grpc+proto"), true),
            (Some("application/grpc;x=y"), true),
            (Some("application/grpc-web"), false),
            (Some("text/html"), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(kind) = kind {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            assert_eq!(is_grpc(&headers), grpc, "{kind:?}");
        }
    }
}
