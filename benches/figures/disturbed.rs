//! What one caller waits while something else goes on at the same sidecar: none of it is to be noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::child::Loading;
use crate::latency::{PARTS, pulse, time};
use crate::sidecar::{Limits, Sidecar, free_port, runtime};
use crate::stat::{Ratios, Runs, grouped};
use crate::{Effort, Failure};

/// Scrapers that ask for all figures again and again, and read none.
const SCRAPERS: usize = 16;
/// How often each of them asks.
const SCRAPES: usize = 64;
/// Browsers that have the page open.
const TABS: usize = 100;
/// How often each loads it.
const TAB_PAUSE: Duration = Duration::from_secs(1);
/// How often the settings are read again.
const RELOAD_PAUSE: Duration = Duration::from_millis(100);
/// The app that floods.
const FLOODING_APP: u64 = 1_400_000_000;
/// Its connections, and the calls in flight on each.
const FLOOD: (u64, u64) = (4, 64);
const WIDE_FLOOD: (u64, u64) = (64, 4);
/// How long a disturbance goes on before anybody asks.
const AHEAD: Duration = Duration::from_millis(300);

/// What else goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    Scrapers,
    Tabs,
    Reloads,
    /// Another app asks as much as it can, from the caller's own core.
    Flood,
    /// The same, by many connections.
    WideFlood,
    /// Each call is a span, and the receiver of spans is gone.
    NoReceiver,
}

const ALL: [(Beside, &str); 7] = [
    (Beside::Nothing, "nothing"),
    (Beside::Scrapers, "scrapers that do not read"),
    (Beside::Tabs, "100 tabs with the page"),
    (Beside::Reloads, "settings, ten times a second"),
    (Beside::Flood, "another app's flood"),
    (Beside::WideFlood, "the same, 64 connections"),
    (Beside::NoReceiver, "spans, and no receiver"),
];

/// Prints the times beside each disturbance, and what they are to those beside nothing.
pub(crate) fn run(effort: Effort) -> Result<(), Failure> {
    println!(
        "One call in flight, a fresh request id each, over TCP, while something else goes on; a wait is from the\n\
         write to the answer, in ns: p50, p99, p99.9 (medians of the rounds)"
    );
    let (plain, traced) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let http = format!("127.0.0.1:{}", free_port()?);
    let page = format!("http_listen: \"{http}\"\n");
    let gone = format!(
        "traces: {{ endpoint: \"http://127.0.0.1:{}\", one_in: 1 }}\n",
        free_port()?
    );
    let ours = Sidecar::with("embedded", plain.path(), Limits::Metered, &page)?.0;
    let spans = Sidecar::with("embedded", traced.path(), Limits::Metered, &gone)?.0;
    let mut times: [[Runs; PARTS.len()]; ALL.len()] = Default::default();
    let mut ratios: [[Ratios; PARTS.len()]; ALL.len()] = Default::default();
    let mut done = [0; ALL.len()];
    for _ in 0..effort.rounds {
        let mut quiet = [0; PARTS.len()];
        for (at, (beside, _)) in ALL.iter().enumerate() {
            let (of, still) = match beside {
                Beside::NoReceiver => (&spans, &ours),
                _ => (&ours, &spans),
            };
            still.process.stand_still()?;
            let disturbing = Disturbing::start(*beside, effort, of, &http);
            thread::sleep(AHEAD);
            let found = pulse(effort, &of.tcp, false);
            done[at] += disturbing.end()?;
            still.process.go_on()?;
            let found = found?;
            for (part, name) in PARTS.iter().enumerate() {
                let time = time(&found, name)?;
                if *beside == Beside::Nothing {
                    quiet[part] = time;
                }
                times[at][part].add(time);
                ratios[at][part].add(time, quiet[part]);
            }
        }
    }
    for (at, (beside, name)) in ALL.iter().enumerate() {
        let [p50, p99, p999] = times[at].each_ref().map(Runs::median);
        println!("  {name:<28} {p50} {p99} {p999}");
        if *beside != Beside::Nothing {
            let [p50, p99, p999] = &ratios[at];
            println!("    to nothing: p50            {p50}");
            println!("                p99            {p99}");
            println!("                p99.9          {p999}");
        }
        if done[at] > 0 {
            println!("    meanwhile                  {} times", grouped(done[at]));
        }
    }
    ours.process.terminate()?;
    spans.process.terminate()
}

