//! Calls at a fixed rate, whatever the server does: a wait counts from the moment at which its call was due, so that a
//! server that stands still has all that came meanwhile wait, and not one call of each connection.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use imquota::grpc::proto::Resource;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::{LocalSet, yield_now};

use super::question::{self, Apps, Question};
use super::talk::{PLAIN, Talk};
use super::{Broken, READ_BYTES, busy_micros};
use crate::Failure;
use crate::sidecar::runtime;

/// The most calls in flight on each connection: what is due beyond waits, and its wait counts.
const IN_FLIGHT: usize = 1_000;

/// Whom to ask, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Paced {
    /// Where: `127.0.0.1:50051`.
    #[arg(long)]
    to: String,
    /// Calls a second, in all.
    #[arg(long)]
    rate: u64,
    /// Connections.
    #[arg(long, default_value_t = 4)]
    connections: u64,
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
    #[arg(long)]
    warm_ms: u64,
    /// Milliseconds that are measured.
    #[arg(long)]
    measure_ms: u64,
}

/// When the calls of one connection are due.
#[derive(Clone, Copy)]
struct Schedule {
    begun: Instant,
    gap: Duration,
    /// From then on waits are measured.
    warm: Duration,
    over: Duration,
}

impl Schedule {
    fn due(&self, call: u32) -> Instant {
        self.begun + self.gap * call
    }
}

impl Paced {
    /// Asks, and prints one line of JSON.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        LocalSet::new().block_on(&runtime, self.ask())
    }

    async fn ask(self) -> Result<(), Failure> {
        let (warm, measured) = (
            Duration::from_millis(self.warm_ms),
            Duration::from_millis(self.measure_ms),
        );
        let gap = self.connections * 1_000_000_000 / self.rate.max(1);
        let gap = Duration::from_nanos(gap);
        let mut asking = Vec::new();
        for connection in 0..self.connections {
            let stream = TcpStream::connect(&self.to).await?;
            stream.set_nodelay(true)?;
            let apps = Apps {
                first: self.first_app,
                count: self.apps,
            };
            let schedule = Schedule {
                // They take turns.
                begun: Instant::now()
                    + gap * u32::try_from(connection)? / u32::try_from(self.connections)?,
                gap,
                warm,
                over: warm + measured,
            };
            asking.push(tokio::task::spawn_local(keep_to(stream, apps, schedule)));
        }
        tokio::time::sleep(warm).await;
        let (began, busy) = (Instant::now(), busy_micros(self.server));
        tokio::time::sleep(measured).await;
        let (micros, busy) = (began.elapsed().as_micros(), busy_micros(self.server) - busy);
        let (mut waits, mut late) = (Vec::new(), Vec::new());
        let mut answered = 0;
        for asking in asking {
            let found = asking.await??;
            waits.extend(found.waits);
            late.extend(found.late);
            answered += found.answered;
        }
        waits.sort_unstable();
        late.sort_unstable();
        let part = |of: &[u64], part: usize| of.get(of.len() * part / 1000).copied().unwrap_or(0);
        println!(
            "{}",
            json!({
                "answered": answered,
                "measured": waits.len(),
                "p50_ns": part(&waits, 500),
                "p99_ns": part(&waits, 990),
                "p999_ns": part(&waits, 999),
                "late_p99_ns": part(&late, 990),
                "micros": u64::try_from(micros)?,
                "server_busy_micros": busy,
            })
        );
        Ok(())
    }
}

/// What one connection found.
struct Found {
    /// From when a call was due to its answer, in nanoseconds.
    waits: Vec<u64>,
    /// From when it was due to when it was sent.
    late: Vec<u64>,
    answered: u64,
}

/// Asks whenever a call is due. It never sleeps, so that it is not late itself.
async fn keep_to(stream: TcpStream, apps: Apps, schedule: Schedule) -> Result<Found, Failure> {
    let mut question = Question::new(apps, Resource::Account)?;
    let mut talk = Talk::new(question.path(), PLAIN, IN_FLIGHT);
    let mut found = Found {
        waits: Vec::new(),
        late: Vec::new(),
        answered: 0,
    };
    // A server answers what it decides from memory in the order in which it came.
    let mut asked: VecDeque<Instant> = VecDeque::new();
    let (mut bytes, mut filled) = (vec![0; READ_BYTES], 0);
    let mut sent = 0;
    let (warm, over) = (
        schedule.begun + schedule.warm,
        schedule.begun + schedule.over,
    );
    loop {
        let now = Instant::now();
        let mut due = schedule.due(sent);
        while due <= now && due < over && talk.has_room(&question) {
            talk.ask(question.ask(sent.into(), question::now()));
            asked.push_back(due);
            if due >= warm {
                found.late.push(nanos(now - due));
            }
            sent += 1;
            due = schedule.due(sent);
        }
        if !talk.out.is_empty() {
            match stream.try_write(&talk.out) {
                Ok(wrote) => drop(talk.out.drain(..wrote)),
                Err(full) if full.kind() == io::ErrorKind::WouldBlock => {}
                Err(problem) => return Err(problem.into()),
            }
        }
        if asked.is_empty() && due >= over {
            return Ok(found);
        }
        match stream.try_read(&mut bytes[filled..]) {
            Ok(0) => return Err(Broken::Closed.into()),
            Ok(came) => filled += came,
            Err(none) if none.kind() == io::ErrorKind::WouldBlock => {
                yield_now().await;
                continue;
            }
            Err(problem) => return Err(problem.into()),
        }
        let (heard, answered) = talk.hear(&bytes[..filled])?;
        bytes.copy_within(heard..filled, 0);
        filled -= heard;
        let now = Instant::now();
        for _ in 0..answered {
            let due = asked.pop_front().ok_or(Broken::Answer)?;
            found.answered += 1;
            if due >= warm {
                found.waits.push(nanos(now - due));
            }
        }
        yield_now().await;
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}
