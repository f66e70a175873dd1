//! One connection after the other, with one call on each: what it costs a server that clients come.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use imquota::grpc::proto::Resource;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};

use super::question::{self, Apps, Question};
use super::secure::Secure;
use super::talk::{PLAIN, Talk};
use super::{Broken, READ_BYTES, Shared, clock, found};
use crate::Failure;
use crate::sidecar::runtime;

/// Whom to ask, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Connects {
    /// Where: `127.0.0.1:50051`.
    #[arg(long)]
    to: String,
    /// With TLS: the file of the certificate that is trusted.
    #[arg(long)]
    root: Option<PathBuf>,
    /// Connections at a time.
    #[arg(long, default_value_t = 4)]
    at_a_time: usize,
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

impl Connects {
    /// Asks, and prints one line of JSON: how many connections were opened and answered.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        LocalSet::new().block_on(&runtime, self.ask())
    }

    async fn ask(self) -> Result<(), Failure> {
        let apps = Apps {
            first: self.first_app,
            count: self.apps,
        };
        let question = Question::new(apps, Resource::Account)?;
        let shared = Rc::new(Shared {
            question: RefCell::new(question),
            next: Cell::new(0),
            calls: u64::MAX,
            answered: Cell::new(0),
            over: Cell::new(false),
        });
        let secure = self.root.as_deref().map(Secure::new).transpose()?;
        let (to, secure) = (Rc::<str>::from(self.to), Rc::new(secure));
        let callers: Vec<_> = (0..self.at_a_time)
            .map(|_| spawn_local(come_and_go(to.clone(), secure.clone(), shared.clone())))
            .collect();
        let clock = spawn_local(clock(
            shared.clone(),
            Duration::from_millis(self.warm_ms),
            Duration::from_millis(self.measure_ms),
            Some(self.server),
        ));
        for caller in callers {
            caller.await??;
        }
        println!("{}", found(&shared, 0, &clock.await?));
        Ok(())
    }
}

async fn come_and_go(
    to: Rc<str>,
    secure: Rc<Option<Secure>>,
    shared: Rc<Shared>,
) -> Result<(), Failure> {
    let mut bytes = vec![0; READ_BYTES];
    while !shared.over.get() {
        let mut stream = TcpStream::connect(&*to).await?;
        stream.set_nodelay(true)?;
        // So many connections would use up the ports if each were kept for a minute after its end.
        stream.set_zero_linger()?;
        if let Some(secure) = &*secure {
            call(&mut secure.over(stream).await?, &shared, &mut bytes).await?;
        } else {
            call(&mut stream, &shared, &mut bytes).await?;
        }
        shared.answered.set(shared.answered.get() + 1);
    }
    Ok(())
}

async fn call(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    shared: &Shared,
    bytes: &mut [u8],
) -> Result<(), Broken> {
    let mut talk = opened(shared);
    let mut filled = 0;
    while talk.open() > 0 {
        stream.write_all(&talk.out).await?;
        stream.flush().await?;
        talk.out.clear();
        let came = stream.read(&mut bytes[filled..]).await?;
        if came == 0 {
            return Err(Broken::Closed);
        }
        filled += came;
        let (heard, _) = talk.hear(&bytes[..filled])?;
        bytes.copy_within(heard..filled, 0);
        filled -= heard;
    }
    Ok(())
}

/// A connection's beginning, with its call.
fn opened(shared: &Shared) -> Talk {
    let number = shared.next.get();
    shared.next.set(number + 1);
    let mut question = shared.question.borrow_mut();
    let mut talk = Talk::new(question.path(), PLAIN, 1);
    talk.ask(question.ask(number, question::now()));
    talk
}
