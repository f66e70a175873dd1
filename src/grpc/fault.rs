//! Faults as gRPC says them: a status, its reason, and every field that is to blame.
//!
//! One place chooses the status. What the caller reads says what was wrong and what to do; causes
//! that only an operator can use are in the log of whoever met them.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use super::proto;
use crate::admission::Fault;
use crate::invoice;
use crate::operator;

/// After what time a call that found no room should come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The domain of every google.rpc.ErrorInfo.
const DOMAIN: &str = "imquota";

/// The fields of one request that say something that cannot be.
///
/// Empty for a good request, and then it costs nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Violations(Vec<(String, String)>);

impl Violations {
    /// Adds a field, named as in the contract, and what is wrong with it.
    pub(super) fn add(&mut self, field: impl Into<String>, problem: impl Display) {
        self.0.push((field.into(), problem.to_string()));
    }

    /// Keeps what `parsed` holds, or adds why there is nothing.
    pub(super) fn check<T, E: Display>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|problem| self.add(field, problem)).ok()
    }

    /// `parsed`, which is there unless a field was at fault.
    pub(super) fn or<T>(self, parsed: Option<T>) -> Result<T, Self> {
        match parsed {
            Some(parsed) if self.0.is_empty() => Ok(parsed),
            _ => Err(self),
        }
    }

    #[cfg(test)]
    pub(super) fn fields(&self) -> Vec<&str> {
        self.0.iter().map(|(field, _)| field.as_str()).collect()
    }
}

impl From<Violations> for Status {
    fn from(violations: Violations) -> Self {
        let message = match violations.0.as_slice() {
            [] => "the request is invalid".into(),
            [(field, problem)] => format!("{field}: {problem}"),
            [(field, problem), others @ ..] => {
                format!(
                    "{field}: {problem} (and {} more, see the details)",
                    others.len()
                )
            }
        };
        invalid("INVALID_FIELD", message, violations)
    }
}

fn invalid(reason: &str, message: String, violations: Violations) -> Status {
    let mut details = details(reason);
    let violations: Vec<_> = violations
        .0
        .into_iter()
        .map(|(field, problem)| FieldViolation::new(field, problem))
        .collect();
    details.set_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

fn details(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new())
}

fn plain(code: Code, reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(code, message, details(reason))
}

/// The status of a call that would change a log which is not the server's own.
pub(super) fn log_of_others(cause: &str) -> Status {
    let message = format!("the log's filter cannot be changed: {cause}");
    plain(Code::FailedPrecondition, "LOG_NOT_OWN", message)
}

/// The status of a call that there is no room for now; it may come again after a while.
pub(super) fn overloaded(message: String) -> Status {
    let mut details = details("OVERLOADED");
    details.set_retry_info(Some(RETRY_AFTER));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// A message that does not come as a whole.
pub(super) fn too_slow(most: Duration) -> Status {
    let seconds = most.as_secs();
    plain(
        Code::DeadlineExceeded,
        "MESSAGE_LATE",
        format!("the message did not come as a whole within {seconds} s"),
    )
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let message = fault.to_string();
        match fault {
            Fault::Invalid { field, problem } => {
                let mut violations = Violations::default();
                violations.add(field, problem);
                violations.into()
            }
            Fault::OtherContent => {
                let mut violations = Violations::default();
                violations.add("request_id", "was used before for another request");
                invalid("REQUEST_ID_REUSED", message, violations)
            }
            Fault::Expired => {
                let mut violations = Violations::default();
                violations.add("request_id", "is older than ids are remembered");
                invalid("REQUEST_EXPIRED", message, violations)
            }
            Fault::NoHold => plain(Code::NotFound, "RESERVATION_UNKNOWN", message),
            Fault::Ended(_) => plain(Code::FailedPrecondition, "RESERVATION_ENDED", message),
            Fault::UnknownApp(_) => plain(Code::NotFound, "APP_UNKNOWN", message),
            Fault::DaySealed(_) => plain(Code::OutOfRange, "DAY_SEALED", message),
            Fault::Exhausted(_) => overloaded(message),
            Fault::Away(_) => plain(Code::Unavailable, "UNAVAILABLE", message),
        }
    }
}

