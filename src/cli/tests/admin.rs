//! The operators' verbs.

use serde_json::{Value, json};
use tonic::Status;

use super::stub::{Answers, Stub};
use super::{run, run_at};
use crate::cli::Exit;
use crate::grpc::proto::{
    AuditEntry, ListAuditResponse, ListMembersResponse, MemberInfo, MemberStanding,
    RecountResponse, RetireMemberResponse,
};

/// A socket, over which no token is asked for, and the stub that listens there.
fn on_socket(answers: Answers) -> (tempfile::TempDir, Stub, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let stub = Stub::on_socket(answers, path.to_str().expect("text"));
    let at = format!("--admin-endpoint {}", stub.endpoint);
    (folder, stub, at)
}

/// 12:26:40 on 13 September 2020.
const TIME: prost_types::Timestamp = prost_types::Timestamp {
    seconds: 1_600_000_000,
    nanos: 0,
};

fn member(standing: MemberStanding) -> MemberInfo {
    MemberInfo {
        name: "pod-1".into(),
        incarnation: "00000000000000ab".into(),
        boot: 3,
        seen: Some(TIME),
        standing: standing.into(),
    }
}

fn json_of(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_dry_run_prints_its_token_and_what_to_do_with_it() {
    let (_folder, stub, at) = on_socket(Answers {
        recount: Some(Ok(RecountResponse {
            token: 77,
            from: 43,
            frozen_until: Some(TIME),
            ..Default::default()
        })),
        ..Answers::default()
    });
    let arguments = format!("recount --app 7 --resource group --to 40 --dry-run {at}");
    let (exit, out, err) = run(&arguments);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(
        out,
        "FROZEN until 2020-09-13T12:26:40Z: group of app 7; nothing was changed
  was        43
  would be   40 (-3)
  token      77
  count now  imquota recount --app 7 --resource group --to N --token 77
  call off   imquota recount --app 7 --resource group --cancel --token 77
  note       not every sidecar had told what it counted; `imquota members list` shows who is silent
"
    );
    let (_, out, _) = run(&format!("{arguments} --json"));
    let wanted = json!({
        "token": 77, "from": 43, "to": null, "held": 0, "all_told": false,
        "frozen_until": "2020-09-13T12:26:40Z",
    });
    assert_eq!(json_of(&out), wanted);
    let asked = "waits: RecountRequest { app_id: 7, resource: Group, to: Some(40), dry_run: true, \
                 token: 0, reason: \"\", cancel: false }";
    assert_eq!(stub.asked(), [asked, asked]);
}

#[test]
fn a_file_sets_many_counts_and_says_where_it_broke_off() {
    let (folder, stub, at) = on_socket(Answers {
        recount: Some(Ok(RecountResponse {
            from: 43,
            to: Some(40),
            all_told: true,
            ..Default::default()
        })),
        ..Answers::default()
    });
    let file = folder.path().join("counts.csv");
    std::fs::write(&file, "7,account,40\n\n8,av-room,40\n").expect("it is ours");
    let set = format!("recount --reason audit --file {} {at}", file.display());
    let (exit, out, err) = run_at(&set, true);
    assert_eq!(exit, Exit::Done);
    let one = |what: &str| format!("RECOUNTED: {what}\n  was  43\n  is   40\n");
    let (first, second) = (one("account of app 7"), one("av-room of app 8"));
    assert_eq!(out, format!("{first}{second}2 counts set\n"));
    assert!(err.contains("]  50 % 1 counts set"), "{err:?}");
    assert!(err.contains("] 100 % 2 counts set"), "{err:?}");
    let asked = |app, resource| {
        format!(
            "waits: RecountRequest {{ app_id: {app}, resource: {resource}, to: Some(40), dry_run: false, \
             token: 0, reason: \"audit\", cancel: false }}"
        )
    };
    assert_eq!(stub.asked(), [asked(7, "Account"), asked(8, "AvRoom")]);
    let (_, out, _) = run(&format!("{set} --json"));
    let told = json_of(&out);
    assert_eq!(told["recounts"][1]["app_id"], 8);
    assert_eq!(told["recounts"][1]["resource"], "RESOURCE_AV_ROOM");
    stub.asked();

    std::fs::write(&file, "7,account,40\n8,room,40\n").expect("it is ours");
    let (exit, out, err) = run(&set);
    assert_eq!((exit, out.as_str()), (Exit::Fault, ""));
    assert!(
        err.contains("line 2: \"room\" is no resource: account, group or av-room; nothing was set"),
        "{err}"
    );
    assert!(stub.asked().is_empty());
}

#[test]
fn a_file_that_breaks_off_names_the_line() {
    let (folder, _stub, at) = on_socket(Answers {
        recount: Some(Err(Status::unavailable("the ledger is away"))),
        ..Answers::default()
    });
    let file = folder.path().join("counts.csv");
    std::fs::write(&file, "\n7,account,40\n8,group,1\n").expect("it is ours");
    let (exit, out, err) = run(&format!("recount --file {} {at}", file.display()));
    assert_eq!((exit, out.as_str()), (Exit::Fault, "0 counts set\n"));
    assert_eq!(
        err,
        "imquota: line 2: UNAVAILABLE: the ledger is away; what stands before it is set, and nothing behind it: give the \
         rest, counted anew\n"
    );
}

#[test]
fn a_recount_says_what_was_and_what_is() {
    let (_folder, stub, at) = on_socket(Answers {
        recount: Some(Ok(RecountResponse {
            token: 77,
            from: 43,
            to: Some(40),
            held: 2,
            all_told: true,
            frozen_until: None,
        })),
        ..Answers::default()
    });
    let (exit, out, _) = run(&format!(
        "recount --app 7 --resource av-room --to 40 --token 77 --reason audit {at}"
    ));
    assert_eq!(exit, Exit::Done);
    assert_eq!(
        out,
        "RECOUNTED: av-room of app 7
  was   43
  is    40
  held  2 beside it, whose answers are on their way
"
    );
    let (_, out, _) = run(&format!(
        "recount --app 7 --resource av-room --cancel --token 77 {at}"
    ));
    assert_eq!(
        out,
        "CALLED OFF: app 7 is not frozen under token 77 any more\n"
    );
    assert_eq!(
        stub.asked(),
        [
            "waits: RecountRequest { app_id: 7, resource: AvRoom, to: Some(40), dry_run: false, \
             token: 77, reason: \"audit\", cancel: false }",
            "waits: RecountRequest { app_id: 7, resource: AvRoom, to: None, dry_run: false, \
             token: 77, reason: \"\", cancel: true }",
        ]
    );
}

#[test]
fn members_are_listed_and_retired() {
    let (_folder, stub, at) = on_socket(Answers {
        members: Some(Ok(ListMembersResponse {
            members: vec![
                member(MemberStanding::Present),
                member(MemberStanding::Silent),
            ],
        })),
        retire: Some(Ok(RetireMemberResponse {
            member: Some(member(MemberStanding::Gone)),
            apps: 2,
            booked: 9,
        })),
        ..Answers::default()
    });
    let (exit, out, _) = run(&format!("members list {at}"));
    assert_eq!(exit, Exit::Done);
    assert_eq!(
        out,
        "member  incarnation       standing  boot  last seen
pod-1   00000000000000ab  present      3  2020-09-13T12:26:40Z
pod-1   00000000000000ab  silent       3  2020-09-13T12:26:40Z
"
    );
    let (_, out, _) = run(&format!("members list --json {at}"));
    assert_eq!(
        json_of(&out)["members"][1],
        json!({
            "name": "pod-1", "incarnation": "00000000000000ab", "boot": 3,
            "seen": "2020-09-13T12:26:40Z", "standing": "MEMBER_STANDING_SILENT",
        })
    );
    let (exit, out, _) = run(&format!("members retire pod-1 --reason lost {at}"));
    assert_eq!(exit, Exit::Done);
    assert_eq!(
        out,
        "RETIRED: pod-1 (00000000000000ab)
  apps            2
  booked as used  9
  note            a recount of its apps frees what it had not created
"
    );
    let (_, out, _) = run(&format!("members retire pod-1 --json {at}"));
    assert_eq!(json_of(&out)["booked"], 9);
    let asked = stub.asked();
    let wanted = "waits: RetireMemberRequest { member: \"pod-1\", reason: \"lost\" }";
    assert_eq!((asked.len(), asked[2].as_str()), (4, wanted));
}

#[test]
fn the_audit_list_is_a_table() {
    let entry = AuditEntry {
        at: Some(TIME),
        who: "uid 0 at pod-1".into(),
        what: "recount".into(),
        app_id: 7,
        subject: "group".into(),
        from: Some(-1),
        to: Some(40),
        reason: "a test".into(),
    };
    let entries = vec![entry];
    let (_folder, stub, at) = on_socket(Answers {
        audit: Some(Ok(ListAuditResponse { entries })),
        ..Answers::default()
    });
    let (exit, out, _) = run(&format!("audit --app 7 {at}"));
    assert_eq!(exit, Exit::Done);
    assert_eq!(
        out,
        "at                    what     app  of     from  to  who             why
2020-09-13T12:26:40Z  recount    7  group    -1  40  uid 0 at pod-1  a test
"
    );
    let (_, out, _) = run(&format!("audit --limit 5 --json {at}"));
    let wanted = json!({ "entries": [{
        "at": "2020-09-13T12:26:40Z", "who": "uid 0 at pod-1", "what": "recount", "app_id": 7,
        "subject": "group", "from": -1, "to": 40, "reason": "a test",
    }] });
    assert_eq!(json_of(&out), wanted);
    assert_eq!(
        stub.asked(),
        [
            "waits: ListAuditRequest { app_id: 7, limit: 100 }",
            "waits: ListAuditRequest { app_id: 0, limit: 5 }",
        ]
    );
}

#[test]
fn over_tcp_the_token_is_shown() {
    let stub = Stub::on_tcp(Answers {
        audit: Some(Ok(ListAuditResponse::default())),
        ..Answers::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.token");
    let audit = format!("audit --admin-endpoint {}", stub.endpoint);
    let named = format!("{audit} --token-file {}", path.display());
    let (exit, _, err) = run(&named);
    assert_eq!(exit, Exit::Fault);
    let words = format!("no token to show to {}: {}", stub.endpoint, path.display());
    assert!(
        err.contains(&words) && err.contains("--token-file"),
        "{err}"
    );
    let (exit, _, err) = run(&audit);
    assert_eq!(exit, Exit::Fault);
    assert!(err.contains("there is no home folder"), "{err}");
    assert!(stub.asked().is_empty());

    let token = "t".repeat(32);
    std::fs::write(&path, format!("{token}\n")).expect("the folder is ours");
    let (exit, out, _) = run(&named);
    assert_eq!((exit, out.as_str()), (Exit::Done, "nothing was done yet\n"));
    let shown =
        format!("waits, shows Bearer {token}: ListAuditRequest {{ app_id: 0, limit: 100 }}");
    assert_eq!(stub.asked(), [shown]);
}

#[test]
fn a_refused_operator_is_told_what_to_do() {
    let unknown = Status::unauthenticated("this is not the token");
    let not_yet = Status::failed_precondition("member a is alive");
    let (_folder, _stub, at) = on_socket(Answers {
        members: Some(Err(unknown)),
        retire: Some(Err(not_yet)),
        ..Answers::default()
    });
    let (exit, _, err) = run(&format!("members list {at}"));
    assert_eq!(exit, Exit::Fault);
    assert!(
        err.contains("UNAUTHENTICATED: this is not the token; name the file"),
        "{err}"
    );
    let (exit, _, err) = run(&format!("members retire a {at}"));
    assert_eq!(exit, Exit::Fault);
    assert_eq!(err, "imquota: FAILED_PRECONDITION: member a is alive\n");
    let (exit, _, err) = run("audit --admin-endpoint unix:/nowhere/s");
    assert_eq!(exit, Exit::Fault);
    assert!(err.contains("`imquota serve --admin-listen ADDR`"), "{err}");
    assert!(err.contains("--admin-endpoint"), "{err}");
}
