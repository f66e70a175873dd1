//! The load: a client of one thread that does as little as it can for a call, so that a server on
//! one core is the limit and not the client.

mod connects;
mod fields;
mod many;
mod paced;
mod pulse;
mod question;
mod secure;
mod talk;

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::PathBuf;
use std::process;
use std::rc::Rc;
use std::time::{Duration, Instant};

use imquota::grpc::proto::Resource;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::LocalSet;

use crate::Failure;
use crate::sidecar::runtime;
use question::{Apps, Question};
use secure::Secure;
use talk::{MAY_BE_PACKED, PLAIN, Talk};

pub(crate) use connects::Connects;
pub(crate) use many::Many;
pub(crate) use paced::Paced;
pub(crate) use pulse::Pulse;
pub(crate) use question::{COUNTED_BY, DOMAIN};
pub(crate) use secure::NAME;

/// Room for what a server sends at once.
const READ_BYTES: usize = 64 * 1024;

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server ended a call or the connection")]
    Refused,
    #[error("an answer was not ALLOW with grpc-status 0")]
    Answer,
    #[error("the server's headers cannot be read")]
    Headers,
    #[error("the server takes only {0} calls at a time")]
    Streams(usize),
}

/// What to ask, and for how long.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Load {
    /// Where: `127.0.0.1:50051` or `unix:/path`.
    #[arg(long)]
    to: String,
    /// With TLS, over TCP: the file of the certificate that is trusted.
    #[arg(long)]
    root: Option<PathBuf>,
    /// Connections.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Calls in flight on each.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// The first app id.
    #[arg(long, default_value_t = 1_500_000_000)]
    first_app: u64,
    /// How many apps, asked in turn.
    #[arg(long, default_value_t = 10_000)]
    apps: u64,
    /// What is created.
    #[arg(long, default_value = "account", value_parser = resource)]
    resource: Resource,
    /// Without request ids.
    #[arg(long, conflicts_with = "rate_limit")]
    no_ids: bool,
    /// Says that messages may be packed.
    #[arg(long)]
    may_be_packed: bool,
    /// Asks what Envoy asks of a rate limit service.
    #[arg(long)]
    rate_limit: bool,
    /// Stop after this many calls.
    #[arg(long, default_value_t = u64::MAX)]
    calls: u64,
    /// Milliseconds before the measuring begins.
    #[arg(long, default_value_t = 500)]
    warm_ms: u64,
    /// Milliseconds that are measured.
    #[arg(long, default_value_t = 4_000)]
    measure_ms: u64,
    /// The server's process, so that the time it takes on its core can be told, too.
    #[arg(long)]
    server: Option<u32>,
    /// The server is going to be killed: a connection that breaks is no failure.
    #[arg(long)]
    may_break: bool,
}

/// The resource of that name.
fn resource(name: &str) -> Result<Resource, String> {
    let all = [Resource::Account, Resource::Group, Resource::AvRoom];
    let mut all = all.into_iter();
    all.find(|resource| crate::sidecar::name(*resource) == name)
        .ok_or_else(|| "account, group or av-room".into())
}

/// What all connections share.
struct Shared {
    question: RefCell<Question>,
    next: Cell<u64>,
    calls: u64,
    answered: Cell<u64>,
    over: Cell<bool>,
}

impl Load {
    /// Asks, and prints one line of JSON: what was answered.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let answer = LocalSet::new().block_on(&runtime, self.ask())?;
        println!("{answer}");
        Ok(())
    }

    async fn ask(self) -> Result<Value, Failure> {
        let apps = Apps {
            first: self.first_app,
            count: self.apps,
        };
        let question = if self.rate_limit {
            Question::rate_limit(apps)?
        } else if self.no_ids {
            Question::without_ids(apps, self.resource)?
        } else {
            Question::new(apps, self.resource)?
        };
        let path = question.path();
        let header = if self.may_be_packed {
            MAY_BE_PACKED
        } else {
            PLAIN
        };
        let shared = Rc::new(Shared {
            question: RefCell::new(question),
            next: Cell::new(0),
            calls: self.calls,
            answered: Cell::new(0),
            over: Cell::new(false),
        });
        let secure = self.root.as_deref().map(Secure::new).transpose()?;
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            let talk = Talk::new(path, header, self.in_flight);
            let shared = Rc::clone(&shared);
            connections.push(if let Some(path) = self.to.strip_prefix("unix:") {
                let stream = UnixStream::connect(path).await?;
                tokio::task::spawn_local(drive(stream, talk, shared))
            } else {
                let stream = TcpStream::connect(&self.to).await?;
                stream.set_nodelay(true)?;
                if let Some(secure) = &secure {
                    let stream = secure.over(stream).await?;
                    tokio::task::spawn_local(drive(stream, talk, shared))
                } else {
                    tokio::task::spawn_local(drive(stream, talk, shared))
                }
            });
        }
        let clock = tokio::task::spawn_local(clock(
            Rc::clone(&shared),
            Duration::from_millis(self.warm_ms),
            Duration::from_millis(self.measure_ms),
            self.server,
        ));
        let mut unanswered = 0;
        for connection in connections {
            let (open, broken) = connection.await?;
            unanswered += open;
            match broken {
                Err(broken) if !self.may_break => return Err(broken.into()),
                _ => {}
            }
        }
        let window = if clock.is_finished() {
            clock.await?
        } else {
            clock.abort();
            Window::default()
        };
        Ok(found(&shared, unanswered, &window))
    }
}

