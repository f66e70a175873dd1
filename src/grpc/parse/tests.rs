use std::time::Duration;

use prost_types::Duration as Hold;

use super::users::{INCREMENT_MAX, TIMESTAMP_MAX, TIMESTAMP_MIN};
use super::*;
use crate::admission::Who;
use crate::clock::Millis;
use crate::quota::HoldTime;

fn check(request: &proto::CheckRequest) -> Result<Check, Violations> {
    super::check(&request.into())
}

fn good_check() -> proto::CheckRequest {
    proto::CheckRequest {
        app_id: 1_400_000_001,
        resource: proto::Resource::AvRoom.into(),
        request_id: "r-1".into(),
        ..Default::default()
    }
}

fn good_record() -> proto::RecordActiveRequest {
    proto::RecordActiveRequest {
        app_id: 1_400_000_001,
        user_ids: vec!["u1".into(), "u2".into()],
        ..Default::default()
    }
}

/// The fields that a request is refused for.
fn fields<T>(parsed: Result<T, Violations>) -> Vec<String> {
    let violations = parsed.err().expect("the request is faulty");
    violations.fields().into_iter().map(String::from).collect()
}

#[test]
fn a_good_check_is_read_with_its_defaults() {
    let check = check(&good_check()).expect("it is good");
    assert_eq!(check.app.get(), 1_400_000_001);
    assert_eq!(check.resource, Resource::AvRoom);
    assert_eq!(check.amount, Amount::ONE);
    assert_eq!(check.request_id.expect("given").as_str(), "r-1");
    assert_eq!(check.mode, CheckMode::Count);
}

#[test]
fn an_empty_request_id_is_none() {
    let request = proto::CheckRequest {
        request_id: String::new(),
        mode: proto::CheckMode::DryRun.into(),
        ..good_check()
    };
    let check = check(&request).expect("it is good");
    assert_eq!(check.request_id, None);
    assert_eq!(check.mode, CheckMode::DryRun);
}

#[test]
fn each_faulty_field_of_a_check_is_named() {
    type Spoil = fn(&mut proto::CheckRequest);
    let cases: [(&str, Spoil); 15] = [
        ("app_id", |r| r.app_id = 0),
        ("resource", |r| r.resource = 0),
        ("resource", |r| r.resource = 4),
        ("resource", |r| r.resource = -1),
        ("amount", |r| r.amount = 101),
        ("amount", |r| r.amount = u32::MAX),
        ("request_id", |r| r.request_id = "r".repeat(65)),
        ("request_id", |r| r.request_id = "a\nb".into()),
        ("request_id", |r| r.request_id = "ä".into()),
        ("amount", |r| {
            (r.amount, r.resource_id) = (2, "g".into());
        }),
        ("resource_id", |r| r.resource_id = "g".repeat(49)),
        ("resource_id", |r| r.resource_id = "\u{7f}".into()),
        ("request_id", |r| {
            r.request_id.clear();
            r.mode = proto::CheckMode::Reserve.into();
        }),
        ("mode", |r| r.mode = 5),
        ("hold", |r| r.hold = Some(hold(30, 0))),
    ];
    for (field, spoil) in cases {
        let mut request = good_check();
        spoil(&mut request);
        assert_eq!(fields(check(&request)), [field], "{request:?}");
    }
}

#[test]
fn all_faulty_fields_of_a_check_are_named_at_once() {
    let request = proto::CheckRequest {
        amount: 101,
        request_id: "\u{7f}".into(),
        resource_id: "g\n".into(),
        mode: 9,
        hold: Some(hold(30, 0)),
        ..Default::default()
    };
    let all = [
        "app_id",
        "resource",
        "amount",
        "request_id",
        "resource_id",
        "mode",
        "hold",
    ];
    assert_eq!(fields(check(&request)), all);
}

