//! Calls as bytes: what a message is, however its frames are cut.

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};
use imquota::endpoint::Endpoint;
use imquota::grpc::proto::{CheckRequest, CheckResponse, GetUsageRequest, Resource};
use prost::Message;
use tokio::net::TcpStream;
use tonic::Code;

use crate::common::{Server, soon};

pub async fn connect(server: &Server) -> SendRequest<Bytes> {
    let Endpoint::Tcp(address) = server.endpoint else {
        panic!("it listens on TCP");
    };
    let stream = soon(TcpStream::connect(address))
        .await
        .expect("somebody listens");
    let (client, connection) = h2::client::handshake(stream)
        .await
        .expect("it speaks HTTP/2");
    tokio::spawn(connection);
    soon(client.ready()).await.expect("it takes calls")
}

fn request(content_type: &str) -> Request<()> {
    call_of("GetUsage", content_type)
}

fn call_of(method: &str, content_type: &str) -> Request<()> {
    Request::post(format!("http://localhost/imquota.v1.QuotaService/{method}"))
        .header("content-type", content_type)
        .header("te", "trailers")
        .body(())
        .expect("it is a request")
}

/// What GetUsage of app 7 says, with its prefix.
fn usage() -> Vec<u8> {
    framed(&GetUsageRequest { app_id: 7 })
}

/// A message with its prefix.
fn framed(message: &impl Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let length = u8::try_from(message.len()).expect("it is short");
    [&[0, 0, 0, 0, length], &message[..]].concat()
}

/// An open stream of checks: what is sent, and what comes back.
pub struct Stream {
    pub checks: SendStream<Bytes>,
    answers: RecvStream,
    held: Vec<u8>,
}

impl Stream {
    pub async fn open(client: &mut SendRequest<Bytes>) -> Self {
        let call = call_of("StreamChecks", "application/grpc");
        let (response, checks) = client
            .send_request(call, false)
            .expect("the connection is open");
        let answers = soon(response).await.expect("it is served").into_body();
        let held = Vec::new();
        Self {
            checks,
            answers,
            held,
        }
    }

    /// Sends one more account of app 1.
    pub fn asks(&mut self) {
        let check = CheckRequest {
            app_id: 1,
            resource: Resource::Account.into(),
            ..Default::default()
        };
        self.sends(&framed(&check));
    }

    fn sends(&mut self, bytes: &[u8]) {
        let sent = self.checks.send_data(Bytes::copy_from_slice(bytes), false);
        sent.expect("the stream is open");
    }

    /// How many are counted, by the next answer; or the status that the stream ends with.
    pub async fn hears(&mut self) -> Result<u64, Option<Code>> {
        loop {
            if let [_, a, b, c, d, rest @ ..] = &self.held[..] {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                if let Some(message) = rest.get(..length) {
                    let answer = CheckResponse::decode(message).expect("it is an answer");
                    self.held.drain(..5 + length);
                    return Ok(answer.used);
                }
            }
            let Some(data) = soon(self.answers.data()).await else {
                let trailers = soon(self.answers.trailers()).await.expect("it is whole");
                return Err(trailers.as_ref().and_then(code));
            };
            let data = data.expect("it is whole");
            let _ = self.answers.flow_control().release_capacity(data.len());
            self.held.extend(data);
        }
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers
        .get("grpc-status")
        .map(|status| Code::from_bytes(status.as_bytes()))
}

/// The status of a call whose body is sent in these pieces, and then left open or not.
async fn call(client: &mut SendRequest<Bytes>, pieces: &[&[u8]]) -> Option<Code> {
    let (response, mut body) = client
        .send_request(request("application/grpc"), false)
        .expect("the connection is open");
    for piece in pieces {
        // The server may have made up its mind already.
        let _ = body.send_data(Bytes::copy_from_slice(piece), false);
        // Lets the connection send the piece on its own.
        tokio::task::yield_now().await;
    }
    let _ = body.send_data(Bytes::new(), true);
    let response = soon(response).await.expect("there is an answer");
    if let Some(code) = code(response.headers()) {
        return Some(code);
    }
    let mut body = response.into_body();
    while let Some(data) = soon(body.data()).await {
        let data = data.expect("the answer is whole");
        let _ = body.flow_control().release_capacity(data.len());
    }
    let trailers = soon(body.trailers()).await.expect("the answer is whole");
    trailers.as_ref().and_then(code)
}

#[tokio::test]
async fn a_message_may_come_in_any_pieces() {
    let server = Server::start();
    let mut client = connect(&server).await;
    let whole = usage();
    let expected = call(&mut client, &[&whole]).await;
    assert_eq!(expected, Some(Code::NotFound), "nobody knows app 7");
    for cut in 0..=whole.len() {
        let (left, right) = whole.split_at(cut);
        assert_eq!(call(&mut client, &[left, right]).await, expected, "{cut}");
    }
    let bytes: Vec<_> = whole.chunks(1).collect();
    assert_eq!(call(&mut client, &bytes).await, expected);
}

#[tokio::test]
async fn what_is_not_one_message_is_refused() {
    let server = Server::start();
    let mut client = connect(&server).await;
    let whole = usage();
    let early = &whole[..whole.len() - 1];
    for (pieces, why) in [
        (&[][..], "nothing"),
        (&[&whole[..3]], "no whole prefix"),
        (&[early], "a message that ends early"),
        (&[&whole[..], &whole[..]], "two messages"),
        (&[&[0, 0, 0, 0, 1, 0xff]], "no message of the contract"),
        (
            &[&[1, 0, 0, 0, 0]],
            "a packed message that does not say how",
        ),
    ] {
        let code = call(&mut client, pieces).await;
        assert_eq!(code, Some(Code::InvalidArgument), "{why}");
    }
    let huge = call(&mut client, &[&[0, 255, 255, 255, 255]]).await;
    assert_eq!(huge, Some(Code::OutOfRange));
    assert_eq!(
        call(&mut client, &[&whole]).await,
        Some(Code::NotFound),
        "it goes on"
    );
}

/// What is no check at all ends a stream: what came before it is answered, what is behind it was not decided.
#[tokio::test]
async fn what_is_no_check_ends_its_stream() {
    let server = Server::start_met().await;
    let mut client = connect(&server).await;
    let mut counted = 0;
    for (broken, status) in [
        (&[0, 0, 0, 0, 1, 0xff][..], Code::InvalidArgument),
        (&[0, 255, 255, 255, 255], Code::OutOfRange),
    ] {
        let mut stream = Stream::open(&mut client).await;
        for _ in 0..3 {
            stream.asks();
        }
        stream.sends(broken);
        stream.asks();
        for _ in 0..3 {
            counted += 1;
            assert_eq!(stream.hears().await, Ok(counted));
        }
        assert_eq!(stream.hears().await, Err(Some(status)));
    }
    let mut stream = Stream::open(&mut client).await;
    stream.asks();
    assert_eq!(stream.hears().await, Ok(counted + 1), "it goes on");
}

#[tokio::test]
async fn what_is_no_grpc_is_told_so() {
    let server = Server::start();
    let mut client = connect(&server).await;
    let (response, _) = client
        .send_request(request("application/json"), true)
        .expect("the connection is open");
    let response = soon(response).await.expect("there is an answer");
    assert_eq!(response.status(), 415);
}
