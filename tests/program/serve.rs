//! A server from the shipped example, asked by the client verbs.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{imquota, text};

/// A server of the program's own; it is killed if the test fails.
struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    /// Starts one on a socket in `folder`, and waits until it says that it is ready.
    fn start(folder: &Path) -> Self {
        let endpoint = format!("unix:{}", folder.join("socket").display());
        let mut child = Command::new(env!("CARGO_BIN_EXE_imquota"))
            .args([
                "serve",
                "--config",
                "examples/imquota.yaml",
                "--listen",
                &endpoint,
            ])
            .env_clear()
            .env("HOME", folder)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        let mut lines = log.lines().map_while(Result::ok);
        let ready = lines.find(|line| line.contains("ready to answer"));
        let ready = ready.expect("the server gets ready");
        assert!(ready.contains(&endpoint), "{ready}");
        // The rest is read to its end, so that the server never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, endpoint }
    }

    fn ask(&self, arguments: &str) -> Output {
        let words: Vec<_> = arguments.split_whitespace().collect();
        imquota(&[&words[..], &["--endpoint", &self.endpoint]].concat())
    }

    /// Ends it with SIGTERM and gives back its exit status.
    fn stop(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        self.child.wait().expect("it is ours").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a proper end there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_example_serves_the_verbs_and_keeps_its_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    for (arguments, status, said) in [
        (
            "check --app 1400000002 --resource av-room --amount 80",
            0,
            "ALLOW: 80 av-room",
        ),
        (
            "check --app 1400000002 --resource av-room",
            3,
            "IM code    10036",
        ),
        (
            "check --app 1400000002 --resource av-room --dry-run --json",
            3,
            "DECISION_DENY",
        ),
        (
            "release --app 1400000002 --resource av-room",
            0,
            "RELEASED: 1 av-room",
        ),
        (
            "check --app 1400000004 --resource group",
            3,
            "the app is disabled",
        ),
        ("check --app 5 --resource group", 3, "nobody knows the app"),
        (
            "record-active --app 1400000001 --user a --user b --user a",
            0,
            "2 newly active",
        ),
    ] {
        let output = server.ask(arguments);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments}: {output:?}"
        );
        assert!(
            text(&output.stdout).contains(said),
            "{arguments}: {output:?}"
        );
    }
    let failed = server.ask("usage --app 5");
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(
        text(&failed.stderr).starts_with("imquota: NOT_FOUND: "),
        "{failed:?}"
    );
    for verb in ["check", "release"] {
        let refused = server.ask(&format!(
            "{verb} --app 1400000002 --resource group --resource-id {}",
            "g".repeat(49)
        ));
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(
            text(&refused.stderr).starts_with("imquota: INVALID_ARGUMENT: resource_id: "),
            "{refused:?}"
        );
    }
    assert_eq!(server.stop(), Some(0));

    let again = Server::start(folder.path());
    let usage = again.ask("usage --app 1400000002 --json");
    let usage: serde_json::Value = serde_json::from_str(text(&usage.stdout)).expect("JSON");
    assert_eq!(usage["plan"], "pro");
    assert_eq!(usage["resources"][2]["resource"], "RESOURCE_AV_ROOM");
    assert_eq!(usage["resources"][2]["used"], 79);
    assert_eq!(usage["resources"][2]["limit"], 80);
    assert_eq!(again.stop(), Some(0));
    assert!(folder.path().join(".local/share/imquota").is_dir());
}
