use serde_json::{Value, json};

use super::run;
use super::stub::{Answers, Stub};
use crate::cli::Exit;
use crate::grpc::proto::{
    CheckResponse, Decision, DenyReason, GetUsageResponse, RecordActiveResponse, ReleaseResponse,
    Resource, ResourceUsage, Source,
};

fn checks(reply: CheckResponse) -> Answers {
    Answers {
        check: Some(Ok(reply)),
        ..Answers::default()
    }
}

fn json_of(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn an_allowed_creation_ends_with_0_and_shows_what_is_left() {
    let stub = Stub::on_tcp(checks(CheckResponse {
        decision: Decision::Allow.into(),
        limit: Some(100),
        used: 43,
        remaining: Some(57),
        source: Source::Memory.into(),
        ..CheckResponse::default()
    }));
    let arguments = format!(
        "check --app 7 --resource account --endpoint {}",
        stub.endpoint
    );
    let (exit, out, err) = run(&arguments);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(
        out,
        "ALLOW: 1 account for app 7
  used       43
  limit      100
  remaining  57
  source     this sidecar's memory
"
    );
    let (exit, out, _) = run(&format!("{arguments} --json"));
    assert_eq!(exit, Exit::Done);
    let wanted = json!({
        "decision": "DECISION_ALLOW", "reason": "DENY_REASON_UNSPECIFIED", "im_error_code": 0,
        "limit": 100, "used": 43, "remaining": 57, "source": "SOURCE_MEMORY", "replayed": false,
        "already_counted": false, "shadowed": false, "retry_after": null, "fault": null,
    });
    assert_eq!(json_of(&out), wanted);
}

#[test]
fn what_the_flags_say_is_what_the_server_is_asked() {
    let stub = Stub::on_tcp(checks(CheckResponse {
        decision: Decision::Allow.into(),
        ..CheckResponse::default()
    }));
    let (exit, out, _) = run(&format!(
        "check --app 18446744073709551615 --resource av-room --amount 3 --request-id r-1 \
         --resource-id g-1 --dry-run --endpoint {}",
        stub.endpoint
    ));
    assert_eq!(exit, Exit::Done);
    assert_eq!(
        out.lines().next(),
        Some("ALLOW: 3 av-room for app 18446744073709551615 (dry run: nothing is counted)")
    );
    assert!(out.contains("  limit      unlimited\n"), "{out}");
    assert_eq!(
        stub.asked(),
        [
            "waits: CheckRequest { app_id: 18446744073709551615, resource: AvRoom, amount: 3, \
          request_id: \"r-1\", resource_id: \"g-1\", mode: DryRun, hold: None }"
        ]
    );
}

#[test]
fn a_refusal_ends_with_3_and_says_why() {
    let mut reply = CheckResponse {
        decision: Decision::Deny.into(),
        reason: DenyReason::LimitReached.into(),
        im_error_code: 10036,
        limit: Some(50),
        used: 50,
        remaining: Some(0),
        source: Source::Ledger.into(),
        replayed: true,
        ..CheckResponse::default()
    };
    let stub = Stub::on_tcp(checks(reply));
    let (exit, out, err) = run(&format!(
        "check --app 7 --resource av-room --endpoint {}",
        stub.endpoint
    ));
    assert_eq!((exit, err.as_str()), (Exit::Denied, ""));
    assert_eq!(
        out,
        "DENY: 1 av-room for app 7: the limit is reached
  IM code    10036
  used       50
  limit      50
  remaining  0
  source     the ledger
  note       replayed: decided by an earlier request with this id
"
    );
    reply = CheckResponse {
        decision: Decision::Deny.into(),
        reason: DenyReason::StoreUnavailable.into(),
        retry_after: Some(prost_types::Duration {
            seconds: 0,
            nanos: 250_000_000,
        }),
        source: Source::Degraded.into(),
        ..CheckResponse::default()
    };
    let stub = Stub::on_tcp(checks(reply));
    let arguments = format!(
        "check --app 7 --resource group --endpoint {}",
        stub.endpoint
    );
    let (exit, out, _) = run(&arguments);
    assert_eq!(exit, Exit::Denied);
    assert_eq!(
        out,
        "DENY: 1 group for app 7: the ledger gave no answer in time
  retry after  0.250s
  source       this sidecar alone: the ledger is away
"
    );
    let (exit, out, _) = run(&format!("{arguments} --json"));
    assert_eq!(exit, Exit::Denied);
    let value = json_of(&out);
    assert_eq!(value["reason"], "DENY_REASON_STORE_UNAVAILABLE");
    assert_eq!(value["retry_after"], "0.250s");
    assert_eq!(value["limit"], Value::Null);
}

#[test]
fn a_release_says_what_it_gave_back_over_a_socket_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let answers = |released| Answers {
        release: Some(Ok(ReleaseResponse {
            released,
            used: 3,
            remaining: Some(47),
            replayed: false,
        })),
        ..Answers::default()
    };
    let stub = Stub::on_socket(answers(2), path.to_str().expect("text"));
    let arguments = format!(
        "release --app 7 --resource group --amount 2 --resource-id g-1 --endpoint {}",
        stub.endpoint
    );
    let (exit, out, err) = run(&arguments);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(
        out,
        "RELEASED: 2 group of app 7\n  used       3\n  remaining  47\n"
    );
    let (_, out, _) = run(&format!("{arguments} --json"));
    assert_eq!(
        json_of(&out),
        json!({ "released": 2, "used": 3, "remaining": 47, "replayed": false })
    );
    let asked = "waits: ReleaseRequest { app_id: 7, resource: Group, amount: 2, request_id: \"\", \
                 resource_id: \"g-1\" }";
    assert_eq!(stub.asked(), [asked, asked]);
    let stub = Stub::on_tcp(answers(0));
    let (exit, out, _) = run(&format!(
        "release --app 7 --resource group --endpoint {}",
        stub.endpoint
    ));
    assert_eq!(exit, Exit::Done);
    assert!(
        out.starts_with("RELEASED nothing: no group of app 7 was counted\n"),
        "{out}"
    );
}