impl From<invoice::Fault> for Status {
    fn from(fault: invoice::Fault) -> Self {
        use invoice::Fault as Of;
        let message = fault.to_string();
        match fault {
            Of::Ahead(_) => {
                let mut violations = Violations::default();
                violations.add("month", "has not begun");
                violations.into()
            }
            Of::UnknownApp(_) => plain(Code::NotFound, "APP_UNKNOWN", message),
            Of::TooOld(_) => plain(Code::OutOfRange, "MONTH_FORGOTTEN", message),
            Of::TooLarge(_) => plain(Code::OutOfRange, "AMOUNT_TOO_LARGE", message),
            Of::NotKnownThen(..) => plain(Code::FailedPrecondition, "MONTH_UNKNOWN", message),
            Of::NotSealed(_) | Of::DayOpen(_) => {
                plain(Code::FailedPrecondition, "NOT_SEALED", message)
            }
            Of::Corrected(..) => plain(Code::Aborted, "CORRECTED_MEANWHILE", message),
            Of::Unreadable(_) => plain(Code::DataLoss, "BILL_UNREADABLE", message),
            Of::Away(_) => plain(Code::Unavailable, "UNAVAILABLE", message),
        }
    }
}

impl From<operator::Fault> for Status {
    fn from(fault: operator::Fault) -> Self {
        use operator::Fault as Of;
        let (code, reason) = match &fault {
            Of::UnknownPlan { .. } => {
                let mut violations = Violations::default();
                violations.add("app.plan", fault.to_string());
                return violations.into();
            }
            Of::ManagedByFile(_) => (Code::FailedPrecondition, "MANAGED_BY_FILE"),
            Of::Changed { .. } => (Code::Aborted, "APP_CHANGED"),
            Of::UnknownApp(_) => (Code::NotFound, "APP_UNKNOWN"),
            Of::UnknownMember(_) => (Code::NotFound, "MEMBER_UNKNOWN"),
            Of::NotFrozen { .. } => (Code::FailedPrecondition, "NOT_FROZEN"),
            Of::Ambiguous { .. } => (Code::FailedPrecondition, "MEMBER_AMBIGUOUS"),
            Of::Alive(_) => (Code::FailedPrecondition, "MEMBER_ALIVE"),
            Of::Gone(_) => (Code::FailedPrecondition, "MEMBER_GONE"),
            Of::Busy => return overloaded(fault.to_string()),
            Of::Bills(fault) => return fault.clone().into(),
            Of::Away(_) => (Code::Unavailable, "UNAVAILABLE"),
            Of::Unsure(_) => (Code::Unavailable, "OUTCOME_UNKNOWN"),
        };
        plain(code, reason, fault.to_string())
    }
}

/// The most bytes of the message of an item's fault.
const ITEM_MESSAGE_MAX: usize = 1024;

/// What `status` says, as the fault of one item among many.
pub(super) fn of_item(status: &Status) -> proto::Fault {
    let details = status.get_error_details();
    let field = match details
        .bad_request()
        .map(|bad| bad.field_violations.as_slice())
    {
        Some([only]) => only.field.clone(),
        _ => String::new(),
    };
    let message = status.message();
    let end = message.floor_char_boundary(ITEM_MESSAGE_MAX);
    proto::Fault {
        // The codes of gRPC are small numbers, none of them negative.
        code: u32::try_from(i32::from(status.code())).unwrap_or_default(),
        field,
        message: message[..end].to_owned(),
    }
}

/// The status of a stream that the server's own end has ended.
pub(super) fn stopping() -> Status {
    plain(
        Code::Unavailable,
        "STOPPING",
        "the server is stopping; what got no answer was not decided: send it over another connection",
    )
}

