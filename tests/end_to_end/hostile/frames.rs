//! Frames that lie, or come where they must not.

use super::Siege;
use super::raw::{
    ACK, CHECK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, MESSAGE, MORE, PADDED, PING,
    PRIORITY, PROMISE, RESET, Raw, SETTINGS, WINDOW, WITH_PRIORITY, call, check, frame, framed,
};

#[tokio::test]
async fn frames_against_the_rules_end_the_connection() {
    let mut siege = Siege::begin().await;
    let headers = call(CHECK, &[]);
    let open = |flags| frame(HEADERS, flags | END_HEADERS, 1, &headers);
    let cases = [
        (
            "a frame of 16 MiB",
            framed(0xff_ffff, DATA, 0, 1, &[0; 100]),
        ),
        ("settings of 5 bytes", frame(SETTINGS, 0, 0, &[0; 5])),
        ("settings of a stream", frame(SETTINGS, 0, 1, &[])),
        (
            "an acknowledgement with content",
            frame(SETTINGS, ACK, 0, &[0; 6]),
        ),
        (
            "a window above what fits",
            frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "frames of no length at most",
            frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 0]),
        ),
        (
            "pushes switched to 2",
            frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]),
        ),
        ("a ping of 7 bytes", frame(PING, 0, 0, &[0; 7])),
        ("a ping of a stream", frame(PING, 0, 1, &[0; 8])),
        ("no more window", frame(WINDOW, 0, 0, &[0; 4])),
        (
            "more window than fits",
            frame(WINDOW, 0, 0, &[0x7f, 0xff, 0xff, 0xff]).repeat(2),
        ),
        ("a window of 3 bytes", frame(WINDOW, 0, 0, &[0; 3])),
        ("a reset of no stream", frame(RESET, 0, 0, &[0; 4])),
        ("a reset of an idle stream", frame(RESET, 0, 7, &[0; 4])),
        ("data of no stream", frame(DATA, 0, 0, MESSAGE)),
        ("data of an idle stream", frame(DATA, 0, 5, MESSAGE)),
        (
            "headers of no stream",
            frame(HEADERS, END_HEADERS, 0, &headers),
        ),
        (
            "headers of the server's stream",
            frame(HEADERS, END_HEADERS, 2, &headers),
        ),
        (
            "a promise by a client",
            frame(PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
        ),
        (
            "more headers than none",
            frame(MORE, END_HEADERS, 1, &headers),
        ),
        (
            "data amid headers",
            [frame(HEADERS, 0, 1, &headers), frame(DATA, 0, 1, MESSAGE)].concat(),
        ),
        (
            "headers amid those of another",
            [
                frame(HEADERS, 0, 1, &headers),
                frame(MORE, END_HEADERS, 3, &headers),
            ]
            .concat(),
        ),
        (
            "headers padded beyond their end",
            frame(HEADERS, END_HEADERS | PADDED, 1, &[200, 1, 2, 3]),
        ),
        (
            "data padded beyond its end",
            [open(0), frame(DATA, PADDED, 1, &[255, 0, 0])].concat(),
        ),
        (
            "headers without room for their priority",
            frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, &[0, 0]),
        ),
    ];
    assert!(cases.len() >= 25);
    for (name, bytes) in cases {
        let mut raw = Raw::greeted(siege.at()).await;
        raw.send(&bytes).await;
        raw.end(name).await;
        siege.stands(name, 0).await;
    }
    siege.end().await;
}

#[tokio::test]
async fn what_is_odd_and_allowed_ends_nothing_else() {
    let mut siege = Siege::begin().await;
    let unknown: Vec<u8> = (10..=255u8)
        .flat_map(|kind| frame(kind, 0xff, 0, b"what?"))
        .collect();
    for (name, bytes) in [
        ("frames that nobody knows", unknown),
        (
            "a stream that depends on itself",
            frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 0]),
        ),
        (
            "settings that nobody knows",
            frame(SETTINGS, 0, 0, &[0xff; 6].repeat(100)),
        ),
    ] {
        let mut raw = Raw::greeted(siege.at()).await;
        raw.send(&bytes).await;
        siege.stands(name, 0).await;
        raw.lives(name).await;
    }
    for (name, bytes) in [
        ("a goodbye, and then silence", frame(GOAWAY, 0, 0, &[0; 8])),
        ("half a frame, and gone", check(1)[..40].to_vec()),
        (
            "headers, and gone",
            frame(HEADERS, END_HEADERS, 1, &call(CHECK, &[])),
        ),
        (
            "half a message, and gone",
            [
                frame(HEADERS, END_HEADERS, 1, &call(CHECK, &[])),
                frame(DATA, 0, 1, &MESSAGE[..7]),
            ]
            .concat(),
        ),
        (
            "a trailer in place of a message",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &call(CHECK, &[])),
        ),
    ] {
        let mut raw = Raw::greeted(siege.at()).await;
        raw.send(&bytes).await;
        drop(raw);
        siege.stands(name, 0).await;
    }
    siege.end().await;
}
