//! Operators' requests into the house's own types. Every faulty field is found.

use crate::config::MEMBER_BYTES_MAX;
use crate::grpc::fault::Violations;
use crate::grpc::{parse, proto};
use crate::operator::{Order, RecountOrder};
use crate::quota::{AppId, Limit};
use crate::store::{AUDIT_MAX, AUDIT_TEXT_MAX};

/// How many entries of the audit list are told if nobody says.
const AUDIT_DEFAULT: usize = 100;

/// Reads a Recount that `who` asks for.
pub(super) fn recount(
    request: &proto::RecountRequest,
    who: &str,
) -> Result<RecountOrder, Violations> {
    let mut faults = Violations::default();
    let app = parse::app(request.app_id, &mut faults);
    let resource = parse::resource(request.resource, &mut faults);
    let why = reason(&request.reason, &mut faults);
    let order = order(request, &mut faults);
    let parsed = (|| {
        Some(RecountOrder {
            app: app?,
            resource: resource?,
            order: order?,
            who: who.into(),
            why: why?.into(),
        })
    })();
    faults.or(parsed)
}

fn order(request: &proto::RecountRequest, faults: &mut Violations) -> Option<Order> {
    let token = request.token;
    match (request.dry_run, request.cancel, request.to) {
        (true, true, _) => faults.add("cancel", "must not be set together with dry_run"),
        (true, false, _) if token != 0 => {
            faults.add("token", "must be left out in a dry run, which answers one");
        }
        (true, false, _) => return Some(Order::Freeze),
        (false, true, _) if token == 0 => {
            faults.add("token", "must be given: it names the freeze to end");
        }
        (false, true, _) => return Some(Order::Cancel { token }),
        (false, false, None) => {
            faults.add("to", "must be given, unless dry_run or cancel is set");
        }
        (false, false, Some(to)) if to > Limit::MAX => {
            faults.add("to", format!("must be at most {}", Limit::MAX));
        }
        (false, false, Some(to)) if token == 0 => return Some(Order::Set { to }),
        (false, false, Some(to)) => return Some(Order::Commit { to, token }),
    }
    None
}

/// Reads a RetireMember: whom, and why.
pub(super) fn retire(request: &proto::RetireMemberRequest) -> Result<(&str, &str), Violations> {
    let mut faults = Violations::default();
    let member = &*request.member;
    if !(1..=MEMBER_BYTES_MAX).contains(&member.len()) {
        let problem = format!("must be a name or an incarnation of 1 to {MEMBER_BYTES_MAX} bytes");
        faults.add("member", problem);
    }
    let why = reason(&request.reason, &mut faults);
    faults.or(why.map(|why| (member, why)))
}

/// Reads a ListAudit: of which app, and how many at most.
pub(super) fn audit(
    request: &proto::ListAuditRequest,
) -> Result<(Option<AppId>, usize), Violations> {
    let mut faults = Violations::default();
    let most = match usize::try_from(request.limit) {
        Ok(0) => Some(AUDIT_DEFAULT),
        Ok(most) if most <= AUDIT_MAX => Some(most),
        Ok(_) | Err(_) => {
            faults.add("limit", format!("must be at most {AUDIT_MAX}"));
            None
        }
    };
    faults.or(most.map(|most| (AppId::new(request.app_id), most)))
}

/// What an operator says of why. It stands in tables and logs, so it must keep to one line.
fn reason<'a>(text: &'a str, faults: &mut Violations) -> Option<&'a str> {
    if text.len() > AUDIT_TEXT_MAX {
        let bytes = text.len();
        let problem = format!("has {bytes} bytes; at most {AUDIT_TEXT_MAX} are allowed");
        faults.add("reason", problem);
    } else if text.chars().any(char::is_control) {
        faults.add(
            "reason",
            "holds a control character; write one line of text",
        );
    } else {
        return Some(text);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Resource;

    fn request() -> proto::RecountRequest {
        proto::RecountRequest {
            app_id: 7,
            resource: proto::Resource::Group.into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_recount_is_one_of_four() {
        let order = |request| recount(&request, "uid 0").unwrap().order;
        let to = Some(5);
        assert_eq!(
            order(proto::RecountRequest { to, ..request() }),
            Order::Set { to: 5 }
        );
        let token = 9;
        let commit = proto::RecountRequest {
            to,
            token,
            ..request()
        };
        assert_eq!(order(commit), Order::Commit { to: 5, token });
        let (dry_run, cancel) = (true, true);
        assert_eq!(
            order(proto::RecountRequest {
                dry_run,
                to,
                ..request()
            }),
            Order::Freeze
        );
        let end = proto::RecountRequest {
            cancel,
            token,
            ..request()
        };
        assert_eq!(order(end), Order::Cancel { token });
        let asked = proto::RecountRequest {
            to: Some(0),
            reason: "é".into(),
            ..request()
        };
        let read = recount(&asked, "token").unwrap();
        assert_eq!((read.app.get(), read.resource), (7, Resource::Group));
        assert_eq!((&*read.who, &*read.why), ("token", "é"));
    }

    #[test]
    fn a_faulty_recount_names_every_field() {
        let (dry_run, cancel, to) = (true, true, Some(1));
        for (wrong, fields) in [
            (
                proto::RecountRequest::default(),
                &["app_id", "resource", "to"][..],
            ),
            (request(), &["to"]),
            (
                proto::RecountRequest {
                    to: Some(Limit::MAX + 1),
                    ..request()
                },
                &["to"],
            ),
            (
                proto::RecountRequest {
                    dry_run,
                    token: 1,
                    ..request()
                },
                &["token"],
            ),
            (
                proto::RecountRequest {
                    cancel,
                    ..request()
                },
                &["token"],
            ),
            (
                proto::RecountRequest {
                    cancel,
                    dry_run,
                    ..request()
                },
                &["cancel"],
            ),
            (
                proto::RecountRequest {
                    to,
                    reason: "a\nb".into(),
                    ..request()
                },
                &["reason"],
            ),
            (
                proto::RecountRequest {
                    to,
                    reason: "x".repeat(257),
                    ..request()
                },
                &["reason"],
            ),
        ] {
            let faults = recount(&wrong, "token").unwrap_err();
            assert_eq!(faults.fields(), fields, "{wrong:?}");
        }
    }

    #[test]
    fn members_and_entries_are_asked_for_within_bounds() {
        let named = |member: &str| proto::RetireMemberRequest {
            member: member.into(),
            reason: "gone".into(),
        };
        assert_eq!(retire(&named("a")).unwrap(), ("a", "gone"));
        for wrong in ["", &"x".repeat(65)] {
            assert_eq!(retire(&named(wrong)).unwrap_err().fields(), ["member"]);
        }
        let of = |app_id, limit| audit(&proto::ListAuditRequest { app_id, limit });
        assert_eq!(of(0, 0).unwrap(), (None, 100));
        assert_eq!(of(3, 1000).unwrap(), (AppId::new(3), 1000));
        assert_eq!(of(0, 1001).unwrap_err().fields(), ["limit"]);
    }
}
