//! HTTP/2 by hand: whatever bytes a test wants.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wait::soon;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The path of a check.
pub const CHECK: &str = "/imquota.v1.QuotaService/Check";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW: u8 = 8;
pub const MORE: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 32;

/// A frame whose length says the truth.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    framed(payload.len(), kind, flags, stream, payload)
}

/// A frame whose length says what the test wants.
pub fn framed(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).expect("it is short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The beginning of every honest client.
pub fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// A text of HPACK, as it is.
fn text(text: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    match u8::try_from(text.len()) {
        Ok(short) if short < 127 => coded.push(short),
        _ => {
            coded.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                coded.push(u8::try_from(rest % 128).expect("it is less than 128") | 128);
                rest /= 128;
            }
            coded.push(u8::try_from(rest).expect("it is less than 128"));
        }
    }
    coded.extend_from_slice(text);
    coded
}

/// A header that enters no table.
pub fn header(name: &str, value: &[u8]) -> Vec<u8> {
    [&[0][..], &text(name.as_bytes()), &text(value)].concat()
}

/// The headers of a call.
pub fn call(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    own.iter()
        .chain(more)
        .flat_map(|(name, value)| header(name, value.as_bytes()))
        .collect()
}

/// A check of one account of app 1, with its prefix.
pub const MESSAGE: &[u8] = &[0, 0, 0, 0, 4, 8, 1, 16, 1];

/// A whole check.
pub fn check(stream: u32) -> Vec<u8> {
    let headers = frame(HEADERS, END_HEADERS, stream, &call(CHECK, &[]));
    [headers, frame(DATA, END_STREAM, stream, MESSAGE)].concat()
}

/// A connection that sends what it likes.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn connect(at: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(at)).await;
        Self(stream.expect("somebody listens"))
    }

    /// A connection that has said hello.
    pub async fn greeted(at: SocketAddr) -> Self {
        let mut raw = Self::connect(at).await;
        raw.send(&hello()).await;
        raw
    }

    /// Sends as much of it as is taken; whether that was all. Whoever is cut off has its answer.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = soon("bytes are taken", self.0.write_all(bytes)).await;
        sent.is_ok()
    }

    /// Waits until the server has ended the connection; answers what it said.
    pub async fn end(&mut self, name: &str) -> Vec<u8> {
        let mut said = Vec::new();
        // An end with a reset is an end, too.
        let _ = soon(name, self.0.read_to_end(&mut said)).await;
        said
    }

    /// Whether the connection still lives: a PING comes back. It panics if it was ended.
    pub async fn lives(&mut self, name: &str) {
        let ping = frame(PING, 0, 0, b"hostile!");
        let pong = frame(PING, ACK, 0, b"hostile!");
        assert!(self.send(&ping).await, "{name}: it was ended");
        let answered = async {
            let (mut said, mut part) = (Vec::new(), [0; 4096]);
            while !said.windows(pong.len()).any(|window| window == pong) {
                match self.0.read(&mut part).await {
                    Ok(0) | Err(_) => panic!("{name}: it was ended"),
                    Ok(read) => said.extend_from_slice(&part[..read]),
                }
            }
        };
        soon(name, answered).await;
    }
}
