//! Parts of replies as people and as scripts read them.

use serde_json::Value;

use crate::grpc::proto;

/// A number that has a name in the contract: the name, or the number where this program is too old to
/// know it.
fn named(number: i32, name: Option<&'static str>) -> Value {
    name.map_or_else(|| Value::from(number), Value::from)
}

pub(super) fn resource_json(number: i32) -> Value {
    let known = proto::Resource::try_from(number).ok();
    named(number, known.map(|known| known.as_str_name()))
}

pub(super) fn source_json(number: i32) -> Value {
    let known = proto::Source::try_from(number).ok();
    named(number, known.map(|known| known.as_str_name()))
}

pub(super) fn decision_json(number: i32) -> Value {
    let known = proto::Decision::try_from(number).ok();
    named(number, known.map(|known| known.as_str_name()))
}

pub(super) fn reason_json(number: i32) -> Value {
    let known = proto::DenyReason::try_from(number).ok();
    named(number, known.map(|known| known.as_str_name()))
}

pub(super) fn standing_json(number: i32) -> Value {
    let known = proto::MemberStanding::try_from(number).ok();
    named(number, known.map(|known| known.as_str_name()))
}

/// How it stands with a member.
pub(super) fn standing(number: i32) -> &'static str {
    match proto::MemberStanding::try_from(number) {
        Ok(proto::MemberStanding::Present) => "present",
        Ok(proto::MemberStanding::Silent) => "silent",
        Ok(proto::MemberStanding::Gone) => "gone",
        Ok(proto::MemberStanding::Unspecified) | Err(_) => "not said",
    }
}

/// `1s`, `0.250s`: the form that JSON has for it.
pub(super) fn duration(duration: &prost_types::Duration) -> String {
    let prost_types::Duration { seconds, nanos } = duration;
    match nanos {
        0 => format!("{seconds}s"),
        nanos if nanos % 1_000_000 == 0 => format!("{seconds}.{:03}s", nanos / 1_000_000),
        nanos => format!("{seconds}.{nanos:09}s"),
    }
}

/// RFC 3339 in UTC, or nothing where it is outside the calendar.
pub(super) fn time(time: &prost_types::Timestamp) -> Option<String> {
    let time = jiff::Timestamp::new(time.seconds, time.nanos).ok()?;
    Some(time.to_string())
}

/// What a resource is called by the flags.
pub(super) fn resource(number: i32) -> &'static str {
    match proto::Resource::try_from(number) {
        Ok(proto::Resource::Account) => "account",
        Ok(proto::Resource::Group) => "group",
        Ok(proto::Resource::AvRoom) => "av-room",
        Ok(proto::Resource::Unspecified) | Err(_) => "unknown resource",
    }
}

/// Where an answer came from.
pub(super) fn source(number: i32) -> &'static str {
    match proto::Source::try_from(number) {
        Ok(proto::Source::Memory) => "this sidecar's memory",
        Ok(proto::Source::Ledger) => "the ledger",
        Ok(proto::Source::Degraded) => "this sidecar alone: the ledger is away",
        Ok(proto::Source::Unspecified) | Err(_) => "not said",
    }
}

/// Why a creation is refused.
pub(super) fn reason(number: i32) -> &'static str {
    match proto::DenyReason::try_from(number) {
        Ok(proto::DenyReason::LimitReached) => "the limit is reached",
        Ok(proto::DenyReason::DailyGainReached) => "as many groups were gained today as may be",
        Ok(proto::DenyReason::AppUnknown) => "nobody knows the app",
        Ok(proto::DenyReason::AppDisabled) => "the app is disabled",
        Ok(proto::DenyReason::StoreUnavailable) => "the ledger gave no answer in time",
        Ok(proto::DenyReason::RequestExpired) => "the request id is too old to be remembered",
        Ok(proto::DenyReason::Unspecified) | Err(_) => "for a reason this program does not know",
    }
}

/// A limit, or that there is none.
pub(super) fn or_unlimited(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

/// What is said of an answer that an earlier request of the same id had.
pub(super) const REPLAYED: &str = "replayed: decided by an earlier request with this id";
/// What is said of an object that was there.
pub(super) const ALREADY_COUNTED: &str = "the object was there before: nothing was added";
