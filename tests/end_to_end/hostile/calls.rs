//! Calls whose messages lie, are too large or too deep, or say what cannot be.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use imquota::grpc::proto::{BatchCheckRequest, CheckRequest, RecordActiveRequest};
use prost::Message;
use tokio::net::TcpStream;
use tonic::Code;

use super::Siege;
use super::raw::{CHECK, MESSAGE};
use crate::wait::soon;

async fn connect(at: std::net::SocketAddr) -> SendRequest<Bytes> {
    let stream = soon("a connection", TcpStream::connect(at)).await;
    let stream = stream.expect("somebody listens");
    let (client, connection) = h2::client::handshake(stream)
        .await
        .expect("it speaks HTTP/2");
    tokio::spawn(connection);
    soon("room for a call", client.ready())
        .await
        .expect("it takes calls")
}

/// What comes of a call to `path` with these headers and this body; `None`: no status of gRPC.
async fn ask(
    client: &mut SendRequest<Bytes>,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Option<Code> {
    let mut request = Request::post(format!("http://x{path}")).header("te", "trailers");
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/grpc");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).expect("it is a request");
    let (response, mut stream) = client.send_request(request, false).expect("it takes calls");
    // The server may have made up its mind already.
    let _ = stream.send_data(body.into(), true);
    let response = soon("an answer", response).await.ok()?;
    let code = |headers: &HeaderMap| {
        let status = headers.get("grpc-status")?;
        Some(Code::from_bytes(status.as_bytes()))
    };
    if let Some(code) = code(response.headers()) {
        return Some(code);
    }
    let mut body = response.into_body();
    while let Some(data) = soon("the answer", body.data()).await {
        let data = data.ok()?;
        let _ = body.flow_control().release_capacity(data.len());
    }
    let trailers = soon("its end", body.trailers()).await.ok()?;
    trailers.as_ref().and_then(code)
}

/// A message with a prefix that says the truth.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("it is short");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// A check of app 1, and what a test adds to it.
fn with(more: &[u8]) -> Vec<u8> {
    framed(&[&[8, 1, 16, 1], more].concat())
}

/// A field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut coded = vec![number << 3 | 2];
    prost::encode_length_delimiter(bytes.len(), &mut coded).expect("a vector grows");
    coded.extend_from_slice(bytes);
    coded
}

fn gzip(size: usize) -> Vec<u8> {
    // Stored blocks would be as large as what they hold; these are runs of zeros, a thousandth of it.
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..size >> 20 {
        packed.write_all(&zeros).expect("a vector grows");
    }
    let packed = packed.finish().expect("a vector grows");
    let length = u32::try_from(packed.len()).expect("it is short");
    [&[1], &length.to_be_bytes()[..], &packed].concat()
}

