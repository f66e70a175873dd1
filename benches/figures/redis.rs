//! A Redis of the benchmark's own, and what it says of itself.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::child::{LOAD_CORE, Running};
use crate::sidecar::free_port;

/// How long Redis may take until it answers.
const START_MAX: Duration = Duration::from_secs(10);

/// A running Redis, which keeps nothing on disk.
pub(crate) struct Redis {
    pub(crate) process: Running,
    connection: redis::Connection,
    /// Where it listens on the loopback.
    pub(crate) port: u16,
}

impl Redis {
    /// Starts one beside the load, and waits until it answers.
    pub(crate) fn start(folder: &Path) -> Result<Self, Failure> {
        let port = free_port()?;
        let (port_text, dir) = (port.to_string(), folder.display().to_string());
        // No snapshot and no log: what is measured is memory and the wire.
        let args = [
            ("--port", port_text.as_str()),
            ("--bind", "127.0.0.1"),
            ("--dir", dir.as_str()),
            ("--save", ""),
            ("--appendonly", "no"),
            ("--loglevel", "warning"),
        ];
        let args: Vec<_> = args
            .iter()
            .flat_map(|(key, value)| [(*key).to_owned(), (*value).to_owned()])
            .collect();
        let process = Running::start(LOAD_CORE, PathBuf::from("redis-server"), &args)?;
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
        let since = Instant::now();
        let connection = loop {
            match client.get_connection() {
                Ok(connection) => break connection,
                Err(problem) if since.elapsed() > START_MAX => return Err(problem.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        Ok(Self {
            process,
            connection,
            port,
        })
    }

    /// The address that a sidecar is given, behind `port`.
    pub(crate) fn url(port: u16) -> String {
        format!("redis://127.0.0.1:{port}/0")
    }

    /// Forgets the slow steps so far, and notes from now on all that take 0.1 ms or longer.
    pub(crate) fn watch_slow_steps(&mut self) -> Result<(), Failure> {
        let threshold = ["SET", "slowlog-log-slower-than", "100"];
        let () = redis::cmd("CONFIG")
            .arg(&threshold)
            .query(&mut self.connection)?;
        let length = ["SET", "slowlog-max-len", "100000"];
        let () = redis::cmd("CONFIG")
            .arg(&length)
            .query(&mut self.connection)?;
        let () = redis::cmd("SLOWLOG")
            .arg("RESET")
            .query(&mut self.connection)?;
        Ok(())
    }

    /// How long the longest step took since then, in microseconds; 0 if none took 0.1 ms.
    pub(crate) fn slowest_step_us(&mut self) -> Result<u64, Failure> {
        let entries: Vec<redis::Value> = redis::cmd("SLOWLOG")
            .arg(&["GET", "-1"])
            .query(&mut self.connection)?;
        let took = entries.iter().filter_map(|entry| match entry {
            redis::Value::Array(fields) => match fields.get(2) {
                Some(redis::Value::Int(took)) => u64::try_from(*took).ok(),
                _ => None,
            },
            _ => None,
        });
        Ok(took.max().unwrap_or(0))
    }

    /// Memory in use for data and its keeping (INFO `used_memory`), in bytes.
    pub(crate) fn used_memory(&mut self) -> Result<u64, Failure> {
        let used = self.told("memory", "used_memory:")?;
        Ok(used.parse()?)
    }

    /// For how long it had a core since its start, in microseconds.
    pub(crate) fn busy_us(&mut self) -> Result<u64, Failure> {
        let mut busy = Duration::ZERO;
        for of in ["used_cpu_user:", "used_cpu_sys:"] {
            busy += Duration::try_from_secs_f64(self.told("cpu", of)?.parse()?)?;
        }
        Ok(u64::try_from(busy.as_micros())?)
    }

    /// What a section of INFO says behind `name`.
    fn told(&mut self, section: &str, name: &str) -> Result<String, Failure> {
        let info: String = redis::cmd("INFO")
            .arg(section)
            .query(&mut self.connection)?;
        let told = info.lines().find_map(|line| line.strip_prefix(name));
        let told = told.ok_or_else(|| format!("INFO has no {name}"))?;
        Ok(told.trim().to_owned())
    }
}
