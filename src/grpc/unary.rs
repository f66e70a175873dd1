//! The framing of a plain unary call: one message in, one message and a status out.
//!
//! The generated service does the same for every kind of call, and for packed messages; its price is
//! several times that of a decision. So the calls of the hot path are framed here.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName};
use prost::Message;
use tokio::time::timeout;
use tonic::Status;

use super::edge::MESSAGE_BYTES_MAX;
use super::inflow::{Inflow, WHOLE_MAX};
use super::proto::CheckResponse;
use super::relay::Reply;
use super::{codec, fault};

/// Before a message: whether it is packed (one byte), and its length (four).
pub(super) const PREFIX_BYTES: usize = 5;
/// Room for an answer to a check: nearly all are shorter.
const ANSWER_BYTES: usize = 48;
const GRPC: &[u8] = b"application/grpc";
static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Whether a request with these headers is a gRPC call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let rest = kind.as_bytes().strip_prefix(GRPC);
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}

/// Whether its message may be packed, which is not undone here.
pub(super) fn may_be_packed(headers: &HeaderMap) -> bool {
    headers.contains_key(&GRPC_ENCODING)
}

/// A call's only message, on its way.
pub(super) struct Reading {
    body: Inflow,
    held: Bytes,
    /// What was read last, and is still counted against what the client may send.
    counted: usize,
}

impl Reading {
    /// Nothing was read of it yet.
    pub(super) fn new(body: Inflow) -> Self {
        let (held, counted) = (Bytes::new(), 0);
        Self {
            body,
            held,
            counted,
        }
    }

    /// Reads the message, up to the end of its stream, and leaves its prefix out.
    pub(super) async fn whole(mut self) -> Result<Bytes, Status> {
        let whole = timeout(WHOLE_MAX, poll_fn(|cx| self.poll(cx))).await;
        let whole = whole.unwrap_or_else(|_| Err(fault::too_slow(WHOLE_MAX)));
        self.make_room();
        whole
    }

    /// Lets the client send as much as was read. The end of a call does the same, so that one which is
    /// answered at once needs none of it; one that waits must not keep others from coming.
    pub(super) fn make_room(&mut self) {
        let counted = std::mem::take(&mut self.counted);
        self.body.make_room(counted);
    }

    /// As [`Reading::whole`], as far as it has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        loop {
            let wanted = wanted(&self.held)?;
            if self.held.len() > wanted {
                let problem = "more than one message was sent";
                return Poll::Ready(Err(fault::malformed(problem)));
            }
            let complete = self.held.len() == wanted;
            if complete && self.body.is_end() {
                break;
            }
            match ready!(self.body.poll_data(cx)) {
                Some(Ok(data)) => self.add(data)?,
                // The client went away; nobody hears of it.
                Some(Err(problem)) => {
                    return Poll::Ready(Err(Status::cancelled(problem.to_string())));
                }
                // Trailers of a request say nothing that is known here.
                None if complete => break,
                None => return Poll::Ready(Err(fault::malformed("the message ends early"))),
            }
        }
        Poll::Ready(Ok(self.held.split_off(PREFIX_BYTES)))
    }

    fn add(&mut self, data: Bytes) -> Result<(), Status> {
        self.counted += data.len();
        let length = self.held.len() + data.len();
        if !self.body.is_end() {
            self.make_room();
            self.body.hold(length)?;
        }
        self.held = joined(std::mem::take(&mut self.held), data);
        Ok(())
    }
}

/// Two pieces as one.
pub(super) fn joined(first: Bytes, second: Bytes) -> Bytes {
    if first.is_empty() {
        return second;
    }
    if second.is_empty() {
        return first;
    }
    let mut both = first
        .try_into_mut()
        .unwrap_or_else(|first| BytesMut::from(&first[..]));
    both.extend_from_slice(&second);
    both.freeze()
}

/// Reads a message.
pub(super) fn decode<M: Message + Default>(message: &[u8]) -> Result<M, Status> {
    M::decode(message).map_err(|problem| fault::malformed(&problem.to_string()))
}

/// How many bytes a message has that begins with `held`, its prefix included.
pub(super) fn wanted(held: &[u8]) -> Result<usize, Status> {
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

/// The answer to a check, or its fault.
pub(super) fn respond_check(answer: Result<CheckResponse, Status>) -> Reply {
    match answer {
        Ok(answer) => Reply::Message(framed(ANSWER_BYTES, |to| codec::put_answer(&answer, to))),
        Err(status) => status.into(),
    }
}

/// The answer to a batch, or its fault.
pub(super) fn respond_batch(answers: Result<Vec<CheckResponse>, Status>) -> Reply {
    match answers {
        Ok(answers) => {
            let length = answers.len() * ANSWER_BYTES;
            Reply::Message(framed(length, |to| codec::put_answers(&answers, to)))
        }
        Err(status) => status.into(),
    }
}

/// The answer to a call, or its fault.
pub(super) fn respond(answer: Result<impl Message, Status>) -> Reply {
    match answer {
        Ok(message) => Reply::Message(frame(&message)),
        Err(status) => status.into(),
    }
}

fn frame(message: &impl Message) -> Bytes {
    framed(message.encoded_len(), |to| {
        // Can only fail for want of room, and a vector grows.
        let _ = message.encode(to);
    })
}

/// The frame of a message that `put` writes, of about so many bytes.
pub(super) fn framed(length: usize, put: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut frame = Vec::with_capacity(PREFIX_BYTES + length);
    add_frame(&mut frame, put);
    frame.into()
}

/// Adds the frame of a message that `put` writes.
pub(super) fn add_frame(to: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let begin = to.len();
    to.put_bytes(0, PREFIX_BYTES);
    put(to);
    // Answers are far smaller than the 4 GiB that fit the prefix.
    let length = u32::try_from(to.len() - begin - PREFIX_BYTES).unwrap_or(u32::MAX);
    to[begin + 1..begin + PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tonic::Code;

    use super::super::inflow::Parts;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_message_that_does_not_come_as_a_whole_is_given_up() {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let (server, client) =
            tokio::join!(h2::server::handshake(server), h2::client::handshake(client));
        let (mut calls, connection) = client.unwrap();
        tokio::spawn(connection);
        let (_answer, mut stream) = calls.send_request(http::Request::new(()), false).unwrap();
        stream
            .send_data(Bytes::from_static(&[0, 0, 0, 0, 9, 8]), false)
            .unwrap();
        let mut server = server.unwrap();
        let (request, _respond) = server.accept().await.unwrap().unwrap();
        tokio::spawn(async move { while server.accept().await.is_some() {} });
        let reading = Reading::new(Inflow::new(request.into_body(), Parts::default()));
        let began = tokio::time::Instant::now();
        let late = reading.whole().await.unwrap_err();
        assert_eq!(
            (late.code(), began.elapsed()),
            (Code::DeadlineExceeded, WHOLE_MAX)
        );
    }

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
