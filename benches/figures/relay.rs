//! Stands between a sidecar and its Redis and counts commands on the wire.
//!
//! Redis itself counts the commands inside scripts too (`commandstats`, `total_commands_processed`),
//! which cost no round trip. What a client sends is one array of strings a command (RESP), so
//! counting those is exact.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Failure;
use crate::sidecar::runtime;

/// A relay; it ends with the program.
pub(crate) struct Relay {
    /// Where it listens on the loopback.
    pub(crate) port: u16,
    commands: Arc<AtomicU64>,
}

impl Relay {
    /// Starts one in front of the Redis at `redis`.
    pub(crate) fn start(redis: u16) -> Result<Self, Failure> {
        let runtime = runtime()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        let commands = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&commands);
        thread::spawn(move || {
            runtime.block_on(async move {
                while let Ok((sidecar, _)) = listener.accept().await {
                    tokio::spawn(relay(sidecar, redis, Arc::clone(&counter)));
                }
            });
        });
        Ok(Self { port, commands })
    }

    /// Commands that went through up to now.
    pub(crate) fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }
}

async fn relay(sidecar: TcpStream, redis: u16, commands: Arc<AtomicU64>) -> std::io::Result<()> {
    let redis = TcpStream::connect((Ipv4Addr::LOCALHOST, redis)).await?;
    redis.set_nodelay(true)?;
    sidecar.set_nodelay(true)?;
    let (mut from_sidecar, mut to_sidecar) = sidecar.into_split();
    let (mut from_redis, mut to_redis) = redis.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_redis, &mut to_sidecar).await });
    let mut counting = Counting::default();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let came = from_sidecar.read(&mut bytes).await?;
        if came == 0 {
            return Ok(());
        }
        commands.fetch_add(counting.count(&bytes[..came]), Ordering::Relaxed);
        to_redis.write_all(&bytes[..came]).await?;
    }
}

/// Where in the stream of commands the reading stands.
#[derive(Debug, Default)]
struct Counting {
    /// The line that announces an array or a string, as far as it came.
    line: Vec<u8>,
    /// Bytes of a string that are still to come, its end of line included.
    skip: usize,
}

impl Counting {
    /// How many commands begin in `bytes`.
    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut commands = 0;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let Some((&byte, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            match self.line.first() {
                Some(b'*') => commands += 1,
                Some(b'$') => {
                    let digits = self.line[1..].trim_ascii_end();
                    let length = str::from_utf8(digits).ok().and_then(|d| d.parse().ok());
                    self.skip = length.unwrap_or(0) + 2;
                }
                _ => {}
            }
            self.line.clear();
        }
        commands
    }
}
