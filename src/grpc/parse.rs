//! Requests into the house's own types, which cannot be wrong. Every faulty field is found.

use crate::admission::{Check, CheckMode, Record, Release, Who};
use crate::clock::Millis;
use crate::quota::{AMOUNT_MAX, Amount, AppId, RequestId, Resource, UserId};

use super::fault::Violations;
use super::proto;

/// The most users in one RecordActive.
pub const USERS_MAX: usize = 1000;
/// The largest increment in one RecordActive. A day's sum only grows and is exact below 2^53: one
/// mistaken call must not fill it.
pub const INCREMENT_MAX: u64 = 100_000_000;
/// The most checks in one BatchCheck.
pub const CHECKS_MAX: usize = 1000;
/// The most faulty users that an answer names: it must fit into the headers that clients take.
const FAULTY_USERS_NAMED_MAX: usize = 8;
/// Year 1, the first of a google.protobuf.Timestamp, in seconds since the Unix epoch.
const TIMESTAMP_MIN: i64 = -62_135_596_800;
/// The last second of year 9999.
const TIMESTAMP_MAX: i64 = 253_402_300_799;

/// Reads a Check.
pub(super) fn check(request: &proto::CheckRequest) -> Result<Check, Violations> {
    let mut faults = Violations::default();
    let app = app(request.app_id, &mut faults);
    let resource = resource(request.resource, &mut faults);
    let amount = amount(request.amount, &mut faults);
    let request_id = request_id(&request.request_id, &mut faults);
    no_resource_id(&request.resource_id, &mut faults);
    let mode = mode(request.mode, &mut faults);
    if request.hold.is_some() {
        faults.add("hold", "is not served yet; leave it out");
    }
    let parsed = (|| {
        Some(Check {
            app: app?,
            resource: resource?,
            amount: amount?,
            request_id,
            resource_id: None,
            mode: mode?,
        })
    })();
    faults.or(parsed)
}

/// Looks at how many checks a BatchCheck has; each of them is read by itself.
pub(super) fn batch(request: &proto::BatchCheckRequest) -> Result<(), Violations> {
    let mut faults = Violations::default();
    let sized = match request.checks.len() {
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
    let amount = amount(request.amount, &mut faults);
    let request_id = request_id(&request.request_id, &mut faults);
    no_resource_id(&request.resource_id, &mut faults);
    let parsed = (|| {
        Some(Release {
            app: app?,
            resource: resource?,
            amount: amount?,
            request_id,
            resource_id: None,
        })
    })();
    faults.or(parsed)
}

/// Reads a RecordActive; the users stay where they are.
pub(super) fn record(request: &proto::RecordActiveRequest) -> Result<Record<'_>, Violations> {
    let mut faults = Violations::default();
    let app = app(request.app_id, &mut faults);
    let who = who(&request.user_ids, request.increment, &mut faults);
    let at = request.at.as_ref().and_then(|at| time(at, &mut faults));
    let request_id = request_id(&request.request_id, &mut faults);
    let parsed = (|| {
        Some(Record {
            app: app?,
            at,
            who: who?,
            request_id,
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

fn amount(number: u32, faults: &mut Violations) -> Option<Amount> {
    let parsed = Amount::from_wire(number)
        .ok_or_else(|| format!("is {number}; at most {AMOUNT_MAX} are allowed in one call"));
    faults.check("amount", parsed)
}

/// An empty id is none, which is no fault.
fn request_id(text: &str, faults: &mut Violations) -> Option<RequestId> {
    if text.is_empty() {
        return None;
    }
    faults.check("request_id", RequestId::parse(text))
}

fn no_resource_id(text: &str, faults: &mut Violations) {
    if !text.is_empty() {
        faults.add("resource_id", "is not served yet; leave it empty");
    }
}

fn mode(number: i32, faults: &mut Violations) -> Option<CheckMode> {
    let parsed = match proto::CheckMode::try_from(number) {
        Ok(proto::CheckMode::Unspecified | proto::CheckMode::Count) => Ok(CheckMode::Count),
        Ok(proto::CheckMode::DryRun) => Ok(CheckMode::DryRun),
        Ok(proto::CheckMode::Record) => Ok(CheckMode::Record),
        Ok(mode @ proto::CheckMode::Reserve) => Err(format!(
            "{} is not served yet; take CHECK_MODE_COUNT, CHECK_MODE_DRY_RUN or CHECK_MODE_RECORD",
            mode.as_str_name()
        )),
        Err(_) => Err(format!("{number} is no mode that is known here")),
    };
    faults.check("mode", parsed)
}

fn who<'a>(ids: &'a [String], increment: u64, faults: &mut Violations) -> Option<Who<'a>> {
    match (ids, increment) {
        ([], 0) => {
            faults.add("user_ids", "must be given, unless increment is");
            None
        }
        ([], 1..=INCREMENT_MAX) => Some(Who::Increment(increment)),
        ([], _) => {
            let problem = format!("is {increment}; at most {INCREMENT_MAX} is allowed in one call");
            faults.add("increment", problem);
            None
        }
        (_, 0) => users(ids, faults).map(Who::Users),
        _ => {
            faults.add("increment", "must not be given together with user_ids");
            // Whatever else is wrong is told as well.
            users(ids, faults);
            None
        }
    }
}

fn users<'a>(ids: &'a [String], faults: &mut Violations) -> Option<Vec<UserId<'a>>> {
    if ids.len() > USERS_MAX {
        let problem = format!("has {} ids; at most {USERS_MAX} are allowed", ids.len());
        faults.add("user_ids", problem);
        return None;
    }
    let mut users = Vec::with_capacity(ids.len());
    let mut wrong = 0;
    for (at, id) in ids.iter().enumerate() {
        match UserId::parse(id) {
            Ok(user) => users.push(user),
            Err(problem) => {
                wrong += 1;
                if wrong <= FAULTY_USERS_NAMED_MAX {
                    faults.add(format!("user_ids[{at}]"), problem);
                }
            }
        }
    }
    if wrong > FAULTY_USERS_NAMED_MAX {
        let more = wrong - FAULTY_USERS_NAMED_MAX;
        faults.add("user_ids", format!("{more} more ids are faulty"));
    }
    (wrong == 0).then_some(users)
}

fn time(at: &prost_types::Timestamp, faults: &mut Violations) -> Option<Millis> {
    let nanos = u32::try_from(at.nanos)
        .ok()
        .filter(|&nanos| nanos < 1_000_000_000);
    let parsed = match nanos {
        Some(nanos) if (TIMESTAMP_MIN..=TIMESTAMP_MAX).contains(&at.seconds) => {
            Ok(Millis(at.seconds * 1000 + i64::from(nanos / 1_000_000)))
        }
        _ => Err("is no time: seconds must lie in the years 1 to 9999, nanos in 0 to 999999999"),
    };
    faults.check("at", parsed)
}

#[cfg(test)]
mod tests;
