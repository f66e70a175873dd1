//! A sidecar: `imquota serve` with a data folder of its own, started, hurt and stopped by the test.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::client::Client;
use crate::process::{Ended, Process};
use crate::wait::until;

/// A sidecar and the folder that it lives in, which outlives its process.
pub struct Sidecar {
    folder: TempDir,
    store: String,
    member: String,
    program: OsString,
    process: Option<Process>,
    address: Option<SocketAddr>,
}

impl Sidecar {
    /// One that was not started yet. `settings` is the text of its settings file.
    pub fn new(store: &str, settings: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let this = Self {
            folder: tempfile::tempdir().expect("a folder can be made"),
            store: store.into(),
            member: format!("sidecar-{number}"),
            program: env!("CARGO_BIN_EXE_imquota").into(),
            process: None,
            address: None,
        };
        this.set(settings);
        this
    }

    /// A running one that is ready to answer, and has met its ledger.
    pub async fn start(store: &str, settings: &str) -> Self {
        let this = Self::start_alone(store, settings).await;
        if store.starts_with("redis") {
            this.meets_the_ledger().await;
        }
        this
    }

    /// A running one that is ready to answer, whether there is a ledger or not.
    pub async fn start_alone(store: &str, settings: &str) -> Self {
        let mut this = Self::new(store, settings);
        this.start_again().await;
        this
    }

    /// Waits until clients should be sent here. It answers before that where the ledger has not answered in the time that a
    /// start waits for it, as on a busy machine: then it refuses what a limit guards.
    async fn meets_the_ledger(&self) {
        let client = self.client().await;
        until("the ledger was met", async || {
            match client.health("readiness").await {
                ServingStatus::Serving => Ok(()),
                other => Err((other, self.process().stderr())),
            }
        })
        .await;
    }

    /// Replaces the settings; they hold from the next start on. What they do not say of the zone and
    /// of the ledger's time is chosen so that a test meets neither midnight nor its machine's pace.
    pub fn set(&self, settings: &str) {
        let mut text = settings.to_owned();
        if !settings.contains("billing:") {
            let zone = noon_zone();
            text += &["billing: { zone: \"", &zone, "\" }\n"].concat();
        }
        if !settings.contains("store:") {
            text += "store: { timeout: 2s }\n";
        }
        std::fs::write(self.settings(), text).expect("the folder is ours");
    }

    /// Has its next process be of another build.
    pub fn run_by(&mut self, program: &OsStr) {
        self.program = program.into();
    }

    /// Starts it on what its last process left, and waits until it is ready to answer.
    pub async fn start_again(&mut self) {
        if let Err(ended) = self.try_start().await {
            panic!("it does not start: {}", ended.stderr);
        }
    }

    /// As [`Sidecar::start_again`], where it may well refuse to start.
    pub async fn try_start(&mut self) -> Result<(), Ended> {
        assert!(self.process.is_none(), "it runs");
        let process = self.launch();
        if !process.starts().await {
            return Err(process.ended().await);
        }
        self.address = Some(tcp_of(&process.says("ready to answer").await));
        self.process = Some(process);
        Ok(())
    }

    /// A process on this sidecar's folder that is not waited for.
    pub fn launch(&self) -> Process {
        let socket = format!("unix:{}", self.socket().display());
        self.launch_with(&[
            "--listen",
            "127.0.0.1:0",
            "--listen",
            &socket,
            "--log-format",
            "json",
        ])
    }

    fn launch_with(&self, flags: &[&str]) -> Process {
        let (settings, data) = (self.settings(), self.data());
        let common = [
            &[
                "serve",
                "--config",
                path(&settings),
                "--data-dir",
                path(&data),
            ][..],
            if self.store.is_empty() {
                // The settings say it.
                &[]
            } else {
                &["--store", &self.store]
            },
            &["--member", &self.member, "--workers", "2"],
            flags,
        ];
        Process::of(&self.program, common.concat())
    }

