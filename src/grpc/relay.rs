//! An answer on its way out: written as far as the client takes it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body as _, Frame};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;

use super::turns::{CALL, Standing};
use super::unread::{Held, TAKE_MAX, Unread};
use crate::metrics::GivenUp;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// Where a call's status stands.
pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const OK: HeaderValue = HeaderValue::from_static("0");

/// Of the answers to many checks so many bytes are one step of a turn: about eight answers. What they take is less than
/// that of one call and more than an eighth of it; a turn of fewer would have each written in smaller parts, which costs more
/// than the answers.
const STEP_BYTES: u64 = 128;

/// A message of so many bytes is sent without asking whether its client takes it.
const SMALL_BYTES: usize = 1024;

/// The answer to a call.
pub(super) enum Reply {
    /// A framed message, then the status OK.
    Message(Bytes),
    /// Headers alone.
    Headers(Response<()>),
    /// One that goes on: what a generated service made, or a stream.
    Flowing(Response<Body>),
}

impl Reply {
    /// An answer that goes on as long as `body` does.
    pub(super) fn stream(
        body: impl http_body::Body<Data = Bytes, Error = Status> + Send + 'static,
    ) -> Self {
        let mut response = Response::new(Body::new(body));
        response.headers_mut().insert(CONTENT_TYPE, GRPC);
        Self::Flowing(response)
    }

    /// What it was to come to this answer, as turns are reckoned: a batch is many checks.
    pub(super) fn work(&self) -> u64 {
        match self {
            Self::Message(message) => work_for(message),
            Self::Headers(_) | Self::Flowing(_) => CALL,
        }
    }

    /// The answer to a request that is no gRPC at all.
    pub(super) fn no_grpc() -> Self {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::Headers(response)
    }
}

impl From<Status> for Reply {
    fn from(status: Status) -> Self {
        Self::Headers(status.into_http())
    }
}

/// What is left of a reply.
pub(super) struct Rest {
    what: What,
    stream: SendStream<Bytes>,
    unread: Unread,
}

enum What {
    /// A message, then the status OK.
    Message(Bytes, Option<Held>),
    /// What goes on, in turn with others.
    Body(Box<Body>, Standing),
}

impl Rest {
    /// Sends it, as fast as the client takes it.
    pub(super) async fn finish(self) -> Result<(), h2::Error> {
        let Self {
            what,
            mut stream,
            unread,
        } = self;
        match what {
            What::Message(message, None) => {
                tracing::debug!(
                    bytes = message.len(),
                    "an answer was given up: too many wait"
                );
                unread.give_up(GivenUp::Crowded);
                stream.send_reset(Reason::ENHANCE_YOUR_CALM);
                Ok(())
            }
            What::Message(message, held) => {
                match send_all(message, &mut stream, held, &unread).await? {
                    Sent::All => end(&mut stream),
                    Sent::GivenUp => Ok(()),
                }
            }
            What::Body(body, standing) => pour(*body, stream, standing, unread).await,
        }
    }
}

/// Says that all is well, behind a message.
fn end(stream: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, OK);
    stream.send_trailers(trailers)
}

/// Sends a reply; what of it cannot be sent at once is left to whoever waits for it.
pub(super) fn send(
    reply: Reply,
    respond: &mut SendResponse<Bytes>,
    standing: &Standing,
    unread: &Unread,
) -> Result<Option<Rest>, h2::Error> {
    match reply {
        Reply::Message(message) => {
            let mut response = Response::new(());
            response.headers_mut().insert(CONTENT_TYPE, GRPC);
            let mut stream = respond.send_response(response, false)?;
            if message.len() > SMALL_BYTES {
                stream.reserve_capacity(message.len());
                if stream.capacity() < message.len() {
                    // From now on, so that whoever begins calls sees it.
                    let held = unread.hold(message.len());
                    return Ok(Some(Rest {
                        what: What::Message(message, held),
                        stream,
                        unread: unread.clone(),
                    }));
                }
            }
            stream.send_data(message, false)?;
            end(&mut stream)?;
            Ok(None)
        }
        Reply::Headers(response) => {
            respond.send_response(response, true)?;
            Ok(None)
        }
        Reply::Flowing(response) => {
            let (head, body) = response.into_parts();
            let ends = body.is_end_stream();
            let stream = respond.send_response(Response::from_parts(head, ()), ends)?;
            Ok((!ends).then(|| Rest {
                what: What::Body(Box::new(body), standing.another()),
                stream,
                unread: unread.clone(),
            }))
        }
    }
}

/// Waits for `reply`, unless the client gives the call up: nobody would read it then.
pub(super) async fn unless_reset(
    reply: impl Future<Output = Reply>,
    respond: &mut SendResponse<Bytes>,
) -> Option<Reply> {
    let mut reply = pin!(reply);
    poll_fn(|cx| match reply.as_mut().poll(cx) {
        Poll::Ready(reply) => Poll::Ready(Some(reply)),
        Poll::Pending => respond.poll_reset(cx).map(|_| None),
    })
    .await
}

