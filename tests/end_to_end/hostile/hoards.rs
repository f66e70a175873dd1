//! What a server would have to hold for clients that do not go on: answers that are not taken, messages without an end.

use super::Siege;
use super::raw::{
    ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, Raw, SETTINGS, call, frame,
};

const BATCH: &str = "/imquota.v1.QuotaService/BatchCheck";
const STREAM: &str = "/imquota.v1.QuotaService/StreamChecks";
/// What such a case may cost, in KiB: of each of four connections the answers of one turn. What the clients want to have held is
/// several times as much.
const HOARD_KIB_MAX: u64 = 40 * 1024;
/// What all messages together may take that are not whole: 32 MiB, and as much for the room that they keep to grow. It is
/// a third of what the clients send.
const PARTS_KIB_MAX: u64 = 64 * 1024;

/// A client that leaves no room for answers.
async fn closed(siege: &Siege) -> Raw {
    let mut raw = Raw::connect(siege.at()).await;
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    raw.send(&[PREFACE, &no_window].concat()).await;
    told(&mut raw).await;
    raw
}

/// Takes the server's settings, which say how much may be sent.
async fn told(raw: &mut Raw) {
    raw.lives("a client that has said hello").await;
    raw.send(&frame(SETTINGS, ACK, 0, &[])).await;
}

/// A check that is answered by a fault, which is longer than it.
const FAULTY: [u8; 2] = [8, 1];

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("it is short");
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// Sends calls to `path`, each with `message`; as many as there may be in flight, as far as the connection's window goes.
async fn ask(raw: &mut Raw, path: &str, message: &[u8], flags: u8) {
    const WINDOW: usize = 1000 * 1000;
    let headers = call(path, &[]);
    let many = u32::try_from(WINDOW / message.len()).expect("it is small");
    for one in 0..many.min(1000) {
        let stream = one * 2 + 1;
        let open = frame(HEADERS, END_HEADERS, stream, &headers);
        raw.send(&[open, frame(DATA, flags, stream, message)].concat())
            .await;
    }
}

#[tokio::test]
async fn answers_that_nobody_takes_are_not_hoarded() {
    let mut siege = Siege::begin().await;
    let item = [&[10, 2][..], &FAULTY].concat();
    let batch = framed(&item.repeat(1000));
    let stream = framed(&FAULTY).repeat(500);
    // The first of a kind brings what is kept for all.
    for (name, path, message, flags) in [
        ("1,000 faults in each batch", BATCH, &batch, END_STREAM),
        ("500 faults in each stream", STREAM, &stream, 0),
    ] {
        let before = siege.sidecar.process().resident_kib();
        let mut held = Vec::new();
        for _ in 0..4 {
            let mut raw = closed(&siege).await;
            ask(&mut raw, path, message, flags).await;
            raw.lives(name).await;
            held.push(raw);
        }
        siege.stands(name, 0).await;
        let grown = siege
            .sidecar
            .process()
            .resident_kib()
            .saturating_sub(before);
        println!("{name}: {grown} KiB more");
        assert!(grown < HOARD_KIB_MAX, "{name}: {grown} KiB more");
    }
    siege.end().await;
}

#[tokio::test]
async fn messages_without_an_end_are_not_hoarded() {
    let mut siege = Siege::begin().await;
    let before = siege.sidecar.process().resident_kib();
    // 60,000 of 200,000 bytes, so that one window is enough.
    let part = [&[0, 0, 3, 13, 64][..], &[10, 2, 8, 1].repeat(15_000)].concat();
    let mut held = Vec::new();
    for (name, path) in [
        ("beginnings of batches", BATCH),
        ("beginnings in streams", STREAM),
        (
            "beginnings for the billing service",
            "/imquota.v1.BillingService/GetBill",
        ),
    ] {
        let mut raw = Raw::greeted(siege.at()).await;
        told(&mut raw).await;
        for one in 0..1000u32 {
            let stream = one * 2 + 1;
            let mut sent = frame(HEADERS, END_HEADERS, stream, &call(path, &[]));
            for piece in part.chunks(16_000) {
                sent.extend(frame(DATA, 0, stream, piece));
            }
            raw.send(&sent).await;
            // Until it was read, and there is room for more.
            raw.lives(name).await;
        }
        held.push(raw);
        siege.stands(name, 0).await;
        let grown = siege
            .sidecar
            .process()
            .resident_kib()
            .saturating_sub(before);
        println!("{name}: {grown} KiB more");
        assert!(grown < PARTS_KIB_MAX, "{name}: {grown} KiB more");
    }
    siege.end().await;
}
