//! Users who logged in.

use super::super::fault::Violations;
use super::super::proto;
use super::{app, names, request_id};
use crate::admission::{Record, Who};
use crate::clock::Millis;
use crate::quota::UserId;

/// The most users in one RecordActive.
pub const USERS_MAX: usize = 1000;
/// The largest increment in one RecordActive. A day's sum only grows and is exact below 2^53: one
/// mistaken call must not fill it.
pub(super) const INCREMENT_MAX: u64 = 100_000_000;
/// Year 1, the first of a google.protobuf.Timestamp, in seconds since the Unix epoch.
pub(super) const TIMESTAMP_MIN: i64 = -62_135_596_800;
/// The last second of year 9999.
pub(super) const TIMESTAMP_MAX: i64 = 253_402_300_799;

/// Reads a RecordActive; the users stay where they are.
pub(in crate::grpc) fn record(
    request: &proto::RecordActiveRequest,
) -> Result<Record<'_>, Violations> {
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
    names("user_ids", ids, UserId::parse, faults)
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
