//! One app's flood beside another app's calls: how many of the flood's are answered while one of the others waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, spawn};

use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

use super::raw::{CHECK, DATA, END_HEADERS, END_STREAM, HEADERS, Raw, call, frame};
use crate::sidecar::Sidecar;

/// Connections of the flood, and the calls in flight on each: together four turns of each of the server's two threads.
const FLOOD: (usize, u32) = (64, 4);
/// Calls of each of those who ask for little.
const CALLS: u32 = 200;
const SETTINGS: &str = "
plans: { any: {} }
apps: [{ app_id: 1, plan: any }, { app_id: 2, plan: any }]
";

/// Checks of an account of an app, on the streams from `first` on.
fn checks(app: u8, first: u32, count: u32) -> Vec<u8> {
    let headers = call(CHECK, &[]);
    let message = [0, 0, 0, 0, 4, 8, app, 16, 1];
    let one = |stream| {
        let open = frame(HEADERS, END_HEADERS, stream, &headers);
        [open, frame(DATA, END_STREAM, stream, &message)].concat()
    };
    (0..count).flat_map(|at| one(first + 2 * at)).collect()
}

/// A client that reads its answers.
struct Asking {
    raw: Raw,
    said: Vec<u8>,
    next: u32,
}

impl Asking {
    async fn new(at: SocketAddr) -> Self {
        let (raw, said, next) = (Raw::greeted(at).await, Vec::new(), 1);
        Self { raw, said, next }
    }

    /// Asks so often at once, and waits until all are answered.
    async fn ask(&mut self, app: u8, count: u32) {
        let asked = checks(app, self.next, count);
        self.next += 2 * count;
        assert!(self.raw.send(&asked).await, "it was ended");
        let mut left = count;
        while left > 0 {
            let read = self.raw.0.read_buf(&mut self.said).await;
            assert!(read.is_ok_and(|read| read > 0), "it was ended");
            left -= self.ends();
        }
        // More room for answers.
        let length = u32::from(u16::MAX).to_be_bytes();
        self.raw
            .send(&frame(super::raw::WINDOW, 0, 0, &length))
            .await;
    }

    /// How many answers have ended, by the heads of frames.
    fn ends(&mut self) -> u32 {
        let mut ends = 0;
        let mut rest = &self.said[..];
        while let Some(&[a, b, c, kind, flags, ..]) = rest.first_chunk::<9>() {
            let length = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
            let Some(behind) = rest.get(length..) else {
                break;
            };
            ends += u32::from(kind == HEADERS && flags & END_STREAM != 0);
            rest = behind;
        }
        self.said = rest.to_vec();
        ends
    }
}

/// A flood from a thread of its own.
struct Flood {
    answered: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn begin(at: SocketAddr, app: u8) -> Self {
        let (answered, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counts, ends) = (answered.clone(), over.clone());
        let thread = spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("it can be made").block_on(async {
                let mut all = JoinSet::new();
                for _ in 0..FLOOD.0 {
                    let (counts, ends) = (counts.clone(), ends.clone());
                    all.spawn(async move {
                        let mut asking = Asking::new(at).await;
                        while !ends.load(Ordering::Relaxed) {
                            asking.ask(app, FLOOD.1).await;
                            counts.fetch_add(FLOOD.1.into(), Ordering::Relaxed);
                        }
                    });
                }
                all.join_all().await;
            });
        });
        Self {
            answered,
            over,
            thread,
        }
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic");
    }
}

#[tokio::test]
async fn a_flood_of_many_connections_is_one_app_to_its_neighbours() {
    let mut sidecar = Sidecar::start("embedded", SETTINGS).await;
    let mut askers = [
        (1, Asking::new(sidecar.address()).await),
        (2, Asking::new(sidecar.address()).await),
    ];
    let flood = Flood::begin(sidecar.address(), 2);
    let mut meanwhile = [Vec::new(), Vec::new()];
    for _ in 0..CALLS {
        for ((app, asking), meanwhile) in askers.iter_mut().zip(&mut meanwhile) {
            let before = flood.answered();
            asking.ask(*app, 1).await;
            meanwhile.push(flood.answered() - before);
        }
    }
    flood.end();
    let [neighbour, same] = meanwhile.map(|mut meanwhile| {
        meanwhile.sort_unstable();
        meanwhile[meanwhile.len() / 2]
    });
    println!(
        "{neighbour} of the flood's calls beside one of a neighbour, {same} beside one of its own app"
    );
    assert!(
        2 * neighbour < same,
        "a neighbour waits for {neighbour}, one of the same app for {same}"
    );
    sidecar.stop().await;
}
