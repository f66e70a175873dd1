//! The house's answers in the contract's words.

use crate::admission::{
    Active, Cancelled, Confirmed, Outcome, Refusal, Released, ResourceUsage, Source, UsageReport,
    Verdict,
};
use crate::clock::Millis;
use crate::quota::{Counter, Limit, Resource};

use super::proto;

/// Writes the answer to a Check.
pub(super) fn check(verdict: &Verdict) -> proto::CheckResponse {
    let limit = verdict.limit.unwrap_or(Limit::Unlimited);
    let mut response = proto::CheckResponse {
        decision: proto::Decision::Allow.into(),
        limit: limit.get(),
        used: verdict.used,
        remaining: remaining(limit, verdict.used, verdict.held),
        source: source(verdict.source).into(),
        replayed: verdict.replayed,
        already_counted: verdict.already_counted,
        ..Default::default()
    };
    match verdict.outcome {
        Outcome::Allow => {}
        Outcome::Exceeds(refusal) => response.reason = reason(refusal).into(),
        Outcome::Shadowed(refusal) => {
            response.reason = reason(refusal).into();
            response.shadowed = true;
        }
        Outcome::Deny(refusal) => {
            response.decision = proto::Decision::Deny.into();
            response.reason = reason(refusal).into();
            response.im_error_code = refusal.im_error_code();
            if let Refusal::StoreUnavailable { retry_after } = refusal {
                // Longer than the wire's 10,000 years is none.
                response.retry_after = retry_after.try_into().ok();
            }
        }
    }
    response
}

/// Writes the answer to a Release.
pub(super) fn release(released: &Released) -> proto::ReleaseResponse {
    proto::ReleaseResponse {
        released: released.released,
        used: released.used,
        remaining: remaining(released.limit, released.used, released.held),
        replayed: released.replayed,
    }
}

/// Writes the answer to a Confirm.
pub(super) fn confirm(confirmed: Confirmed) -> proto::ConfirmResponse {
    proto::ConfirmResponse {
        used: confirmed.used,
        late: confirmed.late,
        already_counted: confirmed.already_counted,
        replayed: confirmed.replayed,
    }
}

/// Writes the answer to a Cancel.
pub(super) fn cancel(cancelled: Cancelled) -> proto::CancelResponse {
    proto::CancelResponse {
        replayed: cancelled.replayed,
    }
}

/// Writes the answer to a RecordActive.
pub(super) fn active(active: &Active) -> proto::RecordActiveResponse {
    proto::RecordActiveResponse {
        newly_active: active.newly_active,
        daily_active: active.daily_active,
        day: active.day.to_string(),
        source: source(active.source).into(),
        replayed: active.replayed,
    }
}

/// Writes the answer to a GetUsage.
pub(super) fn usage(report: &UsageReport) -> proto::GetUsageResponse {
    proto::GetUsageResponse {
        app_id: report.app.get(),
        plan: report.plan.as_str().into(),
        resources: report.resources.map(resource_usage).into(),
        daily_active: report.daily_active,
        month_peak_daily_active: report.month_peak_daily_active,
        month_peak_groups: report.month_peak_groups,
        as_of: Some(timestamp(report.as_of)),
        degraded: report.degraded,
        groups_gained_today: report.groups_gained_today,
        groups_gained_limit: report.groups_gained_limit.get(),
    }
}

fn resource_usage(usage: ResourceUsage) -> proto::ResourceUsage {
    proto::ResourceUsage {
        resource: resource(usage.resource).into(),
        used: usage.used,
        held: usage.held,
        limit: usage.limit.get(),
        remaining: remaining(usage.limit, usage.used, usage.held),
    }
}

/// How many more fit beside what is counted and what reservations hold.
fn remaining(limit: Limit, used: u64, held: u64) -> Option<u64> {
    limit.remaining(used.saturating_add(held))
}

fn resource(resource: Resource) -> proto::Resource {
    match resource {
        Resource::Account => proto::Resource::Account,
        Resource::Group => proto::Resource::Group,
        Resource::AvRoom => proto::Resource::AvRoom,
    }
}

fn source(source: Source) -> proto::Source {
    match source {
        Source::Memory => proto::Source::Memory,
        Source::Ledger => proto::Source::Ledger,
        Source::Degraded => proto::Source::Degraded,
    }
}

fn reason(refusal: Refusal) -> proto::DenyReason {
    match refusal {
        Refusal::LimitReached(Counter::GroupsGained) | Refusal::DailyGainReached => {
            proto::DenyReason::DailyGainReached
        }
        Refusal::LimitReached(Counter::Accounts | Counter::Groups | Counter::AvRooms) => {
            proto::DenyReason::LimitReached
        }
        Refusal::AppUnknown => proto::DenyReason::AppUnknown,
        Refusal::AppDisabled => proto::DenyReason::AppDisabled,
        Refusal::StoreUnavailable { .. } => proto::DenyReason::StoreUnavailable,
        Refusal::RequestExpired => proto::DenyReason::RequestExpired,
    }
}