/// What a load prints.
fn found(shared: &Shared, unanswered: usize, window: &Window) -> Value {
    json!({
        "answered": shared.answered.get(),
        "unanswered": unanswered,
        "measured": window.answered,
        "micros": window.micros,
        "busy_micros": window.busy_micros,
        "server_busy_micros": window.server_busy_micros,
    })
}

/// What happened while it was measured.
#[derive(Debug, Default)]
struct Window {
    answered: u64,
    micros: u64,
    busy_micros: u64,
    server_busy_micros: u64,
}

async fn clock(
    shared: Rc<Shared>,
    warm: Duration,
    measure: Duration,
    server: Option<u32>,
) -> Window {
    let busy_of_server = || server.map_or(0, busy_micros);
    tokio::time::sleep(warm).await;
    let (began, answered) = (Instant::now(), shared.answered.get());
    let (busy, server_busy) = (busy_micros(process::id()), busy_of_server());
    tokio::time::sleep(measure).await;
    let micros = began.elapsed().as_micros();
    let window = Window {
        answered: shared.answered.get() - answered,
        micros: micros.try_into().unwrap_or(u64::MAX),
        busy_micros: busy_micros(process::id()).saturating_sub(busy),
        server_busy_micros: busy_of_server().saturating_sub(server_busy),
    };
    shared.over.set(true);
    window
}

/// How long the threads of a process have run on a core, in microseconds. Threads that ended are
/// left out; without `/proc` it is 0.
fn busy_micros(process: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let nanos = tasks.into_iter().flatten().flatten().map(|task| {
        let stat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let nanos = stat.split(' ').next().and_then(|first| first.parse().ok());
        nanos.unwrap_or(0_u64)
    });
    nanos.sum::<u64>() / 1_000
}

/// Asks until it is over and all is answered. Returns what was not answered, and why.
async fn drive(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut talk: Talk,
    shared: Rc<Shared>,
) -> (usize, Result<(), Broken>) {
    let ended = talk_over(&mut stream, &mut talk, &shared).await;
    (talk.open(), ended)
}

async fn talk_over(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    talk: &mut Talk,
    shared: &Shared,
) -> Result<(), Broken> {
    let mut bytes = vec![0; READ_BYTES];
    let mut filled = 0;
    loop {
        fill(talk, shared);
        stream.write_all(&talk.out).await?;
        // What is encrypted may wait for room, though it was taken.
        stream.flush().await?;
        talk.out.clear();
        if talk.open() == 0 && (shared.over.get() || shared.next.get() == shared.calls) {
            return Ok(());
        }
        let came = stream.read(&mut bytes[filled..]).await?;
        if came == 0 {
            return Err(Broken::Closed);
        }
        filled += came;
        let (heard, answered) = talk.hear(&bytes[..filled])?;
        bytes.copy_within(heard..filled, 0);
        filled -= heard;
        shared.answered.set(shared.answered.get() + answered);
    }
}

/// Asks as many calls as there is room for.
fn fill(talk: &mut Talk, shared: &Shared) {
    let mut question = shared.question.borrow_mut();
    let now = question::now();
    while !shared.over.get() && shared.next.get() < shared.calls && talk.has_room(&question) {
        let number = shared.next.get();
        shared.next.set(number + 1);
        talk.ask(question.ask(number, now));
    }
}
