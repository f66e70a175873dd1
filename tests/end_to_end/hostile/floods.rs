//! Much of what is cheap to send, and answers that nobody reads.

use super::Siege;
use super::raw::{
    CHECK, DATA, END_HEADERS, HEADERS, MESSAGE, PING, PRIORITY, RESET, Raw, SETTINGS, WINDOW, call,
    check, frame, hello,
};

/// Sends `many` again and again as long as it is taken, and no longer than a while.
async fn flood(raw: &mut Raw, many: &[u8], times: usize) -> bool {
    for _ in 0..times {
        let sending = tokio::time::timeout(std::time::Duration::from_millis(500), raw.send(many));
        match sending.await {
            Ok(true) => {}
            Ok(false) => return false,
            // Nobody reads its answers, so that the server does not read it either.
            Err(_) => return true,
        }
    }
    true
}

#[tokio::test]
async fn floods_of_frames_are_borne() {
    let mut siege = Siege::begin().await;
    let ping = frame(PING, 0, 0, &[7; 8]);
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    let window = frame(WINDOW, 0, 0, &[0, 0, 0, 1]);
    let priority = frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9]);
    for (name, one) in [
        ("100,000 pings", ping),
        ("100,000 settings", settings),
        ("100,000 windows", window),
        ("100,000 priorities", priority),
    ] {
        let mut raw = Raw::greeted(siege.at()).await;
        flood(&mut raw, &one.repeat(1000), 100).await;
        siege.stands(name, 0).await;
    }
    let mut raw = Raw::greeted(siege.at()).await;
    raw.send(&frame(HEADERS, END_HEADERS, 1, &call(CHECK, &[])))
        .await;
    flood(&mut raw, &frame(DATA, 0, 1, &[]).repeat(1000), 100).await;
    siege.stands("100,000 empty pieces of a message", 0).await;
    siege.end().await;
}

#[tokio::test]
async fn calls_that_are_given_up_at_once_cut_their_connection() {
    let mut siege = Siege::begin().await;
    let mut raw = Raw::greeted(siege.at()).await;
    let headers = call(CHECK, &[]);
    let mut cut = false;
    for hundred in 0..1000u32 {
        let calls: Vec<u8> = (0..100)
            .flat_map(|one| {
                let stream = (hundred * 100 + one) * 2 + 1;
                let open = frame(HEADERS, END_HEADERS, stream, &headers);
                [open, frame(RESET, 0, stream, &[0, 0, 0, 8])].concat()
            })
            .collect();
        if !flood(&mut raw, &calls, 1).await {
            cut = true;
            break;
        }
    }
    siege.stands("100,000 calls that are given up", 0).await;
    if cut {
        raw.end("they were cut off").await;
    }

    // Whole calls, given up right behind: each may have been counted before that was read.
    let mut raw = Raw::greeted(siege.at()).await;
    let calls: Vec<u8> = (0..1000u32)
        .flat_map(|one| {
            let stream = one * 2 + 1;
            [check(stream), frame(RESET, 0, stream, &[0, 0, 0, 8])].concat()
        })
        .collect();
    raw.send(&calls).await;
    siege
        .stands_within("1,000 checks that are given up", 0..=1000)
        .await;
    drop(raw);
    // Those that were not yet read are gone with their connection, and counted or not by now.
    siege.stands_within("and their end", 0..=1000).await;
    siege.end().await;
}

#[tokio::test]
async fn calls_that_never_end_and_answers_that_nobody_reads_are_bounded() {
    let mut siege = Siege::begin().await;
    let mut raw = Raw::greeted(siege.at()).await;
    let open: Vec<u8> = (0..3000u32)
        .flat_map(|one| {
            let stream = one * 2 + 1;
            let open = frame(HEADERS, END_HEADERS, stream, &call(CHECK, &[]));
            [open, frame(DATA, 0, stream, &MESSAGE[..5])].concat()
        })
        .collect();
    raw.send(&open).await;
    siege.stands("3,000 calls that never end", 0).await;

    // No window: answers wait here, and 1,024 calls at a time are all that there may be.
    let mut held = Raw::connect(siege.at()).await;
    let closed = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    held.send(&[hello(), closed].concat()).await;
    let calls: Vec<u8> = (0..3000u32).flat_map(|one| check(one * 2 + 1)).collect();
    flood(&mut held, &calls, 1).await;
    siege
        .stands_within("3,000 answers without a window", 0..=3000)
        .await;
    drop(held);
    siege.stands_within("and their end", 0..=3000).await;

    let mut deaf = Raw::greeted(siege.at()).await;
    let mut sent = 0;
    for batch in 0..100u32 {
        let calls: Vec<u8> = (0..100)
            .flat_map(|one| check((batch * 100 + one) * 2 + 1))
            .collect();
        if !flood(&mut deaf, &calls, 1).await {
            break;
        }
        sent += 100;
    }
    siege
        .stands_within("10,000 answers that nobody reads", 0..=sent + 100)
        .await;
    drop(deaf);
    siege.stands_within("and their end", 0..=sent + 100).await;
    siege.end().await;
}
