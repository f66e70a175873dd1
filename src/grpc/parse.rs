//! Requests into the house's own types, which cannot be wrong. Every faulty field is found.

mod hold;
mod users;

pub(super) use hold::{cancel, confirm};
pub use users::USERS_MAX;
pub(super) use users::record;

use std::fmt::Display;

use crate::admission::{Check, CheckMode, Release};
use crate::quota::{AMOUNT_MAX, Amount, AppId, ObjectId, RequestId, Resource};

use super::codec::Asked;
use super::fault::Violations;
use super::proto;

/// The most checks in one BatchCheck.
pub const CHECKS_MAX: usize = 1000;
/// The most faulty names of one list that an answer tells: it must fit into the headers that clients
/// take.
const FAULTY_NAMED_MAX: usize = 8;

/// Reads a Check.
pub(super) fn check(request: &Asked<'_>) -> Result<Check, Violations> {
    let mut faults = Violations::default();
    let app = app(request.app_id, &mut faults);
    let resource = resource(request.resource, &mut faults);
    let amount = amount(request.amount, request.resource_id, &mut faults);
    let request_id = match request_id(request.request_id, &mut faults) {
        None if request.request_id.is_empty() && hold::is_wanted(request.mode) => {
            let problem =
                "must be given with CHECK_MODE_RESERVE: it is confirmed or cancelled by it";
            faults.add("request_id", problem);
            None
        }
        id => id,
    };
    let resource_id = resource_id(request.resource_id, &mut faults);
    let mode = mode(request, &mut faults);
    let parsed = (|| {
        Some(Check {
            app: app?,
            resource: resource?,
            amount: amount?,
            request_id,
            resource_id,
            mode: mode?,
        })
    })();
    faults.or(parsed)
}

/// Looks at how many checks a BatchCheck has; each of them is read by itself.
pub(super) fn batch(checks: usize) -> Result<(), Violations> {
    let mut faults = Violations::default();
    let sized = match checks {
        0 => Err("must be given: at least one".into()),
        1..=CHECKS_MAX => Ok(()),
        many => Err(format!(
            "has {many} checks; at most {CHECKS_MAX} are allowed"
        )),
    };
    let sized = faults.check("checks", sized);
    faults.or(sized)
}

/// Reads a Release.
pub(super) fn release(request: &proto::ReleaseRequest) -> Result<Release, Violations> {
    let mut faults = Violations::default();
    let app = app(request.app_id, &mut faults);
    let resource = resource(request.resource, &mut faults);
    let amount = amount(request.amount, &request.resource_id, &mut faults);
    let request_id = request_id(&request.request_id, &mut faults);
    let resource_id = resource_id(&request.resource_id, &mut faults);
    let parsed = (|| {
        Some(Release {
            app: app?,
            resource: resource?,
            amount: amount?,
            request_id,
            resource_id,
        })
    })();
    faults.or(parsed)
}

/// Reads a GetUsage.
pub(super) fn usage(request: proto::GetUsageRequest) -> Result<AppId, Violations> {
    let mut faults = Violations::default();
    let app = app(request.app_id, &mut faults);
    faults.or(app)
}

pub(super) fn app(id: u64, faults: &mut Violations) -> Option<AppId> {
    faults.check("app_id", AppId::new(id).ok_or("must be given, and not 0"))
}

pub(super) fn resource(number: i32, faults: &mut Violations) -> Option<Resource> {
    let parsed = match proto::Resource::try_from(number) {
        Ok(proto::Resource::Account) => Ok(Resource::Account),
        Ok(proto::Resource::Group) => Ok(Resource::Group),
        Ok(proto::Resource::AvRoom) => Ok(Resource::AvRoom),
        Ok(proto::Resource::Unspecified) => {
            Err("must be RESOURCE_ACCOUNT, RESOURCE_GROUP or RESOURCE_AV_ROOM".into())
        }
        Err(_) => Err(format!("{number} is no resource that is known here")),
    };
    faults.check("resource", parsed)
}

/// How many; of the object `named` there is one.
fn amount(number: u32, named: &str, faults: &mut Violations) -> Option<Amount> {
    let parsed = match Amount::from_wire(number) {
        None => Err(format!(
            "is {number}; at most {AMOUNT_MAX} are allowed in one call"
        )),
        Some(amount) if amount != Amount::ONE && !named.is_empty() => Err(format!(
            "is {number}; with resource_id, which names one object, it must be 1"
        )),
        Some(amount) => Ok(amount),
    };
    faults.check("amount", parsed)
}

