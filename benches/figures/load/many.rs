//! The load of batches and streams: what one call costs is shared by many checks, so that a plain client
//! is light enough.

use std::cell::Cell;
use std::process;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::Request;
use imquota::grpc::proto::{BatchCheckRequest, CheckRequest, Resource};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::{Broken, busy_micros};
use crate::Failure;
use crate::sidecar::runtime;

/// Before a message: not packed, and its length.
const PREFIX: usize = 5;
/// What a server may send before it hears that more is welcome.
const WINDOW: u32 = 1 << 24;
/// Checks of a stream that wait for their answers.
const STREAM_IN_FLIGHT: usize = 512;
/// Checks that a stream sends at a time.
const STREAM_SENDS: usize = 64;

/// What to ask, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Many {
    /// Where: `127.0.0.1:50051`.
    #[arg(long)]
    to: String,
    /// Connections.
    #[arg(long, default_value_t = 4)]
    connections: u64,
    /// Checks in a batch; 0: each connection is one stream.
    #[arg(long)]
    batch: usize,
    /// Batches in flight on each connection: as many calls as of single checks.
    #[arg(long, default_value_t = 64)]
    in_flight: u64,
    /// Whether each check has a request id of its own.
    #[arg(long)]
    ids: bool,
    /// The first app id.
    #[arg(long)]
    first_app: u64,
    /// How many apps, asked in turn.
    #[arg(long)]
    apps: u64,
    /// The server's process.
    #[arg(long)]
    server: u32,
    /// Milliseconds before the measuring begins.
    #[arg(long, default_value_t = 500)]
    warm_ms: u64,
    /// Milliseconds that are measured.
    #[arg(long, default_value_t = 4_000)]
    measure_ms: u64,
}

/// What all connections share.
struct Shared {
    asked: Asked,
    answered: Cell<u64>,
    over: Cell<bool>,
}

/// The checks that are asked, one after the other.
struct Asked {
    first_app: u64,
    apps: u64,
    salt: Option<u64>,
    next: Cell<u64>,
}

impl Asked {
    fn check(&self) -> CheckRequest {
        let number = self.next.get();
        self.next.set(number + 1);
        let id = self.salt.map(|salt| format!("{salt:016x}-{number:016x}"));
        CheckRequest {
            app_id: self.first_app + number % self.apps,
            resource: Resource::Account.into(),
            request_id: id.unwrap_or_default(),
            ..CheckRequest::default()
        }
    }

    /// So many checks as the body of a batch.
    fn batch(&self, size: usize) -> Bytes {
        let checks = (0..size).map(|_| self.check()).collect();
        let mut body = BytesMut::new();
        frame(&BatchCheckRequest { checks }, &mut body);
        body.freeze()
    }

    /// So many checks as a stream has them.
    fn stream(&self, size: usize) -> Bytes {
        let mut body = BytesMut::new();
        for _ in 0..size {
            frame(&self.check(), &mut body);
        }
        body.freeze()
    }
}

fn frame(message: &impl prost::Message, body: &mut BytesMut) {
    body.extend_from_slice(&[0]);
    let length = u32::try_from(message.encoded_len()).unwrap_or(u32::MAX);
    body.extend_from_slice(&length.to_be_bytes());
    // Can only fail for want of room, and it grows.
    let _ = message.encode(body);
}

impl Many {
    /// Asks, and prints one line of JSON: what was answered.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        LocalSet::new().block_on(&runtime, self.ask())
    }

    async fn ask(self) -> Result<(), Failure> {
        let shared = Rc::new(Shared {
            asked: Asked {
                first_app: self.first_app,
                apps: self.apps,
                salt: self.ids.then(rand::random),
                next: Cell::new(0),
            },
            answered: Cell::new(0),
            over: Cell::new(false),
        });
        let mut asking = Vec::new();
        for _ in 0..self.connections {
            let stream = TcpStream::connect(&self.to).await?;
            stream.set_nodelay(true)?;
            let mut open = h2::client::Builder::new();
            open.initial_window_size(WINDOW);
            open.initial_connection_window_size(WINDOW);
            let (sender, connection) = open.handshake(stream).await?;
            tokio::task::spawn_local(connection);
            if self.batch == 0 {
                asking.push(tokio::task::spawn_local(stream_of(sender, shared.clone())));
                continue;
            }
            for _ in 0..self.in_flight {
                let work = batches(sender.clone(), shared.clone(), self.batch);
                asking.push(tokio::task::spawn_local(work));
            }
        }
        tokio::time::sleep(Duration::from_millis(self.warm_ms)).await;
        let (began, before) = (Instant::now(), shared.answered.get());
        let busy = [busy_micros(process::id()), busy_micros(self.server)];
        tokio::time::sleep(Duration::from_millis(self.measure_ms)).await;
        let micros = u64::try_from(began.elapsed().as_micros())?;
        let measured = shared.answered.get() - before;
        let [mine, servers] = [process::id(), self.server].map(busy_micros);
        shared.over.set(true);
        for asking in asking {
            asking.await??;
        }
        let found = json!({
            "answered": shared.answered.get(),
            "unanswered": 0,
            "measured": measured,
            "micros": micros,
            "busy_micros": mine - busy[0],
            "server_busy_micros": servers - busy[1],
        });
        println!("{found}");
        Ok(())
    }
}

