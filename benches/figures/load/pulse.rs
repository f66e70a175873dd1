//! One call after the other, each timed: what a caller waits when nobody else asks.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use imquota::grpc::proto::Resource;

use super::question::{self, Apps, Question};
use super::talk::{PLAIN, Talk};
use super::{Broken, READ_BYTES};
use crate::Failure;
use crate::sidecar::runtime;

/// Whom to ask, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Pulse {
    /// Where: `127.0.0.1:50051` or `unix:/path`.
    #[arg(long)]
    to: String,
    /// It sends back what it reads, and speaks no HTTP.
    #[arg(long)]
    echo: bool,
    /// The first app id.
    #[arg(long)]
    first_app: u64,
    /// Milliseconds before the measuring begins.
    #[arg(long)]
    warm_ms: u64,
    /// Milliseconds that are measured.
    #[arg(long)]
    measure_ms: u64,
}

impl Pulse {
    /// Asks, and prints one line of JSON.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let found = runtime.block_on(async {
            if let Some(path) = self.to.strip_prefix("unix:") {
                self.ask(UnixStream::connect(path).await?).await
            } else {
                let stream = TcpStream::connect(&self.to).await?;
                stream.set_nodelay(true)?;
                self.ask(stream).await
            }
        })?;
        println!("{found}");
        Ok(())
    }

    async fn ask(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Value, Failure> {
        let apps = Apps {
            first: self.first_app,
            count: 1,
        };
        let mut question = Question::new(apps, Resource::Account)?;
        let mut talk = Talk::new(question.path(), PLAIN, 1);
        let (mut bytes, mut filled) = (vec![0; READ_BYTES], 0);
        let mut times: Vec<u64> = Vec::new();
        let begun = Instant::now();
        let (warm, end) = (
            Duration::from_millis(self.warm_ms),
            Duration::from_millis(self.warm_ms + self.measure_ms),
        );
        for number in 0.. {
            let asked = Instant::now();
            if asked - begun > end {
                break;
            }
            talk.ask(question.ask(number, question::now()));
            let mut wanted = talk.out.len();
            stream.write_all(&talk.out).await?;
            talk.out.clear();
            loop {
                let came = stream.read(&mut bytes[filled..]).await?;
                if came == 0 {
                    return Err(Broken::Closed.into());
                }
                if self.echo {
                    wanted -= came;
                    if wanted == 0 {
                        talk.forget();
                        break;
                    }
                    continue;
                }
                filled += came;
                let (heard, answered) = talk.hear(&bytes[..filled])?;
                bytes.copy_within(heard..filled, 0);
                filled -= heard;
                if answered > 0 {
                    break;
                }
            }
            if asked - begun > warm {
                times.push(asked.elapsed().as_nanos().try_into().unwrap_or(u64::MAX));
            }
        }
        times.sort_unstable();
        let at = |part: usize| times.get(times.len() * part / 1000).copied().unwrap_or(0);
        Ok(json!({
            "answered": talk.asked(),
            "p50_ns": at(500),
            "p99_ns": at(990),
            "p999_ns": at(999),
        }))
    }
}
