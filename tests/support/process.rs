//! A process of the `imquota` binary: its output as it comes, its end, and nothing left behind.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use tokio::sync::watch;

use crate::wait::{soon, until};

/// How many of its last lines a process that a failing test leaves behind is quoted with.
const QUOTED: usize = 100;

/// What a process wrote to one of its two outputs, line by line.
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    /// How many there are; closed when the process has closed its end.
    count: watch::Receiver<usize>,
}

impl Output {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (counted, count) = watch::channel(0);
        let written = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { return };
                let mut lines = written.lock().expect("no holder panics");
                lines.push(String::from_utf8_lossy(&line).into_owned());
                counted.send_replace(lines.len());
            }
        });
        Self { lines, count }
    }

    fn text(&self) -> String {
        self.lines.lock().expect("no holder panics").join("\n")
    }

    fn find(&self, words: &str) -> Option<String> {
        let lines = self.lines.lock().expect("no holder panics");
        lines.iter().find(|line| line.contains(words)).cloned()
    }

    /// The first line with `words`; `None` if the process closes its end without having written one.
    async fn line(&self, words: &str) -> Option<String> {
        let mut count = self.count.clone();
        loop {
            count.borrow_and_update();
            if let Some(line) = self.find(words) {
                return Some(line);
            }
            if count.changed().await.is_err() {
                return self.find(words);
            }
        }
    }

    async fn closed(&self) {
        let mut count = self.count.clone();
        while count.changed().await.is_ok() {}
    }
}

/// What a process left.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The exit status; panics if a signal ended the process.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("it ended by a signal: {self:?}"))
    }
}

/// A running process; killed when it is dropped.
pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
    may_panic: AtomicBool,
}

impl Process {
    /// Runs `imquota` with `arguments`, its environment cleared of what would change its settings.
    pub fn imquota<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        Self::of(env!("CARGO_BIN_EXE_imquota").as_ref(), arguments)
    }

    /// As [`Process::imquota`], of another build.
    pub fn of<S: AsRef<OsStr>>(program: &OsStr, arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(program);
        command.args(arguments);
        Self::spawn(command)
    }

    pub fn spawn(mut command: Command) -> Self {
        for (name, _) in std::env::vars_os() {
            let set_by_us = command.get_envs().any(|(own, _)| own == name);
            let ours = name.as_encoded_bytes().starts_with(b"IMQUOTA_") || name == "RUST_LOG";
            if ours && !set_by_us {
                command.env_remove(name);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .expect("the binary was built with this test");
        let stdout = Output::of(child.stdout.take().expect("it is piped"));
        let stderr = Output::of(child.stderr.take().expect("it is piped"));
        Self {
            child,
            stdout,
            stderr,
            may_panic: AtomicBool::new(false),
        }
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it panic: what it needs is taken from it.
    pub fn may_panic(&self) {
        self.may_panic.store(true, Ordering::Relaxed);
    }

    /// The first line on standard error with `words`, waited for.
    pub async fn says(&self, words: &str) -> String {
        let found = soon(words, self.stderr.line(words)).await;
        found.unwrap_or_else(|| panic!("it ended without a word of {words:?}: {}", self.stderr()))
    }

    /// Waits until it is ready to answer, or has ended; answers whether it is ready.
    pub async fn starts(&self) -> bool {
        soon("a start", self.stderr.line("ready to answer"))
            .await
            .is_some()
    }

    /// What it wrote to standard error up to now.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Lets it have so much of something from now on; answers what it might have until now.
    pub fn limit(&self, resource: Resource, most: u64) -> u64 {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let before = getrlimit(resource).maximum;
        let limit = Rlimit {
            current: Some(most),
            maximum: before,
        };
        let before = prlimit(pid, resource, limit).expect("our own child can be limited");
        before.current.unwrap_or(u64::MAX)
    }

    /// What it has in memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let number = number.and_then(|number| number.parse().ok());
        number.expect("the system says it")
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("our own child takes signals");
    }

    /// Suspends it, and waits until none of its threads runs any more.
    pub async fn suspend(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.child.id());
        until("every thread is stopped", async || {
            let tasks = std::fs::read_dir(&tasks).map_err(|error| error.to_string())?;
            for task in tasks.flatten() {
                let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
                // The state follows the name, which is in brackets.
                let state = stat
                    .rsplit(") ")
                    .next()
                    .and_then(|rest| rest.chars().next());
                if state != Some('T') {
                    return Err(format!("{state:?}"));
                }
            }
            Ok(())
        })
        .await;
    }

    /// Waits for the end, which must come soon.
    pub async fn ended(mut self) -> Ended {
        let both = async { tokio::join!(self.stdout.closed(), self.stderr.closed()) };
        soon("the process ends", both).await;
        // With both outputs closed it is gone, or about to be.
        let status = self.child.wait().expect("our own child can be waited for");
        Ended {
            status,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that has ended takes no harm, and failing here would hide the test's own failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let (id, wrote) = (self.child.id(), last_lines(&self.stderr(), QUOTED));
            eprintln!("--- {id} wrote at last:\n{wrote}\n---");
        } else {
            let stderr = self.stderr();
            let may = self.may_panic.load(Ordering::Relaxed);
            assert!(may || !stderr.contains("panicked"), "{stderr}");
        }
    }
}

/// The end of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
