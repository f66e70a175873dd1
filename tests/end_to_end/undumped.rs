//! Keys and tokens are in the memory of a server: no crash writes that down, and no other process of its user reads it.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::getuid;

use crate::process::Process;

/// As whom root's tests run the programs: root may look into any.
const OTHER_USER: u32 = 65_534;

/// A folder that is theirs.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let may = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), may).expect("it is ours");
    if getuid().is_root() {
        chown(folder.path(), Some(OTHER_USER), None).expect("root may");
    }
    folder
}

/// A program where they find it, and may read it: into the process of one that may not be read nobody looks.
fn installed(program: &str, folder: &Path) -> PathBuf {
    let installed = Command::new("install")
        .args(["-m", "755", program])
        .arg(folder)
        .status();
    assert!(installed.expect("coreutils are there").success());
    folder.join(Path::new(program).file_name().expect("it has a name"))
}

fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    if getuid().is_root() {
        command.uid(OTHER_USER).gid(OTHER_USER);
    }
    command
}

/// Whether another process of its user may look into it: the system allows that where it would write a core dump.
fn can_be_read(process: &Process) -> bool {
    let at = format!("/proc/{}/environ", process.id());
    let read = command("cat").arg(at).output();
    read.expect("coreutils are there").status.success()
}

#[tokio::test]
async fn no_crash_writes_its_memory_down_and_nobody_reads_it() {
    let folder = folder();
    let at = folder.path();
    let mut any = command(installed("/bin/sleep", at));
    any.arg("infinity");
    assert!(can_be_read(&Process::spawn(any)), "as any process");

    let mut server = command(installed(env!("CARGO_BIN_EXE_imquota"), at));
    let settings = at.join("imquota.yaml");
    std::fs::write(&settings, "apps: [{ app_id: 1, plan: pro }]\n").expect("it is ours");
    server.args(["serve", "--store", "embedded", "--config"]);
    server.arg(settings).arg("--data-dir").arg(at.join("data"));
    server
        .arg("--listen")
        .arg(format!("unix:{}", at.join("s").display()));
    let server = Process::spawn(server);
    server.says("ready to answer").await;
    assert!(!can_be_read(&server), "it has secrets");
}