#[test]
fn all_faulty_fields_of_a_release_are_named_at_once() {
    let request = proto::ReleaseRequest {
        amount: 101,
        request_id: "r".repeat(65),
        resource_id: "ü".into(),
        ..Default::default()
    };
    let all = ["app_id", "resource", "amount", "request_id", "resource_id"];
    assert_eq!(fields(release(&request)), all);
    let two_of_one = proto::ReleaseRequest {
        app_id: 1,
        resource: proto::Resource::Group.into(),
        amount: 2,
        resource_id: "g".into(),
        ..Default::default()
    };
    assert_eq!(fields(release(&two_of_one)), ["amount"]);
}

fn hold(seconds: i64, nanos: i32) -> Hold {
    Hold { seconds, nanos }
}

fn reservation(hold: impl Into<Option<Hold>>) -> proto::CheckRequest {
    proto::CheckRequest {
        mode: proto::CheckMode::Reserve.into(),
        hold: hold.into(),
        ..good_check()
    }
}

#[test]
fn a_reservation_holds_for_a_millisecond_to_ten_minutes() {
    let ms = |ms| HoldTime::new(Duration::from_millis(ms)).expect("it is a time");
    for (given, time) in [
        (None, ms(30_000)),
        (Some(hold(0, 1)), ms(1)),
        (Some(hold(0, 1_000_001)), ms(2)),
        (Some(hold(600, 0)), ms(600_000)),
    ] {
        let check = check(&reservation(given)).expect("it is good");
        assert_eq!(check.mode, CheckMode::Reserve(time), "{given:?}");
    }
}

#[test]
fn what_is_no_time_to_hold_is_refused() {
    for given in [
        hold(0, 0),
        hold(-1, 0),
        hold(0, -1),
        hold(1, -1),
        hold(-1, 1),
        hold(i64::MIN, i32::MIN),
        hold(600, 1),
        hold(601, 0),
        hold(i64::MAX, 999_999_999),
        hold(1, 1_000_000_000),
    ] {
        assert_eq!(fields(check(&reservation(given))), ["hold"], "{given:?}");
    }
    for mode in 0..=4 {
        let request = proto::CheckRequest {
            mode,
            ..reservation(hold(30, 0))
        };
        let reserves = mode == proto::CheckMode::Reserve as i32;
        assert_eq!(check(&request).is_ok(), reserves, "{mode}");
    }
}

#[test]
fn a_faulty_id_of_a_reservation_is_told_once() {
    let request = proto::CheckRequest {
        request_id: "\n".into(),
        ..reservation(None)
    };
    assert_eq!(fields(check(&request)), ["request_id"]);
}

#[test]
fn an_object_is_read_with_its_check_and_its_release() {
    let name = "@TGS#".to_owned() + &"x".repeat(43);
    let request = proto::CheckRequest {
        resource_id: name.clone(),
        amount: 1,
        ..good_check()
    };
    let named = check(&request).expect("it is good").resource_id;
    assert_eq!(named.expect("it has a name").as_str(), name);
    let request = proto::ReleaseRequest {
        app_id: 1,
        resource: proto::Resource::Group.into(),
        resource_id: name.clone(),
        ..Default::default()
    };
    let named = release(&request).expect("it is good").resource_id;
    assert_eq!(named.expect("it has a name").as_str(), name);
    assert_eq!(check(&good_check()).expect("it is good").resource_id, None);
}

#[test]
fn a_confirmation_names_its_reservation() {
    let good = proto::ConfirmRequest {
        app_id: 7,
        request_id: "r-1".into(),
        resource_id: "g".into(),
    };
    let read = confirm(&good).expect("it is good");
    assert_eq!((read.app.get(), read.request_id.as_str()), (7, "r-1"));
    assert_eq!(read.resource_id.expect("it is named").as_str(), "g");
    let unnamed = proto::ConfirmRequest {
        resource_id: String::new(),
        ..good
    };
    assert_eq!(confirm(&unnamed).expect("it is good").resource_id, None);
    let bad = proto::ConfirmRequest {
        resource_id: "g".repeat(49),
        ..Default::default()
    };
    let all = ["app_id", "request_id", "resource_id"];
    assert_eq!(fields(confirm(&bad)), all);
}

