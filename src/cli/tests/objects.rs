//! Taking in objects that exist.

use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;
use tonic::Status;

use super::stub::{Answers, Import, Stub};
use super::{run, run_at};
use crate::cli::Exit;
use crate::grpc::proto::{ImportObjectsResponse, RecountResponse};

/// A folder for the names, and a stub on a socket in it, over which no token is asked for.
struct Desk {
    folder: TempDir,
    stub: Stub,
}

impl Desk {
    fn new(answers: Answers) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let stub = Stub::on_socket(answers, path.to_str().expect("text"));
        Self { folder, stub }
    }

    fn taking(import: Import) -> Self {
        Self::new(Answers {
            import: Some(import),
            ..Answers::default()
        })
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ids.txt")
    }

    /// What imports the names in `text`.
    fn import(&self, text: &str) -> String {
        std::fs::write(self.file(), text).expect("the folder is ours");
        let (file, at) = (self.file(), &self.stub.endpoint);
        format!(
            "objects import --app 7 --resource account --admin-endpoint {at} --file {}",
            file.display()
        )
    }

    /// How many names each call had, the fewest first.
    fn sizes(&self) -> Vec<usize> {
        let asked = self.stub.asked();
        let of = |call: &String| {
            assert!(
                call.starts_with("waits: ImportObjectsRequest { app_id: 7, resource: Account"),
                "{call}"
            );
            call.matches("\"n").count()
        };
        let mut sizes: Vec<_> = asked.iter().map(of).collect();
        sizes.sort_unstable();
        sizes
    }
}

#[expect(clippy::unnecessary_wraps, reason = "others refuse")]
fn one_known(names: &[String]) -> Result<ImportObjectsResponse, Status> {
    Ok(ImportObjectsResponse {
        named: names.len() as u64 - 1,
        counted: 0,
        known: 1,
    })
}

fn unless_it_is_700(names: &[String]) -> Result<ImportObjectsResponse, Status> {
    if names.iter().any(|name| name == "n700") {
        return Err(Status::unavailable("the ledger is away"));
    }
    one_known(names)
}

fn names(number: usize) -> String {
    let names: Vec<_> = (0..number).map(|name| format!("n{name}\n")).collect();
    names.concat()
}

#[test]
fn names_go_in_batches_and_what_became_of_them_is_summed() {
    let desk = Desk::taking(one_known);
    let import = desk.import(&names(1201));
    let (exit, out, err) = run(&import);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(out, "named 1198, counted 0, known 3\n");
    assert_eq!(desk.sizes(), [201, 500, 500]);
    let (_, out, _) = run(&format!("{import} --json"));
    let wanted = json!({ "named": 1198, "counted": 0, "known": 3 }).to_string();
    assert_eq!(out.trim_end(), wanted);
    desk.sizes();

    // Of ever so many calls, which do not go all at once.
    let (exit, out, _) = run(&desk.import(&names(20_000)));
    assert_eq!(exit, Exit::Done);
    assert_eq!(out, "named 19960, counted 0, known 40\n");
    assert_eq!(desk.sizes(), [500; 40]);

    let (exit, out, _) = run(&desk.import("\r\nn1\r\n\n"));
    assert_eq!(exit, Exit::Done);
    assert_eq!(out, "named 0, counted 0, known 1\n");
    let asked =
        "waits: ImportObjectsRequest { app_id: 7, resource: Account, resource_ids: [\"n1\"] }";
    assert_eq!(desk.stub.asked(), [asked]);

    let (exit, out, _) = run(&desk.import(""));
    assert_eq!(exit, Exit::Done);
    assert_eq!(out, "named 0, counted 0, known 0\n");
    assert!(desk.stub.asked().is_empty());
}

#[test]
fn a_terminal_sees_how_far_it_is() {
    let desk = Desk::taking(one_known);
    let (_, _, err) = run_at(&desk.import(&names(1000)), true);
    assert!(
        err.contains(" % 500 objects: named 499, counted 0, known 1\r"),
        "{err:?}"
    );
    let whole = "#".repeat(30);
    let last = format!("[{whole}] 100 % 1000 objects: named 998, counted 0, known 2\n");
    assert!(err.ends_with(&last), "{err:?}");
}

#[test]
fn a_bad_line_is_named_and_nothing_behind_it_is_sent() {
    let desk = Desk::taking(one_known);
    let text = format!("{}\tx\n{}", names(600), names(1000));
    let (exit, out, err) = run(&desk.import(&text));
    assert_eq!(exit, Exit::Fault);
    assert_eq!(out, "named 598, counted 0, known 2\n");
    let told = format!(
        "imquota: {}: line 601: holds byte 0x09 at position 0; only printable ASCII is allowed; \
         nothing behind it was sent; correct it, and give the same command\n",
        desk.file().display()
    );
    assert_eq!(err, told);
    assert_eq!(desk.sizes(), [100, 500]);
}

#[test]
fn a_batch_that_fails_ends_it_with_what_was_done() {
    let desk = Desk::taking(unless_it_is_700);
    let (exit, out, err) = run(&desk.import(&names(100_000)));
    assert_eq!(exit, Exit::Fault);
    assert_eq!(
        err,
        "imquota: UNAVAILABLE: the ledger is away; the rest was not done; the same command again \
         goes on\n"
    );
    let calls = desk.sizes().len();
    assert!((2..100).contains(&calls), "{calls} calls");
    let done = (calls - 1) * 499;
    let known = calls - 1;
    assert_eq!(out, format!("named {done}, counted 0, known {known}\n"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let desk = Desk::taking(one_known);
    let import = desk.import("");
    std::fs::remove_file(desk.file()).expect("it is ours");
    let (exit, out, err) = run(&import);
    assert_eq!((exit, out.as_str()), (Exit::Fault, ""));
    let path = desk.file().display().to_string();
    assert_eq!(
        err,
        format!("imquota: {path}: No such file or directory (os error 2)\n")
    );
    let (exit, _, err) = run("objects import --app 7 --resource group --file /dev/null \
                              --admin-endpoint unix:/nowhere/s");
    assert_eq!(exit, Exit::Fault);
    assert!(err.contains("there is no such socket"), "{err}");
}

#[test]
fn without_names_the_count_is_set() {
    let desk = Desk::new(Answers {
        recount: Some(Ok(RecountResponse {
            token: 77,
            from: 3,
            to: Some(40),
            held: 0,
            all_told: true,
            frozen_until: None,
        })),
        ..Answers::default()
    });
    let at = &desk.stub.endpoint;
    let import =
        format!("objects import --app 7 --resource group --at-count 40 --admin-endpoint {at}");
    let (exit, out, err) = run(&import);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(out, "RECOUNTED: group of app 7\n  was  3\n  is   40\n");
    let (_, out, _) = run(&format!("{import} --json"));
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&value["from"], &value["to"]), (&3.into(), &40.into()));
    let asked = "waits: RecountRequest { app_id: 7, resource: Group, to: Some(40), dry_run: false, \
                 token: 0, reason: \"onboarding\", cancel: false }";
    assert_eq!(desk.stub.asked(), [asked, asked]);
}
