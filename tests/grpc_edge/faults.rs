//! What a caller hears that asked for what cannot be.

use imquota::grpc::MESSAGE_BYTES_MAX;
use imquota::grpc::proto::{
    CheckMode, CheckRequest, GetUsageRequest, RecordActiveRequest, ReleaseRequest, Resource,
};
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::common::{Server, soon};

fn check() -> CheckRequest {
    CheckRequest {
        app_id: 1_400_000_001,
        resource: Resource::Group.into(),
        ..Default::default()
    }
}

/// The fields that the status blames, if it is what a bad field gives.
pub fn blamed(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let info = details.error_info().expect("there is a reason");
    assert_eq!(
        (info.domain.as_str(), info.reason.as_str()),
        ("imquota", "INVALID_FIELD")
    );
    let bad = details.bad_request().expect("fields are named");
    for violation in &bad.field_violations {
        assert!(!violation.description.is_empty(), "{violation:?}");
    }
    assert!(status.message().starts_with(&bad.field_violations[0].field));
    bad.field_violations
        .iter()
        .map(|v| v.field.clone())
        .collect()
}

#[tokio::test]
async fn every_bad_field_of_a_check_is_named() {
    let server = Server::start();
    let mut client = server.quota().await;
    let mut all_bad = CheckRequest {
        amount: 101,
        request_id: "r".repeat(65),
        resource_id: "g\n".into(),
        mode: 9,
        hold: Some(prost_types::Duration::default()),
        ..Default::default()
    };
    let status = soon(client.check(all_bad.clone()))
        .await
        .expect_err("it is bad");
    let fields = [
        "app_id",
        "resource",
        "amount",
        "request_id",
        "resource_id",
        "mode",
        "hold",
    ];
    assert_eq!(blamed(&status), fields);

    // Each good value takes its field from the list.
    for good in 1..=fields.len() {
        let CheckRequest {
            app_id, resource, ..
        } = check();
        match good {
            1 => all_bad.app_id = app_id,
            2 => all_bad.resource = resource,
            3 => all_bad.amount = 1,
            4 => all_bad.request_id = "r".repeat(64),
            5 => all_bad.resource_id.clear(),
            6 => all_bad.mode = CheckMode::DryRun.into(),
            _ => break,
        }
        let status = soon(client.check(all_bad.clone()))
            .await
            .expect_err("it is bad");
        assert_eq!(blamed(&status), fields[good..]);
    }
}

#[tokio::test]
async fn bad_fields_of_the_other_calls_are_named() {
    let server = Server::start();
    let mut client = server.quota().await;
    let release = ReleaseRequest {
        amount: 101,
        request_id: "\n".into(),
        resource_id: "g".repeat(49),
        ..Default::default()
    };
    let status = soon(client.release(release)).await.expect_err("it is bad");
    let fields = ["app_id", "resource", "amount", "request_id", "resource_id"];
    assert_eq!(blamed(&status), fields);

    let status = soon(client.get_usage(GetUsageRequest { app_id: 0 }))
        .await
        .expect_err("it is bad");
    assert_eq!(blamed(&status), ["app_id"]);

    let record = RecordActiveRequest {
        user_ids: vec!["u".into(), String::new()],
        increment: 3,
        at: Some(prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        }),
        request_id: "ü".into(),
        ..Default::default()
    };
    let status = soon(client.record_active(record))
        .await
        .expect_err("it is bad");
    let fields = ["app_id", "increment", "user_ids[1]", "at", "request_id"];
    assert_eq!(blamed(&status), fields);

    let record = RecordActiveRequest {
        app_id: 1,
        ..Default::default()
    };
    let status = soon(client.record_active(record))
        .await
        .expect_err("it is bad");
    assert_eq!(blamed(&status), ["user_ids"]);
}

#[tokio::test]
async fn an_increment_is_bounded() {
    let server = Server::start();
    let mut client = server.quota().await;
    let record = |increment| RecordActiveRequest {
        app_id: 1,
        increment,
        ..Default::default()
    };
    for increment in [100_000_001, u64::MAX] {
        let status = soon(client.record_active(record(increment)))
            .await
            .expect_err("it is too large");
        assert_eq!(blamed(&status), ["increment"], "{increment}");
        assert!(status.message().contains("at most 100000000"), "{status:?}");
    }
    // The largest gets past the edge: nothing of it was counted before.
    let recorded = soon(client.record_active(record(100_000_000)))
        .await
        .expect("it is within the bound")
        .into_inner();
    assert_eq!(recorded.daily_active, 100_000_000);
}

#[tokio::test]
async fn the_worst_record_still_gets_its_answer() {
    let server = Server::start();
    let mut client = server.quota().await;
    for ids in [1000, 1001, 5000] {
        let record = RecordActiveRequest {
            app_id: 1,
            user_ids: vec!["\n".repeat(32); ids],
            ..Default::default()
        };
        let status = soon(client.record_active(record))
            .await
            .expect_err("it is bad");
        assert!(
            blamed(&status).contains(&"user_ids".to_owned()),
            "{status:?}"
        );
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_unread() {
    let server = Server::start();
    let mut client = server.quota().await;
    let huge = CheckRequest {
        request_id: "r".repeat(MESSAGE_BYTES_MAX),
        ..check()
    };
    let status = soon(client.check(huge.clone()))
        .await
        .expect_err("it is too large");
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");

    // Nor does packing it help.
    let mut packing = client.send_compressed(CompressionEncoding::Gzip);
    let status = soon(packing.check(huge))
        .await
        .expect_err("it is too large");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
}

#[tokio::test]
async fn a_packed_message_is_read() {
    let server = Server::start();
    let mut client = server
        .quota()
        .await
        .send_compressed(CompressionEncoding::Gzip);
    let status = soon(client.get_usage(GetUsageRequest { app_id: 0 }))
        .await
        .expect_err("it is bad");
    assert_eq!(blamed(&status), ["app_id"]);
}

#[tokio::test]
async fn a_deadline_that_cannot_be_read_is_refused() {
    let server = Server::start();
    let mut client = server.quota().await;
    for timeout in ["soon", "123456789m", "1", "-1S"] {
        let mut request = Request::new(check());
        request
            .metadata_mut()
            .insert("grpc-timeout", MetadataValue::from_static(timeout));
        let status = soon(client.check(request))
            .await
            .expect_err("it is refused");
        assert_eq!(blamed(&status), ["grpc-timeout"], "{timeout}");
    }
}
