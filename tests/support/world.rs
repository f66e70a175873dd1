//! Processes that see other files than this one: a small disk, a disk that cannot be written to, other names of hosts.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mount namespace of a test's own, in a user namespace, so that nobody need be root. It is there as long as this.
pub struct World {
    holder: Child,
    folder: tempfile::TempDir,
}

impl World {
    /// One that is as this one is.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "--"])
            .args(["sh", "-c", "echo made; exec sleep infinity"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux is there");
        let mut made = String::new();
        let says = BufReader::new(holder.stdout.take().expect("it is piped")).read_line(&mut made);
        assert!(
            says.is_ok() && made == "made\n",
            "no namespaces can be made: {made:?}"
        );
        Self { holder, folder }
    }

    /// What a process in it is started by; what it runs comes behind.
    fn enter(&self) -> [String; 7] {
        let target = self.holder.id().to_string();
        [
            "nsenter",
            "--preserve-credentials",
            "--user",
            "--mount",
            "--target",
            &target,
            "--",
        ]
        .map(str::to_owned)
    }

    /// Runs a line of shell in it, which must succeed.
    pub fn run(&self, line: &str) {
        let [program, words @ ..] = self.enter();
        let mut command = Command::new(program);
        let ran = command.args(words).args(["sh", "-c", line]).output();
        let ran = ran.expect("util-linux is there");
        assert!(ran.status.success(), "{line}: {ran:?}");
    }

    /// A disk at `folder` that holds so much and no more.
    pub fn disk(&self, folder: &Path, mib: u32) {
        let at = folder.display();
        self.run(&format!(
            "mkdir -p {at} && mount -t tmpfs -o size={mib}m,mode=700 none {at}"
        ));
    }

    /// The program `imquota`, run in it.
    pub fn imquota(&self) -> OsString {
        let enter = self.enter().join(" ");
        let program = env!("CARGO_BIN_EXE_imquota");
        self.script(&format!("exec {enter} {program} \"$@\"\n"))
    }

    fn script(&self, text: &str) -> OsString {
        script(&self.folder.path().join("imquota"), text).into()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // It is our own child; failing here would hide the test's own failure.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Makes a program of lines of shell.
pub fn script(path: &Path, text: &str) -> PathBuf {
    std::fs::write(path, format!("#!/bin/sh\n{text}")).expect("the folder is ours");
    let may = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(path, may).expect("the file is ours");
    path.to_owned()
}
