use super::*;

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
    let cases: [(&str, Spoil); 13] = [
        ("app_id", |r| r.app_id = 0),
        ("resource", |r| r.resource = 0),
        ("resource", |r| r.resource = 4),
        ("resource", |r| r.resource = -1),
        ("amount", |r| r.amount = 101),
        ("amount", |r| r.amount = u32::MAX),
        ("request_id", |r| r.request_id = "r".repeat(65)),
        ("request_id", |r| r.request_id = "a\nb".into()),
        ("request_id", |r| r.request_id = "ä".into()),
        ("resource_id", |r| r.resource_id = "g1".into()),
        ("mode", |r| r.mode = proto::CheckMode::Reserve.into()),
        ("mode", |r| r.mode = 5),
        ("hold", |r| r.hold = Some(prost_types::Duration::default())),
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
        resource_id: "g".into(),
        mode: 9,
        hold: Some(prost_types::Duration::default()),
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
        resource_id: "g".into(),
        ..Default::default()
    };
    let all = ["app_id", "resource", "amount", "request_id", "resource_id"];
    assert_eq!(fields(release(&request)), all);
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
    assert_eq!(named.len(), FAULTY_USERS_NAMED_MAX + 1);
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