#[tokio::test]
async fn messages_that_lie_are_refused_and_count_nothing() {
    use Code::{InvalidArgument as Invalid, OutOfRange};
    let mut siege = Siege::begin().await;
    let mut client = connect(siege.at()).await;
    let deep: Vec<u8> = std::iter::repeat_n(0x5b, 100_000).collect();
    let cases: Vec<(&str, Vec<u8>, Code)> = vec![
        ("no message", Vec::new(), Invalid),
        ("half a prefix", vec![0, 0, 0], Invalid),
        (
            "a message that is shorter than it says",
            vec![0, 0, 0, 0, 100, 8, 1],
            Invalid,
        ),
        (
            "a message that is longer than it says",
            [MESSAGE, &[1, 2]].concat(),
            Invalid,
        ),
        ("two messages", MESSAGE.repeat(2), Invalid),
        (
            "a message of 4 GiB",
            vec![0, 255, 255, 255, 255, 1],
            OutOfRange,
        ),
        (
            "a packed message that does not say how",
            [&[1], &MESSAGE[1..]].concat(),
            Invalid,
        ),
        (
            "a flag that nobody knows",
            [&[0x80], &MESSAGE[1..]].concat(),
            Invalid,
        ),
        (
            "text that is no UTF-8",
            with(&field(4, b"\xff\xfe")),
            Invalid,
        ),
        ("a name with a zero byte", with(&field(5, b"a\0b")), Invalid),
        (
            "an id of 100 KB",
            with(&field(4, &vec![b'x'; 100_000])),
            Invalid,
        ),
        (
            "a number of 11 bytes",
            framed(&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
            Invalid,
        ),
        (
            "a negative amount",
            with(&[24, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
            Invalid,
        ),
        (
            "a resource of -1",
            framed(&[8, 1, 16, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
            Invalid,
        ),
        ("a field of number 0", with(&[0, 1]), Invalid),
        ("a wire type that is none", with(&[0x0f]), Invalid),
        (
            "a field longer than its message",
            with(&[0x22, 0x7f, b'x']),
            Invalid,
        ),
        (
            "a text where a number belongs",
            framed(&field(1, b"1")),
            Invalid,
        ),
        ("groups within groups", with(&deep), Invalid),
        (
            "a hold of 300 billion years",
            with(&[
                0x38, 0x3a, 0x0b, 8, 255, 255, 255, 255, 255, 255, 255, 255, 127, 16,
            ]),
            Invalid,
        ),
        ("noise", framed(&[0xa5; 1000]), Invalid),
    ];
    for (name, body, code) in cases {
        assert_eq!(
            ask(&mut client, CHECK, &[], body).await,
            Some(code),
            "{name}"
        );
        siege.stands(name, 0).await;
    }

    // What is not known is skipped, however much of it there is.
    let unknown = with(&field(15, &vec![0; 100_000]));
    assert_eq!(ask(&mut client, CHECK, &[], unknown).await, Some(Code::Ok));
    siege.stands("fields that nobody knows", 1).await;
    siege.end().await;
}

/// A case: its name, the call's path, a header more, the body, and what the caller hears.
type Case = (
    &'static str,
    String,
    Option<(&'static str, &'static str)>,
    Vec<u8>,
    Code,
);

/// Of what there is too much, or nothing at all.
#[allow(clippy::too_many_lines, reason = "it is one table")]
fn too_much() -> Vec<Case> {
    let check = CheckRequest {
        app_id: 1,
        resource: 1,
        ..Default::default()
    };
    let batch = BatchCheckRequest {
        checks: vec![check; 1001],
    };
    let record = RecordActiveRequest {
        app_id: 1,
        user_ids: vec!["u".into(); 1001],
        ..Default::default()
    };
    let gzipped = ("grpc-encoding", "gzip");
    let of = |call: &str| format!("/imquota.v1.QuotaService/{call}");
    vec![
        (
            "a batch of 1,001",
            of("BatchCheck"),
            None,
            framed(&batch.encode_to_vec()),
            Code::InvalidArgument,
        ),
        (
            "1,001 users",
            of("RecordActive"),
            None,
            framed(&record.encode_to_vec()),
            Code::InvalidArgument,
        ),
        (
            "a bomb of 64 MiB",
            of("Check"),
            Some(gzipped),
            gzip(64 << 20),
            Code::ResourceExhausted,
        ),
        (
            "a bomb in a stream",
            of("StreamChecks"),
            Some(gzipped),
            gzip(64 << 20),
            Code::ResourceExhausted,
        ),
        (
            "a packing that nobody knows",
            of("Check"),
            Some(("grpc-encoding", "zip")),
            MESSAGE.to_vec(),
            Code::Unimplemented,
        ),
        (
            "a call that nobody knows",
            of("Chek"),
            None,
            MESSAGE.to_vec(),
            Code::Unimplemented,
        ),
        (
            "a service that nobody knows",
            "/x.Y/Check".into(),
            None,
            MESSAGE.to_vec(),
            Code::Unimplemented,
        ),
        (
            "the operators' service",
            "/imquota.v1.AdminService/Recount".into(),
            None,
            MESSAGE.to_vec(),
            Code::Unimplemented,
        ),
        (
            "a path with a way up",
            "/imquota.v1.QuotaService/../Check".into(),
            None,
            MESSAGE.to_vec(),
            Code::Unimplemented,
        ),
        (
            "a path of 8 KiB",
            of(&"x".repeat(8192)),
            None,
            MESSAGE.to_vec(),
            Code::Unimplemented,
        ),
        (
            "no time at all",
            of("Check"),
            Some(("grpc-timeout", "0n")),
            MESSAGE.to_vec(),
            Code::DeadlineExceeded,
        ),
        (
            "a time that is none",
            of("Check"),
            Some(("grpc-timeout", "-1S")),
            MESSAGE.to_vec(),
            Code::InvalidArgument,
        ),
        (
            "a time of 9 digits",
            of("Check"),
            Some(("grpc-timeout", "999999999H")),
            MESSAGE.to_vec(),
            Code::InvalidArgument,
        ),
    ]
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_counts_nothing() {
    let mut siege = Siege::begin().await;
    let mut client = connect(siege.at()).await;
    for (name, path, header, body, code) in too_much() {
        let headers: Vec<_> = header.into_iter().collect();
        assert_eq!(
            ask(&mut client, &path, &headers, body).await,
            Some(code),
            "{name}"
        );
        siege.stands(name, 0).await;
    }
    let json = [("content-type", "application/json")];
    assert_eq!(ask(&mut client, CHECK, &json, b"{}".to_vec()).await, None);
    siege.stands("JSON", 0).await;
    let ages = [("grpc-timeout", "99999999H")];
    assert_eq!(
        ask(&mut client, CHECK, &ages, MESSAGE.to_vec()).await,
        Some(Code::Ok)
    );
    siege.stands("a time of eleven thousand years", 1).await;
    siege.end().await;
}
