//! Headers that cannot be read, should not be, or are too many.

use super::Siege;
use super::raw::{CHECK, END_HEADERS, END_STREAM, HEADERS, MORE, Raw, call, frame, header};

/// Headers that break the coding: all that share its tables is lost with them.
#[tokio::test]
async fn bad_hpack_ends_the_connection() {
    let mut siege = Siege::begin().await;
    let cases: [(&str, &[u8]); 7] = [
        ("the header of number 0", &[0x80]),
        ("a header of no table", &[0xff, 0x20]),
        ("a table of 4 GiB", &[0x3f, 0xe1, 0xff, 0xff, 0xff, 0x0f]),
        (
            "a number without an end",
            &[
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            ],
        ),
        (
            "a name that is longer than all",
            &[0x00, 0x7f, 0xff, 0x7f, b'a'],
        ),
        (
            "a code that ends amid a letter",
            &[0x00, 0x81, 0x00, 0x01, b'x'],
        ),
        (
            "a code with its end within",
            &[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x01, b'x'],
        ),
    ];
    for (name, block) in cases {
        let mut raw = Raw::greeted(siege.at()).await;
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
            .await;
        raw.end(name).await;
        siege.stands(name, 0).await;
    }
    siege.end().await;
}

/// Headers that can be read and may not be: the call ends, and the connection goes on.
#[tokio::test]
async fn headers_against_the_rules_end_their_call_alone() {
    let mut siege = Siege::begin().await;
    let without = |left_out: &str| -> Vec<u8> {
        let all = [(":method", "POST"), (":scheme", "http"), (":path", CHECK)];
        let kept = all.iter().filter(|(name, _)| *name != left_out);
        kept.flat_map(|(name, value)| header(name, value.as_bytes()))
            .collect()
    };
    let cases = [
        ("no method", without(":method")),
        ("no scheme", without(":scheme")),
        ("no path", without(":path")),
        (
            "two paths",
            [call(CHECK, &[]), header(":path", b"/")].concat(),
        ),
        (
            "a pseudo-header that nobody knows",
            [header(":who", b"me"), call(CHECK, &[])].concat(),
        ),
        (
            "an answer's header",
            [header(":status", b"200"), call(CHECK, &[])].concat(),
        ),
        (
            "a name in capitals",
            [call(CHECK, &[]), header("X-Name", b"x")].concat(),
        ),
        (
            "a header of a connection",
            call(CHECK, &[("connection", "keep-alive")]),
        ),
        ("te: gzip", call(CHECK, &[("te", "gzip")])),
        (
            "a header of 20 KiB",
            call(
                CHECK,
                &[("x", &"x".repeat(12_000)), ("y", &"y".repeat(8_000))],
            )[..16_384]
                .to_vec(),
        ),
        (
            "a length that is none",
            call(CHECK, &[("content-length", "-1")]),
        ),
    ];
    for (name, block) in cases {
        let mut raw = Raw::greeted(siege.at()).await;
        let part = block.len().min(16_384);
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block[..part]))
            .await;
        siege.stands(name, 0).await;
    }
    siege.end().await;
}

#[tokio::test]
async fn headers_without_number_are_not_kept() {
    let mut siege = Siege::begin().await;
    // One entry of 4,000 bytes in the table, and then its number again and again: 64 MB of headers.
    let large = [&[0x40][..], &header("x", &[b'x'; 4000])[1..]].concat();
    let bomb = [call(CHECK, &[]), large, vec![0xbe; 12_000]].concat();
    let mut raw = Raw::greeted(siege.at()).await;
    let (first, rest) = bomb.split_at(16_384.min(bomb.len()));
    raw.send(&frame(HEADERS, END_STREAM, 1, first)).await;
    raw.send(&frame(MORE, END_HEADERS, 1, rest)).await;
    siege.stands("a bomb of HPACK", 0).await;

    for (name, part) in [
        ("headers that never end", header("x", &[b'y'; 1000])),
        ("empty headers that never end", Vec::new()),
    ] {
        let mut raw = Raw::greeted(siege.at()).await;
        raw.send(&frame(HEADERS, 0, 1, &call(CHECK, &[]))).await;
        let more = frame(MORE, 0, 1, &part).repeat(100);
        for _ in 0..200 {
            if !raw.send(&more).await {
                break;
            }
        }
        raw.end(name).await;
        siege.stands(name, 0).await;
    }

    let mut raw = Raw::greeted(siege.at()).await;
    let many: Vec<u8> = (0..1000).flat_map(|_| header("a", b"b")).collect();
    let block = [call(CHECK, &[]), many].concat();
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block))
        .await;
    siege.stands("a thousand headers", 0).await;
    siege.end().await;
}
