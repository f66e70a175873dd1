//! SetLogFilter: which log lines the asked server writes.

use std::time::Duration;

use tonic::Status;

use crate::clock::Clock;
use crate::grpc::fault::{self, Violations};
use crate::grpc::proto::{SetLogFilterRequest, SetLogFilterResponse};
use crate::grpc::render::timestamp;
use crate::observe::{FilterFault, LogFilter};

/// How long a filter lasts if nobody says.
const LASTS_DEFAULT: Duration = Duration::from_mins(10);
/// The longest that one lasts: whoever asks for all lines may forget it.
const LASTS_MAX: Duration = Duration::from_hours(24);
/// The longest filter, in bytes.
const FILTER_BYTES_MAX: usize = 1_024;

/// Does what `who` asks.
pub(super) fn set(
    log: Option<&LogFilter>,
    request: &SetLogFilterRequest,
    who: &str,
) -> Result<SetLogFilterResponse, Status> {
    let lasts = lasts(request)?;
    let Some(log) = log else {
        return Err(fault::log_of_others("nobody gave it to the server"));
    };
    let filter = &*request.filter;
    if filter.is_empty() {
        let filter = log.reset().map_err(refused)?.to_owned();
        tracing::info!(
            filter,
            who,
            "the log's filter is what the process began with"
        );
        return Ok(SetLogFilterResponse {
            filter,
            until: None,
        });
    }
    log.set(filter, lasts).map_err(refused)?;
    tracing::info!(filter, who, ?lasts, "the log's filter was changed");
    Ok(SetLogFilterResponse {
        filter: filter.to_owned(),
        until: Some(timestamp(Clock::system().after(lasts))),
    })
}

fn lasts(request: &SetLogFilterRequest) -> Result<Duration, Violations> {
    let mut faults = Violations::default();
    if request.filter.len() > FILTER_BYTES_MAX {
        let problem = format!("has more than {FILTER_BYTES_MAX} bytes");
        faults.add("filter", problem);
    }
    let lasts = match request.lasts {
        None => Some(LASTS_DEFAULT),
        Some(lasts) => {
            let lasts = Duration::try_from(lasts).ok();
            let lasts = lasts.filter(|lasts| (Duration::from_secs(1)..=LASTS_MAX).contains(lasts));
            faults.check("lasts", lasts.ok_or("must be from 1 s to 24 h"))
        }
    };
    faults.or(lasts)
}

fn refused(why: FilterFault) -> Status {
    match why {
        FilterFault::Form(_) => {
            let mut faults = Violations::default();
            faults.add("filter", why);
            faults.into()
        }
        FilterFault::Gone(cause) => fault::log_of_others(&cause.to_string()),
    }
}