fn call(name: &str) -> Result<Request<()>, Failure> {
    let uri = format!("http://localhost/imquota.v1.QuotaService/{name}");
    let call = Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    Ok(call.body(())?)
}

/// One batch after the other.
async fn batches(
    mut sender: SendRequest<Bytes>,
    shared: Rc<Shared>,
    size: usize,
) -> Result<(), Failure> {
    while !shared.over.get() {
        sender = sender.ready().await?;
        let (answer, mut body) = sender.send_request(call("BatchCheck")?, false)?;
        body.send_data(shared.asked.batch(size), true)?;
        let mut answer = answer.await?.into_body();
        let mut whole = BytesMut::new();
        while let Some(data) = heard(&mut answer).await? {
            whole.extend_from_slice(&data);
        }
        let results = whole.get(PREFIX..).ok_or(Broken::Answer)?;
        if results_allowed(results)? != size {
            return Err(Broken::Answer.into());
        }
        ended_well(&mut answer).await?;
        shared.answered.set(shared.answered.get() + size as u64);
    }
    Ok(())
}

/// How many results there are; each is a field 1 that begins with the decision ALLOW.
fn results_allowed(mut results: &[u8]) -> Result<usize, Broken> {
    let mut allowed = 0;
    while let [0x0a, length @ 0..=0x7f, rest @ ..] = results {
        let Some(([8, 1, ..], after)) = rest.split_at_checked(usize::from(*length)) else {
            return Err(Broken::Answer);
        };
        allowed += 1;
        results = after;
    }
    if results.is_empty() {
        Ok(allowed)
    } else {
        Err(Broken::Answer)
    }
}

async fn heard(answer: &mut RecvStream) -> Result<Option<Bytes>, Failure> {
    let Some(data) = answer.data().await.transpose()? else {
        return Ok(None);
    };
    answer.flow_control().release_capacity(data.len())?;
    Ok(Some(data))
}

async fn ended_well(answer: &mut RecvStream) -> Result<(), Failure> {
    let trailers = answer.trailers().await?;
    let status = trailers
        .as_ref()
        .and_then(|trailers| trailers.get("grpc-status"));
    if status.is_some_and(|status| status == "0") {
        Ok(())
    } else {
        Err(Broken::Answer.into())
    }
}

/// One stream, on which some checks always wait for their answers.
async fn stream_of(sender: SendRequest<Bytes>, shared: Rc<Shared>) -> Result<(), Failure> {
    let mut sender = sender.ready().await?;
    let (answer, mut body) = sender.send_request(call("StreamChecks")?, false)?;
    let mut open = 0;
    send(&mut body, &shared, STREAM_IN_FLIGHT, &mut open).await?;
    let mut answer = answer.await?.into_body();
    let mut rest = BytesMut::new();
    let mut closed = false;
    while let Some(data) = heard(&mut answer).await? {
        rest.extend_from_slice(&data);
        while let Some(message) = next_message(&mut rest) {
            if !matches!(message[..], [8, 1, ..]) {
                return Err(Broken::Answer.into());
            }
            open -= 1;
            shared.answered.set(shared.answered.get() + 1);
        }
        if shared.over.get() && !closed {
            closed = true;
            body.send_data(Bytes::new(), true)?;
        }
        while !closed && open + STREAM_SENDS <= STREAM_IN_FLIGHT {
            send(&mut body, &shared, STREAM_SENDS, &mut open).await?;
        }
    }
    if open > 0 {
        return Err(Broken::Answer.into());
    }
    ended_well(&mut answer).await
}

/// Sends checks as soon as the server takes them.
async fn send(
    body: &mut SendStream<Bytes>,
    shared: &Shared,
    checks: usize,
    open: &mut usize,
) -> Result<(), Failure> {
    let mut bytes = shared.asked.stream(checks);
    *open += checks;
    while !bytes.is_empty() {
        body.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await;
        let room = room.ok_or(Broken::Closed)??;
        let part = bytes.split_to(room.min(bytes.len()));
        body.send_data(part, false)?;
    }
    Ok(())
}

fn next_message(bytes: &mut BytesMut) -> Option<BytesMut> {
    let &[_, a, b, c, d] = bytes.first_chunk::<PREFIX>()?;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if bytes.len() < PREFIX + length {
        return None;
    }
    let mut message = bytes.split_to(PREFIX + length);
    Some(message.split_off(PREFIX))
}