#[test]
fn logins_are_recorded_by_name_or_number_and_at_their_time() {
    let stub = Stub::on_tcp(Answers {
        record_active: Some(Ok(RecordActiveResponse {
            newly_active: 2,
            daily_active: 9,
            day: "2020-05-01".into(),
            source: Source::Ledger.into(),
            replayed: false,
        })),
        ..Answers::default()
    });
    let endpoint = &stub.endpoint;
    let (exit, out, _) = run(&format!(
        "record-active --app 7 --user a --user b --at 2020-05-01T08:00:00.5+08:00 --endpoint {endpoint}"
    ));
    assert_eq!(exit, Exit::Done);
    assert_eq!(
        out,
        "RECORDED: 2 newly active for app 7 on 2020-05-01\n  daily active  9\n  source        the ledger\n"
    );
    let (_, out, _) = run(&format!(
        "record-active --app 7 --increment 5 --at 1969-12-31T23:59:59.5Z --json --endpoint {endpoint}"
    ));
    assert_eq!(
        json_of(&out),
        json!({ "newly_active": 2, "daily_active": 9, "day": "2020-05-01",
                "source": "SOURCE_LEDGER", "replayed": false })
    );
    assert_eq!(
        stub.asked(),
        [
            "waits: RecordActiveRequest { app_id: 7, user_ids: [\"a\", \"b\"], at: Some(Timestamp \
             { seconds: 1588291200, nanos: 500000000 }), increment: 0, request_id: \"\" }",
            "waits: RecordActiveRequest { app_id: 7, user_ids: [], at: Some(Timestamp { seconds: \
             -1, nanos: 500000000 }), increment: 5, request_id: \"\" }",
        ]
    );
}

#[test]
fn usage_is_a_table() {
    let one = |resource: Resource, used, limit: Option<u64>| ResourceUsage {
        resource: resource.into(),
        used,
        held: 0,
        limit,
        remaining: limit.map(|limit| limit - used),
    };
    let stub = Stub::on_tcp(Answers {
        usage: Some(Ok(GetUsageResponse {
            app_id: 7,
            plan: "pro".into(),
            resources: vec![
                one(Resource::Account, 123_456, None),
                one(Resource::AvRoom, 3, Some(50)),
            ],
            daily_active: 12,
            month_peak_daily_active: 345,
            month_peak_groups: 6,
            as_of: Some(prost_types::Timestamp {
                seconds: 1_588_291_200,
                nanos: 0,
            }),
            degraded: true,
            groups_gained_today: -1,
            groups_gained_limit: Some(10_000),
        })),
        ..Answers::default()
    });
    let arguments = format!("usage --app 7 --endpoint {}", stub.endpoint);
    let (exit, out, err) = run(&arguments);
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(
        out,
        "app 7, plan pro, as of 2020-05-01T00:00:00Z

resource    used  held      limit  remaining
account   123456     0  unlimited  unlimited
av-room        3     0         50         47

daily active users            12
  this month's peak          345
groups gained today           -1
  at most                  10000
groups, this month's peak      6

The ledger could not be asked: these are this sidecar's own numbers.
"
    );
    let (_, out, _) = run(&format!("{arguments} --json"));
    let value = json_of(&out);
    assert_eq!(value["resources"][0]["resource"], "RESOURCE_ACCOUNT");
    assert_eq!(value["resources"][0]["limit"], Value::Null);
    assert_eq!(value["resources"][1]["remaining"], 47);
    assert_eq!(value["groups_gained_today"], -1);
    assert_eq!(value["as_of"], "2020-05-01T00:00:00Z");
    assert_eq!(value["degraded"], true);
}
