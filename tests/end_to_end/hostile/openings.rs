//! What does not begin as HTTP/2 begins.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use super::Siege;
use super::raw::{PING, PREFACE, Raw, frame};

fn noise() -> Vec<u8> {
    // Any numbers will do, as long as they are the same in each run.
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..8192).flat_map(|_| next()).collect()
}

#[tokio::test]
async fn what_is_no_http2_is_ended() {
    let mut siege = Siege::begin().await;
    let zeros = vec![0; 65536];
    let mut wrong = PREFACE.to_vec();
    wrong[23] = b'x';
    let cases: [(&str, &[u8]); 11] = [
        ("a request of HTTP/1.1", b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("a request of HTTP/1.0", b"POST / HTTP/1.0\r\ncontent-length: 1000000\r\n\r\n"),
        ("an upgrade to h2c", b"GET / HTTP/1.1\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAA\r\n\r\n"),
        ("a hello of TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 and so on for some time"),
        ("a banner of SSH", b"SSH-2.0-OpenSSH_9.6\r\nand some more of it"),
        ("a header of the PROXY protocol", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
        ("a preface with a wrong end", &wrong),
        ("a preface in small letters", b"pri * http/2.0\r\n\r\nsm\r\n\r\n"),
        ("zeros", &zeros),
        ("noise", &noise()),
        ("a command of Redis", b"*1\r\n$8\r\nFLUSHALL\r\n and the rest"),
    ];
    for (name, bytes) in cases {
        let mut raw = Raw::connect(siege.at()).await;
        raw.send(bytes).await;
        raw.end(name).await;
        siege.stands(name, 0).await;
    }
    siege.end().await;
}

#[tokio::test]
async fn who_stops_in_the_opening_is_let_go_in_time() {
    let mut siege = Siege::begin().await;
    let ping_first = [PREFACE, &frame(PING, 0, 0, &[0; 8])].concat();
    for (name, bytes) in [
        ("nothing, and gone", &b""[..]),
        ("one byte, and gone", b"P"),
        ("half a preface, and gone", &PREFACE[..12]),
        ("a preface, and gone", PREFACE),
        ("a frame before the settings, and gone", &ping_first),
    ] {
        let mut raw = Raw::connect(siege.at()).await;
        raw.send(bytes).await;
        drop(raw);
        siege.stands(name, 0).await;
    }
    let began = Instant::now();
    let mut silent = Raw::connect(siege.at()).await;
    let mut slow = Raw::connect(siege.at()).await;
    let slowly = async {
        // A byte a second, for as long as the server takes them.
        for byte in PREFACE {
            if slow.0.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        slow.end("one byte a second").await;
    };
    tokio::join!(slowly, silent.end("silence"));
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(15),
        "they were held for {took:?}"
    );
    siege.stands("silence", 0).await;
    siege.stands("one byte a second", 0).await;
    siege.end().await;
}