/// The status of a caller who may not, whatever it sends.
pub(super) fn not_permitted(message: &str) -> Status {
    plain(Code::PermissionDenied, "NOT_PERMITTED", message)
}

/// The status of a caller who does not show who it is.
pub(super) fn unauthenticated(reason: &str, message: &str) -> Status {
    plain(Code::Unauthenticated, reason, message)
}

/// The status of a call whose caller no longer waits; nothing was counted.
pub(super) fn too_late() -> Status {
    plain(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the call's own deadline (grpc-timeout) has passed",
    )
}

/// The status of a call at which this program failed.
pub(super) fn broken() -> Status {
    plain(
        Code::Internal,
        "BROKEN",
        "the server failed at this call, and its log says where; whether it was counted is open: \
         repeat it under the same request_id",
    )
}

/// The status of a call whose message is none of the contract's.
pub(super) fn malformed(problem: &str) -> Status {
    plain(Code::InvalidArgument, "MALFORMED_MESSAGE", problem)
}

/// The status of a call whose deadline cannot be read: without one its work would have no bound.
pub(super) fn unreadable_deadline() -> Status {
    let mut violations = Violations::default();
    violations.add(
        "grpc-timeout",
        "must be 1 to 8 digits and one of H, M, S, m, u, n",
    );
    violations.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Day;
    use crate::quota::AppId;

    #[test]
    fn every_fault_has_its_status_and_says_why() {
        let app = AppId::new(7).expect("7 is not 0");
        let day = Day::from_number(20_000).expect("a day of this century");
        for (fault, code, reason, field) in [
            (
                Fault::Invalid {
                    field: "at",
                    problem: "is ahead".into(),
                },
                Code::InvalidArgument,
                "INVALID_FIELD",
                Some("at"),
            ),
            (
                Fault::OtherContent,
                Code::InvalidArgument,
                "REQUEST_ID_REUSED",
                Some("request_id"),
            ),
            (
                Fault::Expired,
                Code::InvalidArgument,
                "REQUEST_EXPIRED",
                Some("request_id"),
            ),
            (Fault::NoHold, Code::NotFound, "RESERVATION_UNKNOWN", None),
            (
                Fault::Ended("was cancelled"),
                Code::FailedPrecondition,
                "RESERVATION_ENDED",
                None,
            ),
            (Fault::UnknownApp(app), Code::NotFound, "APP_UNKNOWN", None),
            (Fault::DaySealed(day), Code::OutOfRange, "DAY_SEALED", None),
            (
                Fault::Exhausted("too many".into()),
                Code::ResourceExhausted,
                "OVERLOADED",
                None,
            ),
            (
                Fault::Away("is away".into()),
                Code::Unavailable,
                "UNAVAILABLE",
                None,
            ),
        ] {
            let message = fault.to_string();
            let status = Status::from(fault);
            assert_eq!(status.code(), code, "{message}");
            assert_eq!(status.message(), message);
            let details = status.get_error_details();
            let info = details.error_info().expect("every fault has a reason");
            assert_eq!(
                (info.reason.as_str(), info.domain.as_str()),
                (reason, DOMAIN)
            );
            let named = details
                .bad_request()
                .map(|bad| bad.field_violations[0].field.as_str());
            assert_eq!(named, field);
        }
    }

    #[test]
    fn all_faulty_fields_are_named() {
        let mut violations = Violations::default();
        violations.add("app_id", "must not be 0");
        violations.add("amount", "is too large");
        let status = Status::from(violations);
        assert_eq!(
            status.message(),
            "app_id: must not be 0 (and 1 more, see the details)"
        );
        let details = status.get_error_details();
        let bad = details.bad_request().expect("fields are at fault");
        let fields: Vec<_> = bad.field_violations.iter().map(|v| &v.field).collect();
        assert_eq!(fields, ["app_id", "amount"]);
    }
}