pub(super) fn timestamp(at: Millis) -> prost_types::Timestamp {
    let nanos = at.0.rem_euclid(1000) * 1_000_000;
    prost_types::Timestamp {
        seconds: at.0.div_euclid(1000),
        // Below 1,000,000,000, so that it fits.
        nanos: i32::try_from(nanos).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn verdict(outcome: Outcome, limit: Option<Limit>, used: u64) -> Verdict {
        Verdict {
            held: 0,
            already_counted: false,
            outcome,
            limit,
            used,
            source: Source::Ledger,
            replayed: true,
        }
    }

    #[test]
    fn an_allowed_check_says_what_is_left() {
        let response = check(&verdict(Outcome::Allow, Some(Limit::AtMost(50)), 3));
        assert_eq!(response.decision(), proto::Decision::Allow);
        assert_eq!(response.reason(), proto::DenyReason::Unspecified);
        assert_eq!(response.im_error_code, 0);
        assert_eq!((response.limit, response.used), (Some(50), 3));
        assert_eq!(response.remaining, Some(47));
        assert_eq!(response.source(), proto::Source::Ledger);
        assert!(response.replayed);
        assert_eq!(response.retry_after, None);
        assert_eq!(response.fault, None);
    }

    #[test]
    fn without_a_limit_there_is_no_number() {
        for limit in [Some(Limit::Unlimited), None] {
            let response = check(&verdict(Outcome::Allow, limit, 3));
            assert_eq!((response.limit, response.remaining), (None, None));
        }
    }

    #[test]
    fn above_the_limit_nothing_remains() {
        let refusal = Refusal::LimitReached(Counter::Accounts);
        let response = check(&verdict(Outcome::Deny(refusal), Some(Limit::AtMost(1)), 5));
        assert_eq!(response.remaining, Some(0));
    }

    #[test]
    fn what_is_held_is_not_left_and_not_used() {
        let held = |used, held| Verdict {
            held,
            already_counted: true,
            ..verdict(Outcome::Allow, Some(Limit::AtMost(50)), used)
        };
        let response = check(&held(3, 7));
        assert_eq!((response.used, response.remaining), (3, Some(40)));
        assert!(response.already_counted);
        for (used, more) in [(45, 6), (3, u64::MAX)] {
            assert_eq!(check(&held(used, more)).remaining, Some(0));
        }
        let released = |limit| Released {
            released: 1,
            used: 3,
            limit,
            held: 7,
            replayed: false,
        };
        let remaining = |limit| release(&released(limit)).remaining;
        assert_eq!(remaining(Limit::AtMost(50)), Some(40));
        assert_eq!(remaining(Limit::AtMost(9)), Some(0));
        assert_eq!(remaining(Limit::Unlimited), None);
        let usage = resource_usage(ResourceUsage {
            resource: Resource::Group,
            used: 3,
            held: 7,
            limit: Limit::AtMost(50),
        });
        assert_eq!((usage.used, usage.held, usage.remaining), (3, 7, Some(40)));
    }

    #[test]
    fn what_became_of_a_reservation_is_told() {
        let confirmed = confirm(Confirmed {
            used: 4,
            late: true,
            already_counted: false,
            replayed: true,
        });
        let wanted = proto::ConfirmResponse {
            used: 4,
            late: true,
            already_counted: false,
            replayed: true,
        };
        assert_eq!(confirmed, wanted);
        for replayed in [false, true] {
            assert_eq!(cancel(Cancelled { replayed }).replayed, replayed);
        }
    }

    #[test]
    fn every_refusal_has_its_reason_and_code() {
        use proto::DenyReason as Reason;
        let away = Refusal::StoreUnavailable {
            retry_after: Duration::from_millis(250),
        };
        for (refusal, reason, code) in [
            (
                Refusal::LimitReached(Counter::Accounts),
                Reason::LimitReached,
                70398,
            ),
            (
                Refusal::LimitReached(Counter::AvRooms),
                Reason::LimitReached,
                10036,
            ),
            (
                Refusal::LimitReached(Counter::Groups),
                Reason::LimitReached,
                10058,
            ),
            (Refusal::DailyGainReached, Reason::DailyGainReached, 10006),
            (Refusal::AppUnknown, Reason::AppUnknown, 70020),
            (Refusal::AppDisabled, Reason::AppDisabled, 60016),
            (away, Reason::StoreUnavailable, 0),
            (Refusal::RequestExpired, Reason::RequestExpired, 0),
        ] {
            let response = check(&verdict(Outcome::Deny(refusal), None, 0));
            assert_eq!(response.decision(), proto::Decision::Deny);
            assert_eq!(response.reason(), reason);
            assert_eq!(response.im_error_code, code);
            let retry = response.retry_after.map(|after| after.nanos);
            assert_eq!(retry, (refusal == away).then_some(250_000_000));
        }
    }

    #[test]
    fn times_before_the_epoch_are_rendered_too() {
        let at = timestamp(Millis(-1));
        assert_eq!((at.seconds, at.nanos), (-1, 999_000_000));
    }
}