/// Something that goes on until it is told to end.
pub(crate) struct Disturbing {
    over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Disturbing {
    pub(crate) fn start(beside: Beside, effort: Effort, of: &Sidecar, http: &str) -> Self {
        let (over, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let goes_on = Over(Arc::clone(&over), Arc::clone(&done));
        let (pid, tcp, http) = (of.process.id(), of.tcp.clone(), http.to_owned());
        let work: Option<Box<dyn FnOnce() -> Result<(), Failure> + Send>> = match beside {
            Beside::Nothing | Beside::NoReceiver => None,
            Beside::Scrapers => Some(Box::new(move || scrape(&http, &goes_on))),
            Beside::Tabs => Some(Box::new(move || browse(&http, &goes_on))),
            Beside::Reloads => Some(Box::new(move || reload(pid, &goes_on))),
            Beside::Flood => Some(Box::new(move || flood(effort, &tcp, FLOOD, &goes_on))),
            Beside::WideFlood => Some(Box::new(move || flood(effort, &tcp, WIDE_FLOOD, &goes_on))),
        };
        let thread = work.map(|work| thread::spawn(move || work().map_err(|why| why.to_string())));
        Self { over, done, thread }
    }

    /// Ends it. How often it did what it does.
    pub(crate) fn end(self) -> Result<u64, Failure> {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread {
            thread.join().map_err(|_| "a disturbance panicked")??;
        }
        Ok(self.done.load(Ordering::Relaxed))
    }
}

/// Whether it is to end, and how often it was done.
struct Over(Arc<AtomicBool>, Arc<AtomicU64>);

impl Over {
    fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn done(&self) {
        self.done_often(1);
    }

    fn done_often(&self, times: u64) {
        self.1.fetch_add(times, Ordering::Relaxed);
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Asks for the figures and reads nothing, on connections that stay open.
fn scrape(http: &str, goes_on: &Over) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let mut scrapers = Vec::new();
        for _ in 0..SCRAPERS {
            let mut scraper = TcpStream::connect(http).await?;
            scraper
                .write_all(get("/metrics").repeat(SCRAPES).as_bytes())
                .await?;
            goes_on.done();
            scrapers.push(scraper);
        }
        while !goes_on.is_over() {
            tokio::time::sleep(RELOAD_PAUSE).await;
        }
        Ok(())
    })
}

/// Has the page loaded by many browsers, each once a second.
fn browse(http: &str, goes_on: &Over) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let tabs = (0..TABS).map(|tab| async move {
            // Nobody opens a hundred at once.
            tokio::time::sleep(TAB_PAUSE * u32::try_from(tab)? / u32::try_from(TABS)?).await;
            while !goes_on.is_over() {
                let mut stream = TcpStream::connect(http).await?;
                let asked = get("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
                stream.write_all(asked.as_bytes()).await?;
                let mut page = Vec::new();
                stream.read_to_end(&mut page).await?;
                if !page.starts_with(b"HTTP/1.1 200") {
                    return Err(Failure::from("the page does not come"));
                }
                goes_on.done();
                tokio::time::sleep(TAB_PAUSE).await;
            }
            Ok(())
        });
        futures_util::future::try_join_all(tabs).await.map(drop)
    })
}

/// Creates for one app, as fast as it is answered, until the caller has done.
fn flood(
    effort: Effort,
    to: &str,
    (connections, in_flight): (u64, u64),
    goes_on: &Over,
) -> Result<(), Failure> {
    let ahead = u64::try_from(AHEAD.as_millis())?;
    // What is measured is the server's part: at the core that both clients share, the one that waits goes first.
    let load = Loading::start_behind(&[
        format!("--to={to}"),
        format!("--first-app={FLOODING_APP}"),
        "--apps=1".into(),
        format!("--connections={connections}"),
        format!("--in-flight={in_flight}"),
        format!("--warm-ms={}", effort.warm_ms),
        format!("--measure-ms={}", 2 * ahead + effort.measure_ms / 2),
    ])?;
    goes_on.done_often(load.finish()?.answered);
    Ok(())
}

/// Has the settings read again.
fn reload(pid: u32, goes_on: &Over) -> Result<(), Failure> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or("a process has a number")?;
    while !goes_on.is_over() {
        rustix::process::kill_process(pid, rustix::process::Signal::HUP)?;
        goes_on.done();
        thread::sleep(RELOAD_PAUSE);
    }
    Ok(())
}