#[test]
fn a_cancellation_names_its_reservation() {
    let of = |app_id, request_id: &str| proto::CancelRequest {
        app_id,
        request_id: request_id.into(),
    };
    let read = cancel(&of(7, "r-1")).expect("it is good");
    assert_eq!((read.app.get(), read.request_id.as_str()), (7, "r-1"));
    assert_eq!(fields(cancel(&of(0, ""))), ["app_id", "request_id"]);
    for wrong in [&"r".repeat(65), "a\tb", "ä"] {
        assert_eq!(fields(cancel(&of(7, wrong))), ["request_id"], "{wrong:?}");
    }
}

#[test]
fn users_and_a_time_are_read() {
    let request = proto::RecordActiveRequest {
        at: Some(prost_types::Timestamp {
            seconds: -1,
            nanos: 999_999_999,
        }),
        ..good_record()
    };
    let record = record(&request).expect("it is good");
    assert_eq!(record.at, Some(Millis(-1)));
    let Who::Users(users) = record.who else {
        panic!("users were given");
    };
    assert_eq!(users[1].as_str(), "u2");
}

#[test]
fn an_increment_is_read() {
    for increment in [1, INCREMENT_MAX] {
        let request = proto::RecordActiveRequest {
            user_ids: Vec::new(),
            increment,
            ..good_record()
        };
        let record = record(&request).expect("it is good");
        assert!(matches!(record.who, Who::Increment(read) if read == increment));
        assert_eq!(record.at, None);
    }
}

#[test]
fn each_faulty_field_of_a_record_is_named() {
    type Spoil = fn(&mut proto::RecordActiveRequest);
    let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let cases: [(&str, Spoil); 9] = [
        ("app_id", |r| r.app_id = 0),
        ("user_ids", |r| r.user_ids.clear()),
        ("user_ids", |r| r.user_ids = vec!["u".into(); 1001]),
        ("user_ids[1]", |r| r.user_ids[1].clear()),
        ("user_ids[0]", |r| r.user_ids[0] = "u".repeat(33)),
        ("user_ids[0]", |r| r.user_ids[0] = "\t".into()),
        ("increment", |r| r.increment = 1),
        ("increment", |r| {
            r.user_ids.clear();
            r.increment = INCREMENT_MAX + 1;
        }),
        ("request_id", |r| r.request_id = "\0".into()),
    ];
    for (field, spoil) in cases {
        let mut request = good_record();
        spoil(&mut request);
        assert_eq!(fields(record(&request)), [field], "{request:?}");
    }
    for bad in [
        at(TIMESTAMP_MIN - 1, 0),
        at(TIMESTAMP_MAX + 1, 0),
        at(i64::MAX, 0),
        at(0, -1),
        at(0, 1_000_000_000),
    ] {
        let request = proto::RecordActiveRequest {
            at: bad,
            ..good_record()
        };
        assert_eq!(fields(record(&request)), ["at"], "{request:?}");
    }
}

#[test]
fn the_largest_record_is_taken() {
    let request = proto::RecordActiveRequest {
        user_ids: vec!["u".repeat(32); USERS_MAX],
        ..good_record()
    };
    assert!(record(&request).is_ok());
}

#[test]
fn faulty_users_are_named_up_to_a_bound() {
    let request = proto::RecordActiveRequest {
        user_ids: vec![String::new(); USERS_MAX],
        ..good_record()
    };
    let named = fields(record(&request));
    assert_eq!(named.len(), FAULTY_NAMED_MAX + 1);
    assert_eq!(named.last().map(String::as_str), Some("user_ids"));
}

#[test]
fn usage_needs_an_app() {
    assert_eq!(
        fields(usage(proto::GetUsageRequest { app_id: 0 })),
        ["app_id"]
    );
    assert!(usage(proto::GetUsageRequest { app_id: 1 }).is_ok());
}
