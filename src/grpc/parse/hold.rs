//! Reservations: for how long, and what they came to.

use std::time::Duration;

use super::super::fault::Violations;
use super::super::proto;
use super::{app, request_id, resource_id};
use crate::admission::{Cancel, Confirm};
use crate::quota::{HoldTime, RequestId};

/// Reads a Confirm.
pub(in crate::grpc) fn confirm(request: &proto::ConfirmRequest) -> Result<Confirm, Violations> {
    let mut faults = Violations::default();
    let app = app(request.app_id, &mut faults);
    let request_id = reservation(&request.request_id, &mut faults);
    let resource_id = resource_id(&request.resource_id, &mut faults);
    let parsed = (|| {
        Some(Confirm {
            app: app?,
            request_id: request_id?,
            resource_id,
        })
    })();
    faults.or(parsed)
}

/// Reads a Cancel.
pub(in crate::grpc) fn cancel(request: &proto::CancelRequest) -> Result<Cancel, Violations> {
    let mut faults = Violations::default();
    let app = app(request.app_id, &mut faults);
    let request_id = reservation(&request.request_id, &mut faults);
    let parsed = (|| {
        Some(Cancel {
            app: app?,
            request_id: request_id?,
        })
    })();
    faults.or(parsed)
}

/// The id of a reservation, which has one.
fn reservation(text: &str, faults: &mut Violations) -> Option<RequestId> {
    if text.is_empty() {
        faults.add("request_id", "must be given: it names the reservation");
    }
    request_id(text, faults)
}

/// Whether a check with this mode is a reservation.
pub(super) fn is_wanted(mode: i32) -> bool {
    mode == proto::CheckMode::Reserve as i32
}

/// For how long a reservation holds its places.
pub(super) fn time(
    hold: Option<&prost_types::Duration>,
    faults: &mut Violations,
) -> Option<HoldTime> {
    let Some(hold) = hold else {
        return Some(HoldTime::DEFAULT);
    };
    let nanos = u32::try_from(hold.nanos)
        .ok()
        .filter(|&nanos| nanos < 1_000_000_000);
    let time = (|| HoldTime::new(Duration::new(hold.seconds.try_into().ok()?, nanos?)))();
    let problem = || {
        format!(
            "must be above 0 s and at most {} s",
            HoldTime::MAX.as_secs()
        )
    };
    faults.check("hold", time.ok_or_else(problem))
}
