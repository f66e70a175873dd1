//! The ledger's server: the fake with the auditor looking on after each step, and a real
//! one beside it where the run has one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use imquota::clock::Machine;
use redis::{Cmd, Value};
use tokio::time::sleep;

use crate::auditor::Auditor;
use crate::fake::keyspace::Keyspace;
use crate::fake::{Fake, Identity};
use crate::machine::Dial;
use crate::twin::Twin;

/// How often a stalled server is looked at.
const STALL_POLL: Duration = Duration::from_millis(20);

pub struct Server {
    pub fake: Fake,
    twin: Option<Twin>,
    pub dial: Dial,
    auditor: Arc<Auditor>,
    /// Which process of the server this is: connections to an earlier one are broken.
    run: AtomicU64,
    stalled: AtomicBool,
    /// How many commands came over connections.
    commands: AtomicU64,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    pub fn new(fake: Fake, twin: Option<Twin>, dial: Dial, auditor: Arc<Auditor>) -> Self {
        Self {
            fake,
            twin,
            dial,
            auditor,
            run: AtomicU64::new(1),
            stalled: AtomicBool::new(false),
            commands: AtomicU64::new(0),
        }
    }

    pub fn run(&self) -> u64 {
        self.run.load(Ordering::Relaxed)
    }

    /// How many commands it was sent.
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
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
            self.commands.fetch_add(1, Ordering::Relaxed);
            let now_us = self.dial.wall().0 * 1000;
            let answer = match &self.twin {
                None => self.fake.run(command, now_us),
                Some(twin) => match twin.run(&self.fake, command, now_us) {
                    Ok(answer) => answer,
                    Err(difference) => {
                        self.auditor.fault(difference);
                        return None;
                    }
                },
            };
            self.auditor.note_step(command, &answer);
            if self.auditor.cares_for(command) {
                self.fake.look(|keys| self.auditor.look(keys));
            }
            answers.push(answer);
        }
        Some(answers)
    }

    /// Where the twin's keys differ from the fake's.
    pub fn difference(&self) -> Option<String> {
        self.twin.as_ref()?.difference(&self.fake)
    }

    /// The process dies and another one goes on, with the same keys or with others.
    pub fn succeed(&self, number: u64, promoted: bool, keys: Option<Keyspace>) {
        let known = self.fake.identity();
        let replid = if promoted {
            format!("{number:040x}")
        } else {
            known.replid
        };
        let run_id = format!("{number:040x}");
        self.fake.succeed(Identity { run_id, replid }, keys);
        self.run.fetch_add(1, Ordering::Relaxed);
    }
}
