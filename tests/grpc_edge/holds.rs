//! Reservations and objects: what a caller hears that asks for what cannot be.

use imquota::grpc::proto::{
    BatchCheckRequest, CancelRequest, CheckMode, CheckRequest, ConfirmRequest, ReleaseRequest,
    Resource,
};
use prost_types::Duration;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::common::{Server, soon};
use crate::faults::blamed;

fn hold(seconds: i64, nanos: i32) -> Duration {
    Duration { seconds, nanos }
}

fn reservation(hold: impl Into<Option<Duration>>) -> CheckRequest {
    CheckRequest {
        app_id: 1,
        resource: Resource::Group.into(),
        request_id: "r-1".into(),
        mode: CheckMode::Reserve.into(),
        hold: hold.into(),
        ..Default::default()
    }
}

fn of_mode(mode: CheckMode) -> CheckRequest {
    CheckRequest {
        mode: mode.into(),
        ..reservation(hold(30, 0))
    }
}

/// Checks that are refused, and the field that is to blame.
fn bad_checks() -> Vec<(CheckRequest, &'static str)> {
    let mut bad: Vec<_> = [
        hold(0, 0),
        hold(-1, 0),
        hold(0, -1),
        hold(1, -1),
        hold(600, 1),
        hold(i64::MAX, 0),
        hold(1, 1_000_000_000),
    ]
    .map(|hold| (reservation(hold), "hold"))
    .into();
    bad.extend(
        [
            CheckMode::Unspecified,
            CheckMode::Count,
            CheckMode::DryRun,
            CheckMode::Record,
        ]
        .map(|mode| (of_mode(mode), "hold")),
    );
    let unnamed = CheckRequest {
        request_id: String::new(),
        ..reservation(None)
    };
    let named = |resource_id: &str, amount| CheckRequest {
        resource_id: resource_id.into(),
        amount,
        ..reservation(None)
    };
    bad.extend([
        (unnamed, "request_id"),
        (named(&"g".repeat(49), 1), "resource_id"),
        (named("a\tb", 0), "resource_id"),
        (named("ä", 0), "resource_id"),
        (named("g", 2), "amount"),
        (named("g", 101), "amount"),
    ]);
    bad
}

#[tokio::test]
async fn what_cannot_be_reserved_is_refused_by_name() {
    let server = Server::start();
    let mut client = server.quota().await;
    for (bad, field) in bad_checks() {
        let status = soon(client.check(bad.clone())).await;
        let status = status.expect_err("it is bad");
        assert_eq!(blamed(&status), [field], "{bad:?}");
    }
}

#[tokio::test]
async fn one_of_a_batch_that_cannot_be_reserved_is_a_fault_of_its_own() {
    let server = Server::start();
    let mut client = server.quota().await;
    let (checks, fields): (Vec<_>, Vec<_>) = bad_checks().into_iter().unzip();
    let answer = soon(client.batch_check(BatchCheckRequest { checks })).await;
    let results = answer.expect("it is answered").into_inner().results;
    let faults: Vec<_> = results
        .iter()
        .map(|result| result.fault.as_ref().expect("it is bad"))
        .map(|fault| (fault.code, fault.field.as_str()))
        .collect();
    let wanted: Vec<_> = fields.into_iter().map(|field| (3, field)).collect();
    assert_eq!(faults, wanted);
}

#[tokio::test]
async fn one_object_is_released_at_a_time() {
    let server = Server::start();
    let mut client = server.quota().await;
    let release = |resource_id: &str, amount| ReleaseRequest {
        app_id: 1,
        resource: Resource::Account.into(),
        amount,
        resource_id: resource_id.into(),
        ..Default::default()
    };
    for (bad, field) in [
        (release("a", 2), "amount"),
        (release(&"a".repeat(49), 1), "resource_id"),
        (release("\u{7f}", 1), "resource_id"),
    ] {
        let status = soon(client.release(bad.clone())).await;
        assert_eq!(blamed(&status.expect_err("it is bad")), [field], "{bad:?}");
    }
}

#[tokio::test]
async fn bad_fields_of_confirm_and_cancel_are_named() {
    let server = Server::start();
    let mut client = server.quota().await;
    let long = "r".repeat(65);
    let confirm = |app_id, request_id: &str, resource_id: &str| ConfirmRequest {
        app_id,
        request_id: request_id.into(),
        resource_id: resource_id.into(),
    };
    let all = ["app_id", "request_id", "resource_id"];
    for (bad, fields) in [
        (confirm(0, "", "\n"), &all[..]),
        (confirm(1, "", ""), &["request_id"]),
        (confirm(1, &long, ""), &["request_id"]),
        (confirm(1, "a\nb", ""), &["request_id"]),
        (confirm(1, "r", &"g".repeat(49)), &["resource_id"]),
    ] {
        let status = soon(client.confirm(bad.clone())).await;
        assert_eq!(blamed(&status.expect_err("it is bad")), fields, "{bad:?}");
    }
    for (app_id, request_id, fields) in [
        (0, "", &["app_id", "request_id"][..]),
        (1, "", &["request_id"]),
        (1, long.as_str(), &["request_id"]),
        (1, "ä", &["request_id"]),
    ] {
        let request_id = request_id.to_owned();
        let status = soon(client.cancel(CancelRequest { app_id, request_id })).await;
        assert_eq!(blamed(&status.expect_err("it is bad")), fields);
    }
}

/// That nobody knows the reservation.
fn unknown(status: &Status) {
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
    let details = status.get_error_details();
    let info = details.error_info().expect("there is a reason");
    assert_eq!(info.reason, "RESERVATION_UNKNOWN");
}

#[tokio::test]
async fn a_reservation_that_nobody_made_is_not_found() {
    let server = Server::start_met().await;
    // As they come, and packed, which goes another way.
    let plain = server.quota().await;
    let packing = plain.clone().send_compressed(CompressionEncoding::Gzip);
    for mut client in [plain, packing] {
        let confirm = ConfirmRequest {
            app_id: 1,
            request_id: "nobody's".into(),
            resource_id: String::new(),
        };
        let status = soon(client.confirm(confirm)).await;
        unknown(&status.expect_err("there is none"));
        let cancel = CancelRequest {
            app_id: 1,
            request_id: "nobody's".into(),
        };
        let status = soon(client.cancel(cancel)).await;
        unknown(&status.expect_err("there is none"));
    }
}
