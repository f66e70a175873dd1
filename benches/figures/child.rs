//! Processes that a figure starts: pinned to a core, and gone when the figure is.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Failure;

/// The core that servers under measurement have for themselves.
pub(crate) const SERVER_CORE: &str = "0";
/// Both of them.
pub(crate) const BOTH_CORES: &str = "0,1";
/// The core of the load, and of everything that is not measured.
pub(crate) const LOAD_CORE: &str = "1";

/// How long a process may take to its end.
const END_MAX: Duration = Duration::from_mins(1);

/// A running process; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts `program` on `core`.
    pub(crate) fn start(core: &str, program: PathBuf, args: &[String]) -> Result<Self, Failure> {
        // What goes wrong is told on standard error; the figures have standard output to themselves.
        let child = pinned(core, program, args).stdout(Stdio::null()).spawn()?;
        Ok(Self { child })
    }

    /// As [`Running::start`], and waits until it writes `words` to standard error. Says how long that
    /// took.
    pub(crate) fn until(
        core: &str,
        program: PathBuf,
        args: &[String],
        words: &str,
    ) -> Result<(Self, Duration), Failure> {
        let begun = Instant::now();
        let mut command = pinned(core, program, args);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let told = child.stderr.take().ok_or("standard error is piped")?;
        let this = Self { child };
        let mut told = BufReader::new(told);
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            if told.read_line(&mut line)? == 0 {
                return Err(format!("a process ended before it wrote {words:?}").into());
            }
            eprint!("{line}");
        }
        let took = begun.elapsed();
        // The rest is passed on until the process ends, and with it this thread.
        thread::spawn(move || std::io::copy(&mut told, &mut std::io::stderr()));
        Ok((this, took))
    }

    /// Stands still until [`Running::go_on`], so that another may be measured undisturbed.
    pub(crate) fn stand_still(&self) -> Result<(), Failure> {
        self.signal(Signal::STOP)
    }

    /// Goes on after [`Running::stand_still`].
    pub(crate) fn go_on(&self) -> Result<(), Failure> {
        self.signal(Signal::CONT)
    }

    /// Ends it at once, without a chance to write anything, and waits for the end.
    pub(crate) fn kill_9(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits for that, no longer than [`END_MAX`]. It must exit with status 0.
    pub(crate) fn terminate(mut self) -> Result<(), Failure> {
        self.signal(Signal::TERM)?;
        // One that stands still hears of it when it goes on.
        self.go_on()?;
        let asked = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if asked.elapsed() > END_MAX {
                return Err(format!("it is still there {END_MAX:?} after SIGTERM").into());
            }
            thread::sleep(Duration::from_millis(10));
        };
        if status.success() {
            Ok(())
        } else {
            Err(format!("after SIGTERM it ended with {status}").into())
        }
    }

    /// Memory that it has in use, in bytes.
    pub(crate) fn memory(&self) -> Result<Memory, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let bytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
            let kib = kib.and_then(|kib| kib.parse::<u64>().ok());
            kib.map(|kib| kib * 1024)
                .ok_or(format!("/proc has no {key}"))
        };
        Ok(Memory {
            all: bytes("VmRSS:")?,
            anonymous: bytes("RssAnon:")?,
        })
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let pid = i32::try_from(self.child.id())?;
        let pid = Pid::from_raw(pid).ok_or("a process has a number")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; there is nothing else to do about either.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// All of it, mapped files too.
    pub(crate) all: u64,
    /// Without mapped files.
    pub(crate) anonymous: u64,
}

/// A load that runs until it has printed what it found.
pub(crate) struct Loading {
    running: Running,
}

impl Loading {
    /// Starts this program's `load` with `args`.
    pub(crate) fn start(args: &[String]) -> Result<Self, Failure> {
        Self::start_as("load", args)
    }

    /// As [`Loading::start`], behind whatever else wants the load's core.
    pub(crate) fn start_behind(args: &[String]) -> Result<Self, Failure> {
        let program = std::env::current_exe()?.display().to_string();
        let behind = ["-n".into(), "19".into(), program, "load".into()];
        Self::begun(pinned(LOAD_CORE, "nice".into(), &behind), args)
    }

    /// Starts one of this program's loads with `args`.
    pub(crate) fn start_as(load: &str, args: &[String]) -> Result<Self, Failure> {
        Self::start_on(LOAD_CORE, load, args)
    }

    /// The same on another core.
    pub(crate) fn start_on(core: &str, load: &str, args: &[String]) -> Result<Self, Failure> {
        let program = std::env::current_exe()?;
        Self::begun(pinned(core, program, &[load.into()]), args)
    }

    fn begun(mut command: Command, args: &[String]) -> Result<Self, Failure> {
        let child = command.args(args).stdout(Stdio::piped()).spawn()?;
        Ok(Self {
            running: Running { child },
        })
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Result<Loaded, Failure> {
        let found = self.found()?;
        let number = |key: &str| {
            let number = found.get(key).and_then(Value::as_u64);
            number.ok_or(format!("the load does not say {key}"))
        };
        Ok(Loaded {
            answered: number("answered")?,
            unanswered: number("unanswered")?,
            measured: number("measured")?,
            micros: number("micros")?,
            busy_micros: number("busy_micros")?,
            server_busy_micros: number("server_busy_micros")?,
        })
    }

    /// Waits for its end; what it printed.
    pub(crate) fn found(mut self) -> Result<Value, Failure> {
        let mut line = String::new();
        if let Some(out) = &mut self.running.child.stdout {
            out.read_to_string(&mut line)?;
        }
        let status = self.running.child.wait()?;
        if !status.success() {
            return Err(format!("the load ended with {status}").into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

/// What a load found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    /// Calls that were answered, each with ALLOW.
    pub(crate) answered: u64,
    /// Calls whose answer never came.
    pub(crate) unanswered: u64,
    /// Calls answered while it was measured.
    pub(crate) measured: u64,
    /// How long that was, in microseconds.
    pub(crate) micros: u64,
    /// How much of that the load ran on its core, in microseconds.
    pub(crate) busy_micros: u64,
    /// How much of that the server ran on its core, in microseconds; 0 if it was not asked for.
    pub(crate) server_busy_micros: u64,
}

fn pinned(core: &str, program: PathBuf, args: &[String]) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program).args(args);
    command
}