/// An empty id is none, which is no fault.
fn request_id(text: &str, faults: &mut Violations) -> Option<RequestId> {
    if text.is_empty() {
        return None;
    }
    faults.check("request_id", RequestId::parse(text))
}

/// As with a request id, an empty name is none.
fn resource_id(text: &str, faults: &mut Violations) -> Option<ObjectId> {
    if text.is_empty() {
        return None;
    }
    faults.check("resource_id", ObjectId::parse(text))
}

/// The names of a list, each of which must be one; `field` is what the list is called.
pub(super) fn names<'a, T, E: Display>(
    field: &str,
    texts: &'a [String],
    parse: impl Fn(&'a str) -> Result<T, E>,
    faults: &mut Violations,
) -> Option<Vec<T>> {
    let mut names = Vec::with_capacity(texts.len());
    let mut wrong = 0;
    for (at, text) in texts.iter().enumerate() {
        match parse(text) {
            Ok(name) => names.push(name),
            Err(problem) => {
                wrong += 1;
                if wrong <= FAULTY_NAMED_MAX {
                    faults.add(format!("{field}[{at}]"), problem);
                }
            }
        }
    }
    if wrong > FAULTY_NAMED_MAX {
        let more = wrong - FAULTY_NAMED_MAX;
        faults.add(field, format!("{more} more ids are faulty"));
    }
    (wrong == 0).then_some(names)
}

/// What a check does, and for how long it holds what it reserves.
fn mode(request: &Asked<'_>, faults: &mut Violations) -> Option<CheckMode> {
    let number = request.mode;
    let parsed = match proto::CheckMode::try_from(number) {
        Ok(proto::CheckMode::Unspecified | proto::CheckMode::Count) => Ok(CheckMode::Count),
        Ok(proto::CheckMode::DryRun) => Ok(CheckMode::DryRun),
        Ok(proto::CheckMode::Record) => Ok(CheckMode::Record),
        Ok(proto::CheckMode::Reserve) => {
            return hold::time(request.hold.as_ref(), faults).map(CheckMode::Reserve);
        }
        Err(_) => Err(format!("{number} is no mode that is known here")),
    };
    let mode = faults.check("mode", parsed);
    if request.hold.is_some() {
        faults.add("hold", "must be left out, except with CHECK_MODE_RESERVE");
    }
    mode
}

/// For the fuzzer: decodes and reads a request; the first byte says of which call.
///
/// # Panics
/// If a check is read otherwise than the generated codec reads it.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) {
    use super::codec;
    use prost::Message as _;
    let Some((call, bytes)) = bytes.split_first() else {
        return;
    };
    let _ = match call % 7 {
        0 => {
            let oracle = proto::CheckRequest::decode(bytes);
            if let Some(asked) = Asked::read(bytes) {
                let oracle = oracle.as_ref().expect("what is plain can be read");
                assert_eq!(asked, Asked::from(oracle));
            }
            oracle.map(|request| drop(check(&Asked::from(&request))))
        }
        1 => {
            let oracle = proto::BatchCheckRequest::decode(bytes);
            if let Some(asked) = codec::batch(bytes) {
                let oracle = oracle.as_ref().expect("what is plain can be read");
                assert!(asked.into_iter().eq(oracle.checks.iter().map(Asked::from)));
            }
            oracle.map(|request| {
                drop(batch(request.checks.len()));
                for one in &request.checks {
                    drop(check(&Asked::from(one)));
                }
            })
        }
        2 => proto::ConfirmRequest::decode(bytes).map(|request| drop(confirm(&request))),
        3 => proto::CancelRequest::decode(bytes).map(|request| drop(cancel(&request))),
        4 => proto::ReleaseRequest::decode(bytes).map(|request| drop(release(&request))),
        5 => proto::RecordActiveRequest::decode(bytes).map(|request| drop(record(&request))),
        _ => proto::GetUsageRequest::decode(bytes).map(|request| drop(usage(request))),
    };
}

#[cfg(test)]
mod tests;