/// Writes a body, as fast as the client takes it and in turn with others.
async fn pour(
    mut body: Body,
    mut to: SendStream<Bytes>,
    mut standing: Standing,
    unread: Unread,
) -> Result<(), h2::Error> {
    loop {
        if unread.is_full() {
            tokio::select! {
                biased;
                reason = poll_fn(|cx| to.poll_reset(cx)) => return Err(reason?.into()),
                () = unread.room() => {}
            }
        }
        let next = poll_fn(|cx| {
            // A client that gave the call up must not hold a service that waits for something.
            if let Poll::Ready(reason) = to.poll_reset(cx)? {
                return Poll::Ready(Err(h2::Error::from(reason)));
            }
            ready!(standing.poll_turn(cx));
            let frame = Pin::new(&mut body).poll_frame(cx);
            standing.had(work(&frame));
            frame.map(Ok)
        });
        let frame = match next.await? {
            None => return to.send_data(Bytes::new(), true),
            Some(Ok(frame)) => frame,
            Some(Err(problem)) => {
                to.send_reset(Reason::INTERNAL_ERROR);
                tracing::debug!(%problem, "a service broke off its answer");
                return Ok(());
            }
        };
        match frame.into_data() {
            Ok(data) => match send_all(data, &mut to, None, &unread).await? {
                Sent::All => {}
                Sent::GivenUp => return Ok(()),
            },
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return to.send_trailers(trailers);
                }
            }
        }
    }
}

/// What a part of a body is reckoned at.
fn work(frame: &Poll<Option<Result<Frame<Bytes>, Status>>>) -> u64 {
    match frame {
        Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(CALL, work_for),
        _ => 0,
    }
}

fn work_for(answers: &Bytes) -> u64 {
    CALL.max(answers.len() as u64 / STEP_BYTES)
}

/// What became of an answer.
enum Sent {
    All,
    /// The client does not take it.
    GivenUp,
}

/// Writes `data` in parts of what there is room for.
async fn send_all(
    mut data: Bytes,
    to: &mut SendStream<Bytes>,
    mut held: Option<Held>,
    unread: &Unread,
) -> Result<Sent, h2::Error> {
    while !data.is_empty() {
        to.reserve_capacity(data.len());
        while to.capacity() == 0 {
            if held.is_none() {
                held = unread.hold(data.len());
            }
            let room = poll_fn(|cx| match to.poll_capacity(cx) {
                Poll::Ready(Some(room)) => Poll::Ready(room),
                // The stream takes no more.
                Poll::Ready(None) => Poll::Ready(Err(Reason::CANCEL.into())),
                Poll::Pending => Poll::Pending,
            });
            let waited = match held {
                Some(_) => timeout(TAKE_MAX, room).await.ok(),
                None => None,
            };
            let Some(room) = waited else {
                unread.give_up(match held {
                    Some(_) => GivenUp::Untaken,
                    None => GivenUp::Crowded,
                });
                to.send_reset(Reason::ENHANCE_YOUR_CALM);
                tracing::debug!("an answer was given up: its client does not take it");
                return Ok(Sent::GivenUp);
            };
            room?;
        }
        let part = data.split_to(to.capacity().min(data.len()));
        to.send_data(part, false)?;
    }
    Ok(Sent::All)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::super::turns::Turns;
    use super::*;
    use crate::metrics::Unserved;

    /// A client that gives no room for any answer, and asks one call.
    async fn asks_and_takes_nothing(stream: tokio::io::DuplexStream) {
        let mut open = h2::client::Builder::new();
        open.initial_window_size(0);
        let (sender, connection) = open.handshake::<_, Bytes>(stream).await.unwrap();
        let asking = async {
            let mut sender = sender.ready().await.unwrap();
            let call = http::Request::post("http://localhost/").body(()).unwrap();
            let _answer = sender.send_request(call, true).unwrap();
            pending::<()>().await;
        };
        tokio::select! {
            () = asking => {}
            ended = connection => panic!("the connection ended: {ended:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_given_up_and_counted() {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let client = tokio::spawn(asks_and_takes_nothing(far));
        let mut connection = h2::server::handshake(near).await.unwrap();
        let (_call, mut respond) = connection.accept().await.unwrap().unwrap();
        let unserved = Unserved::default();
        let unread = Unread::counted_by(unserved.clone());
        let answer = || Reply::Message(vec![0; SMALL_BYTES + 1].into());
        let standing = Turns::default().standing();
        let rest = send(answer(), &mut respond, &standing, &unread).unwrap();
        let rest = rest.expect("there is no room for it");
        assert_eq!(unserved.answers(GivenUp::Untaken), 0);
        tokio::select! {
            ended = rest.finish() => ended.unwrap(),
            ended = connection.accept() => panic!("one call was asked: {:?}", ended.is_some()),
        }
        assert_eq!(unserved.answers(GivenUp::Untaken), 1);
        assert_eq!(unserved.answers(GivenUp::Crowded), 0);
        assert!(!client.is_finished());
        client.abort();
    }
}
