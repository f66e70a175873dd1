//! The ledger's server: the fake with the auditor looking on after each step, or a real one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use imquota::clock::Machine;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};
use tokio::time::sleep;

use crate::auditor::Auditor;
use crate::fake::{Fake, Identity};
use crate::fake::keyspace::Keyspace;
use crate::machine::Dial;

/// How often a stalled server is looked at.
const STALL_POLL: Duration = Duration::from_millis(20);

pub enum Backend {
    Fake(Box<Fake>),
    Real(MultiplexedConnection),
}

pub struct Server {
    backend: Backend,
    pub dial: Dial,
    auditor: Arc<Auditor>,
    /// Which process of the server this is: connections to an earlier one are broken.
    run: AtomicU64,
    stalled: AtomicBool,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    pub fn new(backend: Backend, dial: Dial, auditor: Arc<Auditor>) -> Self {
        Self {
            backend,
            dial,
            auditor,
            run: AtomicU64::new(1),
            stalled: AtomicBool::new(false),
        }
    }

    pub fn run(&self) -> u64 {
        self.run.load(Ordering::Relaxed)
    }

    /// The fake, where it is one.
    pub fn fake(&self) -> Option<&Fake> {
        match &self.backend {
            Backend::Fake(fake) => Some(fake),
            Backend::Real(_) => None,
        }
    }

    /// A server that is stopped by a signal: it takes everything and answers nothing until it goes on.
    pub fn stall(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Runs what came over a connection; `None` if that leads to a process that is gone.
    pub async fn run_all(&self, run: u64, commands: &[Cmd]) -> Option<Vec<Value>> {
        while self.stalled.load(Ordering::Relaxed) {
            sleep(STALL_POLL).await;
        }
        if run != self.run() {
            return None;
        }
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            answers.push(match &self.backend {
                Backend::Fake(fake) => {
                    let answer = fake.run(command, self.dial.wall().0 * 1000);
                    self.auditor.note_step(command, &answer);
                    fake.look(|keys| self.auditor.look(keys));
                    answer
                }
                Backend::Real(connection) => {
                    let mut connection = connection.clone();
                    let answer = connection.send_packed_command(command).await;
                    answer.unwrap_or_else(|error| panic!("the real server: {error}"))
                }
            });
        }
        Some(answers)
    }

    /// The process dies and another one goes on, with the same keys or with others.
    pub fn succeed(&self, number: u64, promoted: bool, keys: Option<Keyspace>) {
        let Some(fake) = self.fake() else { return };
        let known = fake.identity();
        let replid = if promoted { format!("{number:040x}") } else { known.replid };
        let run_id = format!("{number:040x}");
        fake.succeed(Identity { run_id, replid }, keys);
        self.run.fetch_add(1, Ordering::Relaxed);
    }
}