    /// Starts it where it cannot serve: it must say so in one line, and end with 1. Answers the line.
    pub async fn refuses(&self, flags: &[&str]) -> String {
        self.attempt(flags)
            .await
            .unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// As [`Sidecar::refuses`]; where it does anything else, says what that was.
    pub async fn attempt(&self, flags: &[&str]) -> Result<String, String> {
        let process = self.launch_with(flags);
        if process.starts().await {
            return Err(format!("it started: {}", process.stderr()));
        }
        let ended = process.ended().await;
        match ended.stderr.lines().collect::<Vec<_>>()[..] {
            [line] if line.starts_with("imquota: ") && ended.status.code() == Some(1) => {
                assert!(ended.stdout.is_empty(), "{ended:?}");
                Ok(line.into())
            }
            _ => Err(format!("not one line and exit status 1: {ended:?}")),
        }
    }

    /// Makes the data folder a copy of another sidecar's, which must not run.
    pub fn take_data_of(&self, other: &Self) {
        assert!(other.process.is_none(), "it runs");
        std::fs::create_dir(self.data()).expect("the folder is ours");
        for entry in std::fs::read_dir(other.data()).expect("it was started") {
            let entry = entry.expect("it can be read");
            let to = self.data().join(entry.file_name());
            std::fs::copy(entry.path(), to).expect("there is room");
        }
    }

    /// The name that operators know it by.
    pub fn member(&self) -> &str {
        &self.member
    }

    pub fn settings(&self) -> PathBuf {
        self.folder.path().join("imquota.yaml")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Where it serves pages, if its settings say so.
    pub fn pages(&self) -> PathBuf {
        self.folder.path().join("p")
    }

    /// Where it listens on TCP.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("it was started")
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// A connection over TCP.
    pub async fn client(&self) -> Client {
        Client::connect(format!("http://{}", self.address())).await
    }

    /// A connection over the Unix socket, whose address outlives the process.
    pub async fn unix_client(&self) -> Client {
        Client::connect(format!("unix://{}", self.socket().display())).await
    }

    /// A connection over the Unix socket that is made when it is needed, and made anew when it broke.
    pub fn lasting_client(&self) -> Client {
        Client::lasting(format!("unix://{}", self.socket().display()))
    }

    /// Ends it at once, as the kernel does when memory is short.
    pub async fn kill(&mut self) -> Ended {
        let process = self.process.take().expect("it runs");
        process.signal(Signal::KILL);
        process.ended().await
    }

    /// Ends it in good order, which must succeed.
    pub async fn stop(&mut self) -> Ended {
        let process = self.process.take().expect("it runs");
        process.signal(Signal::TERM);
        let ended = process.ended().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        ended
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

impl Sidecar {
    /// Where it serves pages over TCP.
    pub async fn http_address(&self) -> SocketAddr {
        let line = self.process().says("ready to answer").await;
        let line: serde_json::Value = serde_json::from_str(&line).expect("the log is JSON");
        let listen = line.get("fields").unwrap_or(&line)["http_listen"].as_str();
        let address = listen.and_then(|address| address.parse().ok());
        address.unwrap_or_else(|| panic!("no TCP address for pages in {line}"))
    }
}

/// The TCP address of the line that says that a sidecar is ready.
pub fn tcp_of(line: &str) -> SocketAddr {
    let line: serde_json::Value = serde_json::from_str(line).expect("the log is JSON");
    let listen = line.get("fields").unwrap_or(&line)["listen"].as_str();
    let listen = listen.unwrap_or_else(|| panic!("no addresses in {line}"));
    let tcp = listen.split(", ").find_map(|address| address.parse().ok());
    tcp.unwrap_or_else(|| panic!("no TCP address in {line}"))
}

/// A billing zone in which it is about noon, so that no test meets midnight by chance.
pub fn noon_zone() -> String {
    let utc = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let offset = 12 - i32::from(utc.hour());
    format!(
        "{}{:02}:00",
        if offset < 0 { '-' } else { '+' },
        offset.abs()
    )
}
