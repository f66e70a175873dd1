//! Calls as bytes: what a message is, however its frames are cut.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use imquota::endpoint::Endpoint;
use imquota::grpc::proto::GetUsageRequest;
use prost::Message as _;
use tokio::net::TcpStream;
use tonic::Code;

use crate::common::{Server, soon};

async fn connect(server: &Server) -> SendRequest<Bytes> {
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
    Request::post("http://localhost/imquota.v1.QuotaService/GetUsage")
        .header("content-type", content_type)
        .header("te", "trailers")
        .body(())
        .expect("it is a request")
}

/// What GetUsage of app 7 says, with its prefix.
fn usage() -> Vec<u8> {
    let message = GetUsageRequest { app_id: 7 }.encode_to_vec();
    let length = u8::try_from(message.len()).expect("it is short");
    [&[0, 0, 0, 0, length], &message[..]].concat()
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
