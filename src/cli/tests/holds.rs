//! The verbs about reservations.

use serde_json::json;
use tonic::Status;

use super::run;
use super::stub::{Answers, Stub};
use crate::cli::Exit;
use crate::grpc::proto::{
    CancelResponse, CheckResponse, ConfirmResponse, Decision, HoldInfo, ListHoldsResponse, Resource,
};

#[test]
fn a_reservation_is_asked_for_with_its_time() {
    let stub = Stub::on_tcp(Answers {
        check: Some(Ok(CheckResponse {
            decision: Decision::Allow.into(),
            already_counted: true,
            ..CheckResponse::default()
        })),
        ..Answers::default()
    });
    let check = format!(
        "check --app 7 --resource group --request-id r-1 --reserve --endpoint {}",
        stub.endpoint
    );
    let (exit, out, err) = run(&check);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    let sentence = "ALLOW: 1 group for app 7 (reserved: it counts when it is confirmed)";
    assert_eq!(out.lines().next(), Some(sentence));
    assert!(
        out.contains("the object was there before: nothing was added"),
        "{out}"
    );
    let (exit, ..) = run(&format!("{check} --hold 1500ms --resource-id g-1"));
    assert_eq!(exit, Exit::Done);
    assert_eq!(
        stub.asked(),
        [
            "waits: CheckRequest { app_id: 7, resource: Group, amount: 1, request_id: \"r-1\", \
             resource_id: \"\", mode: Reserve, hold: None }",
            "waits: CheckRequest { app_id: 7, resource: Group, amount: 1, request_id: \"r-1\", \
             resource_id: \"g-1\", mode: Reserve, hold: Some(Duration { seconds: 1, nanos: \
             500000000 }) }",
        ]
    );
}

#[test]
fn what_was_reserved_is_confirmed() {
    let reply = ConfirmResponse {
        used: 4,
        ..ConfirmResponse::default()
    };
    let answers = |reply| Answers {
        confirm: Some(Ok(reply)),
        ..Answers::default()
    };
    let stub = Stub::on_tcp(answers(reply));
    let confirm = |stub: &Stub| {
        let endpoint = &stub.endpoint;
        format!("confirm --app 7 --request-id r-1 --endpoint {endpoint}")
    };
    let (exit, out, err) = run(&confirm(&stub));
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(out, "CONFIRMED: r-1 of app 7\n  used  4\n");
    let (_, out, _) = run(&format!("{} --resource-id g-1 --json", confirm(&stub)));
    assert_eq!(
        out.trim_end(),
        json!({ "used": 4, "late": false, "already_counted": false, "replayed": false })
            .to_string()
    );
    let asked = |object: &str| {
        format!(
            "waits: ConfirmRequest {{ app_id: 7, request_id: \"r-1\", resource_id: {object:?} }}"
        )
    };
    assert_eq!(stub.asked(), [asked(""), asked("g-1")]);

    let all = ConfirmResponse {
        used: 4,
        late: true,
        already_counted: true,
        replayed: true,
    };
    let (_, out, _) = run(&confirm(&Stub::on_tcp(answers(all))));
    assert_eq!(
        out,
        "CONFIRMED: r-1 of app 7
  used  4
  note  replayed: it was confirmed before
  note  late: it had expired, and is counted all the same
  note  the object was there before: nothing was added
"
    );
}

#[test]
fn what_was_reserved_is_cancelled() {
    for (replayed, note) in [
        (false, ""),
        (true, "  note  replayed: it was cancelled before\n"),
    ] {
        let stub = Stub::on_tcp(Answers {
            cancel: Some(Ok(CancelResponse { replayed })),
            ..Answers::default()
        });
        let cancel = format!(
            "cancel --app 7 --request-id r-1 --endpoint {}",
            stub.endpoint
        );
        let (exit, out, err) = run(&cancel);
        assert_eq!((exit, err.as_str()), (Exit::Done, ""));
        assert_eq!(out, format!("CANCELLED: r-1 of app 7\n{note}"));
        let (_, out, _) = run(&format!("{cancel} --json"));
        let wanted = json!({ "replayed": replayed }).to_string();
        assert_eq!(out.trim_end(), wanted);
        let asked = "waits: CancelRequest { app_id: 7, request_id: \"r-1\" }";
        assert_eq!(stub.asked(), [asked, asked]);
    }
}

#[test]
fn what_cannot_be_confirmed_or_cancelled_ends_with_1() {
    let stub = Stub::on_tcp(Answers {
        confirm: Some(Err(Status::failed_precondition("was cancelled"))),
        cancel: Some(Err(Status::not_found("is not known"))),
        ..Answers::default()
    });
    for (verb, said) in [
        ("confirm", "imquota: FAILED_PRECONDITION: was cancelled\n"),
        ("cancel", "imquota: NOT_FOUND: is not known\n"),
    ] {
        let at = &stub.endpoint;
        let (exit, out, err) = run(&format!("{verb} --app 7 --request-id r --endpoint {at}"));
        assert_eq!((exit, out.as_str()), (Exit::Fault, ""));
        assert_eq!(err, said);
    }
}

#[test]
fn reservations_are_listed_with_what_to_do() {
    let hold = |request_id: &str, resource: Resource, amount, in_doubt| HoldInfo {
        request_id: request_id.into(),
        resource: resource.into(),
        amount,
        expires_at: Some(prost_types::Timestamp {
            seconds: 1_600_000_000,
            nanos: 0,
        }),
        in_doubt,
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let answers = |holds| Answers {
        holds: Some(Ok(ListHoldsResponse { holds })),
        ..Answers::default()
    };
    let stub = Stub::on_socket(
        answers(vec![
            hold("create-1", Resource::AvRoom, 3, true),
            hold("c-2", Resource::Account, 100, false),
        ]),
        path.to_str().expect("text"),
    );
    let holds = format!("holds --app 7 --admin-endpoint {}", stub.endpoint);
    let (exit, out, err) = run(&holds);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(
        out,
        "request id  resource  amount  expires at            standing
create-1    av-room        3  2020-09-13T12:26:40Z  in doubt
c-2         account      100  2020-09-13T12:26:40Z  held

in doubt: look whether the object exists; if it does: imquota confirm --app 7 --request-id ID, \
         else: imquota cancel --app 7 --request-id ID
"
    );
    let (_, out, _) = run(&format!("{holds} --limit 5 --json"));
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        value["holds"][0],
        json!({
            "request_id": "create-1", "resource": "RESOURCE_AV_ROOM", "amount": 3,
            "expires_at": "2020-09-13T12:26:40Z", "in_doubt": true,
        })
    );
    assert_eq!(
        stub.asked(),
        [
            "waits: ListHoldsRequest { app_id: 7, page_size: 100 }",
            "waits: ListHoldsRequest { app_id: 7, page_size: 5 }",
        ]
    );
    drop(stub);
    std::fs::remove_file(&path).expect("it is ours");
    let _stub = Stub::on_socket(answers(vec![]), path.to_str().expect("text"));
    let (_, out, _) = run(&holds);
    let nothing = "app 7 has no reservation that is neither confirmed nor ended\n";
    assert_eq!(out, nothing);
}
